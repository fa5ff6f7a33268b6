"""What a wrong call is told: file, column, row, value and count, and what to do about it."""

from __future__ import annotations

import gzip
import io
import zipfile
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pytest

from tests.cli.command import ce, lines

if TYPE_CHECKING:
    from pathlib import Path

PROBS = lines("id,prob_cat,prob_dog", "1,0.9,0.1", "2,0.2,0.8", "3,0.6,0.4", "4,0.5,0.5")
LABELS = lines("id,label", "1,cat", "2,dog", "3,cat", "4,dog")
ONE = lines(
    "id,prob,label,country,model,amount",
    "1,0.9,1,DE,old,1.5",
    "2,0.2,0,FR,old,2.5",
    "1,0.7,1,DE,new,3.5",
    "2,0.4,0,FR,new,4.5",
)


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x", "x")
    return file.getvalue()


def arrow() -> bytes:
    file = io.BytesIO()
    feather.write_feather(pa.table({"id": [1]}), file, compression="uncompressed")
    return file.getvalue()


def numpy_file() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


class Case(NamedTuple):
    """A call, the code of its error, and what the error says."""

    arguments: str
    code: str
    says: tuple[str, ...]


CASES = {
    "a wrong column of models": Case(
        "one.csv --model-col modell", "unknown_column", ("one.csv", "modell", "did you mean model?", "country")
    ),
    "models without a common id": Case(
        "apart.csv --model-col country",
        "bad_option",
        ("apart.csv, column country: ", "its 2 values (DE, FR) have no id in common", "--id-col"),
    ),
    "one column for two ends": Case(
        "one.csv --model-col model --label-col model", "bad_option", ("--model-col and --label-col both name 'model'",)
    ),
    "cutting with another word": Case(
        "one.csv --by amount:quantile=4", "unknown_column", ("amount:quantiles=4", "amount:edges=0,10,20")
    ),
    "cutting by nothing": Case("one.csv --by amount:edges", "unknown_column", ("amount:edges=0,10,20",)),
    "slices with a comma": Case("one.csv --by country,model", "unknown_column", ("country*model crosses two columns",)),
    "edges that descend": Case("one.csv --by amount:edges=9,1", "bad_option", ("amount:edges=0,10,20",)),
    "no quantiles": Case("one.csv --by amount:quantiles=0", "bad_option", ("from 2 to 1000", "amount:quantiles=4")),
    "quantiles of text": Case(
        "one.csv --by country:quantiles=4",
        "bad_option",
        ("one.csv, column country", "has no numbers, but for example 'DE'", "--by country makes a slice"),
    ),
    "the name that others give a metric": Case(
        "one.csv --gate log_loss<1", "bad_gate", ("'log_loss' is not a metric", "did you mean cross_entropy?")
    ),
    "a metric that there is not": Case("one.csv --gate auc<1", "bad_gate", ("the metrics are cross_entropy",)),
    "few replicates": Case("one.csv --bootstrap 50", "bad_option", ("from 100 to 1,000,000, but got 50",)),
    "a percentage for a level": Case("one.csv --confidence 95", "bad_option", ("95 % is --confidence 0.95",)),
    "the same file twice": Case(
        "p.csv -l p.csv", "bad_option", ("p.csv, column prob_cat", "both the predictions and the labels", "--labels")
    ),
    "an address": Case("https://example.com/p.csv?a=1", "no_such_file", ("on this machine", "curl")),
    "the wrong delimiter": Case("p.csv -l l.csv --delimiter ;", "unknown_column", ("one column only", "--delimiter")),
    "too few classes": Case(
        "p.csv -l l.csv --classes cat", "bad_option", ("each of the 2 scores (cat, dog), but got 1: cat",)
    ),
    "another case": Case(
        "p.csv -l upper.csv", "unknown_label", ("upper.csv, column label, row 2", "'DOG' is not 'dog'")
    ),
    "two columns of one name": Case("twice.csv", "duplicate_column", ("twice.csv, column prob", "name of its own")),
    "an Excel workbook": Case("p.xlsx", "unreadable_file", ("p.xlsx", "an Excel workbook", "save the sheet as CSV")),
    "a ZIP archive": Case("p.zip", "unreadable_file", ("a ZIP archive", "unpack it")),
    "an Arrow file": Case("p.feather", "unreadable_file", ("an Arrow (Feather) file", "pyarrow.feather.read_table")),
    "a NumPy array": Case("p.npy", "unreadable_file", ("a NumPy array", "ce_cli.evaluate")),
    "a pickle": Case("p.pkl", "unreadable_file", ("a Python pickle", "read_pickle")),
    "UTF-16": Case("utf16.csv", "unreadable_file", ("UTF-16 text", "iconv -f UTF-16")),
    "a page of a server": Case("page.csv", "unreadable_file", ("a page of HTML", "download it again")),
    "a file cut short": Case("short.csv.gz", "unreadable_file", ("short.csv.gz", "cut short or damaged")),
    "no Parquet": Case("p.csv --format parquet", "unreadable_file", ("p.csv", "check --format")),
    "text among scores": Case(
        "text.csv -l l.csv", "not_a_number", ("text.csv, column prob_cat, row 2: 'n/a?'", "--on-invalid drop")
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    texts = {"p.csv": PROBS, "l.csv": LABELS, "one.csv": ONE, "upper.csv": LABELS.replace("dog", "DOG")}
    texts |= {"text.csv": PROBS.replace("0.2,", "n/a?,"), "page.csv": "<!DOCTYPE html>\n<html>404</html>\n"}
    texts |= {"apart.csv": lines("id,prob,label,country", "1,0.9,1,DE", "2,0.2,0,FR", "3,0.7,1,DE")}
    texts |= {"twice.csv": "id,prob,prob,label\n1,0.5,0.5,1\n"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    contents = {"p.xlsx": zipped(), "p.zip": zipped(), "p.feather": arrow(), "p.npy": numpy_file()}
    contents |= {"p.pkl": b"\x80\x04\x95x\x00", "utf16.csv": PROBS.encode("utf-16")}
    contents |= {"short.csv.gz": gzip.compress(PROBS.encode() * 50)[:-20]}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


@pytest.mark.parametrize("name", CASES)
def test_what_a_wrong_call_is_told(name: str, folder: Path) -> None:
    case = CASES[name]
    done = ce(*case.arguments.split(), cwd=folder, expect=2)
    assert done.out == ""
    assert done.codes[0] == case.code
    assert [part for part in case.says if part not in done.err] == [], done.err


def test_columns_that_are_not_there_are_told_together(folder: Path) -> None:
    done = ce("one.csv", "--label-col", "y", "--weight-col", "w", "--pred-cols", "q", cwd=folder, expect=2)
    assert done.codes == ["unknown_column"] * 3
    assert all(f"{option} names" in done.err for option in ("--label-col", "--weight-col", "--pred-cols"))


def test_options_that_are_wrong_are_told_together(folder: Path) -> None:
    wrong = ("--confidence", "2", "--ece-bins", "0", "--top", "-1", "--bootstrap", "5", "--seed", "-1", "--by", "*")
    done = ce("one.csv", *wrong, "--eps", "7", "--delimiter", "ab", cwd=folder, expect=2)
    assert done.codes == ["bad_option"] * 8


def test_outputs_that_conflict_are_told_together(folder: Path) -> None:
    done = ce("-", "-l", "-", "--json", "--quiet", "--per-sample", "-", cwd=folder, expect=2)
    assert len(done.json["errors"]) == 3
