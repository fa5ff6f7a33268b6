"""From options and a look at the files to a plan: which task, which classes, which scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ce_cli.errors import fail
from ce_cli.judging.aspects import further_roles
from ce_cli.plan import TASK_OPTIONS
from ce_cli.slicing import parse_all
from ce_cli.tasks import classes
from ce_cli.tasks.planning import Request, TaskKind, describe, refuse, with_gradients

if TYPE_CHECKING:
    from collections.abc import Callable

    from ce_cli.plan import Options
    from ce_cli.readers.base import DataSet
    from ce_cli.tasks.base import Context, Task


def _regression() -> TaskKind:
    from ce_cli.tasks import binning
    from ce_cli.tasks.regression import RegressionTask

    return TaskKind(binning.claims, binning.prepare, RegressionTask)


def _tokens() -> TaskKind:
    from ce_cli.tasks import token_columns
    from ce_cli.tasks.tokens import TokensTask

    return TaskKind(token_columns.claims, token_columns.prepare, TokensTask)


def _multilabel() -> TaskKind:
    from ce_cli.tasks import labelsets
    from ce_cli.tasks.multilabel import MultilabelTask

    return TaskKind(lambda _: False, labelsets.prepare, MultilabelTask)


def _binary() -> TaskKind:
    from ce_cli.tasks.binary import BinaryTask

    return TaskKind(lambda _: False, classes.prepare, BinaryTask)


def _multiclass() -> TaskKind:
    from ce_cli.tasks.multiclass import MulticlassTask

    return TaskKind(lambda _: False, classes.prepare, MulticlassTask)


# The one place that knows which tasks there are; only those in question are imported. Where nobody says which it is, the
# first that claims the files gets them.
TASKS: dict[str, Callable[[], TaskKind]] = {
    "tokens": _tokens,
    "regression": _regression,
    "multilabel": _multilabel,
    "binary": _binary,
    "multiclass": _multiclass,
}


def _candidates(request: Request) -> list[str]:
    """Return the tasks that files may be of where nobody says so, by what is quickly seen."""
    names = [name.lower() for name in request.predictions.columns]
    signs = {
        "tokens": request.files[0].meaning is not None or any(name.startswith(_LOG_NAMES) for name in names),
        "regression": any("," in name and name.endswith(("]", ")")) for name in names),
    }
    given = {task: _given(request, options) for task, options in TASK_OPTIONS.items()}
    return [task for task in ("tokens", "regression") if signs[task] or given[task]]


def _given(request: Request, options: tuple[str, ...]) -> bool:
    defaults = type(request.options)()
    return any(getattr(request.options, name) != getattr(defaults, name) for name in options)


_CLASSES = "multiclass"  # or binary: what everything else is taken for
_LOG_NAMES = ("logp", "log_p", "token_logp")


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
    name = options.task
    if name == "auto":
        name = next((task for task in _candidates(request) if TASKS[task]().claims(request)), _CLASSES)
    for other, own in TASK_OPTIONS.items():
        if other != name:
            refuse(request, name, **dict.fromkeys(own, f"it is for --task {other}"))
    context = classes.prepare(request) if name == _CLASSES else TASKS[name]().prepare(request)
    further = dict(further_roles(request.predictions, request.labels, options))
    if further:
        context = context._replace(layout=context.layout._replace(roles={**context.layout.roles, **further}))
    if options.cluster is not None:
        details = (*context.plan.details, ("cluster", options.cluster))
        context = context._replace(plan=context.plan._replace(details=details))
    if any(part.quantiles for parts in parse_all(options.by) for part in parts):
        from ce_cli.judging.slice_edges import quantile_edges

        context = context._replace(edges=quantile_edges(request, context.layout))
    if not gradients:
        return context
    if not make_task(context).gradient_names():
        raise fail("bad_option", "--gradients needs the score of every class: here there is only that of what came")
    return context._replace(plan=with_gradients(context.plan))


def make_task(context: Context) -> Task:
    """Return the task that a context names."""
    return TASKS[context.plan.task]().make(context)
