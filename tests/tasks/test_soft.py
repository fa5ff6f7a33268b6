"""Labels with a share for each class, from a table to the report."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ce_cli import CeError, evaluate

NAMES = ("ant", "bee", "cat")
SCALES = ("prob", "logit", "logprob")


def data(n=60, k=3, seed=0, *, hot=False):
    generator = np.random.default_rng(seed)
    label = np.eye(k)[generator.integers(0, k, n)] if hot else generator.dirichlet(np.full(k, 0.5), n)
    if not hot:
        label[: n // 3] = np.eye(k)[generator.integers(0, k, n // 3)]
    return label, generator.normal(0, 2, (n, k))


def scores(logits, scale):
    logprobs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return {"prob": np.exp(logprobs), "logit": logits, "logprob": logprobs}[scale]


def table(label, values, scale, **more):
    names = NAMES[: values.shape[1]]
    columns = {f"label_{name}": label[:, at] for at, name in enumerate(names)}
    columns.update({f"{scale}_{name}": values[:, at] for at, name in enumerate(names)})
    return pa.table({**columns, **more})


def exact_rows(label, values, scale):
    """Return loss, entropy, divergence and Jensen-Shannon divergence of every row by many digits."""
    result = []
    with mpmath.workdps(40):
        for shares, row in zip(label.tolist(), values.tolist(), strict=True):
            numbers = [mpmath.mpf(value) for value in row]
            if scale == "logit":
                total = mpmath.fsum(map(mpmath.exp, numbers))
                probs = [mpmath.exp(value) / total for value in numbers]
            else:
                probs = numbers if scale == "prob" else list(map(mpmath.exp, numbers))
            ys = [mpmath.mpf(share) for share in shares]
            loss = -mpmath.fsum(y * mpmath.log(p) for y, p in zip(ys, probs, strict=True) if y)
            own = -mpmath.fsum(y * mpmath.log(y) for y in ys if y)
            kl = mpmath.fsum((y * mpmath.log(y / p) if y else 0) - y + p for y, p in zip(ys, probs, strict=True))
            middle = [(y + p) / 2 for y, p in zip(ys, probs, strict=True)]
            js = mpmath.fsum(
                ((y * mpmath.log(y / m) if y else 0) + p * mpmath.log(p / m)) / 2
                for y, p, m in zip(ys, probs, middle, strict=True)
            )
            result.append((loss, own, kl, js))
    return result


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("weighted", [False, True])
def test_every_figure_against_many_digits(k, scale, weighted):
    label, logits = data(k=k)
    values = scores(logits, scale)
    weight = np.random.default_rng(5).uniform(0.1, 3, len(label)) if weighted else np.ones(len(label))
    report = evaluate(table(label, values, scale, weight=weight), weight_col="weight" if weighted else None)
    rows = exact_rows(label, values, scale)
    total = mpmath.fsum(map(mpmath.mpf, weight.tolist()))
    means = [
        float(mpmath.fsum(mpmath.mpf(w) * row[at] for w, row in zip(weight.tolist(), rows, strict=True)) / total)
        for at in range(4)
    ]
    got = [report[name].value for name in ("cross_entropy", "label_entropy", "kl_divergence", "js_divergence")]
    assert got == pytest.approx(means, rel=1e-13)
    assert got[0] - got[1] == pytest.approx(got[2], rel=1e-9)
    probs = scores(logits, "prob")
    brier = ((probs - label) ** 2).sum(axis=1) / (2 if k == 2 else 1)
    assert report.brier.value == pytest.approx(np.average(brier, weights=weight), rel=1e-12)
    hits = label.argmax(axis=1) == probs.argmax(axis=1)
    assert report.accuracy.value == pytest.approx(np.average(hits, weights=weight), rel=1e-13)
    by_class = (label * weight[:, None]).sum(axis=0) / weight.sum()
    assert report.prior_entropy.value == pytest.approx(-(by_class * np.log(by_class)).sum(), rel=1e-13)
    assert [row.weight for row in report.per_class] == pytest.approx((label * weight[:, None]).sum(axis=0).tolist())


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weight_col": "weight"},
        {"label_smoothing": 0.1},
        {"label_smoothing": 0.2, "label_smoothing_kind": "others", "class_weights": {"ant": 2.5}},
        {"class_weights": {"ant": 0.0, "bee": 0.3}},
        {"base": "2"},
    ],
)
def test_one_hot_rows_give_the_bits_of_hard_labels(k, scale, options):
    label, logits = data(k=k, hot=True)
    weight = np.random.default_rng(6).uniform(0.1, 3, len(label))
    soft = table(label, scores(logits, scale), scale, weight=weight)
    hard = soft.drop_columns([name for name in soft.column_names if name.startswith("label_")])
    hard = hard.append_column("label", [[NAMES[at] for at in label.argmax(axis=1)]])
    one, two = evaluate(soft, **options), evaluate(hard, **options)
    added = {"label_entropy", "kl_divergence", "js_divergence"}
    assert {name: metric for name, metric in one.metrics.items() if name not in added} == two.metrics
    assert (one.quantiles, one.per_class, one.counts) == (two.quantiles, two.per_class, two.counts)
    assert one.label_entropy.value == 0.0


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 50), chunk=st.integers(1, 70), jobs=st.integers(1, 3), k=st.integers(2, 3))
def test_any_chunking_and_any_number_of_threads(seed, chunk, jobs, k):
    label, logits = data(n=64, k=k, seed=seed)
    whole = table(label, logits, "logit")
    one, other = evaluate(whole), evaluate(whole, chunk_rows=chunk, jobs=jobs)
    assert (one.metrics, one.per_class, one.worst, one.quantiles) == (
        other.metrics,
        other.per_class,
        other.worst,
        other.quantiles,
    )


def test_a_tie_counts_for_the_loss_but_not_for_the_accuracy():
    label = np.array([[0.4, 0.4, 0.2], [1.0, 0.0, 0.0]])
    report = evaluate(table(label, np.array([[0.1, 0.2, 0.7], [0.6, 0.2, 0.2]]), "prob"))
    assert report.accuracy.value == 1.0
    assert [(issue.code, issue.count) for issue in report.issues if issue.code == "ties"] == [("ties", 1)]


def test_a_share_of_0_costs_nothing_on_an_impossible_class():
    label, probs = np.array([[0.5, 0.5, 0.0]]), np.array([[0.5, 0.5, 0.0]])
    report = evaluate(table(label, probs, "prob"))
    assert report.cross_entropy.value == math.log(2)
    assert report.kl_divergence.value == 0.0
    report = evaluate(table(np.array([[0.5, 0.4, 0.1]]), probs, "prob"))
    assert report.cross_entropy.value == report.kl_divergence.value == math.inf


def test_label_columns_are_matched_by_name_and_named_ones_by_place():
    label, logits = data(n=20)
    straight = table(label, logits, "logit")
    mixed = straight.select([*straight.column_names[2::-1], *straight.column_names[3:]])
    assert evaluate(mixed).metrics == evaluate(straight).metrics
    renamed = straight.rename_columns(["u", "v", "w", *straight.column_names[3:]])
    assert evaluate(renamed, label_col="u,v,w").metrics == evaluate(straight).metrics
    turned = evaluate(renamed, label_col="v,u,w").cross_entropy.value
    assert turned == evaluate(table(label[:, [1, 0, 2]], logits, "logit")).cross_entropy.value


def test_labels_follow_their_scores_into_another_order():
    label, logits = data(n=20)
    straight, turned = (
        evaluate(table(label, logits, "logit")),
        evaluate(table(label, logits, "logit"), classes=["cat", "ant", "bee"]),
    )
    assert turned.classes == ("cat", "ant", "bee")
    assert turned.cross_entropy.value == pytest.approx(straight.cross_entropy.value, rel=1e-15)
    two = table(*data(n=20, k=2), "logit")
    assert evaluate(two, positive="ant").cross_entropy.value == pytest.approx(
        evaluate(two).cross_entropy.value, rel=1e-15
    )


def test_columns_of_another_file_with_the_names_of_the_scores():
    label, logits = data(n=20)
    predictions = pa.table({"id": range(20), **{name: logits[:, at] for at, name in enumerate(NAMES)}})
    labels = pa.table({"id": range(20), **{name: label[:, at] for at, name in enumerate(NAMES)}})
    expected = evaluate(table(label, logits, "logit")).cross_entropy
    assert evaluate(predictions, labels, input="logits").cross_entropy == expected


def faults(label, values=None, **options):
    label = np.array(label)
    values = np.full(label.shape, 1 / label.shape[1]) if values is None else values
    with pytest.raises(CeError) as told:
        evaluate(table(label, values, "prob"), **options)
    return [(problem.code, problem.rows, problem.column) for problem in told.value.problems]


def test_rows_that_do_not_sum_to_1():
    good = [1.0, 0.0, 0.0]
    assert faults([good] * 300 + [[0.5, 0.1, 0.1], good, [1.0, 1.0, 0.0]]) == [("row_sum", (301, 303), None)]
    assert faults([good, [0.5, 0.1, 0.1]], task="multiclass") == [("row_sum", (2,), None)]


def test_rows_with_several_labels_ask_which_task():
    assert faults([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]) == [("ambiguous_task", (), None)]


def test_cells_that_are_no_shares():
    rows = [[1.0, 0.0, 0.0]] * 250
    assert faults([*rows, [-0.5, 1.0, 0.5]]) == [("unknown_label", (251,), "label_ant")]
    assert faults([*rows, [math.nan, 1.0, 0.0]]) == [("unknown_label", (251,), "label_ant")]
    text = pa.table({"label_a": ["1", "0", None], "label_b": ["0", "x", "1"], "prob_a": [0.5] * 3, "prob_b": [0.5] * 3})
    with pytest.raises(CeError) as told:
        evaluate(text, label_col="label_a,label_b")
    assert [(problem.code, problem.rows) for problem in told.value.problems] == [
        ("missing_label", (3,)),
        ("unknown_label", (2,)),
    ]


def test_label_columns_that_match_no_class():
    values = pa.table({"label_a": [1.0], "label_z": [0.0], "prob_a": [0.5], "prob_b": [0.5]})
    with pytest.raises(CeError, match="do not match the classes") as told:
        evaluate(values)
    assert told.value.code == "ambiguous_columns"


def test_an_ignored_label_means_nothing_here():
    label, logits = data(n=5)
    with pytest.raises(CeError) as told:
        evaluate(table(label, logits, "logit"), ignore_label="0")
    assert told.value.code == "bad_option"
