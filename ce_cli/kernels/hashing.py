"""Hashes of numbers and of texts of any length, and comparisons of such texts, a block of rows at a time.

A hash says where to look and never what was found: equality is decided on the values themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from ce_cli.arrays import Bools, Ints

Words = npt.NDArray[np.uint64]

WORD = 8  # bytes
# Bytes that must follow the last text: a text is read word by word, each from the two aligned words that it lies in.
PADDING = 2 * WORD

_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_ODD = np.uint64(0x9E3779B97F4A7C15)
_KEPT = np.array([0xFFFFFFFFFFFFFFFF >> (64 - 8 * size) if size else 0 for size in range(WORD + 1)], dtype=np.uint64)


class Texts(NamedTuple):
    """Texts one after another: `words` are their bytes, padded, as `(m,) uint64`; `offsets` `(n + 1,)` in bytes."""

    words: Words
    offsets: npt.NDArray[np.signedinteger]


def mixed(values: Words) -> Words:
    """Return a hash of each 64-bit value, `(n,) uint64`; different values have different hashes.

    The finalizer of SplitMix64 (Steele, Lea and Flood 2014, with the constants of Stafford's variant 13).
    """
    result = values ^ (values >> np.uint64(30))
    result *= _FIRST
    result ^= result >> np.uint64(27)
    result *= _SECOND
    result ^= result >> np.uint64(31)
    return result


def chained(hashes: Words, values: Words) -> Words:
    """Return the hash of `values` after what `hashes` stands for, both `(n,) uint64`; the order matters."""
    return mixed(hashes * _ODD + values)


def text_hashes(texts: Texts) -> Words:
    """Return a hash of each text, `(n,) uint64`."""
    starts = texts.offsets[:-1].astype(np.int64)
    left = texts.offsets[1:] - starts
    hashes = mixed(left.view(np.uint64))
    rows = np.flatnonzero(left > 0)
    while len(rows):
        whole = len(rows) == len(hashes)  # most often: spares the gathering
        words = _load(texts.words, starts if whole else starts[rows], left if whole else left[rows])
        if whole:
            hashes = chained(hashes, words)
        else:
            hashes[rows] = chained(hashes[rows], words)
        starts, left = starts + WORD, left - WORD
        rows = rows[left[rows] > 0]
    return hashes


def same_texts(one: Texts, at: Ints, other: Texts, where: Ints) -> Bools:
    """Tell for each pair of positions, `(n,)` in either, whether the texts there are the same."""
    mine, theirs = one.offsets[at].astype(np.int64), other.offsets[where].astype(np.int64)
    left = one.offsets[at + 1] - mine
    same: Bools = left == other.offsets[where + 1] - theirs
    rows = np.flatnonzero(same & (left > 0))
    while len(rows):
        sizes = left[rows]
        differ = _load(one.words, mine[rows], sizes) != _load(other.words, theirs[rows], sizes)
        same[rows[differ]] = False
        mine, theirs, left = mine + WORD, theirs + WORD, left - WORD
        rows = rows[~differ & (sizes > WORD)]
    return same


def _load(words: Words, starts: Ints, sizes: Ints) -> Words:
    """Return the bytes from `starts` on as words; those beyond `sizes` are zero."""
    at = starts >> 3
    shift = (starts.view(np.uint64) & np.uint64(7)) << np.uint64(3)
    found = words.take(at) >> shift
    # Shifted in two steps: by 64 at once is not defined.
    found |= (words.take(at + 1) << np.uint64(1)) << (np.uint64(63) - shift)
    found &= _KEPT.take(np.minimum(sizes, WORD))
    return found
