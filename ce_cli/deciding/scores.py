"""Which columns are the scores: by what they are called, by what else is known, and by what the first rows hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ce_cli.columns import (
    LABEL_NAMES,
    PREFIXES,
    STRONG_SCORES,
    WEAK_SCORES,
    Scores,
    columns_listed,
    is_id,
    is_index,
    is_weight,
    listed,
    unknown_column,
)
from ce_cli.errors import CeError, Problem, fail

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ce_cli.columns import TableInfo
    from ce_cli.plan import Options


_HARD_PREDICTIONS = WEAK_SCORES[2:]
_LIST_NAMES = {"logprob": "logprobs", "logit": "logits", "prob": "probs"}
_MOST_NAMED = 6  # columns in a hint
_SUM_TOLERANCE = 0.01  # of a sample row: only to tell which columns belong together, every row is verified later


def find_scores(
    table: TableInfo, options: Options, taken: set[str], label_cells: Sequence[str], labels: TableInfo | None
) -> Scores:
    """Return the score columns: those that are named, else those that look like scores. Raises CeError."""
    if options.pred_cols:
        return _named_scores(table, options.pred_cols)
    free = free_columns(table, taken)
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


def free_columns(table: TableInfo, taken: set[str]) -> list[str]:
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


def tells_score(name: str, classes: Sequence[str]) -> bool:
    """Tell whether a name says that a column is a score: one that is shown as well is none the less."""
    lower = name.lower()
    return lower in (*STRONG_SCORES, *WEAK_SCORES) or lower.startswith(tuple(PREFIXES)) or name in classes


def surely_tells_score(table: TableInfo, name: str, classes: Sequence[str]) -> bool:
    """Tell whether a column has the name of a score or a class, or is one of several with the same prefix."""
    lower = name.lower()
    prefix = next((prefix for prefix in _longest_first() if lower.startswith(prefix)), None)
    family = [one for one in table.columns if prefix is not None and one.lower().startswith(prefix)]
    return table.columns[name].kind != "text" and (lower in STRONG_SCORES or name in classes or len(family) > 1)


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
    return name.lower() in _HARD_PREDICTIONS and set(table.columns[name].numbers) <= {0.0, 1.0}


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
                hint=f"name the scores with --pred-cols; {columns_listed(table)}",
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
    hint += _as_models(numeric, odd, options)
    raise fail(
        "ambiguous_columns",
        f"several columns could be scores: {listed(numeric)}",
        file=table.path,
        column=odd[0] if odd else None,
        hint=hint,
    )


def _as_models(numeric: list[str], odd: list[str], options: Options) -> str:
    """Return a remark on columns that may be those of several models, to be compared."""
    models = [name for name in numeric if name not in odd]
    if len(models) < 2 or options.compares:
        return ""
    mark = next((f"_{prefix}" for prefix in PREFIXES if any(f"_{prefix}" in name.lower() for name in models)), None)
    if mark is not None:  # several columns for the classes of each
        models = [*dict.fromkeys(name[: name.lower().index(mark)] for name in models if mark in name.lower())]
    named = ",".join(models) if len(models) <= _MOST_NAMED else "'*'"
    return f"; to compare columns of several models, pass --models {named}"


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
    scale = next((scale for start, scale in _LIST_NAMES.items() if column.lower().startswith(start)), None)
    return Scores((column,), (), scale, list_size=table.columns[column].size)


def _scale_of_name(name: str) -> str | None:
    lower = name.lower()
    if lower in ("logit", "logprob"):
        return lower + "s"
    return "probs" if lower in STRONG_SCORES else None


def _longest_first() -> list[str]:
    return sorted(PREFIXES, key=len, reverse=True)
