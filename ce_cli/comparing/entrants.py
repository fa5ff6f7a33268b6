"""Who takes part in a comparison: several files, several columns of one file, or several groups of its rows."""

from __future__ import annotations

import csv
import fnmatch
import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ce_cli.columns import (
    LABEL_NAMES,
    OUTCOME,
    PREFIXES,
    Kind,
    Role,
    is_id,
    is_index,
    is_weight,
    listed,
    unknown_column,
)
from ce_cli.errors import CeError, Problem, fail
from ce_cli.setup import prepare
from ce_cli.tasks.planning import describe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ce_cli.columns import TableInfo
    from ce_cli.plan import Options
    from ce_cli.readers.base import DataSet
    from ce_cli.tasks.base import Context

# The roles of a label and of the weight that a candidate's file has beside those of the reference.
OWN_LABEL, OWN_WEIGHT = "own label", "own weight"
_COMPRESSED = (".gz", ".bz2", ".zst")


class Entrant(NamedTuple):
    """One model: its predictions, what its rows are paired with, and what was decided about both."""

    name: str
    predictions: DataSet
    labels: DataSet | None
    context: Context
    options: Options


def split_name(argument: str) -> tuple[str | None, str]:
    """Return the name and the path of a PREDICTIONS argument: `name=path`, or a path by itself.

    What exists under that name is a path; a name has no slash.
    """
    name, equals, path = argument.partition("=")
    if not equals or not name or not path or "/" in name or "\\" in name or Path(argument).exists():
        return None, argument
    return name, path


def with_names(arguments: Iterable[str]) -> dict[str, str]:
    """Return the paths of PREDICTIONS arguments by the names of their models, which are those of the files if not given.

    Where two files have the same name, more of their paths makes it unique. Raises bad_option where a name is given twice.
    """
    named = [split_name(argument) for argument in arguments]
    given = [name for name, _ in named if name is not None]
    again = next((name for name in given if given.count(name) > 1), None)
    if again is not None:
        raise fail("bad_option", f"two models are called {again!r}", hint="name=path takes a name of its own for each")
    taken = set(given)
    free = [path for name, path in named if name is None]
    found: dict[str, str] = {}
    for name, path in named:
        found[_unique(path, free, taken, found) if name is None else name] = path
    return found


def _unique(path: str, paths: Sequence[str], taken: set[str], found: Mapping[str, str]) -> str:
    """Return the shortest end of a path, without suffixes, that is no other's, numbered if even the whole is."""
    for parts in range(1, len(Path(path).parts) + 1):
        name = _ending(path, parts)
        alike = [other for other in paths if _ending(other, parts) == name]
        if name not in taken and name not in found and len(alike) == 1:
            return name
    number = 2
    while f"{_ending(path, 1)}#{number}" in taken | found.keys():
        number += 1
    first = _ending(path, 1)
    return first if first not in taken | found.keys() else f"{first}#{number}"


def _ending(path: str, parts: int) -> str:
    whole = Path(path)
    while whole.suffix.lower() in _COMPRESSED:
        whole = whole.with_suffix("")
    return "/".join(whole.with_suffix("").parts[-parts:]) or path


def of_files(files: Mapping[str, DataSet], labels: DataSet | None, options: Options) -> list[Entrant]:
    """Return a model for each file, paired by id with the labels; without these, with the labels of the first file.

    Raises bad_option where the rows could only be paired by position and nobody said so.
    """
    entrants: list[Entrant] = []
    problems: list[Problem] = []
    for name, data in files.items():
        try:
            # Tokens need no labels, and of several models they are not the same ones: their sequences are paired.
            if labels is None and entrants and entrants[0].context.plan.task != "tokens":
                entrants.append(_beside_reference(name, data, entrants[0], options))
            else:
                entrants.append(Entrant(name, data, labels, prepare(data, labels, options), options))
        except CeError as error:
            if not entrants:
                raise
            problems += error.problems
    if problems:
        raise CeError(*problems)
    for entrant in entrants:
        _check_alignment(entrant)
    return entrants


def _beside_reference(name: str, data: DataSet, reference: Entrant, options: Options) -> Entrant:
    """Return a candidate whose file has its own labels: it is paired with those of the reference, and they must agree."""
    there = describe(data)
    weighted = options.weight_col is not None and there.find(options.weight_col) is not None
    alone = prepare(data, None, options if weighted else replace(options, weight_col=None))
    if not alone.layout.labels:
        return Entrant(name, data, None, alone, options)  # refused by its task
    theirs = reference.context.layout.labels
    own = replace(options, label_col=_joined(theirs), pred_cols=options.pred_cols or alone.layout.scores.columns)
    if options.input is None and alone.layout.scores.scale is not None:
        own = replace(own, input=alone.layout.scores.scale)
    context = prepare(data, reference.predictions, own)
    own_labels = {label: there.find(label) for label in theirs}
    roles = {
        f"{OWN_LABEL}:{label}": Role(found, "predictions", context.layout.label_kind)
        for label, found in own_labels.items()
        if found is not None
    }
    weight = None if context.layout.weight_side != "labels" else there.find(context.layout.weight or "")
    if weight is not None:
        roles[OWN_WEIGHT] = Role(weight, "predictions", Kind.NUMBER)
    layout = context.layout._replace(roles={**context.layout.roles, **roles})
    return Entrant(name, data, reference.predictions, context._replace(layout=layout), own)


def _joined(names: Iterable[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(names)
    return text.getvalue()


def _check_alignment(entrant: Entrant) -> None:
    if entrant.labels is None or entrant.options.align == "position" or entrant.context.layout.alignment == "id":
        return
    raise fail(
        "bad_option",
        f"to compare models their rows are paired by id, but {entrant.predictions.path} and {entrant.labels.path} "
        "share no key",
        file=entrant.predictions.path,
        hint="give both an id column, or name it with --id-col; if the rows of all files are the same and stand in the same "
        "order, pass --align position",
    )


def of_columns(data: DataSet, labels: DataSet | None, options: Options) -> list[Entrant]:
    """Return a model for each of the columns, or families of columns, that --models names."""
    if options.pred_cols:
        raise fail("bad_option", "--models and --pred-cols both name the scores", hint="leave one of them out")
    table = describe(data)
    found: dict[str, Options] = {}
    for pattern in options.models:
        found.update(_columns_of(pattern, table, options))
    return [Entrant(name, data, labels, prepare(data, labels, own), own) for name, own in found.items()]


class _Family(NamedTuple):
    """The columns NAME_prob_CLASS of one model, in their order, and what their prefix says they are."""

    name: str
    columns: dict[str, str]  # the class of each
    scale: str


def _families(table: TableInfo) -> dict[str, _Family]:
    """Return the families of class columns by the names of their models, as those of the first column spell them."""
    found: dict[tuple[str, str], _Family] = {}
    for column in table.columns:
        for prefix, scale in PREFIXES.items():
            name, mark, name_of_class = column.lower().rpartition(f"_{prefix}")
            if name and mark and name_of_class:
                family = found.setdefault((name, prefix), _Family(column[: len(name)], {}, scale))
                family.columns[column] = column[-len(name_of_class) :]
                break
    families: dict[str, _Family] = {}
    for family in found.values():
        families.setdefault(family.name, family)
    return families


def _columns_of(pattern: str, table: TableInfo, options: Options) -> dict[str, Options]:
    """Return what a name or a pattern stands for: a column each, or the columns NAME_prob_CLASS of one model.

    A pattern takes the models whose columns are several before it takes the columns that are left.
    """
    taken = {options.weight_col, *options.id_col, *(next(csv.reader([options.label_col or ""]), []))}
    taken |= {name for name, _, _ in options.further_columns().values()}

    def free(name: str) -> bool:
        """Tell whether a pattern may take a column: what has another meaning, or no numbers, must be named."""
        numeric = table.columns[name].kind == "number"
        told = name in taken or name.lower() in LABEL_NAMES or name.lower().endswith(OUTCOME)
        return numeric and not (told or is_id(name) or is_index(name) or is_weight(name))

    exact = table.find(pattern)
    if exact is not None:
        return {exact: replace(options, pred_cols=(exact,))}
    families = _families(table)
    named = {name: family for name, family in families.items() if name.lower() == pattern.lower()}
    several = {name: own for name, own in families.items() if len(own.columns) > 1}
    chosen = named or {name: several[name] for name in fnmatch.filter(several, pattern)}
    found = {name: _of_family(family, options) for name, family in chosen.items()}
    used = {column for family in chosen.values() for column in family.columns}
    if not named:
        left = [name for name in fnmatch.filter(table.columns, pattern) if name not in used and free(name)]
        _check_apart(pattern, left, several, table)
        found.update({name: replace(options, pred_cols=(name,)) for name in left})
    if not found:
        raise _no_model(pattern, table, [*several, *filter(free, table.columns)])
    return found


def _check_apart(pattern: str, columns: Sequence[str], families: Mapping[str, _Family], table: TableInfo) -> None:
    """Raise bad_option where a pattern takes several classes of one model for models of their own."""
    torn = [name for name, family in families.items() if len({*columns} & family.columns.keys()) > 1]
    if not torn:
        return
    raise fail(
        "bad_option",
        f"--models {pattern!r} matches single classes of {listed(torn)}: {listed(columns, 4)}",
        file=table.path,
        hint=f"columns NAME_prob_CLASS are one model, called NAME: pass --models {','.join([*families][:6])}, or "
        "--models '*' for all columns of numbers",
    )


def _of_family(family: _Family, options: Options) -> Options:
    columns, classes = tuple(family.columns), tuple(family.columns.values())
    own = replace(options, pred_cols=columns, input=options.input or family.scale)
    return own if len(columns) == 1 else replace(own, classes=options.classes or classes)


def _no_model(pattern: str, table: TableInfo, there: Sequence[str]) -> CeError:
    error = unknown_column(table, pattern, "--models")
    if not any(sign in pattern for sign in "*?["):
        return error
    known = f"the models could be: {listed(there)}" if there else f"the columns are: {listed(table.columns)}"
    hint = f"{known}; columns NAME_prob_CLASS are one model, called NAME"
    message = f"--models {pattern!r} matches no column of numbers and no family of class columns"
    return CeError(replace(error.problems[0], message=message, hint=hint))


def of_rows(data: DataSet, labels: DataSet | None, options: Options) -> list[Entrant]:
    """Return a model for each value of the column that --model-col names, in the order in which they appear."""
    from ce_cli.readers.chosen import MOST_VALUES, chosen_rows, distinct

    assert options.model_col is not None  # asked for
    column = describe(data).require(options.model_col, "--model-col")
    _check_free(column, options)
    names = distinct(data, column)
    if not names:
        raise fail("no_samples", "there are no rows", file=data.path)
    if len(names) > MOST_VALUES:
        raise fail(
            "bad_option",
            f"column {column!r} has more than {MOST_VALUES} values: that is too many models",
            file=data.path,
            column=column,
            hint="--model-col names the column that says which model a row is of",
        )
    return of_files({**chosen_rows(data, column, names)}, labels, options)


def _check_free(column: str, options: Options) -> None:
    """Raise bad_option where the column of the models is named for something else, too."""
    named = {"--label-col": (options.label_col,), "--weight-col": (options.weight_col,), "--id-col": options.id_col}
    named |= {"--pred-cols": options.pred_cols, "--cluster": (options.cluster,)}
    other = next((flag for flag, names in named.items() if column in names), None)
    if other is not None:
        raise fail(
            "bad_option", f"--model-col and {other} both name {column!r}", hint="name another column for one of them"
        )


def with_reference(entrants: Sequence[Entrant], reference: str | None) -> list[Entrant]:
    """Put the reference first: the one that is named, else the first. Raises bad_option."""
    if len(entrants) < 2:
        raise fail(
            "bad_option",
            f"there is only one model to compare: {entrants[0].name}",
            hint="name two PREDICTIONS or more, or two columns or more with --models",
        )
    names = [entrant.name for entrant in entrants]
    if reference is not None and reference not in names:
        raise fail("bad_option", f"--reference {reference!r} is not one of the models {listed(names)}")
    first = names.index(reference) if reference is not None else 0
    check_alike([entrants[first], *entrants[:first], *entrants[first + 1 :]])
    return [entrants[first], *entrants[:first], *entrants[first + 1 :]]


def check_alike(entrants: Sequence[Entrant]) -> None:
    """Raise bad_option where the losses of two models would not be comparable."""
    first = entrants[0]
    for other in entrants[1:]:
        one, two = first.context, other.context
        if one.plan.task != two.plan.task:
            message = f"{first.name} is of task {one.plan.task}, but {other.name} of {two.plan.task}"
            raise fail("bad_option", message, file=other.predictions.path, hint="say which with --task")
        if one.plan.task == "regression" and one.plan.own.bins.edges != two.plan.own.bins.edges:
            message = f"{first.name} and {other.name} have different bins: their losses cannot be compared"
            raise fail(
                "bad_option", message, hint="log_score is comparable between bins: evaluate each and compare that"
            )
        if one.plan.task != "tokens" and one.layout.labels != two.layout.labels:
            message = f"{first.name} is judged by {listed(one.layout.labels)}, but {other.name} by {listed(two.layout.labels)}"
            raise fail("bad_option", message, hint="name the label's column with --label-col")
