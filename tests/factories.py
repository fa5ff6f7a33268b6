"""Hand-made reports, so that what shows a report can be tested without evaluating anything."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from ce_cli.report import COUNTS, ClassRow, Columns, GateResult, InputFile, Issue, Metric, Report, WorstRow

INF = math.inf

# Names that people (or attackers) put into data: markup, escapes, direction overrides, wide and combining characters.
NASTY = (
    "[red]x[/red]",
    "\x1b[31mevil",
    "\x9b2J\x07\rover",
    "user\u202egnp.exe",
    "line\u2028break\nand tab\t",
    "c" * 100,
    "機械学習の分類器による予測確率の評価とその交差エントロピー損失",
    "e\u0301" * 40,
    ":smile: \\[bold]",
    "\udcff\x00\x7f",
)


def counts(**given: int) -> dict[str, int]:
    return {name: given.get(name, 0) for name in COUNTS}


def class_rows(names: tuple[str, ...], losses: tuple[float, ...]) -> tuple[ClassRow, ...]:
    total = math.fsum(losses)
    share = [None if not 0 < total < INF else loss / total for loss in losses]
    return tuple(
        ClassRow(name, 179, 179.0, loss, part, math.exp(-loss), min(1.0, 1.08 * math.exp(-loss)))
        for name, loss, part in zip(names, losses, share, strict=True)
    )


def good_report(**changes: Any) -> Report:
    names = tuple("0123456789")
    losses = (0.0214, 0.1187, 0.0402, 0.1305, 0.0771, 0.1398, 0.0349, 0.0668, 0.3127, 0.2409)
    report = Report(
        version="0.1.0",
        signature="ce|task:multiclass|input:probs|k:10|n:1790|base:e|eps:none|rows:strict|align:id|w:none|v:0.1.0",
        task="multiclass",
        unit="nats",
        input="probs",
        alignment="id",
        classes=names,
        predictions=InputFile("sample_data/digits_predictions.csv", 1790),
        labels=InputFile("sample_data/digits_labels.csv", 1790),
        columns=Columns(("digit",), tuple(f"prob_{name}" for name in names), ("sample_id",)),
        confidence=0.95,
        counts=counts(rows=1790, scored=1790),
        metrics={
            "cross_entropy": Metric(0.11830522913, 0.0123004, 0.09418014, 0.14243031),
            "macro_cross_entropy": Metric(0.118299),
            "accuracy": Metric(0.964385, 0.00438, 0.955794, 0.972975),
            "brier": Metric(0.05534),
            "prior_entropy": Metric(2.3025001),
            "normalized_entropy": Metric(0.05138120),
            "skill": Metric(0.94861880),
            "ece": Metric(0.012345678),
            "ece_l2": Metric(0.0234567),
            "ece_l2_debiased": Metric(0.0187654),
            "label_entropy": Metric(0.0),
        },
        quantiles={"0.5": 0.004125, "0.9": 0.30117, "0.99": 2.1002, "1": 7.6134},
        max_row_sum_error=1.19e-7,
        per_class=class_rows(names, losses),
        worst=(
            WorstRow(417, "img-0416", "8", "1", 4.937e-4, 7.6134),
            WorstRow(1523, "img-1522", "9", "4", 0.00139, 6.5787),
            WorstRow(88, "img-0087", "8", "3", 0.00342, 5.6781),
        ),
        issues=(),
        gates=(
            GateResult("cross_entropy.upper < 0.15", 0.14243031, 0.15, 0.00756969, passed=True),
            GateResult("accuracy >= 95%", 0.964385, 0.95, 0.014385, passed=True),
        ),
    )
    return replace(report, **changes)


def bad_report(**changes: Any) -> Report:
    """Return a report on which about everything went wrong."""
    losses = (INF, 0.5, 4e-18, 12.25, 0.0, 1.75, 123456.75, 2e9, 0.3, 1e-3)
    report = Report(
        version="0.1.0",
        signature="ce|task:multiclass|input:probs|k:10|n:996520|base:2|eps:none|rows:normalize|align:id|w:w\x1b[1m|v:0.1.0",
        task="multiclass",
        unit="bits",
        input="probs",
        alignment="id",
        classes=NASTY,
        predictions=InputFile("/data/" + "very-long-folder/" * 8 + "機械学習\x1b]0;owned\x07.parquet", 1_000_000),
        labels=InputFile("y.csv", 999_999),
        columns=Columns(("[bold]label[/]",), tuple(f"prob_{name}" for name in NASTY), ("id", "part\x1b[2J"), "w\u202e"),
        confidence=0.999,
        counts=counts(
            rows=1_000_000,
            scored=996_520,
            ignored=12,
            dropped=3456,
            unmatched_predictions=3450,
            unmatched_labels=3449,
            zero_weight=11,
            unscored=1,
            infinite=3,
            clipped=0,
            above_one=2,
            renormalized=70_123,
            invalid=6,
        ),
        metrics={
            "cross_entropy": Metric(INF),
            "cross_entropy_finite": Metric(3.25),
            "macro_cross_entropy": Metric(INF),
            "accuracy": Metric(0.25, 0.0004, 0.2486, 0.2514),
            "brier": Metric(0.75),
            "prior_entropy": Metric(2.25),
            "normalized_entropy": Metric(INF),
            "skill": Metric(-INF),
            "ece": Metric(0.5),
            "ece_l2": Metric(0.5),
            "ece_l2_debiased": Metric(0.4999999),
        },
        quantiles={"0.5": 4e-18, "0.9": 12.25, "0.99": 123456.75, "1": INF},
        max_row_sum_error=0.0099,
        per_class=(*class_rows(NASTY[:-1], losses[:-1]), ClassRow(NASTY[-1], 0, 0.0, None, None, None, None)),
        worst=tuple(
            WorstRow(
                17 * 10**i,
                name if i % 2 else None,
                name,
                NASTY[i - 1],
                0.0 if i < 3 else 1.5e-9,
                INF if i < 3 else 20.3,
            )
            for i, name in enumerate(NASTY)
        ),
        issues=(
            Issue(
                "infinite_loss",
                "warning",
                "the class [red]x[/red] was ruled out with probability 0 in rows that carry its label",
                3,
                (17, 203, 4011),
                "a probability of 0 can never be taken back: let the model leave some room, or pass --eps to clip",
            ),
            Issue("renormalized", "note", "rows were divided by their sum", 70_123, (1, 2, 3, 5, 8)),
            Issue(
                "odd_name",
                "warning",
                "a class is called \x1b[31mevil\x1b[0m and " + "x" * 150,
                0,
                (),
                "rename\u202e it",
            ),
        ),
        gates=(
            GateResult("cross_entropy < 0.35", INF, 0.35, -INF, passed=False, reason="the loss is infinite"),
            GateResult("accuracy > 20%", 0.25, 0.2, 0.05, passed=True),
            GateResult(
                f"class[{'c' * 100}].cross_entropy < 0.5", None, 0.5, None, passed=False, reason="no such class\x07"
            ),
            GateResult("ece <= 0.4999999", 0.5, 0.4999999, -1.0000000005838672e-07, passed=False),
        ),
    )
    return replace(report, **changes)


def many_classes_report(count: int = 71) -> Report:
    names = tuple(f"dialogue act {i}" for i in range(count))
    losses = tuple(((7 * i) % count + 1) / count for i in range(count))
    return good_report(classes=names, per_class=class_rows(names, losses), gates=())
