"""Work shared out to processes comes to the same as in one, faults and all.

The processes that run the tests have threads of their own, so what forks runs in a fresh one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ce_cli.columns import Kind
from ce_cli.readers.base import Divisible
from ce_cli.readers.files import open_data
from ce_cli.workers import Workers

# Runs each command line of standard input and prints, as JSON, its exit code, what it prints and how many shares there were.
COMMANDS = """
import contextlib, io, json, sys
from ce_cli import engine, workers
from ce_cli.cli.main import run
engine._WORTH_FORKING = 0
shared, spread = [], workers.Workers.spread
def counted(self, function, items, watch):
    shared.append(len(items))
    assert self.can_fork()
    return spread(self, function, items, watch)
workers.Workers.spread = counted
for arguments in json.load(sys.stdin):
    shared.clear()
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        code = run(arguments)
    print(json.dumps([code, out.getvalue(), sum(shared)]))
"""


def in_a_fresh_process(program: str, *, told: Any = None) -> str:
    environment = {"OPENBLAS_NUM_THREADS": "1", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(told),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks")


def table(rows: int, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    generator = np.random.default_rng(seed)
    ids = [f"k{number}" for number in range(rows)]
    prob, label = generator.random(rows), generator.integers(0, 2, rows)
    weight = generator.integers(0, 3, rows).astype(float)
    return {"id": ids, "prob": prob}, {"id": ids, "label": label, "weight": weight}


def written(path: Path, columns: dict[str, Any], group: int) -> str:
    pq.write_table(pa.table(columns), path, row_group_size=group)
    return str(path)


def cases(folder: Path) -> dict[str, tuple[list[str], bool]]:
    """Return command lines by name, and whether the work can be shared out."""
    mine, other = table(500, 1)
    predictions = written(folder / "p.parquet", mine, 40)
    labels = written(folder / "y.parquet", other, 40)
    uneven = written(folder / "y2.parquet", other, 33)
    whole = written(folder / "y3.parquet", other, 1000)
    late = {name: [*cells[:-2], cells[-1], cells[-2]] for name, cells in other.items()}
    bad = dict(mine, prob=np.where(np.isin(np.arange(500), (7, 333, 499)), 1.5, mine["prob"]))
    parts = folder / "parts"
    parts.mkdir()
    for number, start in enumerate(range(0, 500, 110)):
        written(parts / f"{number}.parquet", {name: cells[start : start + 110] for name, cells in mine.items()}, 30)
    mixed, empty = folder / "mixed", folder / "empty"
    for place in (mixed, empty):
        place.mkdir()
    for number, start in enumerate(range(0, 500, 100)):
        some = pa.table({name: cells[start : start + 100] for name, cells in mine.items()})
        pq.write_table(some, mixed / f"{number}.parquet", row_group_size=100, write_statistics=number != 3)
        pq.write_table(some, empty / f"{number}.parquet", row_group_size=40)
    pq.write_table(some.slice(0, 0), empty / "9.parquet")
    both = written(folder / "both.parquet", {**mine, **other}, 25)
    mixed_up = np.random.default_rng(2).permutation(500)
    shuffled = {name: np.array(cells)[mixed_up] for name, cells in other.items()}
    joined = written(folder / "y7.parquet", shuffled, 70)
    fewer = written(folder / "y8.parquet", {name: cells[20:480] for name, cells in shuffled.items()}, 70)
    twice = written(folder / "y9.parquet", {name: [*cells, cells[3]] for name, cells in shuffled.items()}, 70)
    again = dict(mine, id=[*mine["id"][:300], "k7", "k299", *mine["id"][302:]])
    lists = {"logprobs": [[-0.5 * (i % 7)] * (i % 4 + 1) for i in range(300)]}
    return {
        "same groups": ([predictions, "-l", labels], True),
        "other groups": ([predictions, "-l", uneven], True),
        "weights": ([predictions, "-l", uneven, "--weight-col", "weight"], True),
        "by position": ([predictions, "-l", uneven, "--align", "position"], True),
        "one group": ([predictions, "-l", whole], False),
        "parts": ([str(parts), "-l", uneven], True),
        "a part without statistics": ([str(mixed), "-l", written(folder / "y6.parquet", other, 100)], True),
        "an empty part at the end": ([str(empty), "-l", uneven], True),
        "one file": ([both], True),
        "a join": ([predictions, "-l", written(folder / "y4.parquet", late, 40)], True),
        "a join in any order": ([predictions, "-l", joined, "--weight-col", "weight"], True),
        "a join without some labels": ([predictions, "-l", fewer], True),
        "a join that leaves those out": ([predictions, "-l", fewer, "--missing", "drop"], True),
        "a join of faults": ([written(folder / "p4.parquet", bad, 40), "-l", joined], True),
        "a join with labels that recur": ([predictions, "-l", twice], True),
        "a join with predictions that recur": ([written(folder / "p5.parquet", again, 40), "-l", joined], True),
        "faults": ([written(folder / "p2.parquet", bad, 40), "-l", labels], True),
        "faults left out": ([str(folder / "p2.parquet"), "-l", uneven, "--on-invalid", "drop"], True),
        "a longer file": (
            [predictions, "-l", written(folder / "y5.parquet", {n: c[:-1] for n, c in other.items()}, 40)],
            True,
        ),
        "bootstrap": ([predictions, "-l", uneven, "--bootstrap", "100"], True),
        "token lists": ([written(folder / "t.parquet", lists, 20)], True),
    }


@needs_linux
def test_any_share_gives_the_same_report(tmp_path: Path) -> None:
    wanted = cases(tmp_path)
    lines = [[*arguments, "--json", "--jobs", str(jobs)] for arguments, _ in wanted.values() for jobs in (1, 2, 3)]
    answers = [json.loads(line) for line in in_a_fresh_process(COMMANDS, told=lines).splitlines()]
    for at, (name, (_, shared)) in enumerate(wanted.items()):
        alone, *together = answers[3 * at : 3 * at + 3]
        assert alone[2] == 0
        for answer in together:
            assert answer[:2] == alone[:2], name
            assert (answer[2] > 2) == shared, name


@needs_linux
def test_the_command_forks_for_large_files(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    rows = 900_000
    columns = {"prob": generator.random(rows), "label": generator.integers(0, 2, rows), "more": generator.random(rows)}
    path = written(tmp_path / "large.parquet", columns, 90_000)
    program = COMMANDS.replace("engine._WORTH_FORKING = 0", "")
    lines = [[path, "--pred-cols", "prob", "--json", "--jobs", jobs] for jobs in ("1", "2")]
    alone, shared = (json.loads(line) for line in in_a_fresh_process(program, told=lines).splitlines())
    assert shared[:2] == alone[:2]
    assert (alone[2], shared[2]) == (0, 10)


@needs_linux
def test_every_item_is_taken_once_and_progress_is_told() -> None:
    program = """
import time
from ce_cli.forks import spread
def take(share):
    taken = []
    for item in share:
        taken.append(item)
        share.note(item)
        time.sleep(0.001)
    return taken
told = []
results = spread(take, range(100), 4, told.append)
assert sorted(sum(results, [])) == list(range(100)) and len(results) == 4, results
assert sorted(told) == told and told[-1] == sum(range(100)), told
print(sum(map(len, results)))
"""
    assert in_a_fresh_process(program) == "100\n"


@needs_linux
def test_of_several_exceptions_that_of_the_first_item_is_raised() -> None:
    program = """
import os
from ce_cli.errors import CeError, fail
from ce_cli.forks import spread
def take(share):
    for item in share:
        if item >= 5:
            raise fail("bad_option", f"item {item}")
for processes in (1, 2, 3):
    try:
        spread(take, range(50), processes, lambda done: None)
    except CeError as error:
        print(error.problems[0].message)
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print("no child is left")
"""
    assert in_a_fresh_process(program) == "item 5\n" * 3 + "no child is left\n"


@needs_linux
def test_a_process_that_is_killed_is_told() -> None:
    program = """
import os, signal, time
from ce_cli.forks import WorkerKilledError, spread
parent = os.getpid()
def take(share):
    for item in share:
        if os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.01)
try:
    spread(take, range(200), 2, lambda done: None)
except WorkerKilledError as error:
    print("killed" in str(error))
"""
    assert in_a_fresh_process(program) == "True\n"


@needs_linux
def test_a_process_that_is_killed_while_it_tells_its_result() -> None:
    program = """
import os, signal, time
from ce_cli.forks import WorkerKilledError, spread
parent = os.getpid()
def take(share):
    for item in share:
        time.sleep(0.01)
    if os.getpid() != parent:
        class Deadly:
            def __reduce__(self):
                os.kill(os.getpid(), signal.SIGKILL)
        return [b"x" * 300_000, Deadly()]
try:
    spread(take, range(20), 2, lambda done: None)
except WorkerKilledError as error:
    print("killed" in str(error))
"""
    assert in_a_fresh_process(program) == "True\n"


@needs_linux
def test_children_are_waited_for_where_their_end_is_ignored() -> None:
    program = """
import signal, time
from ce_cli.forks import spread
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
def take(share):
    found = [item for item in share if time.sleep(0.001) is None]
    return sum(found)
print(sum(spread(take, range(100), 3, lambda done: None)), signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN)
"""
    assert in_a_fresh_process(program) == "4950 True\n"


@needs_linux
def test_children_end_with_the_process_that_is_killed() -> None:
    program = """
import os, sys, time
from ce_cli.forks import spread
parent = os.getpid()
def take(share):
    for item in share:
        if os.getpid() != parent:
            print(os.getpid(), flush=True)
        for _ in range(100):
            time.sleep(0.1)
            share.note(1)
spread(take, range(2), 2, lambda done: None)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.kill()
        process.wait(10)
        deadline = time.monotonic() + 10
        while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not Path(f"/proc/{child}").exists()


@needs_linux
def test_a_thread_that_has_just_ended_hinders_nothing() -> None:
    program = """
from concurrent.futures import ThreadPoolExecutor
from ce_cli.workers import Workers
found = set()
for _ in range(200):
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(abs, range(4)))
    found.add(Workers(2, forks=True).can_fork())
print(found)
"""
    assert in_a_fresh_process(program) == "{True}\n"


@given(
    groups=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    bounds=st.tuples(st.integers(0, 120), st.integers(0, 120)),
    rows=st.integers(1, 60),
)
def test_any_rows_of_any_parts(tmp_path_factory, groups, bounds, rows):
    folder = tmp_path_factory.mktemp("parts")
    total = 0
    for number, group in enumerate(groups):
        written(folder / f"{number}.parquet", {"a": np.arange(total, total + rows, dtype=np.float64)}, group)
        total += rows
    data = open_data(str(folder))
    assert isinstance(data, Divisible)
    assert data.cuts()[0] == 0
    assert data.cuts()[-1] == total
    start, stop = sorted(min(bound, total) for bound in bounds)
    if start == stop:
        return
    part = data.between(start, stop)
    with Workers(1) as workers:
        found = [batch.column("a").to_pylist() for batch in part.batches({"a": Kind.NUMBER}, workers)]
    assert [cell for cells in found for cell in cells] == list(range(start, stop))
    assert part.rows() == stop - start


@needs_linux
def test_a_signal_that_comes_with_the_process_ends_it_too() -> None:
    program = """
import os, signal, sys, time
from ce_cli import forks
from ce_cli.render.encoder import Encoder
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
fork = os.fork
def signalled():
    pid = fork()
    if pid:
        os.kill(os.getpid(), signal.SIGTERM)
    return pid
os.fork = signalled
def take(share):
    for item in share:
        time.sleep(60)
for start in (lambda: forks.spread(take, range(2), 2, lambda done: None), lambda: Encoder(open(os.devnull, "wb"))):
    try:
        start()
    except SystemExit as left:
        print(left.code)
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        print("no child is left")
"""
    assert in_a_fresh_process(program) == 2 * "143\nno child is left\n"
