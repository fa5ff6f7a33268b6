"""Holm's adjustment, against its published example and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ce_cli.kernels.holm import adjusted


def test_an_example_by_hand() -> None:
    assert adjusted(np.array([0.01, 0.04, 0.03, 0.005])).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), max_size=20))
def test_it_rejects_what_the_procedure_in_steps_does(p: list[float]) -> None:
    found = adjusted(np.array(p, dtype=np.float64))
    for level in (0.01, 0.05, 0.2):
        rejected, order = set(), sorted(range(len(p)), key=lambda at: p[at])
        for rank, at in enumerate(order):
            if p[at] * (len(p) - rank) > level:
                break
            rejected.add(at)
        assert {at for at in range(len(p)) if found[at] <= level} == rejected
