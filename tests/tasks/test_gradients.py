"""Gradients from a table to a file, checked by differentiating the mean loss numerically with many digits."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING

import mpmath
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ce_cli import CeError, evaluate
from tests.cli.command import ce, lines, table, write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NAMES = ("ant", "bee", "cat")


def read(path: Path) -> np.ndarray:
    table = pq.read_table(path) if path.suffix == ".parquet" else None
    if table is not None:
        return np.array([table[name].to_pylist() for name in table.column_names if name.startswith("grad_")]).T
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    return np.array([[float(cell) for name, cell in row.items() if name.startswith("grad_")] for row in rows])


def mean_loss(logits: Sequence[Sequence[mpmath.mpf]], shares, weights, epsilon, kind, factors) -> mpmath.mpf:
    """Return Σ s c y' ℓ / Σ s c y' with many digits."""
    above = below = mpmath.mpf(0)
    for row, label, weight in zip(logits, shares, weights, strict=True):
        total = mpmath.log(mpmath.fsum(mpmath.exp(value) for value in row))
        k = len(row)
        for value, share, factor in zip(row, label, factors, strict=True):
            y = mpmath.mpf(float(share))
            spread = (1 - epsilon) * y + (epsilon / k if kind == "uniform" else epsilon / (k - 1) * (1 - y))
            part = mpmath.mpf(float(weight)) * factor * spread
            below += part
            above += part * (total - value)
    return above / below


def differentiated(logits, *rest) -> np.ndarray:
    """Return the derivative of the mean loss by every logit, by central differences with 60 digits."""
    with mpmath.workdps(60):
        exact = [[mpmath.mpf(float(value)) for value in row] for row in logits]
        step = mpmath.mpf(10) ** -20
        result = np.zeros(logits.shape)
        for i, j in np.ndindex(*logits.shape):
            values = []
            for sign in (1, -1):
                moved = [list(row) for row in exact]
                moved[i][j] += sign * step
                values.append(mean_loss(moved, *rest))
            result[i, j] = float((values[0] - values[1]) / (2 * step))
        return result


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize(("epsilon", "kind"), [(0.0, "uniform"), (0.125, "uniform"), (0.125, "others")])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("classes", [None, {"ant": 2.5, "bee": 0.5}])
def test_against_numerical_differentiation(k, soft, epsilon, kind, weighted, classes, tmp_path: Path):
    generator = np.random.default_rng(3)
    n = 5
    logits = generator.normal(0, 3, (n, k))
    shares = generator.dirichlet(np.ones(k), n) if soft else np.eye(k)[generator.integers(0, k, n)]
    weight = generator.uniform(0.2, 3, n) if weighted else np.ones(n)
    columns = {f"logit_{name}": logits[:, at] for at, name in enumerate(NAMES[:k])}
    if soft:
        columns.update({f"label_{name}": shares[:, at] for at, name in enumerate(NAMES[:k])})
    else:
        columns["label"] = [NAMES[at] for at in shares.argmax(axis=1)]
    target = tmp_path / "g.parquet"
    report = evaluate(
        pa.table({**columns, "weight": weight}),
        gradients=target,
        label_smoothing=epsilon,
        label_smoothing_kind=kind,
        class_weights=classes,
        weight_col="weight" if weighted else None,
        chunk_rows=2,
    )
    factors = [(classes or {}).get(name, 1.0) for name in NAMES[:k]]
    expected = differentiated(logits, shares, weight, mpmath.mpf(epsilon), kind, factors)
    got = read(target)
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-16)
    told = [row.mean_gradient for row in report.per_class]
    assert told == pytest.approx(expected.sum(axis=0).tolist(), rel=1e-10, abs=1e-15)


def test_published_autograd_values(tmp_path: Path):
    # torch.autograd of F.cross_entropy on two rows of the logits (1, 2, 3) with the labels 2 and 0: (softmax - y)/2.
    table = pa.table({"logit_0": [1.0] * 2, "logit_1": [2.0] * 2, "logit_2": [3.0] * 2, "label": [2, 0]})
    evaluate(table, gradients=tmp_path / "g.csv")
    softmax = [0.09003057317038046, 0.24472847105479764, 0.6652409557748218]
    expected = [[softmax[j] / 2 - (j == label) / 2 for j in range(3)] for label in (2, 0)]
    np.testing.assert_allclose(read(tmp_path / "g.csv"), expected, rtol=1e-14)


def test_one_score_has_one_column(tmp_path: Path):
    logits, label = np.array([-800.0, -2.0, 0.5, 40.0]), np.array([0, 1, 1, 1])
    report = evaluate(pa.table({"logit": logits, "label": label}), gradients=tmp_path / "g.csv")
    with mpmath.workdps(400):
        exact = [
            float((1 / (1 + mpmath.exp(-mpmath.mpf(z))) - y) / 4) for z, y in zip(logits, label.tolist(), strict=True)
        ]
    np.testing.assert_allclose(read(tmp_path / "g.csv")[:, 0], exact, rtol=1e-14, atol=1e-320)
    means = [row.mean_gradient for row in report.per_class]
    assert means[1] == pytest.approx(sum(exact), rel=1e-14)
    assert means[0] == -means[1]


def test_the_mean_gradient_is_the_bias_of_the_probabilities(tmp_path: Path):
    generator = np.random.default_rng(8)
    probs = generator.dirichlet(np.ones(3), 200)
    label = generator.integers(0, 3, 200)
    columns = {f"prob_{name}": probs[:, at] for at, name in enumerate(NAMES)}
    table = pa.table({"label": [NAMES[at] for at in label], **columns})
    report = evaluate(table, gradients=tmp_path / "g.csv")
    expected = probs.mean(axis=0) - np.bincount(label) / 200
    assert [row.mean_gradient for row in report.per_class] == pytest.approx(expected.tolist(), rel=1e-11)


def test_rows_that_are_left_out_are_empty_and_order_is_kept(tmp_path: Path):
    write(
        tmp_path,
        p=lines("id,prob_a,prob_b", "1,.5,.5", "2,.9,.1", "3,.2,.8", "4,7,8"),
        l=lines("id,label,weight", "3,a,1", "1,b,2", "2,a,0", "4,a,1"),
    )
    options = ("--weight-col", "weight", "--on-invalid", "drop", "--chunk-rows", "1")
    done = ce("p.csv", "-l", "l.csv", *options, "--gradients", "-", cwd=tmp_path, expect=0)
    assert done.out.splitlines() == [
        '"id","grad_a","grad_b"',
        '"1",0.3333333333333333,-0.3333333333333333',
        '"2",0,0',
        '"3",-0.26666666666666666,0.26666666666666666',
        '"4",,',
    ]


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_any_chunking(jobs, chunk, tmp_path: Path):
    generator = np.random.default_rng(2)
    table = pa.table({"logit": generator.normal(0, 3, 100), "label": generator.integers(0, 2, 100)})
    one = evaluate(table, gradients=tmp_path / "a.csv")
    other = evaluate(table, gradients=tmp_path / "b.csv", jobs=jobs, chunk_rows=chunk)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert one.per_class == other.per_class


def test_an_infinite_loss_has_a_gradient(tmp_path: Path):
    report = evaluate(pa.table({"prob": [0.0, 0.5], "label": [1, 1]}), gradients=tmp_path / "g.csv")
    assert report.cross_entropy.value == math.inf
    assert read(tmp_path / "g.csv").tolist() == [[-0.5], [-0.25]]


@pytest.mark.parametrize("options", [{"eps": "auto"}, {"row_sum": "raw"}])
def test_what_has_no_gradient_is_refused(options, tmp_path: Path):
    with pytest.raises(CeError, match="--gradients cannot be formed") as told:
        evaluate(pa.table({"prob": [0.5], "label": [1]}), gradients=tmp_path / "g.csv", **options)
    assert told.value.code == "bad_option"
    assert list(tmp_path.iterdir()) == []


def test_two_tables_cannot_share_standard_output(tmp_path: Path):
    write(tmp_path, p="prob,label\n.5,1\n")
    done = ce("p.csv", "--per-sample", "-", "--gradients", "-", cwd=tmp_path, expect=2)
    assert done.codes == ["bad_option"]


def test_ids_and_labels_that_are_called_like_a_column_keep_their_cells(tmp_path: Path):
    write(tmp_path, p="grad_a,prob_a,prob_b,label\nx,.4,.6,a\ny,.3,.7,b\n")
    done = ce("p.csv", "--id-col", "grad_a", "--gradients", "-", cwd=tmp_path, expect=0)
    assert [line.split(",")[0] for line in done.out.splitlines()] == ['"id_grad_a"', '"x"', '"y"']
    write(tmp_path, q="id,prob_entropy,prob_b\n1,.4,.6\n2,.3,.7\n", l="id,label_entropy,label_b\n1,.5,.5\n2,.25,.75\n")
    rows = table(ce("q.csv", "-l", "l.csv", "--per-sample", "-", cwd=tmp_path, expect=0).out)
    assert [row["label_label_entropy"] for row in rows] == ["0.5", "0.25"]
    assert float(rows[0]["label_entropy"]) == pytest.approx(math.log(2))


def test_a_weight_beyond_float64_is_told(tmp_path: Path):
    write(tmp_path, p="prob_a,prob_b,label,w\n.5,.5,a,1e308\n.4,.6,b,1\n")
    assert ce("p.csv", "--weight-col", "w", "--class-weights", "a=10", cwd=tmp_path, expect=2).codes == ["bad_weight"]


def sigmoid_loss(values, labels, weights) -> mpmath.mpf:
    """Return the weighted mean of the binary losses of cells, None being a label that is not known."""
    above = below = mpmath.mpf(0)
    for row, label, weight in zip(values, labels, weights, strict=True):
        for value, y in zip(row, label, strict=True):
            if y is not None:
                loss = mpmath.log1p(mpmath.exp(value)) - y * value
                above, below = above + weight * loss, below + weight
    return above / below


def by_differences(function, logits: np.ndarray, *rest) -> np.ndarray:
    with mpmath.workdps(60):
        exact = [[mpmath.mpf(float(value)) for value in row] for row in logits]
        step = mpmath.mpf(10) ** -20
        result = np.zeros(logits.shape)
        for i, j in np.ndindex(*logits.shape):
            moved = [[list(row) for row in exact] for _ in range(2)]
            moved[0][i][j] += step
            moved[1][i][j] -= step
            result[i, j] = float((function(moved[0], *rest) - function(moved[1], *rest)) / (2 * step))
        return result


def test_labels_of_several_in_a_row(tmp_path: Path):
    generator = np.random.default_rng(4)
    logits = generator.normal(0, 3, (4, 3))
    labels = [[1, 0, None], [0.25, 1, 1], [0, 0, 0], [None, 1, 0.5]]
    weight = [1.0, 0.5, 2.0, 1.5]
    columns = {f"logit_{name}": logits[:, at] for at, name in enumerate(NAMES)}
    columns.update({f"label_{name}": [row[at] for row in labels] for at, name in enumerate(NAMES)})
    table = pa.table({**columns, "weight": weight})
    report = evaluate(table, task="multilabel", weight_col="weight", gradients=tmp_path / "g.parquet", chunk_rows=3)
    expected = by_differences(sigmoid_loss, logits, labels, weight)
    np.testing.assert_allclose(read(tmp_path / "g.parquet"), expected, rtol=1e-12, atol=1e-16)
    assert [row.mean_gradient for row in report.per_class] == pytest.approx(expected.sum(axis=0).tolist(), rel=1e-10)


def test_bins_of_a_regression(tmp_path: Path):
    generator = np.random.default_rng(5)
    logits, target = generator.normal(0, 2, (5, 3)), [0.5, 1.5, 3.0, 1.0, 2.5]
    columns = {f"logit_{at}": logits[:, at] for at in range(3)}
    report = evaluate(
        pa.table({"label": target, **columns}), bins="0,1,2,4", gradients=tmp_path / "g.parquet", label_smoothing=0.1
    )
    shares = np.eye(3)[np.searchsorted([0, 1, 2, 4], target, side="right") - 1]
    rest = (shares, np.ones(5), mpmath.mpf("0.1"), "uniform", [1.0] * 3)
    expected = by_differences(mean_loss, logits, *rest)
    np.testing.assert_allclose(read(tmp_path / "g.parquet"), expected, rtol=1e-12, atol=1e-16)
    assert [row.mean_gradient for row in report.per_class] == pytest.approx(expected.sum(axis=0).tolist(), rel=1e-10)


def test_tokens_of_a_vocabulary(tmp_path: Path):
    generator = np.random.default_rng(6)
    logits, label = generator.normal(0, 2, (6, 4)), np.array([0, 3, 1, 2, 2, 0])
    columns = {f"logit_{at}": logits[:, at] for at in range(4)}
    table = pa.table({"seq_id": [0, 0, 0, 1, 1, 1], "label": label, **columns})
    evaluate(table, task="tokens", gradients=tmp_path / "g.parquet", ignore_label=["1"])
    kept = label != 1
    rest = (np.eye(4)[label[kept]], np.ones(kept.sum()), mpmath.mpf(0), "uniform", [1.0] * 4)
    got = read(tmp_path / "g.parquet")
    assert got[2].tolist() == [None] * 4
    np.testing.assert_allclose(
        got[kept].astype(float), by_differences(mean_loss, logits[kept], *rest), rtol=1e-12, atol=1e-16
    )
