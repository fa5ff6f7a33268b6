"""The same numbers give the same report to the last bit, however they are stored, cut, ordered or shared among threads."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, brier_score_loss, d2_log_loss_score, log_loss

from ce_cli import CeError, evaluate
from ce_cli.readers import csv_text, memory, parquet_format
from ce_cli.tasks import binary, multiclass

if TYPE_CHECKING:
    from pathlib import Path

JOBS = (1, 2, 4)
CHUNKS = (1, 7, 64, None)
ROW_GROUPS = (1, 5, 1000)


@dataclass(frozen=True)
class Case:
    """Columns of one file with scores and labels, and the options that it needs."""

    columns: dict[str, list[Any]]
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return len(next(iter(self.columns.values())))

    def ordered(self, order: list[int]) -> Case:
        return Case({name: [cells[at] for at in order] for name, cells in self.columns.items()}, self.options)


def as_text(value: Any) -> str:
    return "-inf" if value == -math.inf else repr(value) if isinstance(value, float) else str(value)


def write_csv(path: Path, columns: dict[str, list[Any]]) -> str:
    lines = [",".join(columns), *(",".join(map(as_text, row)) for row in zip(*columns.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def write_parquet(path: Path, columns: dict[str, list[Any]], row_group_size: int) -> str:
    pq.write_table(pa.table(columns), path, row_group_size=row_group_size)
    return str(path)


def numbers_of(report) -> str:
    """Return all that must not depend on the order of the rows; repr tells bits apart, and NaN equals itself."""
    return repr((report.metrics, report.quantiles, report.per_class, report.max_row_sum_error, report.counts))


def everything_of(report) -> str:
    return numbers_of(report) + repr((report.worst, report.issues, report.classes, report.signature))


def generator_case(kind: str, rows: int, seed: int) -> Case:
    """Return random data of one kind, with some scores at the ends of their range."""
    generator = np.random.default_rng(seed)
    columns: dict[str, list[Any]] = {"id": [int(i) for i in generator.permutation(rows) + 10]}
    options: dict[str, Any] = {}
    if kind.startswith("binary"):
        label: Any = generator.integers(0, 2, rows)
        if "logit" in kind:
            score = generator.normal(0, 15, rows)
            score[generator.random(rows) < 0.2] = 700.3
            score[generator.random(rows) < 0.1] = -math.inf if "infinite" in kind else -745.1
            columns["logit"] = score.tolist()
        elif "logprob" in kind:
            columns["logprob"] = (-generator.exponential(3, rows)).tolist()
            options["input_base"] = "2"
        else:
            score = generator.beta(0.2, 0.2, rows)
            score[generator.random(rows) < 0.2] = 1e-300
            score[generator.random(rows) < 0.2] = 1 - 2.0**-53
            score[generator.random(rows) < 0.2] = 1 / 3
            if "infinite" in kind:
                score[generator.random(rows) < 0.3] = 0.0
            else:
                score = np.clip(score, 1e-300, 1 - 2.0**-53)
            columns["prob"] = score.tolist()
        if "soft" in kind:
            soft = generator.choice([0.0, 1.0, 0.5, 0.1, 0.3, 1 / 3, 1e-20], rows)
            columns["label"] = soft.tolist()
        else:
            columns["label"] = label.tolist()
    else:
        k = 10 if "ten" in kind else 3
        names = [f"class {number}" for number in range(k)]
        scores = generator.normal(0, 12, (rows, k))
        if "logit" in kind:
            scores[generator.random((rows, k)) < 0.05] = -math.inf if "infinite" in kind else -700.0
            scores[:, 0] = np.where(np.isinf(scores[:, 0]), 0.0, scores[:, 0])
            prefix = "logit_"
        else:
            prefix = "prob_"
            scores = generator.dirichlet(np.full(k, 0.2), rows)
            scores = np.clip(scores, 0 if "infinite" in kind else 1e-200, 1)
        columns |= {prefix + name: scores[:, at].tolist() for at, name in enumerate(names)}
        columns["label"] = [names[at] for at in generator.integers(0, k, rows)]
    if "weighted" in kind:
        weight = np.ldexp(generator.uniform(1, 2, rows), generator.integers(-300, 300, rows) * (seed % 2))
        weight[generator.random(rows) < 0.1] = 0.0
        weight[0] = 1.0
        columns["w"] = weight.tolist()
        options["weight_col"] = "w"
    return Case(columns, options)


KINDS = (
    "binary prob",
    "binary prob infinite",
    "binary prob weighted",
    "binary prob soft",
    "binary prob soft weighted infinite",
    "binary logit",
    "binary logit infinite weighted",
    "binary logprob",
    "three prob",
    "three prob infinite weighted",
    "three logit weighted",
    "ten prob weighted",
    "ten logit infinite",
)
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Make blocks so small that a few dozen rows fill several of them."""
    monkeypatch.setattr(csv_text, "BLOCK_BYTES", 300)
    monkeypatch.setattr(memory, "_BATCH_ROWS", 13)
    monkeypatch.setattr(parquet_format, "_BATCH_ROWS", 11)
    monkeypatch.setattr(binary, "_BLOCK_ROWS", 9)
    monkeypatch.setattr(multiclass, "_BLOCK_ROWS", 9)
    monkeypatch.setattr(multiclass, "_KERNEL_CELLS", 31)


def in_memory(case: Case, **options: Any):
    return evaluate(pa.table(case.columns), **case.options, **options)


@every_kind
@pytest.mark.parametrize("jobs", JOBS)
def test_jobs_and_chunks(kind, jobs):
    case = generator_case(kind, 31, 1)
    expected = everything_of(in_memory(case, jobs=1))
    for chunk_rows in CHUNKS:
        assert everything_of(in_memory(case, jobs=jobs, chunk_rows=chunk_rows)) == expected


@every_kind
def test_files(kind, tmp_path):
    case = generator_case(kind, 31, 2)
    expected = numbers_of(in_memory(case, jobs=1))
    paths = [write_parquet(tmp_path / f"{size}.parquet", case.columns, size) for size in ROW_GROUPS]
    paths.append(write_csv(tmp_path / "rows.csv", case.columns))
    for path in paths:
        for jobs, chunk_rows in ((1, None), (4, 3)):
            report = evaluate(path, **case.options, jobs=jobs, chunk_rows=chunk_rows)
            assert numbers_of(report) == expected, (path, jobs, chunk_rows)


@every_kind
def test_labels_in_a_file_of_their_own_in_any_order(kind, tmp_path):
    case = generator_case(kind, 23, 3)
    expected = in_memory(case, jobs=1)
    of_labels = ("id", "label", "w")
    mine = {name: cells for name, cells in case.columns.items() if name == "id" or name not in of_labels}
    order = np.random.default_rng(0).permutation(23).tolist()
    for number, shuffled in enumerate((case, case.ordered(order))):
        labels = {name: shuffled.columns[name] for name in of_labels if name in case.columns}
        for path, other in (
            (write_csv(tmp_path / f"p{number}.csv", mine), write_csv(tmp_path / f"y{number}.csv", labels)),
            (write_parquet(tmp_path / f"p{number}.pq", mine, 5), write_csv(tmp_path / f"z{number}.csv", labels)),
            (write_csv(tmp_path / f"q{number}.csv", mine), write_parquet(tmp_path / f"y{number}.pq", labels, 4)),
        ):
            for jobs, chunk_rows in ((1, None), (3, 5)):
                report = evaluate(path, other, **case.options, jobs=jobs, chunk_rows=chunk_rows)
                assert numbers_of(report) == numbers_of(expected)
                assert [row.row for row in report.worst] == [row.row for row in expected.worst]


IDS = {
    "dense": st.integers(1, 40),
    "negative": st.integers(-30, 10),
    "sparse": st.integers(-(2**63), 2**63 - 1),
    "unsigned": st.integers(0, 2**64 - 1),
    "text": st.text("ab1", min_size=1, max_size=12),
    "unicode": st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=4),
    "digits": st.integers(-5, 10**12).map(str),
}


@pytest.mark.parametrize(
    "names",
    [
        ("dense",),
        ("negative",),
        ("sparse",),
        ("unsigned",),
        ("text",),
        ("unicode",),
        ("digits",),
        ("text", "dense"),
        ("sparse", "digits", "unicode"),
    ],
)
@settings(max_examples=25, deadline=None)
@given(
    data=st.data(),
    jobs=st.sampled_from(JOBS),
    chunk_rows=st.sampled_from(CHUNKS),
    shuffle=st.randoms(use_true_random=False),
)
def test_labels_in_any_order_give_the_same_report(names, data, jobs, chunk_rows, shuffle):
    rows = data.draw(st.lists(st.tuples(*(IDS[name] for name in names)), min_size=1, max_size=30, unique=True))
    types = {"dense": pa.int32(), "negative": pa.int16(), "sparse": pa.int64(), "unsigned": pa.uint64()}
    ids = {f"{name}_id": pa.array([row[at] for row in rows], types.get(name)) for at, name in enumerate(names)}
    predictions = pa.table({**ids, "prob": [(at * 37 % 101) / 128 + 1e-3 for at in range(len(rows))]})
    labels = pa.table(
        {**ids, "label": [at * 13 % 7 % 2 for at in range(len(rows))], "w": [1.0 + at for at in range(len(rows))]}
    )
    order = list(range(len(rows)))
    shuffle.shuffle(order)
    options = {"id_col": [*ids], "weight_col": "w"}
    expected = evaluate(predictions, labels, jobs=1, **options).to_dict()
    found = evaluate(predictions, labels.take(pa.array(order)), jobs=jobs, chunk_rows=chunk_rows, **options).to_dict()
    assert found == expected
    assert found["alignment"] == "id"


@every_kind
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.integers(1, 40),
    seed=st.integers(0, 1000),
    jobs=st.sampled_from(JOBS),
    chunk_rows=st.sampled_from(CHUNKS),
    shuffle=st.randoms(use_true_random=False),
)
def test_any_order_of_the_rows(kind, rows, seed, jobs, chunk_rows, shuffle):
    case = generator_case(kind, rows, seed)
    order = list(range(rows))
    shuffle.shuffle(order)
    first = in_memory(case, jobs=1)
    other = in_memory(case.ordered(order), jobs=jobs, chunk_rows=chunk_rows)
    assert numbers_of(other) == numbers_of(first)


@every_kind
def test_splitting_a_file_into_parts(kind, tmp_path):
    case = generator_case(kind, 30, 5)
    for number, (start, stop) in enumerate(((0, 1), (1, 12), (12, 30))):
        write_csv(tmp_path / f"part-{number}.csv", {n: cells[start:stop] for n, cells in case.columns.items()})
    report = evaluate(str(tmp_path), **case.options, jobs=2)
    assert numbers_of(report) == numbers_of(in_memory(case))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("k", [2, 3])
def test_against_scikit_learn(k, weighted):
    generator = np.random.default_rng(k)
    names = ["a", "b", "c"][:k]
    probs = np.clip(generator.dirichlet(np.full(k, 0.7), 300), 1e-9, 1)
    label = generator.choice(names, 300)
    weight = generator.uniform(0.1, 5, 300) if weighted else None
    columns = {f"prob_{name}": probs[:, at] for at, name in enumerate(names)} | {"label": label}
    if weighted:
        columns["w"] = weight
    report = evaluate(pa.table(columns), jobs=2, chunk_rows=7, weight_col="w" if weighted else None)
    normal = probs / probs.sum(axis=1, keepdims=True)  # scikit-learn warns of sums that are off by a rounding error
    expected = {
        "cross_entropy": log_loss(label, normal, sample_weight=weight),
        "accuracy": accuracy_score(label, np.array(names)[probs.argmax(axis=1)], sample_weight=weight),
        "skill": d2_log_loss_score(label, normal, sample_weight=weight),
        "brier": brier_score_loss(label, normal[:, 1] if k == 2 else normal, sample_weight=weight, **(
            {"pos_label": "b"} if k == 2 else {}
        )),
    }  # fmt: skip
    for name, value in expected.items():
        assert report.metrics[name].value == pytest.approx(value, rel=1e-7, abs=1e-9), name


@pytest.mark.parametrize("jobs", JOBS)
@pytest.mark.parametrize("chunk_rows", CHUNKS)
def test_faults_are_the_same_however_the_work_is_cut(jobs, chunk_rows, tmp_path):
    rows = 60
    prob = [0.25] * rows
    label: list[Any] = [str(at % 2) for at in range(rows)]
    for at in (50, 3, 17, 33, 41, 8, 25):
        prob[at] = 1.5 + at
    for at in (44, 12, 29):
        label[at] = "maybe"
    path = write_csv(tmp_path / "p.csv", {"prob": prob, "label": label})
    with pytest.raises(CeError) as caught:
        evaluate(path, jobs=jobs, chunk_rows=chunk_rows)
    assert [(p.code, p.rows, p.count) for p in caught.value.problems] == [
        ("unknown_label", (13, 30, 45), 3),
        ("probability_out_of_range", (4, 9, 18, 26, 34), 7),
    ]
    assert "4.5" in caught.value.problems[1].message
    report = evaluate(path, jobs=jobs, chunk_rows=chunk_rows, on_invalid="drop")
    assert report.counts["invalid"] == report.counts["dropped"] == 10
    assert report.counts["scored"] == 50


@pytest.mark.parametrize("jobs", JOBS)
@pytest.mark.parametrize("chunk_rows", CHUNKS)
def test_issues_come_in_the_same_order_however_the_work_is_cut(jobs, chunk_rows):
    rows = 60
    prob, label = [0.25] * rows, ["0", "1"] * (rows // 2)
    prob[2], label[1], prob[40], label[41] = 7.0, "maybe", math.nan, ""
    prob[58], label[57] = math.nan, "perhaps"
    table = pa.table({"prob": prob, "label": label})
    issues = [
        (issue.code, issue.first_rows, issue.message)
        for issue in evaluate(table, jobs=jobs, chunk_rows=chunk_rows, on_invalid="drop").issues
    ]
    expected = [
        (issue.code, issue.first_rows, issue.message) for issue in evaluate(table, jobs=1, on_invalid="drop").issues
    ]
    assert issues == expected


@pytest.mark.parametrize("jobs", [1, 4])
def test_malformed_rows_are_numbered_across_blocks(jobs, tmp_path):
    lines = [f"{at},0.25,{at % 2}" for at in range(100)]
    lines[1] = "1,0.25"
    lines[60] = "60,0.25,0,surplus"
    lines[99] = "99"
    (tmp_path / "p.csv").write_text("\n".join(["id,prob,label", *lines]) + "\n")
    with pytest.raises(CeError) as caught:
        evaluate(str(tmp_path / "p.csv"), jobs=jobs)
    (problem,) = caught.value.problems
    assert (problem.code, problem.rows, problem.count) == ("malformed_row", (2, 61, 100), 3)


def test_huge_weights():
    """Their sum is beyond float64, but no mean is."""
    table = pa.table({"prob": [0.25, 0.5, 0.75], "label": [0, 0, 1], "w": [1.5e308, 1.5e308, 1.5e308]})
    report = evaluate(table, weight_col="w")
    expected = -(math.log(0.75) + math.log(0.5) + math.log(0.75)) / 3
    assert report.metrics["cross_entropy"].value == pytest.approx(expected, rel=1e-15)
    assert report.metrics["accuracy"].value == 1.0


def test_tiny_weights():
    table = pa.table({"prob": [0.25, 0.75], "label": [0, 1], "w": [5e-324, 1e-320]})
    report = evaluate(table, weight_col="w")
    assert report.metrics["cross_entropy"].value == -math.log(0.75)


def test_weights_whose_share_of_a_soft_label_is_below_float64():
    soft = pa.table({"prob": [0.25, 0.75], "label": [0.25, 0.5], "w": [5e-324, 5e-324]})
    report = evaluate(soft, weight_col="w")
    first, second = -0.25 * math.log(0.25) - 0.75 * math.log(0.75), -0.5 * math.log(0.25) - 0.5 * math.log(0.75)
    assert report.metrics["cross_entropy"].value == pytest.approx((first + second) / 2, rel=1e-15)
    prior = -(0.375 * math.log(0.375) + 0.625 * math.log(0.625))
    assert report.metrics["prior_entropy"].value == pytest.approx(prior, rel=1e-15)


def test_no_number_of_the_report_is_a_negative_zero():
    cases = (
        {"prob": [0.0, 1.0, 1.0], "label": [0, 1, 1]},
        {"logprob": [0.0, 0.0, -0.0, -math.inf], "label": [1, 0, 0, 0]},
        {"logit": [-0.0, 0.0, -math.inf], "label": [1, 0, 0]},
        {"prob_a": [1.0, -0.0], "prob_b": [-0.0, 1.0], "prob_c": [0.0, -0.0], "label": ["a", "b"]},
    )
    for columns in cases:
        report = evaluate(pa.table(columns))
        assert "-0.0" not in everything_of(report), columns
