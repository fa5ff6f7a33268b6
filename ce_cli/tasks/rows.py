"""The rows of a task with scores and labels: every check, in the order in which faults are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ce_cli.checks import RowChecks
from ce_cli.tasks.base import Checked, check_ids, check_labels, check_structure, check_weights, valid_block
from ce_cli.tasks.scores import check_held_scores
from ce_cli.tasks.shares import check_shares

if TYPE_CHECKING:
    from ce_cli.block import Pair
    from ce_cli.checks import Faults
    from ce_cli.tasks.base import Context


def check(context: Context, pair: Pair, faults: Faults, *, keep: bool) -> Checked:
    """Return the rows of a pair that pass every check of a task with scores, and one label or a share for each class."""
    checks = RowChecks(faults, pair.rows, keep=keep)
    check_structure(context, pair, checks)
    check_ids(context, pair, checks)
    if len(context.layout.labels) > 1:
        encoded = check_shares(context, pair, checks)
        ignored = checks.skip(None)
    else:
        encoded = context.codec.encode(pair.labels.column(context.layout.label))
        ignored = checks.skip(encoded.ignored)
        check_labels(context, pair, checks, encoded)
    scores, notes = check_held_scores(context, pair, checks)
    weight = check_weights(context, pair, checks)
    block = valid_block(checks, encoded, scores, weight, exact=notes.exact)
    return Checked(block, ignored, checks.kept, notes, encoded.others)
