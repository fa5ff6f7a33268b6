"""Which column is the label, the weight and the ids: names and a look at the first rows in, a `Layout` out."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ce_cli.columns import (
    ID_NAMES,
    LABEL_NAMES,
    LABEL_PREFIXES,
    OUTCOME,
    PREFIXES,
    STRONG_SCORES,
    Layout,
    Scores,
    Side,
    columns_listed,
    is_id,
    is_index,
    is_weight,
    listed,
    unknown_column,
    without_prefix,
)
from ce_cli.deciding.scores import find_named, find_scores, free_columns, surely_tells_score, tells_score
from ce_cli.errors import CeError, Problem, fail

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ce_cli.columns import TableInfo
    from ce_cli.plan import Options


def decide(predictions: TableInfo, labels: TableInfo | None, options: Options, known: Scores | None = None) -> Layout:
    """Decide which columns are the label, the scores, the weight and the ids.

    known: the scores, where they were found by other means; the label may then be the only numbers left beside them.
    Raises CeError: unknown_column, ambiguous_columns, bad_option.
    """
    options = _with_outcomes(predictions, labels, options)
    label_table = predictions if labels is None else labels
    _check_named(predictions, labels, options, known)
    label_side: Side = "predictions" if labels is None else "labels"
    weight_side, weight = _weight(predictions, labels, options)
    targets = _label(label_table, options, weight, None if labels is None else predictions, known)
    chosen_ids = _chosen_ids(predictions, labels, options)
    cells = _class_cells(label_table, targets)
    taken = {*chosen_ids} | ({weight} if weight and weight_side == "predictions" else set())
    if labels is None:
        taken.update(targets)
    taken |= _no_scores(predictions, options, taken, cells)
    for name in targets:
        if label_table.columns[name].kind in ("list", "other"):
            raise fail(
                "bad_option",
                f"the label column {name!r} holds a list or a structure in each row",
                file=label_table.path,
                column=name,
                hint="write a column for each class, such as label_cat, label_dog, or one column with the class",
            )
    scores = known or find_scores(predictions, options, taken, cells, labels)
    _check_twice(predictions, labels, targets, scores)
    if labels is not None and not labels.headerless and options.label_col is None:
        _check_no_score(labels, targets, scores)
    targets = _in_class_order(targets, scores, options, label_table)
    _check_roles(targets, label_side, weight, weight_side, scores, label_table)
    ids, label_ids = ((), ()) if labels is None else _ids(predictions, labels, options, scores, (*targets, weight))
    if labels is None:
        alignment = "file"
        ids = chosen_ids or recognised_ids(predictions.columns, predictions.columns)
    else:
        alignment = _alignment(options, ids)
    return Layout(scores, targets, label_side, weight, weight_side, ids, alignment, label_ids)


def _check_named(predictions: TableInfo, labels: TableInfo | None, options: Options, known: Scores | None) -> None:
    """Raise unknown_column with every column that an option names and that is not there."""
    problems: list[Problem] = []
    for check in (
        lambda: _named_labels(predictions if labels is None else labels, options),
        lambda: _weight(predictions, labels, options),
        lambda: _chosen_ids(predictions, labels, options),
        lambda: find_named(predictions, options.pred_cols if known is None else ()),
    ):
        try:
            check()
        except CeError as error:
            problems += error.problems
    if problems:
        raise CeError(*problems)


def _with_outcomes(predictions: TableInfo, labels: TableInfo | None, options: Options) -> Options:
    """Name labels and scores where a file tells which belongs to which: NAME_outcome is the label of NAME."""
    if labels is not None or options.label_col is not None or any(predictions.find(name) for name in LABEL_NAMES):
        return options
    numeric = {name for name, column in predictions.columns.items() if column.kind == "number"}
    scores = [name for name in predictions.columns if {name, name + OUTCOME} <= numeric]
    if not scores or (options.pred_cols and set(options.pred_cols) != set(scores)):
        return options
    outcomes = io.StringIO()
    csv.writer(outcomes, lineterminator="").writerow([name + OUTCOME for name in options.pred_cols or scores])
    return replace(options, label_col=outcomes.getvalue(), pred_cols=options.pred_cols or tuple(scores))


def _class_cells(table: TableInfo, targets: tuple[str, ...]) -> list[str]:
    """Return what the labels call their classes: the cells of one column, or the names of several."""
    if len(targets) > 1:
        return [without_prefix(name, LABEL_PREFIXES) for name in targets]
    return [cell for cell in table.columns[targets[0]].cells if cell is not None]


def _no_scores(table: TableInfo, options: Options, taken: set[str], classes: Sequence[str]) -> set[str]:
    """Return the columns to be shown, or to cut or cluster by, that are no scores as well.

    To be told for one, a column to cut by needs a surer name than one to be shown, or to be the only one that is left.
    """
    asked = [(role, table.find(name)) for role, (name, _, _) in options.further_columns().items()]
    found = set()
    for role, name in asked:
        tells = tells_score if role.startswith("show:") else partial(surely_tells_score, table)
        if name is not None and not tells(name, classes):
            found.add(name)
    left = [name for name in free_columns(table, taken | found) if table.columns[name].kind in ("number", "list")]
    return found if any(name.lower() not in LABEL_NAMES for name in left) else set()


def _in_class_order(targets: tuple[str, ...], scores: Scores, options: Options, table: TableInfo) -> tuple[str, ...]:
    """Return several label columns in the order of the score columns, which they match by name unless they were named."""
    if len(targets) < 2 or options.label_col is not None:
        return targets
    if not scores.names and scores.list_size is None:
        raise fail(
            "bad_option",
            f"there are {len(targets)} label columns, but only one score",
            file=table.path,
            hint="each class needs a score column, or name the one label column with --label-col",
        )
    by_name = {}
    for target in targets:
        by_name[without_prefix(target, LABEL_PREFIXES).lower()] = by_name[target.lower()] = target
    names, columns = scores.names, scores.columns
    if scores.list_size is not None and not names:
        names = columns = options.classes or tuple(map(str, range(scores.list_size)))
    ordered = [
        by_name.get(name.lower()) or by_name.get(column.lower()) for name, column in zip(names, columns, strict=True)
    ]
    found = [target for target in ordered if target is not None]
    if len(found) < len(names) or len({*found}) < len(targets):
        odd = sorted({*targets} - {*found}) or sorted(
            name for name, target in zip(names, ordered, strict=True) if target is None
        )
        raise fail(
            "ambiguous_columns",
            f"the label columns {listed(targets)} do not match the classes {listed(names)}: {listed(odd)}",
            file=table.path,
            hint="name them in the order of the score columns with --label-col A,B,…",
        )
    return tuple(found)


def _chosen_ids(predictions: TableInfo, labels: TableInfo | None, options: Options) -> tuple[str, ...]:
    if labels is None:
        return tuple(predictions.require(name, "--id-col") for name in options.id_col)
    return tuple(_id_pair(name, predictions, labels)[0] for name in options.id_col)


def _check_roles(
    targets: tuple[str, ...],
    label_side: Side,
    weight: str | None,
    weight_side: Side | None,
    scores: Scores,
    label_table: TableInfo,
) -> None:
    if weight in targets and weight_side == label_side:
        raise _weight_is_label(weight, label_table)
    if weight in scores.columns and weight_side == "predictions":
        raise fail("bad_option", f"--weight-col names {weight!r}, which is a score")
    taken = {*scores.columns}
    both = [name for name in targets if name in taken]
    if both and label_side == "predictions":
        raise fail("bad_option", f"{both[0]!r} is both the label and a score", hint="see --label-col and --pred-cols")


def _check_twice(predictions: TableInfo, labels: TableInfo | None, targets: tuple[str, ...], scores: Scores) -> None:
    """Raise bad_option where one file is given as predictions and as labels, and its scores are taken for the labels."""
    if labels is None or labels.path != predictions.path:
        return
    both = next((name for name in targets if name in {*scores.columns}), None)
    if both is not None:
        raise fail(
            "bad_option",
            f"this file is both the predictions and the labels, and {both!r} would be score and label at once",
            file=labels.path,
            column=both,
            hint="name the file of the labels with --labels; leave it out where they are a column of the predictions",
        )


def _check_no_score(labels: TableInfo, targets: tuple[str, ...], scores: Scores) -> None:
    """Raise unknown_column where the only label that was found looks like a score, perhaps that of another model."""
    name = targets[0]
    if len(targets) > 1 or name.lower() in LABEL_NAMES:
        return
    alike = name.lower() in {column.lower() for column in scores.columns}
    if not alike and not _like_score(name):
        return
    what = "is a score of the predictions too" if alike else "has the name of a score"
    raise CeError(
        Problem(
            "unknown_column",
            f"there is no label here: the only column that is left, {name!r}, {what}",
            file=labels.path,
            column=name,
            hint="both files look like predictions: are these two models? Then pass the labels with --labels FILE; if "
            f"{name!r} does hold labels, pass --label-col {name}",
        )
    )


def _like_score(name: str) -> bool:
    """Tell whether a name is surely that of scores."""
    return name.lower() in STRONG_SCORES or name.lower().startswith(tuple(PREFIXES))


def _weight(predictions: TableInfo, labels: TableInfo | None, options: Options) -> tuple[Side | None, str | None]:
    if options.weight_col is None:
        return None, None
    if labels is not None and (found := labels.find(options.weight_col)) is not None:
        return "labels", found
    found = predictions.find(options.weight_col)
    if found is None:
        raise unknown_column(predictions, options.weight_col, "--weight-col", labels)
    return "predictions", found


def _label(
    table: TableInfo, options: Options, weight: str | None, predictions: TableInfo | None, known: Scores | None
) -> tuple[str, ...]:
    """Return the label's column, or those of several that hold a share for each class."""
    if options.label_col is not None:
        return _named_labels(table, options)
    if options.task == "multilabel" and (several := _label_family(table, predictions, any_kind=True)):
        return several
    for name in LABEL_NAMES:
        found = table.find(name)
        if found is not None and found != weight:
            return (found,)
    several = _label_family(table, predictions)
    if several:
        return several
    rest = [name for name in table.columns if not is_id(name) and not is_index(name) and not is_weight(name)]
    separate = predictions is not None
    if len(rest) > 1:
        asked = {table.find(name) for name, _, _ in options.further_columns().values()}
        rest = [name for name in rest if name not in asked] or rest
    if predictions is not None and len(rest) > 1:
        rest = [name for name in rest if name not in predictions.columns]
    if known is not None and not separate:
        rest = _beside(table, rest, known)
    if (separate or known is not None) and len(rest) == 1:
        return (rest[0],)
    raise _no_label(table, weight, separate=separate)


def _named_labels(table: TableInfo, options: Options) -> tuple[str, ...]:
    """Return the columns that --label-col names: one, or several with commas between them."""
    if options.label_col is None:
        return ()
    whole = table.find(options.label_col)
    names = (options.label_col,) if whole is not None else tuple(next(csv.reader([options.label_col]), []))
    return tuple(table.require(name, "--label-col") for name in names or (options.label_col,))


def _no_label(table: TableInfo, weight: str | None, *, separate: bool) -> CeError:
    """Return the error for a file in which nothing looks like a label, or only what is the weight."""
    if any(weight == found for name in LABEL_NAMES if (found := table.find(name)) is not None):
        return _weight_is_label(str(weight), table)
    hint = f"name the label's column with --label-col; {columns_listed(table)}"
    if not separate:
        hint = f"if the labels are in another file, pass --labels FILE; else {hint}"
    elif any(map(_like_score, table.columns)):
        hint = f"this file looks like predictions: are the two files swapped? Else {hint}"
    if any("logp" in name.lower() or "log_p" in name.lower() for name in table.columns):
        hint += "; for log-probabilities of tokens pass --task tokens"
    return CeError(
        Problem(
            "unknown_column",
            "no column is called " + ", ".join(LABEL_NAMES[:-1]) + f" or {LABEL_NAMES[-1]}",
            file=table.path,
            hint=hint,
        )
    )


def _weight_is_label(name: str, table: TableInfo) -> CeError:
    return fail(
        "bad_option",
        f"--weight-col names {name!r}, which is the label",
        file=table.path,
        column=name,
        hint="name another column for the weights; or that of the labels with --label-col",
    )


def _beside(table: TableInfo, names: list[str], scores: Scores) -> list[str]:
    """Return the columns beside the scores, those with numbers where there are any."""
    taken = {*scores.columns}
    rest = [name for name in names if name not in taken]
    return [name for name in rest if table.columns[name].kind == "number"] or rest


def _label_family(table: TableInfo, predictions: TableInfo | None, *, any_kind: bool = False) -> tuple[str, ...]:
    """Return label columns that belong together by their prefix, or because they bear the names of the score columns.

    any_kind: whether cells may be words as well, such as yes, no and unknown; what is no label is told later.
    """
    kinds = ("number", "text") if any_kind else ("number",)
    own = [name for name, column in table.columns.items() if column.kind in kinds and not is_id(name)]
    for prefix in LABEL_PREFIXES:
        family = [name for name in own if name.lower().startswith(prefix)]
        if len(family) > 1:
            return tuple(family)
    if predictions is None:
        prefixed = {name.lower() for name in table.columns if without_prefix(name, PREFIXES) != name}
        known = {without_prefix(name, PREFIXES) for name in prefixed} - prefixed if any_kind else set()
        family = [name for name in own if name.lower() in known]
        return tuple(family) if len(family) > 1 else ()
    scores = {name for name, column in predictions.columns.items() if column.kind in kinds and not is_id(name)}
    known = {name.lower() for name in scores} | {without_prefix(name, PREFIXES).lower() for name in scores}
    words = {name.lower() for name in scores if predictions.columns[name].kind != "number"}
    family = [
        name
        for name in own
        if name.lower() in known
        and (table.columns[name].kind == "number" or name.lower() not in words)  # text in both files is a description
        and not is_index(name)
        and not is_weight(name)
    ]
    return tuple(family) if len(family) > 1 else ()


def _alignment(options: Options, ids: tuple[str, ...]) -> str:
    if options.align == "position":
        return "position"
    if options.align == "id" and not ids:
        raise fail("unknown_column", "--align id, but the two files share no column", hint="name it with --id-col")
    return "id" if ids else "position"


def recognised_ids(names: Iterable[str], others: Iterable[str]) -> tuple[str, ...]:
    """Return the names that are those of an id, as far as others are the same: the first that is known for one, else all."""
    lower = {name.lower() for name in others}
    shared = [name for name in names if name.lower() in lower]
    for known in ID_NAMES:
        found = [name for name in shared if name.lower() == known]
        if found:
            return (found[0],)
    return tuple(name for name in shared if name.lower().endswith("_id"))


def _ids(
    predictions: TableInfo, labels: TableInfo, options: Options, scores: Scores, taken: tuple[str | None, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the key columns as the predictions and as the labels spell them."""
    if options.id_col:
        pairs = [_id_pair(name, predictions, labels) for name in options.id_col]
        return tuple(mine for mine, _ in pairs), tuple(other for _, other in pairs)
    mine = recognised_ids(predictions.columns, labels.columns)
    if not mine:
        asked = (predictions.find(name) for name, _, _ in options.further_columns().values())
        excluded = {*scores.columns, *taken, *asked}
        shared = [name for name in predictions.columns if labels.find(name) is not None and name not in excluded]
        shared = [name for name in shared if not is_weight(name) and labels.find(name) not in taken]
        named = tuple(name for name in shared if not is_index(name))
        if predictions.headerless or labels.headerless:
            return (), ()
        if not named:
            return _shared_index(predictions, labels)
        mine = named
    return mine, tuple(labels.require(name, "--id-col") for name in mine)


def _id_pair(name: str, predictions: TableInfo, labels: TableInfo) -> tuple[str, str]:
    """Return a key column as both files spell it: NAME, or NAME=NAME."""
    mine, equals, other = name.partition("=")
    if not equals or predictions.find(name) is not None:
        mine = other = name
    return predictions.require(mine, "--id-col"), labels.require(other, "--id-col")


def _shared_index(predictions: TableInfo, labels: TableInfo) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the index columns of two data frames, which CSV and Parquet call differently; none unless each has one."""
    mine = tuple(name for name in predictions.columns if is_index(name))
    other = tuple(name for name in labels.columns if is_index(name))
    return (mine, other) if len(mine) == len(other) == 1 else ((), ())
