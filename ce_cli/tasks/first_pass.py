"""A look at all rows before the plan is made, for what can only be known from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ce_cli.readers.align import CHUNK_ROWS, AlignmentCounts, OutOfOrderError, side_by_side, single_file
from ce_cli.workers import Workers, default_jobs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ce_cli.block import Pair
    from ce_cli.columns import Layout
    from ce_cli.tasks.planning import Request

T = TypeVar("T")


def over_pairs(request: Request, layout: Layout, take: Callable[[Pair], T]) -> list[T]:
    """Return what `take` makes of every pair of rows that the evaluation will see, in order.

    Faults of the pairing are left to the evaluation to tell.
    """
    options = request.options
    with Workers(options.jobs or default_jobs()) as workers:
        try:
            return list(workers.ordered(take, _in_order(request, layout, workers)))
        except OutOfOrderError:
            return list(workers.ordered(take, _by_join(request, layout, workers)))


def _in_order(request: Request, layout: Layout, workers: Workers) -> Iterator[Pair]:
    predictions, labels = request.files
    rows = request.options.chunk_rows or CHUNK_ROWS
    if labels is None:
        return single_file(predictions, layout, workers, rows, AlignmentCounts())
    return side_by_side(predictions, labels, layout, workers, rows, AlignmentCounts())


def _by_join(request: Request, layout: Layout, workers: Workers) -> Iterator[Pair]:
    from ce_cli.readers.join import join_memory, joined

    predictions, labels = request.files
    assert labels is not None  # one file is never out of order
    options = request.options
    rows = options.chunk_rows or CHUNK_ROWS
    drop = options.missing == "drop"
    memory = join_memory(options)
    return joined(predictions, labels, layout, workers, rows, AlignmentCounts(), drop=drop, memory=memory)
