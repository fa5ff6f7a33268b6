"""Which columns hold tokens: a log-probability or K scores for each, a list of them for each sequence, or their sum."""

from __future__ import annotations

import fnmatch
from dataclasses import replace
from typing import TYPE_CHECKING

from ce_cli.columns import (
    LABEL_NAMES,
    PREFIXES,
    Kind,
    Layout,
    Role,
    Scores,
    TableInfo,
    is_id,
    is_index,
    is_weight,
    listed,
)
from ce_cli.deciding.layout import decide
from ce_cli.errors import fail
from ce_cli.labels import ClassLookup, LabelCodec
from ce_cli.plan import Scale
from ce_cli.readers.arrays import number
from ce_cli.report import Issue
from ce_cli.tasks.base import Context
from ce_cli.tasks.classes import resolve, with_list_size
from ce_cli.tasks.planning import common, refuse
from ce_cli.tasks.token_rows import UNSCORED_WORDS
from ce_cli.tasks.weights import class_weights

if TYPE_CHECKING:
    from ce_cli.columns import Side
    from ce_cli.plan import Options
    from ce_cli.readers.base import Meaning
    from ce_cli.tasks.planning import Request

# The first of these that is there names the sequence of a row.
SEQUENCE_NAMES = ("seq_id", "sequence_id", "sequence", "doc_id", "sentence_id")
TOKEN_NAMES = ("token", *LABEL_NAMES)
_LOG_NAMES = ("logprob", "log_prob", "token_logprob", "logp")
_PROB_NAMES = ("prob", "probability", "p")
# What a column is to the task, and the option that names it.
_OPTIONS = {
    "sequence": "sequence_col",
    "count": "token_count_col",
    "text": "text_col",
    "bytes": "bytes_col",
    "words": "words_col",
}
# Rows that are the sum of a document whose number of tokens is not known.
DOCUMENTS = "documents"
_UNKNOWN_TOKENS = Issue(
    "unknown_tokens",
    "note",
    "the file does not say how many tokens a document has: the loss is that of documents, without any of tokens",
)
_KINDS = {"sequence": Kind.TEXT, "text": Kind.TEXT}


def claims(request: Request) -> bool:
    """Tell whether files are of tokens: their format or an option says so, or a lone log-probability of a sequence does."""
    options, table = request.options, request.predictions
    meaning = request.files[0].meaning
    if meaning is not None:
        return meaning.task == "tokens"
    if options.token_col is not None or any(getattr(options, name) is not None for name in _OPTIONS.values()):
        return True
    if request.labels is not None or options.label_col or _named(table, LABEL_NAMES) or options.pred_cols:
        return False
    column = _log_column(table)
    if column is None or any(name.lower().startswith(("label_", "target_")) for name in table.columns):
        return False
    return _is_sequence(table, column) or _named(table, SEQUENCE_NAMES) is not None


def prepare(request: Request) -> Context:
    """Decide on everything for a task of tokens."""
    meaning = request.files[0].meaning
    if meaning is not None and meaning.task != "tokens":
        meaning = None
    refuse(
        request,
        "tokens",
        positive="there is no positive class among tokens",
        ece_bins="it has no calibration error",
        calibration="it compares the probabilities of classes with their frequencies, and only what came is told of a token",
    )
    roles = _roles(request, meaning)
    if _has_classes(request, meaning, roles):
        return _prepare_classes(request, roles)
    return _prepare_single(request, meaning, roles)


def _roles(request: Request, meaning: Meaning | None) -> dict[str, Role]:
    """Return the columns that an option, the format or their name tells."""
    options, table, roles = request.options, request.predictions, {}
    for role, option in _OPTIONS.items():
        chosen, side = getattr(options, option), table
        if chosen is not None and table.find(chosen) is None and request.labels is not None:
            side = request.labels
        name = None if chosen is None else side.require(chosen, "--" + option.replace("_", "-"))
        if name is None and meaning is not None:
            name = meaning.roles.get(role)
            if role == "count" and name is not None and not any(table.columns[name].cells):
                name = None  # the format has a place for it, but nobody filled it
        if name is None and role == "sequence" and meaning is None:
            name = _named(table, SEQUENCE_NAMES)
        if name is not None:
            where: Side = "predictions" if side is table else "labels"
            roles[role] = Role(name, where, _KINDS.get(role, Kind.NUMBER))
    return roles


def _named(table: TableInfo, names: tuple[str, ...]) -> str | None:
    return next((found for name in names if (found := table.find(name)) is not None), None)


def _log_column(table: TableInfo) -> str | None:
    """Return the one column of log-probabilities, by its name."""
    found = _named(table, (*_LOG_NAMES, *(f"{name}s" for name in _LOG_NAMES)))
    if found is not None:
        return found
    alike = [name for name in table.columns if name.lower().startswith(_LOG_NAMES)]
    return alike[0] if len(alike) == 1 else None


def _is_sequence(table: TableInfo, name: str) -> bool:
    """Tell whether a column holds a list of scores in each row: as a list, or as text such as -1.5 -0.25.

    One such cell among the first is enough; the others are checked like every row.
    """
    column = table.columns[name]
    if column.kind == "list":
        return True
    cells = [cell for cell in column.cells if cell]
    return column.kind == "text" and any(map(_is_list_text, cells))


def _is_list_text(cell: str) -> bool:
    words = "".join(" " if mark in "[](),;" else mark for mark in cell).split()
    try:
        return bool([number(word) for word in words if word not in UNSCORED_WORDS]) and len(words) > 1
    except ValueError:
        return False


def _has_classes(request: Request, meaning: Meaning | None, roles: dict[str, Role]) -> bool:
    """Tell whether each row has the scores of all tokens: several columns, or a list beside the label."""
    options, table = request.options, request.predictions
    if meaning is not None or "count" in roles:
        return False
    columns = _chosen(table, options)
    if not columns:
        families = [[name for name in table.columns if name.lower().startswith(prefix)] for prefix in PREFIXES]
        columns = max(families, key=len)
    if len(columns) > 1:
        return True
    named = options.label_col or options.token_col or _named(table, TOKEN_NAMES)
    labelled = request.labels is not None or named is not None
    if columns:
        return labelled and table.columns[columns[0]].kind == "list"
    return labelled and any(column.kind == "list" for column in table.columns.values())


def _chosen(table: TableInfo, options: Options) -> list[str]:
    chosen: list[str] = []
    for pattern in options.pred_cols:
        found = [pattern] if pattern in table.columns else fnmatch.filter(table.columns, pattern)
        chosen += found or [table.require(pattern, "--pred-cols")]
    return chosen


def _prepare_classes(request: Request, roles: dict[str, Role]) -> Context:
    """Decide on tokens with K scores and a label each."""
    options, table = request.options, request.predictions
    label = options.label_col or options.token_col
    if label is None:
        label = _named(request.label_table, TOKEN_NAMES)
    taken = {role.column for role in roles.values() if role.side == "predictions"}
    seen = table if request.labels is not None else _without(table, taken)
    layout = decide(seen, request.labels, replace(options, label_col=label))
    if len(layout.labels) != 1:
        raise fail("bad_option", "a token has one label", hint="name its column with --label-col")
    layout = with_list_size(layout, table, options)
    layout, names, _, single = resolve(layout._replace(ids=_ids(request, layout, roles)), options, [])
    if single:
        raise fail("bad_option", "a list of one score tells no token from another", file=table.path)
    if len(set(names)) != len(names):
        raise fail("ambiguous_columns", "two score columns have the same name", file=table.path)
    if options.label_smoothing and len(names) < 2:
        raise fail("bad_option", "--label-smoothing needs the scores of all tokens")
    layout = layout._replace(roles=roles)
    weights = class_weights(request, names)
    if weights is not None and not all(weights):
        raise fail("bad_option", "a class weight of 0 leaves tokens out: name them with --ignore-label instead")
    plan = common(
        request,
        layout,
        Scale(options.input or layout.scores.scale or "probs"),
        task="tokens",
        classes=names,
        single_score=False,
        class_weights=weights,
        details=_details(roles),
    )
    codec = LabelCodec(ClassLookup(names), options.ignore_label)
    return Context(plan, layout, codec, table.path, request.label_table.path)


def _ids(request: Request, layout: Layout, roles: dict[str, Role]) -> tuple[str, ...]:
    """Return the key of two files; rows of one file are told by their own id or by their sequence."""
    if request.labels is not None:
        return layout.ids
    if request.options.id_col:
        return tuple(request.predictions.require(name, "--id-col") for name in request.options.id_col)
    return (roles["sequence"].column,) if "sequence" in roles else ()


def _without(table: TableInfo, names: set[str]) -> TableInfo:
    kept = {name: column for name, column in table.columns.items() if name not in names}
    return TableInfo(table.path, kept, table.headerless)


def _prepare_single(request: Request, meaning: Meaning | None, roles: dict[str, Role]) -> Context:
    """Decide on tokens, lists of them or their sums that have one log-probability or probability each."""
    options, table = request.options, request.predictions
    if request.labels is not None:
        raise fail(
            "bad_option",
            f"{table.path} has one score for each token, which needs no labels",
            hint="leave --labels out; or name a score column for each token of the vocabulary with --pred-cols",
        )
    refuse(
        request,
        "tokens",
        classes="there is one score for each token",
        label_smoothing="it needs the scores of all tokens",
        class_weights="it needs the scores of all tokens; --weight-col weighs rows",
        row_sum="there is one score for each token",
    )
    column = _score_column(request, meaning, roles)
    scale = Scale(options.input or (meaning.input if meaning is not None else _scale_of(column)))
    if scale is Scale.LOGITS:
        raise fail("bad_option", "--input logits needs the scores of all tokens, but there is one for each")
    token = options.token_col or options.label_col
    token = None if token is None else table.require(token, "--token-col" if options.token_col else "--label-col")
    if token is None:
        token = _named(table, TOKEN_NAMES) if meaning is None else meaning.roles.get("token")
    if _is_sequence(table, column) or (meaning is not None and "list" in meaning.roles):
        roles = {**roles, "list": Role(column, "predictions", Kind.TEXT)}
    if "list" in roles and "count" in roles:
        raise fail("bad_option", "--token-count-col is for sums of log-probabilities, but there are lists of them")
    weight = None if options.weight_col is None else table.require(options.weight_col, "--weight-col")
    layout = Layout(
        Scores((column,), (), scale.value),
        () if token is None or token == column else (token,),
        "predictions",
        weight,
        None if weight is None else "predictions",
        (),
        "file",
        label_kind=Kind.TEXT,
        roles=roles,
    )
    layout = layout._replace(ids=_ids(request, layout, roles))
    sums = meaning is not None and "count" in meaning.roles and "count" not in roles
    base = options.input_base if meaning is None or options.input_base != "e" else meaning.input_base
    plan = common(
        request,
        layout,
        scale,
        task="tokens",
        classes=(),
        single_score=True,
        input_base=base,
        details=(*_details(roles), *([("rows-of", "documents")] if sums else [])),
        own=DOCUMENTS if sums else None,
    )
    if options.ignore_label and not layout.labels:
        raise fail("bad_option", "--ignore-label names a token, but no column holds the tokens", hint="see --token-col")
    codec = LabelCodec(ClassLookup(()), options.ignore_label)
    return Context(plan, layout, codec, table.path, table.path, (_UNKNOWN_TOKENS,) if sums else ())


def _details(roles: dict[str, Role]) -> tuple[tuple[str, str], ...]:
    """Return what the signature says of the columns that change a number."""
    names = {"sequence": "seq", "count": "count", "text": "text", "bytes": "bytes", "words": "words"}
    shown = [(short, roles[role].column) for role, short in names.items() if role in roles]
    return (*shown, *([("rows-of", "lists")] if "list" in roles else []))


def _scale_of(column: str) -> str:
    return "probs" if column.lower().startswith("prob") or column.lower() == "p" else "logprobs"


def _score_column(request: Request, meaning: Meaning | None, roles: dict[str, Role]) -> str:
    """Return the column of the scores: that of the option, of the format, of a known name, or the only one left."""
    options, table = request.options, request.predictions
    chosen = _chosen(table, options)
    if chosen:
        return chosen[0]
    if meaning is not None:
        return meaning.roles["logprob"]
    if options.input in (None, "logprobs"):
        found = _log_column(table)
        if found is not None:
            return found
    if options.input != "logprobs":
        found = _named(table, _PROB_NAMES)
        if found is not None:
            return found
    taken = {role.column for role in roles.values()} | {*options.id_col, options.weight_col, options.token_col}
    left = [
        name
        for name, column in table.columns.items()
        if name not in taken and not (is_id(name) or is_index(name) or is_weight(name))
        if name.lower() not in TOKEN_NAMES and (column.kind in ("number", "list") or _is_sequence(table, name))
    ]
    if len(left) == 1:
        return left[0]
    raise fail(
        "ambiguous_columns" if left else "unknown_column",
        f"several columns could be the log-probability of a token: {listed(left)}"
        if left
        else "no column is the log-probability of a token",
        file=table.path,
        hint=f"name it with --pred-cols, and with --input what it is; the columns are: {listed(table.columns)}",
    )
