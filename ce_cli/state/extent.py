"""The least and the largest of some values: looked for once, since several statistics need them of the same rows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Extent(NamedTuple):
    """Bounds of some values; 0 and 0 where there are none."""

    least: float
    largest: float

    @property
    def magnitude(self) -> float:
        """The largest magnitude within the bounds."""
        return max(self.largest, -self.least)

    def times(self, other: Extent) -> Extent | None:
        """Return the bounds of rounded products of values within these and the other bounds; None where a sign may change."""
        if self.least < 0 or other.least < 0:
            return None
        return Extent(self.least * other.least, self.largest * other.largest)


def extent_of(values: npt.NDArray[np.floating]) -> Extent:
    """Return the extent of floats of any shape; NaN and NaN where one is NaN."""
    return Extent(float(values.min()), float(values.max())) if values.size else Extent(0.0, 0.0)


def top_exponent(extent: Extent) -> int | None:
    """Return e with |value| < 2**e within the bounds, None where they are zero. Raises ValueError where one is not finite."""
    if extent.magnitude == 0.0:
        return None
    if not math.isfinite(extent.magnitude):
        raise ValueError("an exact sum takes finite values only")
    return math.frexp(extent.magnitude)[1]
