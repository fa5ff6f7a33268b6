"""Class weights from the command line, from a file, and balanced."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight

from ce_cli import CeError, evaluate
from tests.cli.command import ce

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("ant", "bee", "cat")


def data(n=300, k=3, seed=4):
    generator = np.random.default_rng(seed)
    probs = generator.dirichlet(np.arange(1, k + 1), n)
    label = np.minimum(generator.geometric(0.6, n) - 1, k - 1)
    columns = {f"prob_{name}": probs[:, at] for at, name in enumerate(NAMES[:k])}
    return probs, label, pa.table({"label": [NAMES[at] for at in label], **columns})


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_balanced_is_what_scikit_learn_does(k, weighted):
    probs, label, table = data(k=k)
    weight = np.random.default_rng(1).uniform(0.5, 2, len(label))
    report = evaluate(
        table.append_column("weight", pa.array(weight)),
        class_weights="balanced",
        weight_col="weight" if weighted else None,
        chunk_rows=17,
    )
    by_row = compute_sample_weight("balanced", label) * (weight if weighted else 1.0)
    assert report.cross_entropy.value == pytest.approx(log_loss(label, probs, sample_weight=by_row), rel=1e-13)
    expected = compute_class_weight("balanced", classes=np.arange(k), y=label)
    told = dict(field.split(":", 1) for field in report.signature.split("|")[1:])["cw"]
    assert [float(part) for part in told.split(",")] == pytest.approx(expected.tolist(), rel=1e-15)


def test_balanced_with_one_score_and_with_shares():
    probs, label, _ = data(k=2)
    by_row = compute_sample_weight("balanced", label)
    expected = pytest.approx(log_loss(label, probs, sample_weight=by_row), rel=1e-13)
    one = pa.table({"prob": probs[:, 1], "label": label})
    assert evaluate(one, class_weights="balanced").cross_entropy.value == expected
    shares = np.eye(2)[label]
    table = pa.table({"label_a": shares[:, 0], "label_b": shares[:, 1], "prob_a": probs[:, 0], "prob_b": probs[:, 1]})
    assert evaluate(table, class_weights="balanced").cross_entropy.value == expected


def test_ignored_and_empty_labels_are_not_counted():
    _, label, table = data()
    names = pa.array(["none" if row % 7 == 0 else NAMES[at] for row, at in enumerate(label)])
    kept = table.filter(pa.array([row % 7 != 0 for row in range(len(label))]))
    table = table.set_column(0, "label", names)
    got = evaluate(table, class_weights="balanced", ignore_label="none")
    assert got.cross_entropy == evaluate(kept, class_weights="balanced").cross_entropy


@pytest.mark.parametrize(
    "text", ["class,weight\nant,2.5\ncat,0.25\n", "ant,2.5\n\ncat,0.25", "\ufeffant\t2.5\ncat\t.25\n"]
)
def test_a_file(text, tmp_path: Path):
    path = tmp_path / "w.csv"
    path.write_text(text, encoding="utf-8")
    _, _, table = data()
    got = evaluate(table, class_weights=str(path))
    assert got.metrics == evaluate(table, class_weights={"ant": 2.5, "cat": 0.25}).metrics


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ant,2\nbee\n", "line 2"),
        ("ant,2\nbee,x\n", "line 2"),
        ("ant,2\nant,3\n", "names a class again"),
        ("dog,2\n", "not one of the classes"),
        ("ant,2x\nbee,3\n", "line 1"),
        ('{"ant": 2, "bee": 3}\n', "line 1"),
        ("", "holds no weights"),
        ("ant,-1\n", "finite numbers from 0 on"),
    ],
)
def test_a_file_that_is_wrong(text, words, tmp_path: Path):
    path = tmp_path / "w.csv"
    path.write_text(text)
    with pytest.raises(CeError, match=words) as told:
        evaluate(data()[2], class_weights=str(path))
    assert told.value.code == "bad_option"


def test_a_file_that_is_not_there():
    with pytest.raises(CeError, match="a file or balanced") as told:
        evaluate(data()[2], class_weights="absent.csv")
    assert told.value.problems[0].hint == "there is no file 'absent.csv'"


def test_a_pipe_can_be_read_twice(tmp_path: Path):
    rows = "label,prob\n" + "1,0.7\n0,0.2\n0,0.4\n" * 50
    (tmp_path / "d.csv").write_text(rows)
    expected = ce("d.csv", "-q", "--class-weights", "balanced", cwd=tmp_path, expect=0).out
    for data_ in (rows.encode(), gzip.compress(rows.encode())):
        assert ce("-", "-q", "--class-weights", "balanced", cwd=tmp_path, stdin=data_, expect=0).out == expected


def test_labels_without_a_prediction_are_not_counted():
    _, label, table = data(n=30)
    ids = pa.array(range(30))
    predictions = table.drop_columns(["label"]).append_column("id", ids)
    names = [NAMES[at] for at in label]
    labels = pa.table({"id": range(30), "label": names})
    more = pa.table({"id": range(40), "label": names + ["ant"] * 10})
    expected = evaluate(predictions, labels, class_weights="balanced").cross_entropy
    assert evaluate(predictions, more, class_weights="balanced", missing="drop").cross_entropy == expected
