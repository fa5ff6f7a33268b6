"""The scheduler: order, bounds, and what happens to exceptions."""

from __future__ import annotations

import threading

import pytest

from ce_cli.workers import Workers


@pytest.mark.parametrize("jobs", [1, 3])
def test_items_are_passed_behind_in_order(jobs: int) -> None:
    seen: list[int] = []
    with Workers(jobs) as workers, workers.behind(seen.append) as put:
        for item in range(100):
            put(item)
    assert seen == list(range(100))


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failure_behind_is_raised(jobs: int) -> None:
    def failing(item: int) -> None:
        if item == 7:
            raise OSError("full")

    def put_all() -> None:
        with workers.behind(failing) as put:
            for item in range(8):
                put(item)

    with Workers(jobs) as workers, pytest.raises(OSError, match="full"):
        put_all()


def test_a_slow_consumer_holds_the_producer() -> None:
    go, put_so_far = threading.Event(), []
    with Workers(2) as workers, workers.behind(lambda _: go.wait(20)) as put:

        def produce() -> None:
            for item in range(50):
                put(item)
                put_so_far.append(item)

        producer = threading.Thread(target=produce)
        producer.start()
        producer.join(0.2)
        assert producer.is_alive()
        assert len(put_so_far) < 10
        go.set()
        producer.join(20)
    assert len(put_so_far) == 50


def test_what_waits_is_dropped_when_something_fails() -> None:
    begun, go, seen = threading.Event(), threading.Event(), []

    def consume(item: int) -> None:
        begun.set()
        go.wait(20)
        seen.append(item)

    def fail() -> None:
        with workers.behind(consume) as put:
            for item in range(4):
                put(item)
            begun.wait(20)
            threading.Timer(0.2, go.set).start()
            raise ValueError("elsewhere")

    with Workers(2) as workers, pytest.raises(ValueError, match="elsewhere"):
        fail()
    assert seen == [0]
