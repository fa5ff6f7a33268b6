"""From options and a look at the files to a plan: which task, which classes, which scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ce_cli.errors import fail
from ce_cli.tasks import binning, classes, labelsets, token_columns
from ce_cli.tasks.binary import BinaryTask
from ce_cli.tasks.multiclass import MulticlassTask
from ce_cli.tasks.multilabel import MultilabelTask
from ce_cli.tasks.planning import Request, TaskKind, describe, refuse, with_gradients
from ce_cli.tasks.regression import RegressionTask
from ce_cli.tasks.tokens import TokensTask

if TYPE_CHECKING:
    from ce_cli.plan import Options
    from ce_cli.readers.base import DataSet
    from ce_cli.tasks.base import Context, Task

# The one place that knows which tasks there are. Classes are what everything else is taken for.
TASKS: tuple[TaskKind, ...] = (
    TaskKind("regression", binning.claims, binning.prepare, RegressionTask, binning.OPTIONS),
    TaskKind("tokens", token_columns.claims, token_columns.prepare, TokensTask, token_columns.OPTIONS),
    TaskKind("binary", lambda _: False, classes.prepare, BinaryTask),
    TaskKind("multiclass", lambda _: True, classes.prepare, MulticlassTask),
    TaskKind("multilabel", lambda _: False, labelsets.prepare, MultilabelTask),
)


def prepare(
    predictions: DataSet, labels: DataSet | None, options: Options, *, verbatim: bool = False, gradients: bool = False
) -> Context:
    """Look at the first rows and decide on everything.

    verbatim: whether labels will be written out and must be kept as they are. gradients: whether those will be written.
    Raises CeError where it cannot be decided.
    """
    request = Request(
        describe(predictions), None if labels is None else describe(labels), options, verbatim, (predictions, labels)
    )
    kind = next(
        kind for kind in TASKS if kind.name == options.task or (options.task == "auto" and kind.claims(request))
    )
    for other in TASKS:
        if other is not kind:
            refuse(request, kind.name, **dict.fromkeys(other.options, f"it is for --task {other.name}"))
    context = kind.prepare(request)
    if not gradients:
        return context
    if not make_task(context).gradient_names():
        raise fail("bad_option", "--gradients needs the score of every class: here there is only that of what came")
    return context._replace(plan=with_gradients(context.plan))


def make_task(context: Context) -> Task:
    """Return the task that a context names."""
    return next(kind for kind in TASKS if kind.name == context.plan.task).make(context)
