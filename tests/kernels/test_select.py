from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ce_cli.kernels.select import choose, mask_of, parted

N = st.shared(st.integers(0, 70), key="rows")


@given(
    N.flatmap(lambda n: hnp.arrays(np.bool_, n)),
    N.flatmap(lambda n: hnp.arrays(np.float64, n)),
    N.flatmap(lambda n: hnp.arrays(np.float64, n)),
)
def test_every_bit_is_kept(flags, yes, no):
    mask = mask_of(flags)
    assert choose(mask, yes, no).tobytes() == np.where(flags, yes, no).tobytes()
    chosen, other = parted(mask, yes, no)
    assert chosen.tobytes() == np.where(flags, yes, no).tobytes()
    assert other.tobytes() == np.where(flags, no, yes).tobytes()
