"""Which column is what: names and a look at the first rows in, decisions out. No data is read here."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property, partial
from typing import TYPE_CHECKING, Literal, NamedTuple

from ce_cli.errors import CeError, Problem, fail

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ce_cli.plan import Options

Side = Literal["predictions", "labels"]

LABEL_NAMES = ("label", "y", "y_true", "target", "class", "truth", "obs")
ID_NAMES = ("id", "key", "uid", "row_id", "sample_id", "index")
WEIGHT_NAMES = ("weight", "sample_weight")
STRONG_SCORES = ("prob", "y_prob", "proba", "probability", "logit", "logprob")
WEAK_SCORES = ("p", "score", "prediction", "pred", "y_pred")
HARD_PREDICTIONS = WEAK_SCORES[2:]
PREFIXES = {"prob_": "probs", "p_": "probs", "proba_": "probs", "logit_": "logits", "logprob_": "logprobs"}
LIST_NAMES = {"logprob": "logprobs", "logit": "logits", "prob": "probs"}
# Prefixes of label columns that stand for one class each.
LABEL_PREFIXES = ("label_", "target_")
OUTCOME = "_outcome"  # behind the name of the score that it is the label of

_SUM_TOLERANCE = 0.01  # of a sample row: only to tell which columns belong together, every row is verified later


class Kind(Enum):
    """How the cells of a column are to be read where the format leaves a choice (as text does)."""

    NUMBER = "number"
    TEXT = "text"
    CATEGORY = "category"  # text with few distinct values


class SampleColumn(NamedTuple):
    """The first cells of a column: as text (None: empty), and as numbers where all of them are."""

    kind: Literal["number", "text", "list", "other"]
    cells: tuple[str | None, ...]
    numbers: tuple[float, ...] = ()
    size: int | None = None  # of a list
    dtype: str = "text"  # of the numbers in the file: text, float64, float32 or float16


@dataclass(frozen=True)
class TableInfo:
    """A data set as the decisions need to see it."""

    path: str
    columns: dict[str, SampleColumn]
    headerless: bool

    def find(self, name: str) -> str | None:
        """Return the column of this name; case matters only where two differ by nothing else."""
        if name in self.columns:
            return name
        alike = self._by_lower_case.get(name.lower(), [])
        return alike[0] if len(alike) == 1 else None

    @cached_property
    def _by_lower_case(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for column in self.columns:
            found.setdefault(column.lower(), []).append(column)
        return found

    def require(self, name: str, option: str) -> str:
        """Return the column that an option names, or raise unknown_column."""
        found = self.find(name)
        if found is None:
            raise unknown_column(self, name, option)
        return found


class Scores(NamedTuple):
    """The score columns: their class names where they have any, and the scale that their names tell."""

    columns: tuple[str, ...]
    names: tuple[str, ...]
    scale: str | None
    list_size: int | None = None


class Role(NamedTuple):
    """A column that means something to one task: where it stands and how it is read."""

    column: str
    side: Side
    kind: Kind


@dataclass(frozen=True, slots=True)
class Layout:
    """What every column was taken for. `ids` are the shared key columns; none means alignment by position or one file.

    labels: one column, or one for each class; none where a task has no labels. roles: further columns of a task, by what
    they mean to it.
    """

    scores: Scores
    labels: tuple[str, ...]
    label_side: Side
    weight: str | None
    weight_side: Side | None
    ids: tuple[str, ...]
    alignment: str  # "id", "position", or "file" where labels and scores stand in one file
    label_ids: tuple[str, ...] = ()  # how the labels file spells the ids
    label_kind: Kind = Kind.CATEGORY
    roles: Mapping[str, Role] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The label's column where there is one only."""
        return self.labels[0]


def unknown_column(table: TableInfo, name: str, option: str, other: TableInfo | None = None) -> CeError:
    """Return the error for a column that is not there; other: where it could have been as well."""
    import difflib

    names = [*dict.fromkeys((*table.columns, *(() if other is None else other.columns)))]
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else f"the columns are: {listed(names)}"
    return CeError(
        Problem(
            "unknown_column", f"{option} names {name!r}, which is not a column", file=table.path, column=name, hint=hint
        )
    )


def listed(names: Iterable[str], most: int = 12) -> str:
    """Return names in one line, cut where there are many."""
    names = list(names)
    more = f" … and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def decide(predictions: TableInfo, labels: TableInfo | None, options: Options, known: Scores | None = None) -> Layout:
    """Decide which columns are the label, the scores, the weight and the ids.

    known: the scores, where they were found by other means; the label may then be the only numbers left beside them.
    Raises CeError: unknown_column, ambiguous_columns, bad_option.
    """
    options = _with_outcomes(predictions, labels, options)
    label_table = predictions if labels is None else labels
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
    scores = known or _scores(predictions, options, taken, cells, labels)
    targets = _in_class_order(targets, scores, options, label_table)
    _check_roles(targets, label_side, weight, weight_side, scores)
    ids, label_ids = ((), ()) if labels is None else _ids(predictions, labels, options, scores, (*targets, weight))
    if labels is None:
        alignment = "file"
        ids = chosen_ids or recognised_ids(predictions.columns, predictions.columns)
    else:
        alignment = _alignment(options, ids)
    return Layout(scores, targets, label_side, weight, weight_side, ids, alignment, label_ids)


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
        tells = _tells_score if role.startswith("show:") else partial(_surely_tells_score, table)
        if name is not None and not tells(name, classes):
            found.add(name)
    left = [name for name in _free(table, taken | found) if table.columns[name].kind in ("number", "list")]
    return found if any(name.lower() not in LABEL_NAMES for name in left) else set()


def _surely_tells_score(table: TableInfo, name: str, classes: Sequence[str]) -> bool:
    """Tell whether a column has the name of a score or a class, or is one of several with the same prefix."""
    lower = name.lower()
    prefix = next((prefix for prefix in _longest_first() if lower.startswith(prefix)), None)
    family = [one for one in table.columns if prefix is not None and one.lower().startswith(prefix)]
    return table.columns[name].kind != "text" and (lower in STRONG_SCORES or name in classes or len(family) > 1)


def _tells_score(name: str, classes: Sequence[str]) -> bool:
    """Tell whether a name says that a column is a score: one that is shown as well is none the less."""
    lower = name.lower()
    return lower in (*STRONG_SCORES, *WEAK_SCORES) or lower.startswith(tuple(PREFIXES)) or name in classes


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
    targets: tuple[str, ...], label_side: Side, weight: str | None, weight_side: Side | None, scores: Scores
) -> None:
    if weight in targets and weight_side == label_side:
        raise fail("bad_option", f"--weight-col names {weight!r}, which is the label")
    if weight in scores.columns and weight_side == "predictions":
        raise fail("bad_option", f"--weight-col names {weight!r}, which is a score")
    taken = {*scores.columns}
    both = [name for name in targets if name in taken]
    if both and label_side == "predictions":
        raise fail("bad_option", f"{both[0]!r} is both the label and a score", hint="see --label-col and --pred-cols")


def _weight(predictions: TableInfo, labels: TableInfo | None, options: Options) -> tuple[Side | None, str | None]:
    if options.weight_col is None:
        return None, None
    if labels is not None and (found := labels.find(options.weight_col)) is not None:
        return "labels", found
    found = predictions.find(options.weight_col)
    if found is None:
        raise unknown_column(labels or predictions, options.weight_col, "--weight-col")
    return "predictions", found


def _label(
    table: TableInfo, options: Options, weight: str | None, predictions: TableInfo | None, known: Scores | None
) -> tuple[str, ...]:
    """Return the label's column, or those of several that hold a share for each class."""
    if options.label_col is not None:
        whole = table.find(options.label_col)
        names = (options.label_col,) if whole is not None else tuple(next(csv.reader([options.label_col]), []))
        return tuple(table.require(name, "--label-col") for name in names or (options.label_col,))
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
    raise _no_label(table, separate=separate)


def _no_label(table: TableInfo, *, separate: bool) -> CeError:
    """Return the error for a file in which nothing looks like a label."""
    hint = f"name the label's column with --label-col; the columns are: {listed(table.columns)}"
    if not separate:
        hint = f"if the labels are in another file, pass --labels FILE; else {hint}"
    elif any(name.lower().startswith(tuple(PREFIXES)) or name.lower() in STRONG_SCORES for name in table.columns):
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


def without_prefix(name: str, prefixes: Iterable[str]) -> str:
    """Return a name without the longest of these prefixes that it has."""
    found = max((prefix for prefix in prefixes if name.lower().startswith(prefix)), key=len, default="")
    return name[len(found) :]


def is_id(name: str) -> bool:
    """Tell whether a name is that of an id."""
    return name.lower() in ID_NAMES or name.lower().endswith("_id")


def is_index(name: str) -> bool:
    """Tell whether a name is that of a data frame's index."""
    return name.startswith("Unnamed: ") or (name.startswith("__index_level_") and name.endswith("__"))


def is_weight(name: str) -> bool:
    """Tell whether a name is that of a weight."""
    return name.lower() in WEIGHT_NAMES


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


def _scores(
    table: TableInfo, options: Options, taken: set[str], label_cells: Sequence[str], labels: TableInfo | None
) -> Scores:
    if options.pred_cols:
        return _named_scores(table, options.pred_cols)
    free = _free(table, taken)
    if options.task == "multilabel":
        named = _named_alike(table, free, label_cells)
        if named:
            return _named_scores(table, named)
    for find in (_strong_score, _prefixed_scores, _list_score, _weak_score, _single_prefixed):
        found = find(table, free, options)
        if found is not None:
            return found
    numeric = [name for name in free if table.columns[name].kind == "number" and name.lower() not in LABEL_NAMES]
    numeric = [name for name in numeric if not _is_hard_prediction(table, name)] or numeric
    return _bare_scores(table, numeric, label_cells, options, separate=labels is not None)


def _free(table: TableInfo, taken: set[str]) -> list[str]:
    """Return the columns that nothing else is known of."""
    return [
        name
        for name in table.columns
        if name not in taken and not is_id(name) and not is_index(name) and not is_weight(name)
    ]


def _named_alike(table: TableInfo, free: list[str], names: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that bear the names of the labels, where each label has one."""
    wanted = {name.lower() for name in names}
    found = tuple(name for name in free if name.lower() in wanted and table.columns[name].kind in ("number", "text"))
    return found if len(found) == len(names) > 1 else ()


def find_named(table: TableInfo, patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns that --pred-cols names, in its order. Raises unknown_column."""
    import fnmatch

    columns: list[str] = []
    for pattern in patterns:
        exact = table.find(pattern)
        matched = [exact] if exact is not None else fnmatch.filter(table.columns, pattern)
        if not matched:
            raise unknown_column(table, pattern, "--pred-cols")
        columns += [name for name in matched if name not in columns]
    return tuple(columns)


def _named_scores(table: TableInfo, patterns: tuple[str, ...]) -> Scores:
    columns = find_named(table, patterns)
    if len(columns) == 1 and table.columns[columns[0]].kind == "list":
        return _list_scores(table, columns[0])
    prefix = next((p for p in _longest_first() if all(name.lower().startswith(p) for name in columns)), None)
    if prefix is not None:
        return Scores(tuple(columns), tuple(name[len(prefix) :] for name in columns), PREFIXES[prefix])
    scale = _scale_of_name(columns[0]) if len(columns) == 1 else None
    return Scores(tuple(columns), tuple(columns) if len(columns) > 1 else (), scale)


def _strong_score(table: TableInfo, free: list[str], options: Options) -> Scores | None:
    fitting = [name for name in STRONG_SCORES if options.input in (None, "percent", _scale_of_name(name))]
    for name in (*fitting, *STRONG_SCORES):
        found = next((column for column in free if column.lower() == name), None)
        if found is None:
            continue
        if table.columns[found].kind == "list":
            return _list_scores(table, found)
        return Scores((found,), (), _scale_of_name(name))
    return None


def _prefixed_scores(table: TableInfo, free: list[str], options: Options) -> Scores | None:
    families = {
        prefix: [name for name in free if name.lower().startswith(prefix) and table.columns[name].kind != "list"]
        for prefix in PREFIXES
    }
    found = {prefix: columns for prefix, columns in families.items() if len(columns) > 1}
    if len(found) > 1 and options.input is not None:
        wanted = "probs" if options.input == "percent" else options.input
        found = {prefix: columns for prefix, columns in found.items() if PREFIXES[prefix] == wanted} or found
    if len(found) > 1:
        names = " and ".join(f"{prefix}*" for prefix in found)
        raise fail(
            "ambiguous_columns",
            f"there are columns {names}: which are the scores?",
            file=table.path,
            hint=f"choose with --pred-cols, for example --pred-cols '{next(iter(found))}*'",
        )
    for prefix, columns in found.items():
        names_without = tuple(name[len(prefix) :] for name in columns)
        return Scores(tuple(columns), names_without, PREFIXES[prefix])
    return None


def _list_score(table: TableInfo, free: list[str], options: Options) -> Scores | None:  # noqa: ARG001 - as its siblings
    lists = [name for name in free if table.columns[name].kind == "list"]
    if len(lists) > 1:
        raise fail(
            "ambiguous_columns",
            f"there are several list columns: {listed(lists)}",
            file=table.path,
            hint="choose one with --pred-cols",
        )
    return _list_scores(table, lists[0]) if lists else None


def _weak_score(table: TableInfo, free: list[str], options: Options) -> Scores | None:  # noqa: ARG001 - as its siblings
    numeric = [name for name in free if table.columns[name].kind == "number"]
    for name in WEAK_SCORES:
        found = next((column for column in numeric if column.lower() == name), None)
        if found is None:
            continue
        others = [column for column in numeric if column != found and column.lower() not in LABEL_NAMES]
        if others and _is_hard_prediction(table, found):
            continue
        return Scores((found,), (), None)
    return None


def _is_hard_prediction(table: TableInfo, name: str) -> bool:
    """Tell whether a column holds predicted classes 0 and 1 and no probabilities, by its name and its numbers."""
    return name.lower() in HARD_PREDICTIONS and set(table.columns[name].numbers) <= {0.0, 1.0}


def _single_prefixed(table: TableInfo, free: list[str], options: Options) -> Scores | None:  # noqa: ARG001 - as its siblings
    for prefix in _longest_first():
        columns = [name for name in free if name.lower().startswith(prefix) and table.columns[name].kind == "number"]
        if len(columns) == 1:
            return Scores(tuple(columns), (columns[0][len(prefix) :],), PREFIXES[prefix])
    return None


def _bare_scores(
    table: TableInfo, numeric: list[str], label_cells: Sequence[str], options: Options, *, separate: bool
) -> Scores:
    """Return the scores among columns whose names tell nothing but, perhaps, a class."""
    if not numeric:
        raise CeError(
            Problem(
                "unknown_column",
                "no column looks like a score",
                file=table.path,
                hint=f"name the scores with --pred-cols; the columns are: {listed(table.columns)}",
            )
        )
    if len(numeric) == 1:
        return Scores((numeric[0],), (), None)
    values = set(label_cells) | {cell.removesuffix(".0") for cell in label_cells}
    named = [name for name in numeric if name in values]
    odd = [name for name in numeric if name not in named and _leaves_scale(table, name, options)]
    for columns in (named, numeric):
        if len(columns) > 1 and not odd and _fits(table, columns, options):
            return _class_columns(table, columns)
    if (separate or len(named) == len(numeric)) and not odd and (named or table.headerless):
        return _class_columns(table, numeric)
    hint = "name the scores with --pred-cols A,B,… (for one of several forecasters: --pred-cols NAME)"
    if {name.lower() for name in numeric} & {"mean", "mu", "std", "sd", "sigma"}:
        hint += "; a mean and a standard deviation are scored with --bins EDGES"
    raise fail(
        "ambiguous_columns",
        f"several columns could be scores: {listed(numeric)}",
        file=table.path,
        column=odd[0] if odd else None,
        hint=hint,
    )


def _class_columns(table: TableInfo, columns: list[str]) -> Scores:
    names = [str(position) for position in range(len(columns))] if table.headerless else columns
    return Scores(tuple(columns), tuple(names), None)


def _fits(table: TableInfo, columns: list[str], options: Options) -> bool:
    """Tell whether the sample's scores in these columns, and in them alone, make a whole."""
    if options.input in ("logits", "logprobs") or options.row_sum != "strict":
        return False
    whole = 100.0 if options.input == "percent" else 1.0
    rows = list(zip(*(table.columns[name].numbers for name in columns), strict=False))
    return bool(rows) and all(abs(sum(row) - whole) <= _SUM_TOLERANCE * whole for row in rows)


def _leaves_scale(table: TableInfo, name: str, options: Options) -> bool:
    if options.input in ("logits", "logprobs"):
        return False
    most = 100.0 if options.input == "percent" else 1.0
    return any(not -1e-9 <= value <= most * 1.001 for value in table.columns[name].numbers)


def _list_scores(table: TableInfo, column: str) -> Scores:
    scale = next((scale for start, scale in LIST_NAMES.items() if column.lower().startswith(start)), None)
    return Scores((column,), (), scale, list_size=table.columns[column].size)


def _scale_of_name(name: str) -> str | None:
    lower = name.lower()
    if lower in ("logit", "logprob"):
        return lower + "s"
    return "probs" if lower in STRONG_SCORES else None


def _longest_first() -> list[str]:
    return sorted(PREFIXES, key=len, reverse=True)
