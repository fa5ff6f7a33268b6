from __future__ import annotations

import json
import math
import pickle
from importlib.resources import files
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from ce_cli.errors import CODES, CeError, Problem
from ce_cli.judging.aspects import ASPECTS
from ce_cli.metrics import CONCENTRATION
from ce_cli.render.errors import errors_json
from ce_cli.report import COUNTS, TASK_COUNTS, Metric, Report
from tests.factories import bad_report, good_report, many_classes_report

SCHEMA = json.loads((files("ce_cli") / "report.schema.json").read_text(encoding="utf-8"))
REPORTS = [good_report(), bad_report(), many_classes_report(), good_report(metrics={"cross_entropy": Metric(math.nan)})]


def strict(text: str) -> Any:
    def refuse(name: str) -> Any:
        raise AssertionError(name)

    return json.loads(text, parse_constant=refuse)


def validate(document: Any) -> None:
    Draft202012Validator(SCHEMA).validate(document)


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("report", REPORTS)
def test_reports_are_valid(report: Report) -> None:
    validate(strict(report.to_json()))


def test_errors_are_valid() -> None:
    problem = Problem("row_sum", "the row sums to 1.2", "p.csv", None, (1, 2), 2, "pass --row-sum normalize")
    validate(strict(errors_json(CeError(problem, Problem("bad_option", "no")))))


def every_object(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all objects in a document."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    inner = [deeper for key, child in children for deeper in every_object(child, (*path, key))]
    return [path, *inner] if isinstance(value, dict) else inner


def test_nothing_unknown_is_valid() -> None:
    document = good_report().to_dict()
    for path in every_object(document):
        changed = json.loads(json.dumps(document))
        inside = changed
        for key in path:
            inside = inside[key]
        inside["Unknown key"] = 1
        with pytest.raises(ValidationError):
            validate(changed)


@pytest.mark.parametrize("key", [key for key in good_report().to_dict() if key != "max_row_sum_error"])
def test_nothing_may_be_missing(key: str) -> None:
    document = good_report().to_dict()
    del document[key]
    with pytest.raises(ValidationError):
        validate(document)


@pytest.mark.parametrize("value", ["Infinity", "0.5", None, True])
def test_numbers_are_numbers(value: object) -> None:
    document = good_report().to_dict()
    document["metrics"]["cross_entropy"]["value"] = value
    with pytest.raises(ValidationError):
        validate(document)


def test_the_schema_knows_the_same_words() -> None:
    definitions = SCHEMA["$defs"]
    assert tuple(definitions["error"]["properties"]["code"]["enum"]) == CODES
    assert tuple(definitions["counts"]["properties"]) == (*COUNTS, *TASK_COUNTS)
    assert tuple(definitions["counts"]["required"]) == COUNTS
    fields = list(good_report().to_dict())
    sections = fields.index("concentration") if "concentration" in fields else fields.index("issues")
    properties = [name for name in definitions["report"]["properties"] if name != "deltas"]
    assert properties == [*fields[:sections], *ASPECTS, *[name for name in fields[sections:] if name not in ASPECTS]]
    assert tuple(definitions["concentration"]["properties"]) == CONCENTRATION


def test_non_finite_numbers_are_strings() -> None:
    document = strict(bad_report().to_json())
    assert document["metrics"]["cross_entropy"] == {"value": "inf"}
    assert document["metrics"]["skill"] == {"value": "-inf"}
    assert document["quantiles"]["1"] == "inf"
    assert document["worst"][0]["loss"] == "inf"
    assert document["gates"][0]["observed"] == "inf"
    assert document["gates"][0]["margin"] == "-inf"


def test_every_digit_survives() -> None:
    value = 0.1 + 0.2
    document = strict(good_report(metrics={"cross_entropy": Metric(value, 5e-324)}).to_json(indent=2))
    assert document["metrics"]["cross_entropy"] == {"value": value, "stderr": 5e-324}


def test_what_does_not_apply_is_absent() -> None:
    document = bad_report(max_row_sum_error=None).to_dict()
    assert "max_row_sum_error" not in document
    assert document["per_class"][-1].keys() == {"class", "n", "weight"}


def test_metrics_by_attribute_and_key() -> None:
    report = good_report()
    assert report.cross_entropy is report["cross_entropy"] is report.metrics["cross_entropy"]
    assert report.cross_entropy.value == 0.11830522913
    assert "skill" in report
    assert "rps" not in report


def test_an_absent_metric() -> None:
    report = good_report()
    with pytest.raises(AttributeError, match="no metric 'rps'; it has cross_entropy, "):
        _ = report.rps
    with pytest.raises(KeyError):
        report["rps"]
    assert not hasattr(report, "_repr_html_")


def test_a_report_pickles() -> None:
    assert pickle.loads(pickle.dumps(good_report())) == good_report()


def test_passed() -> None:
    assert good_report().passed
    assert not bad_report().passed
    assert good_report().with_gates(()).passed
    assert not good_report().with_gates(bad_report().gates).passed


def test_classes_as_a_frame() -> None:
    report = good_report()
    frame = report.to_frame()
    assert list(frame.columns) == ["name", "n", "weight", "cross_entropy", "share_of_loss", "mean_prob", "recall"]
    assert list(frame["name"]) == list(report.classes)
    assert frame["cross_entropy"].tolist() == [row.cross_entropy for row in report.per_class]


def test_worst_rows_as_a_frame() -> None:
    frame = good_report().to_frame("worst")
    assert list(frame.columns) == ["row", "id", "label", "predicted", "prob", "loss"]
    assert frame["row"].tolist() == [417, 1523, 88]


def test_empty_frames_keep_their_columns() -> None:
    report = good_report(per_class=(), worst=())
    assert list(report.to_frame("worst").columns) == ["row", "id", "label", "predicted", "prob", "loss"]
    assert len(report.to_frame()) == 0


def test_an_unknown_frame() -> None:
    with pytest.raises(ValueError, match="expected 'classes', 'worst' or 'slices', but got 'rows'"):
        good_report().to_frame("rows")  # type: ignore[arg-type]
