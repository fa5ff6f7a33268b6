from __future__ import annotations

import json
from typing import Any

from ce_cli.errors import CeError, Problem
from ce_cli.render.errors import errors_json, render_defect, render_error

OUT_OF_RANGE = Problem(
    "probability_out_of_range",
    "1.7 is not a probability",
    file="preds.csv",
    column="prob_cat",
    rows=(17, 203, 4011),
    count=3,
    hint="if these are logits, pass --input logits",
)
BAD_OPTION = Problem("bad_option", "--eps must be below 0.5, but is 0.7")


def refuse_constant(name: str) -> Any:
    raise AssertionError(name)


def test_everything_known() -> None:
    assert render_error(CeError(OUT_OF_RANGE)) == (
        "ce-eval: error[probability_out_of_range]: preds.csv, column prob_cat, row 17: 1.7 is not a probability\n"
        "  3 rows are affected, the first: 17, 203, 4011\n"
        "  hint: if these are logits, pass --input logits"
    )


def test_nothing_known_but_the_message() -> None:
    assert render_error(CeError(BAD_OPTION)) == "ce-eval: error[bad_option]: --eps must be below 0.5, but is 0.7"


def test_one_row_is_not_counted() -> None:
    problem = Problem("row_sum", "the row sums to 1.2", file="p.csv", rows=(5,), count=1)
    assert render_error(CeError(problem)) == "ce-eval: error[row_sum]: p.csv, row 5: the row sums to 1.2"


def test_a_count_without_rows() -> None:
    problem = Problem("duplicate_id", "the id x is not unique", column="id", count=2)
    assert render_error(CeError(problem)) == (
        "ce-eval: error[duplicate_id]: column id: the id x is not unique\n  2 rows are affected"
    )


def test_all_problems_in_their_order() -> None:
    lines = render_error(CeError(OUT_OF_RANGE, BAD_OPTION)).splitlines()
    assert [line.split(":")[1] for line in lines if line.startswith("ce-eval")] == [
        " error[bad_option]",
        " error[probability_out_of_range]",
    ]


def test_data_cannot_reach_the_terminal() -> None:
    problem = Problem(
        "unknown_column",
        "\x1b[2J\x9b\u202e\r\ngone [red]",
        file="a\udc80b\n",
        column="\x07[bold]",
        rows=(1, 2),
        count=2,
        hint="\x7f",
    )
    shown = render_error(CeError(problem))
    assert shown.splitlines() == [
        r"ce-eval: error[unknown_column]: a\udc80b\x0a, column \x07[bold], row 1: \x1b[2J\x9b\u202e\x0d\x0agone [red]",
        "  2 rows are affected, the first: 1, 2",
        r"  hint: \x7f",
    ]


def test_json_is_the_contract() -> None:
    text = errors_json(CeError(OUT_OF_RANGE, BAD_OPTION))
    document = json.loads(text, parse_constant=refuse_constant)
    assert list(document) == ["schema", "errors", "error"]
    assert document["schema"] == "ce-eval/1"
    assert document["error"] == document["errors"][0]
    assert document["errors"] == [
        {
            "code": "bad_option",
            "message": "--eps must be below 0.5, but is 0.7",
            "file": None,
            "column": None,
            "rows": [],
            "count": 0,
            "hint": None,
        },
        {
            "code": "probability_out_of_range",
            "message": "1.7 is not a probability",
            "file": "preds.csv",
            "column": "prob_cat",
            "rows": [17, 203, 4011],
            "count": 3,
            "hint": "if these are logits, pass --input logits",
        },
    ]


def test_json_can_be_written_anywhere() -> None:
    text = errors_json(CeError(Problem("no_such_file", "機\x9b\udc80 is not there", file="機\x9b\udc80")))
    assert text.isascii()
    assert json.loads(text)["error"]["file"] == "機\x9b\udc80"


def test_a_defect_is_one_line() -> None:
    line = render_defect(ValueError("first\nsecond \x1b[1m"))
    assert line == (
        r"ce-eval: defect: ValueError: first\x0asecond \x1b[1m (this is a defect of ce-eval, not of your data: "
        "please report it with the command and the output of --debug)"
    )
    assert render_defect(AssertionError()).startswith("ce-eval: defect: AssertionError (this is")
