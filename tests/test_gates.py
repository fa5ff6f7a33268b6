from __future__ import annotations

import dataclasses
import math
import pickle
from typing import get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ce_cli.errors import CeError
from ce_cli.gates.grammar import CLASS_FIELDS, METRIC_FIELDS, parse_gate, parse_gates
from ce_cli.gates.subjects import ClassSubject, CountSubject, MetricSubject, QuantileSubject, RowSumSubject
from ce_cli.gates.verdict import OPERATORS, Gate, judge
from ce_cli.metrics import METRICS, QUANTILES
from ce_cli.report import COUNTS, ClassRow, Columns, GateResult, InputFile, Metric, Report

OPS = sorted(OPERATORS)
ODD_NAMES = [
    "",
    " ",
    "a b",
    " a ",
    "a]b",
    "x.y",
    "class[]",
    "a].n",
    "a].recall < 3",
    "[a]",
    "]",
    "].",
    "a<b",
    "a >= 2 == c",
    "naïve 日本 🐈",
    "[bold red]x[/]",
    "\x1b[31mred\x1b[0m",
    "two\nlines",
    "50%",
]


def class_row(name="cat", **changes):
    row = ClassRow(name, n=4, weight=3.5, cross_entropy=0.5, share_of_loss=0.75, mean_prob=0.625, recall=0.25)
    row = row._replace(mean_gradient=-0.125)
    return row._replace(**changes)


def empty_class_row(name="cat"):
    return ClassRow(name, n=0, weight=0.0, cross_entropy=None, share_of_loss=None, mean_prob=None, recall=None)


def make_report(metrics=None, counts=None, quantiles=None, per_class=(), max_row_sum_error=None):
    return Report(
        version="0",
        signature="ce",
        task="multiclass",
        unit="nats",
        input="probs",
        alignment="position",
        classes=tuple(row.name for row in per_class),
        predictions=InputFile("p.csv", 4),
        labels=InputFile("y.csv", 4),
        columns=Columns(("y",), ("prob_cat",)),
        confidence=0.95,
        counts=dict.fromkeys(COUNTS, 0) | (counts or {}),
        metrics={name: m if isinstance(m, Metric) else Metric(m) for name, m in (metrics or {}).items()},
        quantiles=quantiles or {},
        max_row_sum_error=max_row_sum_error,
        per_class=tuple(per_class),
        worst=(),
        issues=(),
    )


def verdict(expression, **parts):
    return judge(parse_gate(expression), make_report(**parts))


def complaint(expression):
    with pytest.raises(CeError) as caught:
        parse_gate(expression)
    (problem,) = caught.value.problems
    assert problem.code == "bad_gate"
    assert repr(expression.strip()) in problem.message
    assert problem.hint
    return problem


# Parsing: subjects


@pytest.mark.parametrize("name", METRICS)
def test_parses_every_metric_with_every_field(name):
    assert parse_gate(f"{name} < 1") == Gate(f"{name} < 1", MetricSubject(name, "value"), "<", 1.0)
    for field in ("value", "lower", "upper", "stderr"):
        assert parse_gate(f"{name}.{field} < 1").subject == MetricSubject(name, field)


@pytest.mark.parametrize("name", COUNTS)
def test_parses_every_count(name):
    assert parse_gate(f"counts.{name} == 0").subject == CountSubject(name)


@pytest.mark.parametrize("name", ["0.5", "0.9", "0.99", "1"])
def test_parses_every_quantile(name):
    assert parse_gate(f"quantiles.{name} < 2.5").subject == QuantileSubject(name)


def test_parses_the_row_sum_error():
    assert parse_gate("max_row_sum_error <= 1e-6").subject == RowSumSubject()


@pytest.mark.parametrize("name", ODD_NAMES)
@pytest.mark.parametrize(
    "field", ["n", "weight", "cross_entropy", "share_of_loss", "mean_prob", "recall", "mean_gradient"]
)
def test_parses_every_class_field_for_any_name(name, field):
    gate = parse_gate(f"class[{name}].{field} >= -1e-3")
    assert gate == Gate(f"class[{name}].{field} >= -1e-3", ClassSubject(name, field), ">=", -0.001)


@given(st.text(), st.sampled_from(sorted(CLASS_FIELDS)), st.sampled_from(OPS))
def test_parses_any_text_as_a_class_name(name, field, op):
    gate = parse_gate(f"class[{name}].{field}{op}1")
    assert (gate.subject, gate.operator, gate.bound) == (ClassSubject(name, field), op, 1.0)


def test_the_names_are_those_of_the_report():
    assert set(METRIC_FIELDS) == {"value", "lower", "upper", "stderr"}
    of_labels = {"prevalence", "skill", "ece"}
    assert (
        set(CLASS_FIELDS)
        == {"n", "weight", "cross_entropy", "share_of_loss", "mean_prob", "recall", "mean_gradient"} | of_labels
    )
    hints = get_type_hints(ClassRow)
    assert {hints[field] for field in CLASS_FIELDS} <= {int, float, float | None}


# Parsing: operators, blanks and bounds


@pytest.mark.parametrize("op", ["<", "<=", ">", ">=", "==", "!="])
@pytest.mark.parametrize("spacing", ["{m}{o}{b}", "{m} {o} {b}", "  {m}\t{o}  {b}\n", "{m} {o}{b}"])
def test_blanks_around_the_operator_do_not_matter(op, spacing):
    text = spacing.format(m="skill.lower", o=op, b="-0.25")
    assert parse_gate(text) == Gate(text.strip(), MetricSubject("skill", "lower"), op, -0.25)


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("0", 0.0),
        ("1", 1.0),
        ("+1", 1.0),
        ("-1", -1.0),
        ("0.35", 0.35),
        (".5", 0.5),
        ("5.", 5.0),
        ("007", 7.0),
        ("1e-3", 0.001),
        ("1E+3", 1000.0),
        ("-2.5e2", -250.0),
        ("1e-9999", 0.0),
        ("1.7976931348623157e308", 1.7976931348623157e308),
        ("5e-324", 5e-324),
        ("0.1000000000000000055511151231257827021181583404541015625", 0.1),
        ("inf", math.inf),
        ("+inf", math.inf),
        ("-inf", -math.inf),
        ("INF", math.inf),
    ],
)
def test_reads_the_bound(text, bound):
    assert parse_gate(f"skill < {text}").bound == bound


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("20%", 0.2),
        ("29%", 0.29),
        ("29 %", 0.29),
        ("57%", 0.57),
        ("58%", 0.58),
        ("100%", 1.0),
        ("0.1%", 0.001),
        (".7%", 0.007),
        ("7.%", 0.07),
        ("-12.5%", -0.125),
        ("1e1%", 0.1),
        ("2e308%", 2e306),
        ("5e-323%", 0.0),
        ("12.345678901234567890123456789012345678901%", 0.12345678901234567890123456789012345678901),
        ("inf%", math.inf),
    ],
)
def test_a_percentage_is_the_nearest_double_to_its_hundredth(text, bound):
    assert parse_gate(f"skill > {text}").bound == bound


@given(st.integers(0, 10**6), st.integers(0, 6))
def test_a_percentage_equals_the_same_number_written_as_a_fraction(digits, decimals):
    percentage = f"{digits // 10**decimals}.{digits % 10**decimals:0{decimals or 1}d}"
    assert parse_gate(f"skill > {percentage}%").bound == digits / 10 ** (decimals + 2)


def test_dividing_by_a_hundred_would_not_do():
    # The two tests above could fail: some of their percentages come out wrong in floating point.
    assert 57 * 0.01 != 0.57
    assert 0.7 / 100 != 0.007


def test_a_negative_zero_is_zero():
    assert math.copysign(1, parse_gate("skill > -0").bound) == 1
    assert math.copysign(1, parse_gate("skill > -0.0%").bound) == 1


@given(
    st.sampled_from(sorted(METRICS)),
    st.sampled_from(["", *(f".{field}" for field in METRIC_FIELDS)]),
    st.sampled_from(OPS),
    st.floats(allow_nan=False),
)
def test_any_double_survives_the_round_trip(metric, field, op, bound):
    gate = parse_gate(f"{metric}{field} {op} {bound!r}")
    assert gate.subject == MetricSubject(metric, field[1:] or "value")
    assert (gate.operator, gate.bound) == (op, bound)


def test_gates_are_values_that_pickle():
    gate = parse_gate("class[a]b].recall >= 90%")
    assert pickle.loads(pickle.dumps(gate)) == gate
    assert hash(gate) == hash(parse_gate(" class[a]b].recall >= 90% "))
    with pytest.raises(dataclasses.FrozenInstanceError):
        gate.bound = 0.0


# Parsing: errors


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "there is no comparison"),
        ("   ", "there is no comparison"),
        ("cross_entropy", "there is no comparison"),
        ("cross_entropy 0.5", "there is no comparison"),
        ("cross_entropy = 0.5", "'=' is not an operator"),
        ("cross_entropy =< 0.5", "'=<' is not an operator"),
        ("cross_entropy <> 0.5", "'<>' is not an operator"),
        ("cross_entropy === 0.5", "'===' is not an operator"),
        ("cross_entropy ! 0.5", "'!' is not an operator"),
        ("< 0.5", "there is no metric before the operator"),
        ("0.2 < skill < 0.5", "a gate has one comparison"),
        ("skill > 0.2 > 0.1", "a gate has one comparison"),
        ("0.5 > cross_entropy", "'0.5' is not a metric"),
        ("cross_entropy <", "there is no number after the operator"),
        ("cross_entropy < %", "'%' is not a number"),
        ("cross_entropy < 0,5", "'0,5' is not a number"),
        ("cross_entropy < 1_000", "'1_000' is not a number"),
        ("cross_entropy < 0x10", "'0x10' is not a number"),
        ("cross_entropy < 1e", "'1e' is not a number"),
        ("cross_entropy < .", "'.' is not a number"),
        ("cross_entropy < - 1", "'- 1' is not a number"),
        ("cross_entropy < --1", "'--1' is not a number"),
        ("cross_entropy < 5%%", "'5%%' is not a number"),
        ("cross_entropy < ٣", "'٣' is not a number"),
        ("cross_entropy < skill", "'skill' is not a number"),
        ("cross_entropy < 0.5 nats", "'0.5 nats' is not a number"),
        ("cross_entropy < nan", "nothing compares with nan"),
        ("cross_entropy != -NaN", "nothing compares with nan"),
        ("cross_entropy < 1e309", "'1e309' is beyond the largest double"),
        ("cross_entropy < -2e310%", "'-2e310%' is beyond the largest double"),
        ("cross_entropy < 1e99999999999999999999", "is not a number"),
        ("loss < 1", "'loss' is not a metric"),
        ("Cross_Entropy < 1", "'Cross_Entropy' is not a metric"),
        ("cross_entropy.mean < 1", "'mean' is not a field"),
        ("cross_entropy. < 1", "a field is missing"),
        ("cross_entropy.upper.value < 1", "'upper.value' is not a field"),
        ("counts < 1", "a count is missing"),
        ("counts. < 1", "a count is missing"),
        ("counts.nan == 0", "'nan' is not a count"),
        ("counts.scored.value > 0", "'scored.value' is not a count"),
        ("quantiles < 1", "a quantile is missing"),
        ("quantiles.0.95 < 1", "'0.95' is not a quantile"),
        ("quantiles[0.99] < 1", "'quantiles[0.99]' is not a metric"),
        ("max_row_sum_error.value < 1", "'max_row_sum_error.value' is not a metric"),
        ("class < 1", "'class' is not a metric"),
        ("class.cat.recall < 1", "'class.cat.recall' is not a metric"),
        ("class[cat] < 1", "a class needs a closing bracket and a field"),
        ("class[cat.recall < 1", "a class needs a closing bracket and a field"),
        ("class[cat]recall < 1", "a class needs a closing bracket and a field"),
        ("class[cat]. < 1", "a class field is missing"),
        ("class[cat].accuracy > 1", "'accuracy' is not a class field"),
        ("class[cat].name == 1", "'name' is not a class field"),
        ("class[cat].cross_entropy.upper > 1", "'cross_entropy.upper' is not a class field"),
        ("class[cat].n > 3 < 5", "'n > 3' is not a class field"),
    ],
)
def test_says_what_is_wrong_with_a_gate(expression, message):
    assert message in complaint(expression).message


@pytest.mark.parametrize(
    ("expression", "suggestion"),
    [
        ("cross_entrpy < 1", "cross_entropy"),
        ("CROSS_ENTROPY < 1", "cross_entropy"),
        ("skil > 1", "skill"),
        ("infinite == 0", "counts.infinite"),
        ("counts[infinite] == 0", "counts.infinite"),
        ("quantiles[0.99] < 1", "quantiles.0.99"),
        ("row_sum_error < 1", "max_row_sum_error"),
        ("skill.uper > 1", "skill.upper"),
        ("counts.infinit == 0", "counts.infinite"),
        ("class[a].recal > 1", "class[…].recall"),
    ],
)
def test_suggests_what_may_have_been_meant(expression, suggestion):
    hint = complaint(expression).hint
    assert hint.startswith("did you mean ")
    assert suggestion in hint.partition("?")[0].removeprefix("did you mean ").split(" or ")


@pytest.mark.parametrize(
    ("expression", "known"),
    [
        ("zzz < 1", METRICS),
        ("skill.zzz < 1", METRIC_FIELDS),
        ("counts.zzz < 1", COUNTS),
        ("quantiles.zzz < 1", QUANTILES),
        ("class[a].zzz < 1", CLASS_FIELDS),
    ],
)
def test_lists_what_there_is_where_nothing_comes_close(expression, known):
    hint = complaint(expression).hint
    assert "did you mean" not in hint
    for name in known:
        assert name in hint


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "skill = 1",
        "< 1",
        "1 < skill < 2",
        "class[a < 1",
        "class[a].zzz < 1",
        "skill.zzz < 1",
        "counts.zzz < 1",
        "quantiles.zzz < 1",
        "zzz < 1",
        "skil < 1",
        "skill <",
        "skill < x",
        "skill < nan",
    ],
)
def test_the_example_in_a_hint_is_a_gate(expression):
    example = complaint(expression).hint.rpartition("for example ")[2].rpartition("reads like ")[2]
    for part in example.split(" or "):
        assert isinstance(parse_gate(part), Gate)


def test_a_control_character_is_escaped_in_the_message():
    assert "\x1b" not in complaint("\x1b[31mskill < 1").message


@given(st.text())
def test_any_text_is_a_gate_or_a_bad_gate(text):
    try:
        gate = parse_gate(text)
    except CeError:
        complaint(text)
    else:
        assert gate.expression == text.strip()


def test_parses_gates_in_order():
    assert parse_gates(["skill > 0", "brier < 1"]) == (parse_gate("skill > 0"), parse_gate("brier < 1"))
    assert parse_gates([]) == ()


def test_tells_every_bad_gate_at_once_and_in_order():
    with pytest.raises(CeError) as caught:
        parse_gates(iter(["zzz < 1", "skill > 0", "brier < nan", "ece"]))
    first, second, third = caught.value.problems
    assert "'zzz < 1'" in first.message
    assert "'brier < nan'" in second.message
    assert "'ece'" in third.message


# Judging: operators and margins


@pytest.mark.parametrize(
    ("op", "observed", "passed", "margin"),
    [
        ("<", 0.25, True, 0.25),
        ("<", 0.5, False, 0.0),
        ("<", 0.75, False, -0.25),
        ("<=", 0.25, True, 0.25),
        ("<=", 0.5, True, 0.0),
        ("<=", 0.75, False, -0.25),
        (">", 0.25, False, -0.25),
        (">", 0.5, False, 0.0),
        (">", 0.75, True, 0.25),
        (">=", 0.25, False, -0.25),
        (">=", 0.5, True, 0.0),
        (">=", 0.75, True, 0.25),
        ("==", 0.25, False, 0.25),
        ("==", 0.5, True, 0.0),
        ("==", 0.75, False, 0.25),
        ("!=", 0.25, True, 0.25),
        ("!=", 0.5, False, 0.0),
        ("!=", 0.75, True, 0.25),
    ],
)
def test_judges_every_operator_below_at_and_above_the_bound(op, observed, passed, margin):
    expected = GateResult(f"brier {op} 0.5", observed, 0.5, margin, passed, None)
    assert verdict(f"  brier {op} 0.5 ", metrics={"brier": observed}) == expected


@pytest.mark.parametrize(
    ("expression", "observed", "passed", "margin"),
    [
        ("cross_entropy < 0.5", math.inf, False, -math.inf),
        ("cross_entropy <= 0.5", math.inf, False, -math.inf),
        ("cross_entropy > 1", math.inf, True, math.inf),
        ("cross_entropy >= 1", math.inf, True, math.inf),
        ("cross_entropy == 1", math.inf, False, math.inf),
        ("cross_entropy != 1", math.inf, True, math.inf),
        ("cross_entropy < inf", math.inf, False, None),
        ("cross_entropy <= inf", math.inf, True, None),
        ("cross_entropy == inf", math.inf, True, None),
        ("cross_entropy != inf", math.inf, False, None),
        ("cross_entropy < inf", 0.5, True, math.inf),
        ("cross_entropy > -inf", 0.5, True, math.inf),
        ("cross_entropy < -inf", 0.5, False, -math.inf),
        ("skill > 0", -math.inf, False, -math.inf),
        ("skill > -inf", -math.inf, False, None),
        ("skill < inf", -math.inf, True, math.inf),
        ("skill < -inf", math.inf, False, -math.inf),
    ],
)
def test_an_infinite_number_compares_as_any_other(expression, observed, passed, margin):
    result = verdict(expression, metrics={expression.split()[0]: observed})
    assert (result.observed, result.passed, result.margin, result.reason) == (observed, passed, margin, None)


@given(st.sampled_from(OPS), st.floats(allow_nan=False), st.floats(allow_nan=False), st.booleans())
def test_the_sign_of_the_margin_agrees_with_the_verdict(op, observed, bound, same):
    observed = bound if same else observed
    result = verdict(f"skill {op} {bound!r}", metrics={"skill": observed})
    if result.margin is None:
        assert math.isinf(observed)
        assert observed == bound
    elif op in ("==", "!="):
        assert result.passed == ((result.margin == 0) == (op == "=="))
    else:
        assert not math.isnan(result.margin)
        assert result.passed == (result.margin >= 0 if op in ("<=", ">=") else result.margin > 0)


def test_a_percentage_is_met_exactly():
    assert verdict("skill >= 29%", metrics={"skill": 0.29}).passed
    assert not verdict("skill > 29%", metrics={"skill": 0.29}).passed
    assert not verdict("skill >= 29%", metrics={"skill": math.nextafter(0.29, 0)}).passed


# Judging: what is compared


@pytest.mark.parametrize(
    ("expression", "observed"),
    [
        ("accuracy > 0", 0.5),
        ("accuracy.value > 0", 0.5),
        ("accuracy.stderr > 0", 0.125),
        ("accuracy.lower > 0", 0.25),
        ("accuracy.upper > 0", 0.75),
        ("counts.scored > 0", 12.0),
        ("counts.infinite > 0", 3.0),
        ("quantiles.0.99 > 0", 4.5),
        ("quantiles.1 > 0", 6.5),
        ("max_row_sum_error > 0", 1e-7),
        ("class[cat].n > 0", 4.0),
        ("class[cat].weight > 0", 3.5),
        ("class[cat].cross_entropy > 0", 0.5),
        ("class[cat].share_of_loss > 0", 0.75),
        ("class[cat].mean_prob > 0", 0.625),
        ("class[cat].recall > 0", 0.25),
        ("class[dog].n > 0", 9.0),
    ],
)
def test_compares_the_number_that_was_named(expression, observed):
    result = verdict(
        expression,
        metrics={"skill": 0.375, "accuracy": Metric(0.5, stderr=0.125, lower=0.25, upper=0.75)},
        counts={"scored": 12, "infinite": 3},
        quantiles={"0.5": 0.5, "0.9": 2.5, "0.99": 4.5, "1": 6.5},
        max_row_sum_error=1e-7,
        per_class=[class_row("cat"), class_row("dog", n=9)],
    )
    assert result == GateResult(expression, observed, 0.0, observed, passed=True, reason=None)
    assert isinstance(result.observed, float)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_finds_a_class_of_any_name(name):
    rows = [class_row("a"), class_row(name, recall=0.875), class_row("b")]
    result = verdict(f"class[{name}].recall >= 0.875", per_class=rows)
    assert (result.passed, result.observed) == (True, 0.875)


@pytest.mark.parametrize("name", ["Cat", "cat ", " cat", "ca", "cat]"])
def test_class_names_are_compared_exactly(name):
    result = verdict(f"class[{name}].recall >= 0", per_class=[class_row("cat")])
    assert (result.passed, result.observed) == (False, None)


# Judging: what cannot be compared fails, whatever the operator


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize(
    ("subject", "reason"),
    [
        ("skill", "this report has no skill"),
        ("skill.upper", "this report has no skill"),
        ("accuracy.stderr", "accuracy = 0.5 has no stderr in this report"),
        ("cross_entropy.lower", "cross_entropy = inf has no lower in this report"),
        ("quantiles.0.9", "this report has no quantile 0.9"),
        ("max_row_sum_error", "this report has no max_row_sum_error"),
        ("class[cat].share_of_loss", "class 'cat' has no share_of_loss in this report"),
        ("class[none].recall", "class 'none' has no rows"),
        ("class[cow].recall", "there is no class 'cow'; the classes are 'cat', 'none'"),
    ],
)
def test_what_is_absent_fails(op, subject, reason):
    result = verdict(
        f"{subject} {op} 0",
        metrics={"accuracy": 0.5, "cross_entropy": math.inf},
        per_class=[class_row("cat", share_of_loss=None), empty_class_row("none")],
    )
    assert result == GateResult(f"{subject} {op} 0", None, 0.0, None, passed=False, reason=reason)


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize(
    "subject",
    ["skill", "accuracy.upper", "quantiles.1", "max_row_sum_error", "class[cat].mean_prob"],
)
def test_nan_fails(op, subject):
    result = verdict(
        f"{subject} {op} inf",
        metrics={"skill": math.nan, "accuracy": Metric(0.5, upper=math.nan)},
        quantiles={"1": math.nan},
        max_row_sum_error=math.nan,
        per_class=[class_row("cat", mean_prob=math.nan)],
    )
    assert math.isnan(result.observed)
    assert (result.passed, result.margin) == (False, None)
    assert result.reason == "the observed value is NaN, which compares with nothing"


@pytest.mark.parametrize("expression", ["class[cat].n == 0", "class[cat].n < 5", "class[cat].weight <= 0"])
def test_a_class_without_rows_fails_even_where_its_count_would_pass(expression):
    result = verdict(expression, per_class=[empty_class_row("cat")])
    assert (result.observed, result.margin, result.passed) == (0.0, None, False)
    assert result.reason == "class 'cat' has no rows"


def test_names_at_most_five_classes():
    rows = [class_row(name) for name in "abcde"]
    assert verdict("class[x].n > 0", per_class=rows).reason.endswith("the classes are 'a', 'b', 'c', 'd', 'e'")
    rows += [class_row(name) for name in "fg"]
    assert verdict("class[x].n > 0", per_class=rows).reason.endswith("'d', 'e' and 2 more")


def test_says_that_a_report_has_no_classes():
    reason = verdict("class[x].n > 0").reason
    assert reason == "there is no class 'x'; this report has no classes"


def test_a_reason_holds_no_control_characters():
    reason = verdict("class[\x1b[0m].n > 0", per_class=[class_row("\x1b[31mred"), class_row("\n")]).reason
    assert reason.isprintable()
