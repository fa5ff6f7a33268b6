"""What the command writes: the table, JSON, the bare number, and files that appear whole or not at all."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.command import COMMAND, ROOT, ce, environment, lines, table, value, write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

P = "id,prob_cat,prob_dog,prob_eel\n1,.7,.2,.1\n2,.2,.5,.3\n3,.6,.3,.1\n4,.25,.5,.25\n"
L = "id,label\n4,dog\n1,cat\n2,dog\n3,dog\n"
LOSSES = [-math.log(0.7), -math.log(0.5), -math.log(0.3), -math.log(0.5)]
MEAN = math.fsum(LOSSES) / 4


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, p=P, l=L)
    return tmp_path


def test_the_table_says_what_was_decided(folder: Path) -> None:
    done = ce("p.csv", "-l", "l.csv", cwd=folder, expect=0)
    head = done.out[: done.out.index("cross_entropy")]
    for part in ("p.csv", "l.csv", "multiclass", "3 classes", "cat", "probs", "by id", "4", "column label"):
        assert part in head
    assert "0.736736 nats" in done.out
    assert done.err == ""
    assert "\x1b" not in done.out
    assert done.out.endswith("\n")
    assert max(map(len, done.out.splitlines())) <= 80


def test_json_has_every_digit(folder: Path) -> None:
    done = ce("p.csv", "-l", "l.csv", "--json", cwd=folder, expect=0)
    report = done.json
    assert done.err == ""
    assert value(report) == pytest.approx(MEAN, rel=1e-15)
    assert report["signature"].startswith(
        "ce|task:multiclass|input:probs|k:3|n:4|base:e|eps:none|rows:strict|align:id|w:none|v:"
    )
    assert report["classes"] == ["cat", "dog", "eel"]
    assert report["inputs"] == {"predictions": {"path": "p.csv", "rows": 4}, "labels": {"path": "l.csv", "rows": 4}}
    assert report["counts"]["rows"] == report["counts"]["scored"] == 4
    assert [(row["row"], row["id"], row["label"]) for row in report["worst"]] == [
        (3, "3", "dog"),
        (2, "2", "dog"),
        (4, "4", "dog"),
        (1, "1", "cat"),
    ]
    quiet = ce("p.csv", "-l", "l.csv", "-q", cwd=folder, expect=0)
    assert quiet.out == repr(value(report)) + "\n"


def test_infinities_in_json_and_alone(tmp_path: Path) -> None:
    write(tmp_path, p="prob,label\n0,1\n1,0\n.5,1\n")
    report = ce("p.csv", "--json", "--per-sample", "s.csv", cwd=tmp_path, expect=0).json
    assert report["metrics"]["cross_entropy"] == {"value": "inf"}
    assert value(report, "cross_entropy_finite") == math.log(2)
    assert report["counts"]["infinite"] == 2
    assert [row["loss"] for row in table((tmp_path / "s.csv").read_text())][:2] == ["inf", "inf"]
    assert ce("p.csv", "-q", cwd=tmp_path, expect=0).out == "inf\n"


SAMPLE_P = (
    "id,prob_a,prob_b,prob_c,w\nr1,.2,.3,.5,1\nr2,1,0,0,0\nr3,.2,.3,x,1\nr4,.1,.2,.7,2.5\n"
    "r5,.3,.3,.4,1\nr6,.5,.25,.25,1\nr7,1e-20,.5,.5,1\n"
)
SAMPLE_L = "id,label\nr6,a\nr5,skip\nr4,c\nr3,a\nr2,b\nr1,b\nr7,a\n"
OPTIONS = ("--weight-col", "w", "--on-invalid", "drop", "--ignore-label", "skip")


def test_losses_of_every_row(tmp_path: Path) -> None:
    write(tmp_path, p=SAMPLE_P, l=SAMPLE_L)
    report = ce("p.csv", "-l", "l.csv", *OPTIONS, "--json", "--per-sample", "s.csv", cwd=tmp_path, expect=0).json
    ce("p.csv", "-l", "l.csv", *OPTIONS, "-q", "--per-sample", "s.parquet", "--chunk-rows", "2", cwd=tmp_path, expect=0)
    rows = table((tmp_path / "s.csv").read_text())
    assert list(rows[0]) == ["id", "label", "predicted", "prob", "loss", "weight"]
    assert [row["id"] for row in rows] == ["r1", "r2", "r3", "r4", "r5", "r6", "r7"]
    assert [row["label"] for row in rows] == ["b", "b", "a", "c", "skip", "a", "a"]
    assert [row["predicted"] for row in rows] == ["c", "a", "", "c", "", "a", "b"]
    left_out = [row["id"] for row in rows if row["loss"] == ""]
    assert left_out == ["r3", "r5"]
    assert all(row["prob"] == "" for row in rows if row["id"] in left_out)
    scored = [(float(row["loss"]), float(row["weight"])) for row in rows if row["loss"] and float(row["weight"])]
    total = math.fsum(loss * weight for loss, weight in scored) / math.fsum(weight for _, weight in scored)
    assert value(report) == pytest.approx(total, rel=1e-15)
    expected = [0.3, 0.7, 0.5, 1e-20]
    assert [loss for loss, _ in scored] == pytest.approx([-math.log(prob) for prob in expected], rel=1e-15)
    for row in rows:
        assert row["loss"] in ("", "inf") or float(repr(float(row["loss"]))) == float(row["loss"])
    columns = pq.read_table(tmp_path / "s.parquet").to_pydict()
    assert list(columns) == list(rows[0])
    assert columns["loss"] == [float(row["loss"]) if row["loss"] else None for row in rows]
    assert columns["predicted"] == [row["predicted"] or None for row in rows]


def test_an_id_called_like_a_column_of_the_file_is_kept(tmp_path: Path) -> None:
    write(tmp_path, p="loss,x\nL1,.9\n", l="loss,y\nL1,1\n")
    done = ce("p.csv", "-l", "l.csv", "--pred-cols", "x", "--per-sample", "-", cwd=tmp_path)
    assert done.code == 2 or "L1" in done.out


def test_rows_are_numbered_where_there_is_no_id(tmp_path: Path) -> None:
    write(tmp_path, p="prob,label\n.9,1\n.2,0\n.6,1\n")
    done = ce("p.csv", "--per-sample", "-", "--chunk-rows", "1", cwd=tmp_path, expect=0)
    assert [row["row"] for row in table(done.out)] == ["1", "2", "3"]
    assert "cross_entropy" in done.err


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_rows_on_standard_output_come_once_though_the_files_turn_out_to_need_a_join(jobs: str, tmp_path: Path) -> None:
    keys = [f"k{row}" for row in range(40)]
    write(
        tmp_path,
        p=lines("id,prob", *((key, 0.5) for key in keys)),
        l=lines("id,label", *((key, 1) for key in [*keys[:29], *reversed(keys[29:])])),
    )
    done = ce("p.csv", "-l", "l.csv", "--per-sample", "-", "--chunk-rows", "5", "-j", jobs, cwd=tmp_path, expect=0)
    assert len(done.out.splitlines()) == 41
    assert [row["id"] for row in table(done.out)] == keys


def test_the_losses_sum_to_the_mean(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    prob, label = rng.random(20_000), rng.integers(0, 2, size=20_000)
    write(tmp_path, p=lines("prob,label", *((repr(float(p)), y) for p, y in zip(prob, label, strict=True))))
    report = ce("p.csv", "--json", "--base", "2", "--per-sample", "s.csv", cwd=tmp_path, expect=0).json
    losses = [float(row["loss"]) for row in table((tmp_path / "s.csv").read_text())]
    assert value(report) == pytest.approx(math.fsum(losses) / 20_000, rel=1e-15)
    exact = [-math.log2(p) if y else -math.log1p(-p) / math.log(2) for p, y in zip(prob.tolist(), label, strict=True)]
    assert losses == pytest.approx(exact, rel=1e-15)


def stored(folder: Path, rows: int, order: Sequence[int] | None = None) -> tuple[pa.Table, pa.Table]:
    """Write predictions and labels as Parquet, the labels in an order of their own."""
    rng = np.random.default_rng(5)
    ids = pa.array(np.arange(rows) * 3)
    predictions = pa.table({"id": ids, "prob": rng.random(rows)})
    labels = pa.table({"id": ids, "label": rng.integers(0, 2, size=rows)})
    pq.write_table(predictions, folder / "p.parquet", row_group_size=1 << 15)
    pq.write_table(labels if order is None else labels.take(pa.array(order)), folder / "l.parquet")
    return predictions, labels


@pytest.mark.parametrize("order", ["same", "joined"])
@pytest.mark.parametrize("options", [("-j", "1"), ("-j", "2"), ("-j", "3", "--chunk-rows", "777")])
def test_losses_of_many_rows_in_parquet(options: tuple[str, ...], order: str, tmp_path: Path) -> None:
    rows = 300_000
    # Where a join is needed, it turns out after row groups have been written.
    shuffled = [*range(280_000), *reversed(range(280_000, rows))] if order == "joined" else None
    predictions, labels = stored(tmp_path, rows, shuffled)
    ce("p.parquet", "-l", "l.parquet", "-q", "--per-sample", "s.parquet", *options, cwd=tmp_path, expect=0)
    written = pq.read_table(tmp_path / "s.parquet")
    assert dict(zip(written.schema.names, map(str, written.schema.types), strict=True)) == {
        "id": "int64",
        "label": "int64",
        "predicted": "string",
        "prob": "double",
        "loss": "double",
        "weight": "double",
    }
    prob, label = predictions["prob"].to_numpy(), labels["label"].to_numpy()
    assert written["id"].equals(predictions["id"])
    assert written["label"].equals(labels["label"])
    assert np.array_equal(written["predicted"].to_pylist(), np.where(prob > 0.5, "1", "0"))
    assert np.array_equal(written["prob"].to_numpy(), np.where(label == 1, prob, 1 - prob))
    expected = np.where(label == 1, -np.log(prob), -np.log1p(-prob))
    assert written["loss"].to_numpy() == pytest.approx(expected, rel=1e-15)
    assert written["weight"].to_numpy().tolist() == [1.0] * rows
    assert sorted(path.name for path in tmp_path.iterdir()) == ["l.parquet", "p.parquet", "s.parquet"]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_fault_in_the_last_row_leaves_no_file(suffix: str, tmp_path: Path) -> None:
    predictions, _ = stored(tmp_path, 300_000)
    prob = predictions["prob"].to_numpy().copy()
    prob[-1] = 1.5
    pq.write_table(predictions.set_column(1, "prob", pa.array(prob)), tmp_path / "p.parquet")
    done = ce("p.parquet", "-l", "l.parquet", "--per-sample", f"s.{suffix}", cwd=tmp_path, expect=2)
    assert done.codes == ["probability_out_of_range"]
    assert "row 300000" in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["l.parquet", "p.parquet"]


def test_a_failing_run_leaves_what_was_there(folder: Path) -> None:
    (folder / "s.csv").write_text("precious")
    write(folder, bad=P + "5,x,.5,.5\n", more=L + "5,cat\n")
    before = sorted(path.name for path in folder.iterdir())
    ce("bad.csv", "-l", "more.csv", "--per-sample", "s.csv", cwd=folder, expect=2)
    assert (folder / "s.csv").read_text() == "precious"
    assert sorted(path.name for path in folder.iterdir()) == before
    ce("p.csv", "-l", "l.csv", "--per-sample", "s.csv", "--gate", "cross_entropy < 0", cwd=folder, expect=1)
    assert len(table((folder / "s.csv").read_text())) == 4
    assert (folder / "s.csv").stat().st_mode & 0o777 == 0o666 & ~current_umask()
    assert sorted(path.name for path in folder.iterdir()) == before


def current_umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


CLASHES = {
    "an input": ("--per-sample", "p.csv"),
    "the labels": ("--errors", "l.csv"),
    "an input by another path": ("--per-sample", "../{here}/p.csv"),
    "each other": ("--per-sample", "s.csv", "--errors", "s.csv"),
}


@pytest.mark.parametrize("name", CLASHES)
def test_no_output_overwrites_an_input_or_another_output(name: str, folder: Path) -> None:
    options = [part.format(here=folder.name) for part in CLASHES[name]]
    done = ce("p.csv", "-l", "l.csv", *options, cwd=folder, expect=2)
    assert done.codes[0] in ("bad_option", "unwritable_output")
    assert ((folder / "p.csv").read_text(), (folder / "l.csv").read_text()) == (P, L)


@pytest.mark.parametrize("clash", [("--per-sample", "-", "--json"), ("--per-sample", "-", "-q"), ("--json", "-q")])
def test_two_outputs_cannot_share_standard_output(clash: tuple[str, ...], folder: Path) -> None:
    assert ce("absent.csv", *clash, cwd=folder, expect=2).codes == ["bad_option"]


@pytest.mark.parametrize("target", ["absent/s.csv", "p.csv/s.csv", "d.csv"])
def test_outputs_are_checked_before_anything_is_read(target: str, folder: Path) -> None:
    (folder / "d.csv").mkdir()
    assert ce("absent.csv", "--per-sample", target, cwd=folder, expect=2).codes[0] == "unwritable_output"


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("big")
    (folder / "big.csv").write_text("prob,label\n" + "0.25,1\n0.75,0\n" * 3_000_000)
    return folder


def begun(folder: Path) -> bool:
    """Tell whether the first losses have been written beside their place."""
    return any(file.stat().st_size for file in folder.glob(".s.csv.*.part"))


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_killed_run_leaves_nothing(number: signal.Signals, big: Path, tmp_path: Path) -> None:
    (tmp_path / "big.csv").hardlink_to(big / "big.csv")
    arguments = [*COMMAND, "big.csv", "--per-sample", "s.csv", "--errors", "e.csv", "-j", "2"]
    with subprocess.Popen(
        arguments,
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # a job in the background has it ignored
    ) as process:
        deadline = time.monotonic() + 20
        while not begun(tmp_path) and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.01)
        assert process.poll() is None, "the input is too small for this test"
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert process.returncode == (130 if number == signal.SIGINT else 143)
    assert "Traceback" not in err
    assert out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["big.csv"]


INTERRUPTED = """
import sys
import ce_cli.render.rows

def interrupted(*_, **__):
    raise KeyboardInterrupt

ce_cli.render.rows.ErrorsFile.__init__ = interrupted
from ce_cli.cli.main import run
sys.exit(run(sys.argv[1:]))
"""


def test_an_interrupt_while_the_files_are_opened_leaves_nothing(folder: Path) -> None:
    arguments = ("p.csv", "-l", "l.csv", "--per-sample", "s.csv", "--errors", "e.csv")
    ce(*arguments, cwd=folder, command=(sys.executable, "-c", INTERRUPTED), expect=130)
    assert sorted(path.name for path in folder.iterdir()) == ["l.csv", "p.csv"]


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
@pytest.mark.parametrize("options", ["--per-sample -", "--json"])
def test_a_closed_pipe_ends_it_quietly(options: str, big: Path) -> None:
    (big / "small.csv").write_text("prob,label\n" + "0.25,1\n" * 20_000)
    command = f'set -o pipefail; "{sys.executable}" -m ce_cli small.csv {options} | head -1'
    done = subprocess.run(
        ["bash", "-c", command], cwd=big, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    (big / "small.csv").unlink()
    assert len(done.stdout.splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert "Broken" not in done.stderr
    assert "defect" not in done.stderr
    assert done.returncode in (0, 141)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
@pytest.mark.parametrize(("bound", "code"), [("0.0001", 1), ("9", 0)])
def test_a_gate_is_judged_though_the_pipe_is_closed(bound: str, code: int, tmp_path: Path) -> None:
    write(tmp_path, p="prob,label\n" + "0.25,1\n" * 20_000)
    command = (
        f'"{sys.executable}" -m ce_cli p.csv --per-sample - --gate "cross_entropy < {bound}" | head -1\n'
        "exit ${PIPESTATUS[0]}"
    )
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, len(done.stdout.splitlines())) == (code, 1)
    assert "Traceback" not in done.stderr
    assert "Broken" not in done.stderr
    assert "defect" not in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full device")  # noqa: PTH110
@pytest.mark.parametrize("options", [(), ("-q",), ("--json",), ("--per-sample", "-")])
def test_standard_output_that_is_full(options: tuple[str, ...], folder: Path) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run(
            [*COMMAND, "p.csv", "-l", "l.csv", *options],
            cwd=folder,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode == 2
    assert "error[unwritable_output]" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_confidence_next_to_one(folder: Path) -> None:
    report = ce("p.csv", "-l", "l.csv", "--confidence", "0.9999999999999999", "--json", cwd=folder, expect=0).json
    metric = report["metrics"]["cross_entropy"]
    assert -math.inf < metric["lower"] < metric["value"] < metric["upper"] < math.inf


NASTY = ("\x1b[31mred", "[bold]loud[/bold]", "x\u202egnp", "a\rb", "\x9b2J", "line\u2028end")
ESCAPED = ("\\x1b[31mred", "[bold]loud[/bold]", "x\\u202egnp", "a\\x0db", "\\x9b2J", "line\\u2028end")


def harmless(text: str) -> bool:
    return all(char.isprintable() or char == "\n" for char in text)


def test_nothing_in_the_data_reaches_the_terminal_raw(tmp_path: Path) -> None:
    folder = tmp_path / "d\x1b[2Jir"
    folder.mkdir()
    k = len(NASTY)
    cells = [",".join([repr(1 / k)] * k) for _ in range(k)]
    rows = [f'"id{name}",{cell},"{name}"' for name, cell in zip(NASTY, cells, strict=True)]
    header = ",".join(['"id\x1b[7m"', *(f'"prob_{name}"' for name in NASTY), "label"])
    (folder / "p.csv").write_text(lines(header, *rows), newline="")
    path = f"{folder.name}/p.csv"
    options = ("--id-col", "id\x1b[7m", "--top", "9", "--gate", f"class[{NASTY[0]}].n == 1")
    done = ce(path, *options, cwd=tmp_path, env={"COLUMNS": "200"}, expect=0)
    assert harmless(done.out)
    for name in ESCAPED:
        assert name in done.out
    assert ce(path, "--json", cwd=tmp_path, expect=0).json["classes"] == list(NASTY)


def test_errors_cannot_harm_the_terminal(tmp_path: Path) -> None:
    name = "p\x1b[2J.csv"
    (tmp_path / name).write_text('id,"prob_\x1b]0;t\x07","prob_b"\n"\x1b[5m",.5,.5\n2,"x\x1b[1m",.5\n')
    write(tmp_path, l='id,label\n"\x1b[5m","wh\u202eat"\n2,b\n')
    done = ce(name, "-l", "l.csv", cwd=tmp_path, expect=2)
    assert done.codes == ["unknown_label", "not_a_number"]
    assert harmless(done.err)
    assert "\\u202e" in done.err
    assert "\\x1b" in done.err
    done = ce("\x1b[31mabsent", "--label-col", "[red]x", "--gate", "\x1b[31m < 1", cwd=tmp_path, expect=2)
    assert harmless(done.err)


@pytest.mark.parametrize(
    ("options", "env", "colored"),
    [
        ((), {}, False),
        (("--color",), {}, True),
        (("--color",), {"NO_COLOR": "1"}, True),
        (("--no-color",), {"FORCE_COLOR": "1"}, False),
        ((), {"FORCE_COLOR": "1"}, False),
    ],
)
def test_color(options: tuple[str, ...], env: dict[str, str], colored: bool, folder: Path) -> None:
    done = ce("p.csv", "-l", "l.csv", "--gate", "cross_entropy > 9", *options, cwd=folder, env=env, expect=1)
    assert ("\x1b[" in done.out) is colored


@pytest.mark.parametrize("columns", [60, 200])
def test_the_width_of_the_table(columns: int, folder: Path) -> None:
    done = ce("p.csv", "-l", "l.csv", cwd=folder, env={"COLUMNS": str(columns)}, expect=0)
    assert max(map(len, done.out.splitlines())) <= columns


LOCALES = ({"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"})


@pytest.mark.parametrize("env", LOCALES)
def test_a_terminal_without_unicode(env: dict[str, str], tmp_path: Path) -> None:
    write(tmp_path, p="prob_k\u00e4se,prob_\u732b,label\n.7,.3,k\u00e4se\n.4,.6,\u732b\n")
    for form in ((), ("--json",), ("-q",), ("--per-sample", "-")):
        done = ce("p.csv", *form, cwd=tmp_path, env=env, expect=0)
        assert done.raw_out
    report = ce("p.csv", "--json", cwd=tmp_path, env=env, expect=0).json
    assert report["classes"] == ["k\u00e4se", "\u732b"]
    ce("p.csv", "--label-col", "\u732b", cwd=tmp_path, env=env, expect=2)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="file names there are text")
def test_a_file_name_that_is_no_text(tmp_path: Path) -> None:
    name = os.fsdecode(b"p\xff.csv")
    (tmp_path / name).write_text("prob,label\n.7,1\n.4,0\n")
    for form in ((), ("--json",)):
        done = ce(name, *form, cwd=tmp_path, expect=0)
        assert "udcff" in done.out
    ce(os.fsdecode(b"\xfe.csv"), "--json", cwd=tmp_path, expect=2)


def test_progress_goes_to_standard_error(folder: Path) -> None:
    plain = ce("p.csv", "-l", "l.csv", "--json", cwd=folder, expect=0)
    shown = ce("p.csv", "-l", "l.csv", "--json", "--progress", cwd=folder, expect=0)
    assert shown.out == plain.out


def test_the_package_is_the_one_of_this_tree() -> None:
    done = ce("-c", "import ce_cli; print(ce_cli.__file__)", cwd=ROOT, command=(sys.executable,), expect=0)
    assert done.out.startswith(str(ROOT))
