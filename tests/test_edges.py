"""Edges of bins from options and headers."""

from __future__ import annotations

import math

import pytest

from ce_cli.edges import half_open, joined, parse_edges, parse_interval, parse_lines, parse_rule
from ce_cli.errors import CeError

INF = math.inf


def bins_of(*headers: str):
    intervals = [parse_interval(header) for header in headers]
    assert None not in intervals
    return joined(intervals, "p.csv")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("p[0.0,0.5)", (0.0, 0.5, True, False, "probs")),
        ("prob_[0,1)", (0.0, 1.0, True, False, "probs")),
        ("(0.0, 1.0]", (0.0, 1.0, False, True, None)),
        ("(-0.001, 1e3]", (-0.001, 1000.0, False, True, None)),
        ("logit_(-inf,2.5)", (-INF, 2.5, False, False, "logits")),
        ("LogProb[ -3 , +Inf )", (-3.0, INF, True, False, "logprobs")),
    ],
)
def test_headers_that_are_bins(header, expected):
    assert parse_interval(header) == expected


@pytest.mark.parametrize(
    "header", ["age[0,10)", "p_0", "[0,1", "0,1)", "prob_[a,b)", "[0;1)", "[nan,1)", "p[0,1,2)", "", "[1_0,20)"]
)
def test_headers_that_are_none(header):
    assert parse_interval(header) is None


def test_columns_are_put_in_order():
    bins, order = bins_of("[1,2)", "[2,4]", "[0,1)")
    assert bins.edges == (0.0, 1.0, 2.0, 4.0)
    assert order == [2, 0, 1]
    assert bins.names == ("[0,1)", "[1,2)", "[2,4]")
    assert bins.below == (False, False, False, True)


def test_bins_closed_on_the_right():
    bins, _ = bins_of("(-inf, 0.5]", "(0.5, inf)")
    assert bins.below == (True, True, False)
    assert bins.names == ("(-inf,0.5]", "(0.5,inf)")
    assert not bins.bounded


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        (("[0,1)", "[2,3)"), "leave a gap"),
        (("[0,2)", "[1,3)"), "overlap"),
        (("[0,1)", "[0,1)"), "overlap"),
        (("[0,1]", "[1,2]"), "both"),
        (("(0,1)", "(1,2)"), "neither"),
        (("[0,0)", "[0,2)"), "increase"),
    ],
)
def test_headers_that_do_not_fit_together(headers, message):
    with pytest.raises(CeError, match=message) as caught:
        bins_of(*headers)
    assert caught.value.code == "bad_bins"


@pytest.mark.parametrize(
    "edges", [(0, 1, 1), (2, 1, 3), (0, math.nan, 1), (0, 1), (5,), (), (0, INF, INF), (-INF, -INF, 0)]
)
def test_edges_that_make_no_bins(edges):
    with pytest.raises(CeError) as caught:
        half_open(edges)
    assert caught.value.code == "bad_bins"


def test_the_last_bin_is_closed():
    assert half_open([0, 0.5, 2]).names == ("[0,0.5)", "[0.5,2]")
    assert half_open([-INF, 0, INF]).names == ("(-inf,0)", "[0,inf)")


def test_options():
    assert parse_edges("0,1, 2.5,inf") == (0.0, 1.0, 2.5, INF)
    assert parse_edges("0") is None
    assert parse_edges("a,b") is None
    assert parse_edges("1_0,20,30") is None
    assert parse_rule("quantile:10") == ("quantile", 10)
    assert parse_rule("quantile") is None
    with pytest.raises(CeError, match="fewer than two"):
        parse_rule("uniform:1")


def test_files():
    assert parse_lines("edge\n-inf\n0\n\n1.5\n", "e.csv") == (-INF, 0.0, 1.5)
    assert parse_lines("0,1,2\n", "e.csv") == (0.0, 1.0, 2.0)
    assert parse_lines('"0"\n"1"\n2', "e.csv") == (0.0, 1.0, 2.0)
    with pytest.raises(CeError, match="line 3"):
        parse_lines("0\n1\nx\n", "e.csv")


def test_a_first_line_with_digits_is_no_heading():
    with pytest.raises(CeError, match="line 1: '-5x'") as told:
        parse_lines("-5x\n0\n5\n", "edges.txt")
    assert told.value.code == "bad_bins"
