"""Columns as groups of rows: which different cells there are, and which of them each row has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ce_cli.readers.arrays import nulls, texts, view
from ce_cli.state.groups import Groups, present

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ce_cli.arrays import Ints

EMPTY = "(empty)"  # what a cell without anything in it is called


def groups_of(array: pa.Array, empty: str = EMPTY) -> Groups:
    """Return the rows of a column by the text of their cells; empty ones make a group of this name."""
    codes, words = _coded(array)
    return present(codes, [word or empty for word in words])


def _coded(array: pa.Array) -> tuple[Ints, Sequence[str | None]]:
    if isinstance(array.type, pa.BaseExtensionType):
        array = array.storage
    if pa.types.is_nested(array.type) or pa.types.is_null(array.type):
        array = texts(array)
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    words: list[str | None] = texts(array.dictionary).to_pylist()
    found = view(array.indices)
    assert found is not None  # indices are integers
    codes = found.astype(np.int64)
    empty = nulls(array.indices)
    if empty is not None:
        codes = np.where(empty, len(words), codes)
        words.append(None)
    return codes, words
