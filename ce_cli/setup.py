"""From options and a look at the files to a plan: which task, which classes, which scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ce_cli.tasks import classes, token_columns
from ce_cli.tasks.binary import BinaryTask
from ce_cli.tasks.multiclass import MulticlassTask
from ce_cli.tasks.planning import Request, TaskKind, describe
from ce_cli.tasks.tokens import TokensTask

if TYPE_CHECKING:
    from ce_cli.plan import Options
    from ce_cli.readers.base import DataSet
    from ce_cli.tasks.base import Context, Task

# The one place that knows which tasks there are. Classes are what everything else is taken for.
TASKS: tuple[TaskKind, ...] = (
    TaskKind("tokens", token_columns.claims, token_columns.prepare, TokensTask),
    TaskKind("binary", lambda _: False, classes.prepare, BinaryTask),
    TaskKind("multiclass", lambda _: True, classes.prepare, MulticlassTask),
)


def prepare(predictions: DataSet, labels: DataSet | None, options: Options, *, verbatim: bool = False) -> Context:
    """Look at the first rows and decide on everything; labels are kept `verbatim` where they will be written out.

    Raises CeError where it cannot be decided.
    """
    request = Request(
        describe(predictions), None if labels is None else describe(labels), options, verbatim, (predictions, labels)
    )
    kind = next(
        kind for kind in TASKS if kind.name == options.task or (options.task == "auto" and kind.claims(request))
    )
    return kind.prepare(request)


def make_task(context: Context) -> Task:
    """Return the task that a context names."""
    return next(kind for kind in TASKS if kind.name == context.plan.task).make(context)
