"""Several readers of one data set, side by side."""

from __future__ import annotations

import weakref

import pyarrow as pa

from ce_cli.columns import Kind
from ce_cli.readers.lockstep import Shared


class Counted:
    """Batches of which it is known how many are still held."""

    def __init__(self, batches: int) -> None:
        self.batches_left = batches
        self.held: list[weakref.ref[pa.RecordBatch]] = []

    def batches(self, columns, workers):
        for at in range(self.batches_left):
            batch = pa.RecordBatch.from_pydict({"a": [at], "b": [-at]})
            self.held.append(weakref.ref(batch))
            yield batch
            del batch

    def alive(self) -> int:
        return sum(one() is not None for one in self.held)


def test_what_all_have_read_is_forgotten():
    data = Counted(200)
    shared = Shared(data)
    one, two = shared.reader({"a": Kind.NUMBER}), shared.reader({"b": Kind.NUMBER})
    most, found = 0, []
    for mine, other in zip(one.batches({"a": Kind.NUMBER}, None), two.batches({"b": Kind.NUMBER}, None), strict=True):
        found.append((mine.column("a")[0].as_py(), other.column("b")[0].as_py()))
        most = max(most, data.alive())
    assert found == [(at, -at) for at in range(200)]
    assert most <= 3


def test_what_one_has_not_read_waits():
    shared = Shared(Counted(5))
    one, two = shared.reader({"a": Kind.NUMBER}), shared.reader({"b": Kind.NUMBER})
    assert [batch.column(0)[0].as_py() for batch in one.batches({"a": Kind.NUMBER}, None)] == [0, 1, 2, 3, 4]
    assert [batch.column(0)[0].as_py() for batch in two.batches({"b": Kind.NUMBER}, None)] == [0, -1, -2, -3, -4]
    assert isinstance(shared.reader({"a": Kind.TEXT}), Counted)
