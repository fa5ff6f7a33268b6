"""Files that are not what they are taken for: what can be told is an error or an issue, and what is sound stays silent."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from tests.cli.command import ce, lines

if TYPE_CHECKING:
    from pathlib import Path

A = lines("id,prob", "1,0.9", "2,0.2", "3,0.6")
LABELS = lines("id,label", "1,1", "2,0", "3,1")


def issues(folder: Path, *arguments: str) -> dict[str, dict[str, Any]]:
    """Return the issues of a run by their codes."""
    return {issue["code"]: issue for issue in ce(*arguments, "--json", cwd=folder, expect=0).json["issues"]}


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        (folder / f"{name}.csv").write_text(text)


# --- predictions in place of labels


@pytest.mark.parametrize("header", ["id,prob", "id,Prob", "id,prob_1", "id,logit", "id,probability"])
@pytest.mark.parametrize("several", [False, True])
def test_predictions_of_another_model_are_no_labels(header: str, several: bool, tmp_path: Path) -> None:
    write(tmp_path, a=A, b=A, c=A.replace("id,prob", header))
    done = ce("a.csv", *(("b.csv",) if several else ()), "-l", "c.csv", cwd=tmp_path, expect=2)
    assert done.codes[0] == "unknown_column"
    assert "c.csv, column" in done.err
    assert "both files look like predictions: are these two models?" in done.err
    assert "--labels FILE" in done.err


def test_a_score_of_any_name_in_both_files_is_no_label(tmp_path: Path) -> None:
    write(tmp_path, a=A.replace("prob", "risk"), b=A.replace("prob", "risk"))
    done = ce("a.csv", "-l", "b.csv", cwd=tmp_path, expect=2)
    assert done.codes == ["unknown_column"]
    assert "'risk', is a score of the predictions too" in done.err


def test_soft_labels_are_scored_where_they_are_named(tmp_path: Path) -> None:
    """The mean of -(y ln p + (1-y) ln (1-p)), summed by hand."""
    soft, probs = (0.8, 0.1, 0.7), (0.9, 0.2, 0.6)
    expected = -sum(y * math.log(p) + (1 - y) * math.log(1 - p) for y, p in zip(soft, probs, strict=True)) / 3
    rows = [f"{row},{y}" for row, y in enumerate(soft, 1)]
    write(tmp_path, a=A, own=lines("id,prob", *rows), rate=lines("id,rate", *rows), y=lines("id,y", *rows))
    for arguments in (("own.csv", "--label-col", "prob"), ("rate.csv",), ("y.csv",)):
        done = ce("a.csv", "-l", *arguments, "-q", cwd=tmp_path, expect=0)
        assert float(done.out) == pytest.approx(expected, rel=1e-14)


def test_the_weight_and_the_label_are_one_column(tmp_path: Path) -> None:
    write(tmp_path, a=A, y=LABELS, both=lines("id,prob,label", "1,0.9,1", "2,0.2,0"))
    for arguments in (("a.csv", "-l", "y.csv"), ("both.csv",)):
        done = ce(*arguments, "--weight-col", "label", cwd=tmp_path, expect=2)
        assert done.codes == ["bad_option"]
        assert "--weight-col names 'label', which is the label" in done.err


# --- sums of sequences


def token_rows(losses: list[float], **columns: list[int]) -> str:
    frame = pd.DataFrame({"seq_id": [f"s{row}" for row in range(len(losses))], "logprob": [-one for one in losses]})
    return frame.assign(**columns).to_csv(index=False)


def test_sums_without_a_number_of_tokens_are_warned_of(tmp_path: Path) -> None:
    write(tmp_path, s=token_rows([36.5, 18.75, 50.25], n=[20, 12, 30], size=[90, 50, 120]))
    issue = issues(tmp_path, "s.csv")["sums_as_tokens"]
    assert (issue["severity"], issue["count"]) == ("warning", 3)
    assert "a mean loss of 35.17 nats" in issue["message"]
    assert "--token-count-col" in issue["hint"]
    assert "50.73 bits" in issues(tmp_path, "s.csv", "--base", "2")["sums_as_tokens"]["message"]
    counted = ce("s.csv", "--token-count-col", "n", "--json", cwd=tmp_path, expect=0).json
    assert "sums_as_tokens" not in [one["code"] for one in counted["issues"]]
    assert counted["metrics"]["cross_entropy"]["value"] == pytest.approx(105.5 / 62, rel=1e-15)


def test_sums_of_few_nats_are_told_by_their_bytes(tmp_path: Path) -> None:
    write(tmp_path, s=token_rows([6.5, 8.75, 5.25], size=[90, 50, 120]), t=token_rows([6.5, 8.75], size=[4, 7]))
    assert "a mean of 86.67 bytes" in issues(tmp_path, "s.csv", "--bytes-col", "size")["sums_as_tokens"]["message"]
    assert "sums_as_tokens" not in issues(tmp_path, "s.csv")
    assert "sums_as_tokens" not in issues(tmp_path, "t.csv", "--bytes-col", "size")


def test_bad_tokens_of_sequences_are_no_sums(tmp_path: Path) -> None:
    write(tmp_path, s=lines("seq_id,logprob", "a,-20", "a,-30", "b,-25"))
    assert "sums_as_tokens" not in issues(tmp_path, "s.csv")


# --- several models


WIDE = "id,label,age,m_a,m_b\n" + "".join(f"{row},{row % 2},{row + 20},0.{row + 1},0.{9 - row}\n" for row in range(8))
CLASSES = lines(
    "id,label,k,x_prob_a,x_prob_b,x_prob_c,y_prob_a,y_prob_b,y_prob_c",
    "1,a,7,0.5,0.3,0.2,0.6,0.2,0.2",
    "2,c,8,0.1,0.3,0.6,0.2,0.2,0.6",
)


def test_columns_of_several_models_are_named_in_the_hint(tmp_path: Path) -> None:
    write(tmp_path, wide=WIDE, classes=CLASSES)
    for file, named in (("wide.csv", "m_a,m_b"), ("classes.csv", "x,y")):
        done = ce(file, cwd=tmp_path, expect=2)
        assert f"pass --models {named}\n" in done.err
        assert len(ce(file, "--models", named, "--json", cwd=tmp_path, expect=0).json["models"]) == 2


@pytest.mark.parametrize("pattern", ["*_prob_*", "x_prob_*", "?_prob_[ab]"])
def test_a_pattern_does_not_tear_the_classes_of_a_model_apart(pattern: str, tmp_path: Path) -> None:
    write(tmp_path, classes=CLASSES)
    done = ce("classes.csv", "--models", pattern, cwd=tmp_path, expect=2)
    assert done.codes == ["bad_option"]
    assert "pass --models x,y, or --models '*'" in done.err


def test_a_pattern_may_take_the_positive_class_of_each_model(tmp_path: Path) -> None:
    header = "id,label,x_prob_0,x_prob_1,y_prob_0,y_prob_1"
    write(tmp_path, two=lines(header, "1,1,0.1,0.9,0.3,0.7", "2,0,0.8,0.2,0.6,0.4"))
    done = ce("two.csv", "--models", "*_prob_1", "--json", cwd=tmp_path, expect=0).json
    expected = [-(math.log(0.9) + math.log(0.8)) / 2, -(math.log(0.7) + math.log(0.6)) / 2]
    found = [model["metrics"]["cross_entropy"]["value"] for model in done["models"]]
    assert found == pytest.approx(expected, rel=1e-15)


def long(models: list[str], rows: int = 40) -> str:
    generator = np.random.default_rng(3)
    parts = [
        pd.DataFrame(
            {
                "id": range(rows),
                "site": [f"s{row % 3}" for row in range(rows)],
                "prob": generator.uniform(0.1, 0.9, rows).round(3),
                "model": model,
                "label": [row % 2 for row in range(rows)],
            }
        )
        for model in models
    ]
    return pd.concat(parts).to_csv(index=False)


def test_ids_that_occur_again_name_the_column_of_the_models(tmp_path: Path) -> None:
    write(tmp_path, long=long(["old", "new", "next"]), y=lines("id,label", *(f"{row},{row % 2}" for row in range(40))))
    issue = issues(tmp_path, "long.csv")["repeated_ids"]
    assert (issue["severity"], issue["count"], issue["first_rows"]) == ("warning", 80, [41, 42, 43, 44, 45])
    assert "80 of the first 120 rows" in issue["message"]
    assert "--model-col model" in issue["hint"]
    done = ce("long.csv", "-l", "y.csv", cwd=tmp_path, expect=2)
    assert done.codes == ["duplicate_id"]
    assert "if it names models, compare them with --model-col model" in done.err
    assert len(ce("long.csv", "--model-col", "model", "--json", cwd=tmp_path, expect=0).json["models"]) == 3


def test_ids_that_occur_again_for_no_reason_that_is_told(tmp_path: Path) -> None:
    write(tmp_path, twice=long(["old", "old"]), once=long(["old"]), y=LABELS, p=A + "1,0.3\n")
    issue = issues(tmp_path, "twice.csv")["repeated_ids"]
    assert (issue["severity"], issue["count"]) == ("note", 40)
    assert "--cluster id" in issue["hint"]
    assert "repeated_ids" not in issues(tmp_path, "twice.csv", "--cluster", "id")
    assert "repeated_ids" not in issues(tmp_path, "once.csv")
    assert "name more key columns with --id-col" in ce("p.csv", "-l", "y.csv", cwd=tmp_path, expect=2).err


def test_empty_ids_are_not_the_same(tmp_path: Path) -> None:
    write(tmp_path, p=lines("id,prob,label", ",0.9,1", ",0.2,0", "3,0.6,1"))
    assert "repeated_ids" not in issues(tmp_path, "p.csv")


# --- decided classes


def test_scores_of_0_and_1_are_decided_classes(tmp_path: Path) -> None:
    write(tmp_path, y=LABELS, hard=lines("id,pred", "1,1", "2,1", "3,0"), mixed=lines("id,pred", "1,1", "2,1", "3,0.5"))
    issue = issues(tmp_path, "hard.csv", "-l", "y.csv")["hard_scores"]
    assert (issue["severity"], issue["count"]) == ("warning", 3)
    assert "predict_proba" in issue["hint"]
    assert "hard_scores" not in issues(tmp_path, "mixed.csv", "-l", "y.csv")


@pytest.mark.parametrize(("last", "hard"), [("0,0,1", True), ("0,0.5,0.5", False), ("1,0,0", False)])
def test_classes_are_decided_only_where_every_score_is(last: str, hard: bool, tmp_path: Path) -> None:
    """The last row: a wrong one, a wrong one that is torn between two classes, a right one where nothing is infinite."""
    write(tmp_path, p=lines("label,prob_a,prob_b,prob_c", "a,1,0,0", "b,0,1,0", f"a,{last}"))
    assert ("hard_scores" in issues(tmp_path, "p.csv")) is hard


# --- long values


def test_values_are_cut_in_messages(tmp_path: Path) -> None:
    word = "x" * 5000
    write(tmp_path, a=A.replace("1,0.9", f"1,{word}"), b=A.replace("1,0.9", f"{word},0.9"), y=LABELS)
    for file in ("a.csv", "b.csv"):
        done = ce(file, "-l", "y.csv", cwd=tmp_path, expect=2)
        assert "x" * 50 in done.err
        assert len(done.err) < 1000
    ce("a.csv", "-l", "y.csv", "--on-invalid", "drop", "--errors", "errors.csv", cwd=tmp_path, expect=0)
    assert word in (tmp_path / "errors.csv").read_text()  # the file has the whole value


def test_json_of_whole_columns(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": range(900), "prob": 0.5, "label": [0, 1] * 450})
    frame.to_json(tmp_path / "p.json")
    done = ce("p.json", cwd=tmp_path, expect=2)
    assert done.codes == ["malformed_row"]
    assert "orient='records', lines=True" in done.err
    assert len(done.err) < 400
    frame.to_json(tmp_path / "p.json", orient="records", lines=True)
    assert float(ce("p.json", "-q", cwd=tmp_path, expect=0).out) == pytest.approx(math.log(2), rel=1e-15)
