"""Arrays that grow at their end. Room for all that is to come is taken early: what is not written to takes no memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Whole = npt.NDArray[np.signedinteger]

_MOST_ROOM = 64  # times what is there
_SPARE = 1.05
_NARROW = (np.int8, np.int16, np.int32, np.int64)


class Growing:
    """Values of one type."""

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self._block: npt.NDArray[Any] = np.zeros(0, dtype=dtype)
        self.size = 0

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the values."""
        return self._block.dtype

    @property
    def nbytes(self) -> int:
        """How much memory the values take."""
        return self.size * self._block.itemsize

    def append(self, values: npt.NDArray[Any], share: float = 1.0) -> None:
        """Add values at the end; with them, about that share of all that will come is there."""
        end = self.size + len(values)
        if end > len(self._block):
            earlier, self._block = self._block, np.empty(_room(end, share), dtype=self.dtype)
            self._block[: self.size] = earlier[: self.size]
        self._block[self.size : end] = values
        self.size = end

    def whole(self) -> npt.NDArray[Any]:
        """Return all values."""
        return self._block[: self.size]


class GrowingWhole:
    """Integers, in the narrowest type that holds them all."""

    def __init__(self) -> None:
        self._values = Growing(np.int8)
        self._least, self._most = 0, -1

    @property
    def size(self) -> int:
        """The number of values."""
        return self._values.size

    @property
    def nbytes(self) -> int:
        """How much memory the values take."""
        return self._values.nbytes

    @property
    def span(self) -> int:
        """How many whole numbers there are from the least to the greatest."""
        return self._most - self._least + 1

    def append(self, values: Whole, share: float = 1.0) -> None:
        """Add values, at least one, at the end; with them, about that share of all that will come is there."""
        least, most = int(values.min()), int(values.max())
        self._least = min(self._least, least) if self.size else least
        self._most = max(self._most, most) if self.size else most
        dtype = narrow_type(self._least, self._most)
        held = self._values
        if dtype != held.dtype:
            self._values = Growing(dtype)
            self._values.append(held.whole(), share)
        self._values.append(values, share)

    def whole(self) -> Whole:
        """Return all values; no more are to come."""
        return self._values.whole()


def _room(size: int, share: float) -> int:
    """Return how many values to take room for where so many are there."""
    return size + int(size * min(_SPARE / share - 1, _MOST_ROOM))


def narrow_type(least: int, most: int) -> np.dtype[Any]:
    """Return the narrowest type of signed integers that holds two numbers of 64 bits."""
    limits = (np.iinfo(dtype) for dtype in _NARROW)
    return next(limit.dtype for limit in limits if limit.min <= least and most <= limit.max)
