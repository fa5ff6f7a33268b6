"""The edges of bins: from an option or from headers to one checked sequence, without looking at any data."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from ce_cli.errors import fail

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MIN_BINS = 2
_SCALES = {"": None, "p": "probs", "prob": "probs", "proba": "probs", "logit": "logits", "logprob": "logprobs"}
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?inf(?:inity)?"
_INTERVAL = re.compile(
    rf"(?P<prefix>[a-z]*)_?\s*(?P<open>[\[(])\s*(?P<low>{_NUMBER})\s*,\s*(?P<high>{_NUMBER})\s*(?P<close>[\])])",
    re.IGNORECASE,
)
_RULE = re.compile(r"(?P<kind>uniform|quantile):(?P<bins>\d+)")


class Bins(NamedTuple):
    """K bins between K + 1 increasing edges, of which only the outer two may be infinite.

    below: for each edge, whether it belongs to the bin below it rather than to the one above; so the first edge is inside
    where it does not, the last where it does.
    """

    edges: tuple[float, ...]
    below: tuple[bool, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The bins as intervals, such as [0,1)."""
        marks = zip(pairwise(self.edges), pairwise(self.below), strict=True)
        return tuple(
            f"{'(' if own[0] or math.isinf(low) else '['}{_shortest(low)},{_shortest(high)}"
            f"{']' if own[1] and not math.isinf(high) else ')'}"
            for (low, high), own in marks
        )

    @property
    def widths(self) -> tuple[float, ...]:
        """The width of every bin, infinite for one that is open-ended."""
        return tuple(high - low for low, high in pairwise(self.edges))

    @property
    def bounded(self) -> bool:
        """Whether every bin has a width."""
        return all(math.isfinite(width) for width in self.widths)


class Interval(NamedTuple):
    """A bin as a header spells it: its edges, which of them it contains, and the scale that the prefix tells."""

    low: float
    high: float
    with_low: bool
    with_high: bool
    scale: str | None


class Rule(NamedTuple):
    """Bins that the targets will tell: "uniform" ones between the least and the largest, or their "quantile"s."""

    kind: str
    bins: int


def half_open(edges: Iterable[float]) -> Bins:
    """Return the bins [e_k, e_{k+1}), the last one closed. Raises bad_bins where the edges make none."""
    edges = tuple(float(edge) + 0.0 for edge in edges)
    check_edges(edges)
    return Bins(edges, (*(False for _ in edges[1:]), True))


def check_edges(edges: Sequence[float]) -> None:
    """Raise bad_bins unless these are the edges of two bins or more."""
    if any(math.isnan(edge) for edge in edges):
        raise fail("bad_bins", "an edge of a bin is NaN")
    for low, high in pairwise(edges):
        if low >= high:
            raise fail(
                "bad_bins", f"the edges of the bins are to increase, but {_shortest(high)} follows {_shortest(low)}"
            )
    if len(edges) <= MIN_BINS:
        raise fail(
            "bad_bins",
            f"{len(edges)} {'edge makes' if len(edges) == 1 else 'edges make'} fewer than two bins",
            hint="K bins have K + 1 edges, the outer two included: --bins 0,1,2 has two",
        )


def parse_rule(text: str) -> Rule | None:
    """Return the rule that an option names, None where it names none. Raises bad_bins for too few bins."""
    found = _RULE.fullmatch(text)
    if found is None:
        return None
    if int(found["bins"]) < MIN_BINS:
        raise fail("bad_bins", f"--bins {text} makes fewer than two bins")
    return Rule(found["kind"], int(found["bins"]))


def parse_edges(text: str) -> tuple[float, ...] | None:
    """Return the edges that an option lists, None where it is no list of numbers."""
    parts = text.split(",")
    if len(parts) < 2:
        return None
    try:
        return tuple(_number(part) for part in parts)
    except ValueError:
        return None


def parse_lines(text: str, path: str) -> tuple[float, ...]:
    """Return the edges that a text file lists: one in each line, below a heading or not, or all in one line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) == 1 and (edges := parse_edges(lines[0])) is not None:
        return edges
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(_number(line.strip('"')))
        except ValueError:
            if number > 1 or any(character.isdigit() for character in line):
                raise fail("bad_bins", f"line {number}: {line!r} is not the edge of a bin", file=path) from None
    return tuple(found)


def parse_interval(name: str) -> Interval | None:
    """Return the bin that a header such as p[0.0,0.5), prob_[0,1) or (0.0, 1.0] names, None where it names none."""
    found = _INTERVAL.fullmatch(name.strip())
    if found is None or found["prefix"].lower() not in _SCALES:
        return None
    scale = _SCALES[found["prefix"].lower()]
    low, high = float(found["low"]) + 0.0, float(found["high"]) + 0.0
    return Interval(low, high, found["open"] == "[", found["close"] == "]", scale)


def joined(intervals: Sequence[Interval], file: str) -> tuple[Bins, list[int]]:
    """Return the bins that headers name and the order of their columns by edges.

    Raises bad_bins where they leave a gap, overlap, or disagree on whose an edge is.
    """
    order = sorted(range(len(intervals)), key=lambda at: (intervals[at].low, intervals[at].high))
    placed = [intervals[at] for at in order]
    for low, high in pairwise(placed):
        if low.high != high.low:
            what = "overlap" if low.high > high.low else "leave a gap"
            raise fail("bad_bins", f"the bins {_shown(low)} and {_shown(high)} in the headers {what}", file=file)
        if low.with_high == high.with_low and low.low < low.high:
            whose = "both" if low.with_high else "neither"
            raise fail(
                "bad_bins",
                f"{_shortest(low.high)} belongs to {whose} of the bins {_shown(low)} and {_shown(high)}",
                file=file,
                hint="close each edge on one side: [0,1) and [1,2), or (0,1] and (1,2]",
            )
    edges = (placed[0].low, *(interval.high for interval in placed))
    check_edges(edges)
    return Bins(edges, (not placed[0].with_low, *(interval.with_high for interval in placed))), order


def _shown(interval: Interval) -> str:
    left, right = "[" if interval.with_low else "(", "]" if interval.with_high else ")"
    return f"{left}{_shortest(interval.low)},{_shortest(interval.high)}{right}"


def _number(text: str) -> float:
    if "_" in text:  # Python reads 1_000
        raise ValueError(text)
    return float(text)


def _shortest(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
