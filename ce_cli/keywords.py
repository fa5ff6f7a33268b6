"""Options from Python's keyword arguments: each value becomes what the command line would give, or is refused.

What an option takes is read off the type of its field in `Options`, so a new option needs nothing here.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any

from ce_cli.errors import CeError, Problem, described, fail
from ce_cli.plan import LEAST_REPLICATES, USUAL_REPLICATES, Options

# Options that name columns, and those that take what is no text by its text, as a class 0 is the class "0".
_COLUMNS = frozenset(name for name in Options.__dataclass_fields__ if name.endswith("_col"))
_OF_COLUMNS = _COLUMNS | {"cluster", "by", "show", "pred_cols", "models"}
_BY_TEXT = _OF_COLUMNS | {"positive", "base", "input_base", "reference"}
_WANTED = {"reference": "a model's name"}
_BESIDE = ("by", "show", "id_col")
_EXAMPLES = {
    "bins": "bins='quantile:10', or the edges: bins=[0, 1, 2, 4]",
    "bootstrap": f"bootstrap={USUAL_REPLICATES} is a usual number; {LEAST_REPLICATES} is the least",
    "class_weights": "class_weights={'cat': 2.0}, or class_weights='balanced'",
    "label_col": "several columns are written 'A,B'",
}


class _UnfitError(Exception):
    """A value is not of the type that an option takes; says what the option takes."""


def options_from(values: Mapping[str, Any], beside: Iterable[str] = ()) -> Options:
    """Build options from keyword arguments. Raises bad_option for every argument that is no option or of the wrong type.

    beside: the names of further arguments, which may be meant where one is no option.
    """
    known = Options.__dataclass_fields__
    problems, fitting = [], {}
    for name, value in values.items():
        if name not in known:
            problems.append(_unknown(name, beside))
            continue
        try:
            fitting[name] = _fitting(name, str(known[name].type), value)
        except _UnfitError as error:
            problems.append(_unfit(name, value, str(error)))
    if problems:
        raise CeError(*problems)
    return Options.from_mapping(fitting)


def path_from(name: str, value: Any, hint: str | None = None) -> str:
    """Return a path that an argument holds. Raises bad_option where it holds none."""
    if isinstance(value, (str, os.PathLike)):
        return str(os.fspath(value))
    raise fail("bad_option", f"{name} takes the path of a file, but got {described(value)}", hint=hint)


def texts_from(name: str, value: Any, example: str) -> tuple[str, ...]:
    """Return the texts that an argument holds, which may be one by itself. Raises bad_option where it holds anything else."""
    found = (value,) if isinstance(value, str) else value
    if isinstance(found, Iterable) and not isinstance(found, Mapping):
        found = tuple(found)
        if all(isinstance(text, str) for text in found):
            return found
    raise fail("bad_option", f"{name} takes text, or a list of texts, but got {described(value)}", hint=example)


def _unknown(name: str, beside: Iterable[str]) -> Problem:
    import difflib

    known = sorted({*Options.__dataclass_fields__, *beside})
    close = difflib.get_close_matches(name.lower().replace("-", "_"), known, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else f"the options are: {', '.join(known)}"
    return Problem("bad_option", f"there is no option {name!r}", hint=hint)


def _unfit(name: str, value: Any, takes: str) -> Problem:
    hint = _EXAMPLES.get(name)
    if name in _OF_COLUMNS and _holds_cells(value):
        hint = f"make it a column of the predictions, and pass its name: {name}='NAME'"
    return Problem("bad_option", f"{name} takes {takes}, but got {described(value)}", hint=hint)


def _fitting(name: str, type_: str, value: Any) -> Any:
    """Return a value as the option takes it: the option of a type that allows None is not given by None."""
    if value is None and type_.endswith("| None"):
        return None
    if name == "bins":
        return _bins(value)
    if type_.startswith("tuple"):
        return _names(name, value)
    if name in _BY_TEXT:
        return _name(name, value)
    for start, convert in _CONVERTERS.items():
        if type_.startswith(start):
            return convert(value)
    raise AssertionError(f"nothing converts {type_}")


def _holds_cells(value: Any) -> bool:
    """Tell whether a value is an array or a column, which has a cell for each row; a pandas index has names."""
    return hasattr(value, "dtype") and getattr(value, "ndim", 0) > 0 and not hasattr(value, "get_indexer")


def _name(name: str, value: Any) -> str:
    wanted = "a column's name" if name in _OF_COLUMNS else _WANTED.get(name, "text")
    if isinstance(value, (bytes, bool)) and name != "positive":
        raise _UnfitError(wanted)
    if _holds_cells(value) or (isinstance(value, Iterable) and not isinstance(value, (str, bytes))):
        raise _UnfitError(wanted)
    if name in _OF_COLUMNS and not (isinstance(value, str) or _is_whole(value)):
        raise _UnfitError(wanted)
    if name == "reference" and not isinstance(value, (str, Real)):
        raise _UnfitError(wanted)
    return f"{value:g}" if name in ("base", "input_base") and isinstance(value, float) else str(value)


def _names(name: str, value: Any) -> tuple[str, ...]:
    """Return several names. An array may hold those of classes or scores, but hardly those of columns to cut by."""
    if value is None:
        return ()
    wanted = "the names of columns" if name in _OF_COLUMNS else "a list of names"
    cells = name in _BESIDE and _holds_cells(value)
    if cells or isinstance(value, (Mapping, bytes)) or getattr(value, "ndim", 1) > 1:
        raise _UnfitError(wanted)
    several = isinstance(value, Iterable) and not isinstance(value, str)
    parts = tuple(value) if several else (value,)
    if name in _OF_COLUMNS and not all(isinstance(part, str) or _is_whole(part) for part in parts):
        raise _UnfitError(wanted)
    return tuple(str(part) for part in parts)


def _is_whole(value: Any) -> bool:
    """Tell whether a value is an integer, of Python or of NumPy."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _UnfitError("text")
    return value


def _truth(value: Any) -> bool:
    if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"):  # the latter of NumPy
        return bool(value)
    raise _UnfitError("True or False")


def _whole(value: Any) -> int:
    if not isinstance(value, bool) and getattr(value, "ndim", 0) == 0:
        if isinstance(value, float) and value.is_integer():
            return int(value)
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise _UnfitError("a whole number")


def _real(value: Any) -> float:
    if isinstance(value, Real) and not isinstance(value, bool):
        return float(value)
    raise _UnfitError("a number")


def _text_or_real(value: Any) -> str | float:
    try:
        return value if isinstance(value, str) else _real(value)
    except _UnfitError:
        raise _UnfitError("a number or auto") from None


def _size(value: Any) -> str | int:
    try:
        return value if isinstance(value, str) else _whole(value)
    except _UnfitError:
        raise _UnfitError("a number of bytes, or a size such as '500M'") from None


def _weights(value: Any) -> str | dict[str, float]:
    if isinstance(value, str):
        return value
    try:
        return {str(label): _real(weight) for label, weight in value.items()}
    except (AttributeError, _UnfitError):
        raise _UnfitError("text, or a mapping of classes to numbers") from None


def _bins(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return ",".join(repr(_real(edge)) for edge in value)
    except (TypeError, _UnfitError):
        raise _UnfitError("text, or the edges as a list of numbers") from None


# By what the type of a field begins with; the longer ones first.
_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "str | float": _text_or_real,
    "str | int": _size,
    "str | Mapping": _weights,
    "str": _text,
    "bool": _truth,
    "int": _whole,
    "float": _real,
}
