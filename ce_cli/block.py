"""What flows between the layers: pairs of aligned rows, validated blocks, and what they score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from ce_cli.arrays import Bools, Floats, Ints


@dataclass(frozen=True, slots=True)
class Pair:
    """Consecutive rows of the predictions with the labels that belong to them.

    rows: `(n,) int64`, their numbers in the predictions, from 0. label_rows: the same in the labels' file.
    """

    rows: Ints
    label_rows: Ints
    predictions: pa.RecordBatch
    labels: pa.RecordBatch

    def slice(self, start: int, size: int) -> Pair:
        """Return some of the rows."""
        return Pair(
            self.rows[start : start + size],
            self.label_rows[start : start + size],
            self.predictions.slice(start, size),
            self.labels.slice(start, size),
        )


@dataclass(frozen=True, slots=True)
class Block:
    """Validated rows, float64 in C order.

    at: `(n,) int64`, their positions in the pair, None where they are all of it. label: `(n,) float64`, the class, or of a
    binary task the probability of the positive class. scores: `(n, k) float64` in the plan's scale, k = 1 for a single
    score of the positive class. weight: `(n,) float64` >= 0, or None. soft: whether any label is neither 0 nor 1.
    """

    at: Ints | None
    label: Floats
    scores: Floats
    weight: Floats | None
    soft: bool = False

    def unplaced(self, start: int, stop: int) -> Block:
        """Return some of the rows without their positions and weights, for a kernel that needs neither."""
        return Block(None, self.label[start:stop], self.scores[start:stop], None, self.soft)


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of a block that have a class in their label, and the share of it; None: 1 each, all rows."""

    at: Ints | None
    label: Ints
    loss: Floats
    prob: Floats
    share: Floats | None


@dataclass(frozen=True, slots=True)
class Scored:
    """What a block's rows give; every array `(n,)`, losses in nats.

    prob_label: the probability of the label (its expectation where the label is soft). predicted: the class, of any
    integer type. correct: whether it is the label's. judged: whether it can be right or wrong at all (a tie cannot);
    None: all can. confidence and outcome: what calibration compares, the outcome as bool where it is 0 or 1. brier: the
    squared error. parts: the losses by class.
    """

    loss: Floats
    prob_label: Floats
    predicted: Ints
    correct: Bools
    judged: Bools | None
    confidence: Floats
    outcome: Floats | Bools
    brier: Floats
    parts: tuple[Part, ...]
    clipped: Bools | None = None
    objective: Objective | None = None


@dataclass(frozen=True, slots=True)
class Objective:
    """The loss to be averaged where it is not the plain one: smoothed, or weighted by class.

    loss: `(n,) float64`, nats. weight: `(n,) float64`, what the classes of the label weigh; None for 1 each.
    """

    loss: Floats
    weight: Floats | None


def in_pieces(score: Callable[[Block], Scored], block: Block, rows: int) -> Scored:
    """Score a block a few rows at a time, so that what a kernel works on stays in the cache.

    Rows do not depend on each other, so the result is the same. Each piece has one part, of all its rows.
    """
    if len(block.label) <= rows:
        return score(block)
    pieces = [score(block.unplaced(start, start + rows)) for start in range(0, len(block.label), rows)]
    loss, prob_label = _joined(pieces, "loss"), _joined(pieces, "prob_label")
    label = np.concatenate([piece.parts[0].label for piece in pieces])
    objectives = [piece.objective for piece in pieces if piece.objective is not None]
    return Scored(
        loss=loss,
        prob_label=prob_label,
        predicted=_joined(pieces, "predicted"),
        correct=_joined(pieces, "correct"),
        judged=_joined(pieces, "judged"),
        confidence=_joined(pieces, "confidence"),
        outcome=_joined(pieces, "outcome"),
        brier=_joined(pieces, "brier"),
        parts=(Part(None, label, loss, prob_label, None),),
        clipped=_joined(pieces, "clipped"),
        objective=Objective(_joined(objectives, "loss"), _joined(objectives, "weight")) if objectives else None,
    )


def _joined(pieces: Sequence[Any], name: str) -> Any:
    values = [getattr(piece, name) for piece in pieces]
    return None if values[0] is None else np.concatenate(values)
