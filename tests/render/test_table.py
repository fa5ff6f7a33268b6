"""The table, in golden files and by its laws.

After a wanted change write the golden files anew, and read their difference before it is committed:

    UPDATE_GOLDEN=1 pytest tests/render/test_table.py
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from ce_cli.render.origin import MAX_CLASSES
from ce_cli.render.table import render_table
from ce_cli.render.text import cell_number, cell_width, cut, number, percent, safe, wrap
from ce_cli.report import ClassRow, GateResult, Issue, Metric, Report, WorstRow
from tests.factories import bad_report, class_rows, counts, good_report, many_classes_report

GOLDEN = Path(__file__).parents[1] / "golden"
REPORTS = {"good": good_report(), "bad": bad_report(), "many_classes": many_classes_report()}
SGR = re.compile(r"\x1b\[[0-9;]*m")
# What may stand in a line: nothing that moves the cursor, hides or reorders text.
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def plain(report: Report, width: int = 80) -> str:
    return render_table(report, width=width, color=False)


def section(page: str, title: str) -> list[str]:
    return next(part.splitlines() for part in page.split("\n\n") if part.startswith(title))


@pytest.mark.parametrize("width", [80, 160])
@pytest.mark.parametrize("name", REPORTS)
def test_golden(name: str, width: int) -> None:
    path = GOLDEN / f"table_{name}_{width}.txt"
    page = plain(REPORTS[name], width) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(page, encoding="utf-8", newline="\n")
    assert page == path.read_text(encoding="utf-8")


# --- laws ------------------------------------------------------------------------------------------------------------

# Zero-width and wide characters, markup and controls, beside anything else that an encoding can hold.
names = st.text(
    st.one_of(st.sampled_from("ab [/]\\\x1b\x9b\x07\n\t\u202e\u0301\u1161機한:"), st.characters()), max_size=60
)
floats = st.floats(allow_nan=False)
optional_floats = st.none() | floats
metrics = st.builds(Metric, floats, optional_floats, optional_floats, optional_floats)
class_row = st.builds(
    ClassRow,
    names,
    st.integers(0, 10**12),
    floats,
    optional_floats,
    st.none() | st.floats(0, 1),
    optional_floats,
    st.none() | st.floats(0, 1),
    *[st.none()] * 4,
)
reports = st.builds(
    lambda report, metrics, per_class, worst, issues, gates, name: replace(
        report,
        metrics=metrics,
        classes=tuple(row.name for row in per_class),
        per_class=per_class,
        worst=worst,
        issues=issues,
        gates=gates,
        signature=name * 3,
        alignment=name,
        labels=report.labels._replace(path=name * 4),
        columns=report.columns._replace(labels=(name,), id=(name, name), weight=name),
    ),
    st.sampled_from([good_report(), bad_report()]),
    st.dictionaries(
        st.sampled_from(
            ["cross_entropy", "cross_entropy_finite", "skill", "prior_entropy", "accuracy", "ece", "ece_l2"]
        )
        | st.text("abc_", min_size=1, max_size=80),
        metrics,
        max_size=6,
    ),
    (st.lists(class_row, max_size=5) | st.lists(class_row, min_size=21, max_size=23)).map(tuple),
    st.lists(
        st.builds(
            WorstRow, st.integers(1, 10**13), st.none() | names, names, names, st.floats(0, 1), floats, st.just({})
        ),
        max_size=4,
    ).map(tuple),
    st.lists(
        st.builds(Issue, names, st.sampled_from(["note", "warning"]), names, st.integers(0, 9), st.just((1, 2)), names),
        max_size=3,
    ).map(tuple),
    st.lists(
        st.builds(
            GateResult, names, optional_floats, floats, optional_floats, st.booleans(), st.none() | names, st.none()
        ),
        max_size=4,
    ).map(tuple),
    names,
)


@settings(max_examples=80, deadline=None)
@given(reports, st.integers(40, 200))
def test_lines_fit_and_are_safe(report: Report, width: int) -> None:
    page = plain(report, width)
    for line in page.split("\n"):
        assert cell_width(line) <= width
        assert not UNSAFE.search(line)
        assert line == line.rstrip(" ")


@settings(max_examples=40, deadline=None)
@given(reports, st.integers(40, 200))
def test_colour_adds_only_sgr(report: Report, width: int) -> None:
    page = SGR.sub("", render_table(report, width=width, color=True))
    assert page.replace("━", "#") == plain(report, width).replace("━", "#")


@pytest.mark.parametrize("width", range(40, 201))
def test_lines_fit_in_rich_cells(width: int) -> None:
    for report in REPORTS.values():
        assert max(map(cell_len, plain(report, width).splitlines())) <= width


def test_a_narrower_terminal_gets_40_columns() -> None:
    assert plain(good_report(), 1) == plain(good_report(), 40)


def test_environment_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    before = plain(good_report()), render_table(good_report(), width=80, color=True)
    for name, value in {"NO_COLOR": "1", "FORCE_COLOR": "1", "COLUMNS": "20", "TERM": "dumb"}.items():
        monkeypatch.setenv(name, value)
    assert (plain(good_report()), render_table(good_report(), width=80, color=True)) == before


def test_markup_is_shown_as_it_is() -> None:
    page = plain(bad_report(), 160)
    for text in ("[red]x[/red]", r"\x1b[31mevil", r"user\u202egnp.exe", ":smile:", "[bold]label[/]"):
        assert text in page


# --- the number ------------------------------------------------------------------------------------------------------


def with_metrics(**metrics: Metric) -> Report:
    return good_report(metrics=metrics)


def test_cross_entropy_and_interval_have_the_same_decimals() -> None:
    assert "cross_entropy  0.118305 nats  95 % confidence interval 0.094180 to 0.142430" in plain(good_report())


def test_tiny_loss_is_not_rounded_away() -> None:
    page = plain(with_metrics(cross_entropy=Metric(4e-18, 1e-18, 2e-18, 6e-18)))
    assert "4.00000e-18 nats" in page
    assert "interval 2.00000e-18 to 6.00000e-18" in page


def test_no_interval_no_words_about_it() -> None:
    assert "interval" not in plain(with_metrics(cross_entropy=Metric(0.3)))


@pytest.mark.parametrize(
    ("skill", "sentence"),
    [
        (0.37, "37 % better than always predicting the class frequencies"),
        (0.9999999, ">99.9 % better than"),
        (1e-9, "<0.1 % better than"),
        (0.0, "no better than"),
        (-0.123, "12 % WORSE than always predicting the class frequencies"),
        (-1.0, "100 % WORSE than"),
        (-25.5, "2,550 % WORSE than always predicting the class frequencies"),
        (-1e300, "1.0e+302 % WORSE than"),
        (-math.inf, "infinitely WORSE than"),
    ],
)
def test_skill_in_words(skill: float, sentence: str) -> None:
    page = plain(with_metrics(cross_entropy=Metric(0.5), skill=Metric(skill), prior_entropy=Metric(0.7)))
    assert f"\n               {sentence}" in page


def test_without_a_prior_nothing_is_compared() -> None:
    page = plain(with_metrics(cross_entropy=Metric(0.5)))
    assert "class frequencies" not in page
    assert "skill" not in page


def test_infinite_loss_is_said_out_loud() -> None:
    page = plain(bad_report())
    assert "cross_entropy  inf bits\n" in page
    assert "INFINITE: 3 rows gave the true class a probability of 0" in page
    assert "cross_entropy_finite 3.25000 bits" in page


def test_infinite_cells_of_a_multilabel_task() -> None:
    report = bad_report(task="multilabel", counts=counts(rows=2, scored=2, infinite=1))
    assert "INFINITE: 1 cell gave" in plain(report)


def test_unknown_metric_appears_by_name() -> None:
    page = plain(with_metrics(cross_entropy=Metric(0.5), brand_new=Metric(0.25, None, 0.2, 0.3)))
    assert re.search(r"^brand_new +0.250000  95 % confidence interval 0.200000 to 0.300000$", page, re.MULTILINE)


def test_every_metric_is_named() -> None:
    for report in REPORTS.values():
        page = plain(report)
        assert [name for name in report.metrics if not re.search(rf"\b{name}\b", page)] == []


# --- header, classes, rows, issues, gates ----------------------------------------------------------------------------


def test_header_of_a_single_file_with_one_score() -> None:
    base = good_report()
    report = replace(
        base,
        labels=base.predictions,
        columns=base.columns._replace(scores=("prob",), id=()),
        alignment="position",
        task="binary",
        classes=("0", "1"),
    )
    header = plain(report).split("\n\n")[0].splitlines()
    assert header == [
        "predictions  sample_data/digits_predictions.csv (1,790 rows)",
        "labels       the same file, column digit",
        "task         binary, 2 classes: 0, 1",
        "scores       probs, column prob",
        "alignment    by position",
        "rows         1,790, all scored",
    ]


def test_a_task_without_classes() -> None:
    page = plain(good_report(task="regression", classes=(), per_class=(), worst=(), quantiles={}))
    assert "\ntask         regression\n" in page
    assert not re.search("^(classes|worst rows)", page, re.MULTILINE)


def test_classes_keep_their_order_where_they_fit() -> None:
    lines = section(plain(many_classes_report(MAX_CLASSES)), "classes")[2:]
    assert [line.split()[2] for line in lines] == [str(i) for i in range(MAX_CLASSES)]


def test_many_classes_are_cut_to_the_worst_and_the_rest_is_counted() -> None:
    report = many_classes_report(71)
    *lines, rest = section(plain(report), "classes")[2:]
    largest = sorted(report.per_class, key=lambda row: -(row.share_of_loss or 0))
    assert [line.split()[2] for line in lines] == [row.name.split()[2] for row in largest[:MAX_CLASSES]]
    share = sum(row.share_of_loss or 0 for row in largest[MAX_CLASSES:])
    assert rest == f"  … and 51 more classes with {51 * 179:,} rows and {100 * share:.1f} % of the loss"


def test_many_classes_of_an_infinite_loss_are_ordered_by_loss() -> None:
    rows = class_rows(tuple(f"c{i}" for i in range(30)), (*(i / 10 for i in range(29)), math.inf))
    *lines, rest = section(plain(good_report(per_class=rows)), "classes")[2:]
    assert [line.split()[0] for line in lines[:3]] == ["c29", "c28", "c27"]
    assert rest == f"  … and 10 more classes with {10 * 179:,} rows"


def test_ids_have_no_column_where_there_are_none() -> None:
    rows = (WorstRow(3, None, "a", "b", 0.125, 2.0794), WorstRow(1, None, "b", "b", 0.5, 0.6931))
    assert section(plain(good_report(worst=rows)), "worst")[1:] == [
        "  row  label  predicted  prob of label     loss",
        "    3  a      b                0.12500  2.07940",
        "    1  b      b                0.50000  0.69310",
    ]


def test_issues() -> None:
    issues = (
        Issue("a", "warning", "message", 1, (17,), "do this"),
        Issue("b", "note", "other", 9000, (1, 2, 3, 4, 5)),
        Issue("c", "note", "third", 2, (8, 9)),
    )
    assert section(plain(good_report(issues=issues)), "warning") == [
        "warning  message",
        "         row 17",
        "         hint: do this",
        "note     other",
        "         the first of 9,000 rows: 1, 2, 3, 4, 5",
        "note     third",
        "         rows 8, 9",
    ]


def test_verdict() -> None:
    assert "PASS: 2 of 2 gates passed\n" in plain(good_report())
    assert "FAIL: 3 of 4 gates failed\n" in plain(bad_report())
    assert not re.search("PASS|FAIL", plain(good_report(gates=())))


def test_absent_observation() -> None:
    gate = GateResult("rps < 1", None, 1.0, None, passed=False, reason="this report has no metric rps")
    assert section(plain(good_report(gates=(gate,))), "gates")[2:] == [
        "  FAIL  rps < 1         -      1       -",
        "        this report has no metric rps",
    ]


def test_the_signature_comes_last_and_whole() -> None:
    report = good_report()
    assert plain(report, 60).split("\n\n")[-1].replace("\n", "") == report.signature


# --- text ------------------------------------------------------------------------------------------------------------


def test_safe() -> None:
    assert safe("a\x1b\x07\x9b\x7f\n\u202e\u2028\ufeff\udc80\U000e0041z") == (
        r"a\x1b\x07\x9b\x7f\x0a\u202e\u2028\ufeff\udc80\U000e0041z"
    )
    assert safe("naïve 機械 e\u0301 \u00a0 🙂 C:\\x1b") == "naïve 機械 e\u0301 \u00a0 🙂 C:\\x1b"


@given(st.text())
def test_safe_is_idempotent_and_encodable(text: str) -> None:
    shown = safe(text)
    shown.encode()
    assert not UNSAFE.search(shown)
    assert safe(shown) == shown


@given(names.map(safe), st.integers(1, 40))
def test_cut_fits_and_keeps_both_ends(text: str, width: int) -> None:
    shown = cut(text, width)
    assert cell_width(shown) <= width
    if shown != text and "…" not in text:
        head, tail = shown.split("…")
        assert text.startswith(head)
        assert text.endswith(tail)


def test_cut_counts_cells() -> None:
    assert cut("abcdefgh", 5) == "ab…gh"
    assert cut("機械学習分類器", 6) == "機…器"
    assert cut("e\u0301" * 9, 3) == "e\u0301…e\u0301"


@given(names.map(safe), st.integers(2, 40))
def test_wrap_loses_nothing_but_blanks(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert all(cell_width(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.11830522913, "0.118305"),
        (9.9999999, "10.0000"),
        (1e-4, "0.000100000"),
        (9.99e-5, "9.99000e-05"),
        (5e-324, "4.94066e-324"),
        (1.7e308, "1.70000e+308"),
        (123456.7, "123457"),
        (1234567.8, "1.23457e+06"),
        (-0.5, "-0.500000"),
        (0.0, "0"),
        (-0.0, "0"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (math.nan, "nan"),
    ],
)
def test_number(value: float, shown: str) -> None:
    assert number(value) == shown


def test_number_like_another() -> None:
    assert number(-1e-9, like=0.25) == "0.000000"
    assert number(1e300, like=0.25) == "1.00000e+300"
    assert number(0.5, like=math.inf) == "0.500000"


@given(st.floats(allow_nan=False))
def test_number_is_close_and_short(value: float) -> None:
    assert float(number(value)) == pytest.approx(value, rel=1e-5, abs=0)
    assert len(number(value)) <= 13


def test_cells_and_percentages() -> None:
    assert [cell_number(x) for x in (0.0, 1e-3, 9.9e-4, 9999.0, 1e4, math.inf)] == [
        "0", "0.00100", "9.90e-04", "9999.00000", "1.00e+04", "inf",
    ]  # fmt: skip
    assert [percent(x) for x in (0.0, 1e-9, 5e-4, 0.5, 0.9994, 0.99999, 1.0, math.nan)] == [
        "0 %", "<0.1 %", "0.1 %", "50.0 %", "99.9 %", ">99.9 %", "100 %", "nan %",
    ]  # fmt: skip
