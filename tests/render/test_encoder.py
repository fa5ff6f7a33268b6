"""A per-sample file that a process of its own encodes is the same file, and its faults are told as any others."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.test_forks import cases, in_a_fresh_process, needs_linux

# Runs each command line of standard input; prints its exit code, what it prints and how many processes there were, as JSON.
COMMANDS = """
import contextlib, io, json, sys
from ce_cli import engine, forks
from ce_cli.cli.main import run
from ce_cli.render import encoder
engine._WORTH_FORKING = 0
encoder._SLOT_BYTES = 4096
begun, begin = [], forks.Child.__init__
def counted(self, *given):
    begun.append(1)
    begin(self, *given)
forks.Child.__init__ = counted
for arguments in json.load(sys.stdin):
    begun.clear()
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        code = run(arguments)
    print(json.dumps([code, out.getvalue(), len(begun)]))
"""


@needs_linux
def test_the_file_is_that_of_one_process(tmp_path: Path) -> None:
    lines = {name: line for name, (line, _) in cases(tmp_path).items() if name != "token lists"}
    told = []
    for number, line in enumerate(lines.values()):
        for jobs in (1, 2, 3):
            out = str(tmp_path / f"{number}-{jobs}.parquet")
            told.append([*line, "--json", "--top", "3", "--jobs", str(jobs), "--per-sample", out])
    results = [json.loads(text) for text in in_a_fresh_process(COMMANDS, told=told).splitlines()]
    for number, name in enumerate(lines):
        runs = results[3 * number : 3 * number + 3]
        assert runs[0][:2] == runs[1][:2] == runs[2][:2], name
        # One for each pass: a second one where the rows turned out to need a join.
        assert [begun for _, _, begun in runs] == (
            [0, 2, 2] if "join" in name or name == "a longer file" else [0, 1, 1]
        )
        files = [tmp_path / f"{number}-{jobs}.parquet" for jobs in (1, 2, 3)]
        assert [file.exists() for file in files] == [runs[0][0] == 0] * 3, name
        if runs[0][0] == 0:
            assert files[0].read_bytes() == files[1].read_bytes() == files[2].read_bytes()
    assert not list(tmp_path.glob(".*"))


@needs_linux
def test_rows_larger_than_the_shared_memory(tmp_path: Path) -> None:
    ids = ["x" * 20_000, "y", "z" * 9_000_000, *map(str, range(5000))]
    prob = np.linspace(0.1, 0.9, len(ids))
    pq.write_table(pa.table({"id": ids, "prob": prob, "label": (prob > 0.3).astype(int)}), tmp_path / "p.parquet")
    program = f"""
import sys
from ce_cli import engine
from ce_cli.cli.main import run
engine._WORTH_FORKING = 0
sys.exit(run([{str(tmp_path / "p.parquet")!r}, "-q", "--jobs", "2", "--per-sample", {str(tmp_path / "s.parquet")!r}]))
"""
    in_a_fresh_process(program)
    assert pq.read_table(tmp_path / "s.parquet")["id"].to_pylist() == ids


FAULTS = """
import os, signal, sys, time
import numpy as np, pyarrow as pa
from ce_cli.errors import CeError
from ce_cli.render.encoder import Encoder

class Full:
    closed = False
    def write(self, data):
        raise OSError(28, "No space left on device", "x.parquet")
    def flush(self):
        pass
    def tell(self):
        return 0
    def writable(self):
        return True

rows = pa.Array.from_buffers(pa.int64(), 300000, [None, pa.py_buffer(np.arange(300000))])
batch = pa.RecordBatch.from_arrays([rows], ["row"])
"""


@needs_linux
@pytest.mark.parametrize("batches", [0, 1, 20])
@pytest.mark.parametrize("jobs", [1, 3])
def test_a_disk_that_is_full(batches: int, jobs: int) -> None:
    program = f"""{FAULTS}
from ce_cli.workers import Workers
encoder = Encoder(Full())
try:
    with Workers({jobs}).behind(encoder.write) as write:
        write(batch)
        for _ in range({batches}):
            write(batch)
    encoder.close()
except OSError as error:
    print(error.errno)
for _ in range(3):
    try:
        {"encoder.write(batch)" if batches == 20 else "raise OSError(28, '')"}
    except OSError as error:
        print("again", error.errno)
encoder.discard()
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print("no child is left", sorted(os.listdir("/proc/self/fd"))[3:-1])
"""
    assert in_a_fresh_process(program) == "28\n" + 3 * "again 28\n" + "no child is left []\n"


@needs_linux
@pytest.mark.parametrize("jobs", ["2", "3"])
def test_a_file_that_may_not_grow(tmp_path: Path, jobs: str) -> None:
    generator = np.random.default_rng(0)
    prob = generator.random(400_000)
    pq.write_table(pa.table({"prob": prob, "label": (prob > 0.3).astype(int)}), tmp_path / "p.parquet")
    program = f"""
import resource, signal
from ce_cli import engine
from ce_cli.cli.main import run
engine._WORTH_FORKING = 0
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
out = {str(tmp_path / "s.parquet")!r}
print(run([{str(tmp_path / "p.parquet")!r}, "--json", "--jobs", {jobs!r}, "--chunk-rows", "5000", "--per-sample", out]))
"""
    told, code = in_a_fresh_process(program).strip().rsplit("\n", 1)
    assert code == "2"
    assert json.loads(told)["errors"][0]["code"] == "unwritable_output"
    assert [path.name for path in tmp_path.iterdir()] == ["p.parquet"]


@needs_linux
@pytest.mark.parametrize("option", [["--per-sample", "s.parquet"], []])
def test_where_there_can_be_no_more_processes(tmp_path: Path, option: list[str]) -> None:
    table = pa.table({"prob": np.linspace(0.1, 0.9, 500), "label": np.arange(500) % 2})
    pq.write_table(table, tmp_path / "p.parquet", row_group_size=50)
    program = f"""
import errno, os
from ce_cli import engine
from ce_cli.cli.main import run
engine._WORTH_FORKING = 0
os.chdir({str(tmp_path)!r})
tried = []
def fork():
    tried.append(1)
    raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
os.fork = fork
print(run(["p.parquet", "-q", "--jobs", "2", *{option!r}]), len(tried), sorted(os.listdir("/proc/self/fd"))[3:-1])
"""
    assert in_a_fresh_process(program).splitlines()[-1] == "0 1 []"
    assert not option or pq.read_table(tmp_path / "s.parquet").num_rows == 500


@needs_linux
def test_a_process_that_is_killed(tmp_path: Path) -> None:
    program = f"""{FAULTS}
encoder = Encoder(open({str(tmp_path / "x")!r}, "wb"))
encoder.write(batch)
os.kill(encoder._child._pid, signal.SIGKILL)
try:
    for _ in range(20):
        encoder.write(batch)
    encoder.close()
except CeError as error:
    print(error.problems[0].code, "killed" in error.problems[0].message)
encoder.discard()
"""
    assert in_a_fresh_process(program) == "bad_option True\n"


@needs_linux
def test_nothing_is_completed_for_a_process_that_is_killed(tmp_path: Path) -> None:
    program = f"""{FAULTS}
from ce_cli.forks import Child
def work():
    encoder = Encoder(open({str(tmp_path / "x")!r}, "wb"))
    encoder.write(batch)
    print(encoder._child._pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
pid = os.fork()
if pid == 0:
    work()
os.waitpid(pid, 0)
"""
    child = int(in_a_fresh_process(program))
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{child}").exists()
    assert not (tmp_path / "x").read_bytes().endswith(b"PAR1")
