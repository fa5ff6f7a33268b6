"""Slices, against pandas and scipy, and by the law that no cut of the work changes a bit."""

from __future__ import annotations

import math
import pickle
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import ce_cli
from ce_cli import metrics
from ce_cli.block import Scored
from ce_cli.errors import CeError
from ce_cli.judging import slices as module
from ce_cli.judging.slice_clusters import SliceClusters, SliceSequences
from ce_cli.state.groups import Groups

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ce_cli.report import Report

COUNTRIES = np.array(["DE", "FR", "US", None], dtype=object)


def binary(n: int = 400, seed: int = 0) -> pd.DataFrame:
    """Return scores, labels, and columns to cut by."""
    rng = np.random.default_rng(seed)
    score = rng.normal(size=n) * 1.5
    return pd.DataFrame(
        {
            "prob": 1 / (1 + np.exp(-score)),
            "label": (rng.random(n) < 1 / (1 + np.exp(-score / 2))).astype(int),
            "country": rng.choice(COUNTRIES, n, p=[0.5, 0.3, 0.15, 0.05]),
            "age": rng.integers(18, 80, n),
            "user": [f"u{number}" for number in rng.integers(0, 60, n)],
            "w": rng.choice([0.0, 0.5, 1.0, 2.0], n),
        }
    )


def losses(frame: pd.DataFrame) -> pd.Series:
    """Return -log p of what came."""
    return pd.Series(-np.log(np.where(frame.label == 1, frame.prob, 1 - frame.prob)), index=frame.index)


def by_name(report: Report) -> dict[tuple[str, ...], Mapping[str, Any]]:
    return {tuple(one["by"].values()): one for one in report.slices}


def holm(p: dict[Any, float]) -> dict[Any, float]:
    """Adjust by hand: the smallest times their number, the next times one less, and never below the one before."""
    adjusted, highest = {}, 0.0
    for rank, name in enumerate(sorted(p, key=lambda name: p[name])):
        highest = max(highest, min(1.0, (len(p) - rank) * p[name]))
        adjusted[name] = highest
    return adjusted


def close(value: float, expected: float, rel: float = 1e-12) -> None:
    assert value == pytest.approx(expected, rel=rel, abs=1e-15)


def test_slices_are_those_of_pandas_and_scipy() -> None:
    frame = binary()
    report = ce_cli.evaluate(frame, by="country", min_slice=5)
    frame["loss"], found = losses(frame), by_name(report)
    total, p_values = frame.loss.sum(), {}
    assert set(found) == {("DE",), ("FR",), ("US",), ("(empty)",)}
    for name, part in frame.groupby(frame.country.fillna("(empty)")):
        one, rest = found[(name,)], frame.drop(part.index)
        metrics = one["metrics"]
        assert (one["n"], one["small"], one["infinite"]) == (len(part), False, 0)
        loss = metrics["cross_entropy"]
        close(loss["value"], part.loss.mean())
        close(loss["stderr"], part.loss.sem())
        interval = stats.t.interval(0.95, len(part) - 1, part.loss.mean(), part.loss.sem())
        close(loss["lower"], interval[0])
        close(loss["upper"], interval[1])
        close(one["share_of_loss"], part.loss.sum() / total)
        close(one["excess"], len(part) / len(frame) * (part.loss.mean() - frame.loss.mean()), 1e-10)
        close(metrics["accuracy"]["value"], ((part.prob > 0.5) == part.label).mean())
        rate = part.label.mean()
        prior = -(rate * math.log(rate) + (1 - rate) * math.log(1 - rate))
        close(metrics["prior_entropy"]["value"], prior)
        close(metrics["skill"]["value"], 1 - part.loss.mean() / prior, 1e-10)
        test = stats.ttest_ind(part.loss, rest.loss, equal_var=False)
        difference = one["difference"]
        close(difference["value"], part.loss.mean() - rest.loss.mean(), 1e-10)
        close(difference["t"], test.statistic, 1e-10)
        close(difference["df"], test.df, 1e-10)
        close(difference["p"], test.pvalue, 1e-9)
        close(difference["lower"], test.confidence_interval().low, 1e-9)
        p_values[name,] = test.pvalue
    for name, adjusted in holm(p_values).items():
        close(found[name]["difference"]["p_holm"], adjusted, 1e-9)


def test_slices_stand_by_what_they_add_to_the_mean() -> None:
    excess = [one["excess"] for one in ce_cli.evaluate(binary(), by="country").slices]
    assert excess == sorted(excess, reverse=True)
    close(math.fsum(excess), 0.0)


def test_weights_in_slices() -> None:
    frame = binary()
    frame["loss"] = losses(frame)
    found = by_name(ce_cli.evaluate(frame, by="country", weight_col="w", min_slice=2))
    frame = frame[frame.w > 0]
    for name, part in frame.groupby(frame.country.fillna("(empty)")):
        one = found[(name,)]
        mean = np.average(part.loss, weights=part.w)
        n = len(part)
        error = math.sqrt(n / (n - 1) * ((part.w * (part.loss - mean)) ** 2).sum()) / part.w.sum()
        assert one["n"] == n
        close(one["weight"], part.w.sum())
        close(one["metrics"]["cross_entropy"]["value"], mean)
        close(one["metrics"]["cross_entropy"]["stderr"], error, 1e-10)
        close(one["metrics"]["accuracy"]["value"], np.average((part.prob > 0.5) == part.label, weights=part.w))
        rate = np.average(part.label, weights=part.w)
        prior = -(rate * math.log(rate) + (1 - rate) * math.log(1 - rate))
        close(one["metrics"]["skill"]["value"], 1 - mean / prior, 1e-10)


def test_clusters_in_slices() -> None:
    frame = binary()
    frame["loss"] = losses(frame)
    report = ce_cli.evaluate(frame, by="country", cluster="user", weight_col="w", min_slice=2)
    found = by_name(report)
    frame = frame[frame.w > 0]
    weight, loss, user = frame.w, frame.loss, frame.user
    clusters = user.nunique()
    for name, part in frame.groupby(frame.country.fillna("(empty)")):
        inside = frame.index.isin(part.index)
        mean = np.average(part.loss, weights=part.w)
        rest = np.average(loss[~inside], weights=weight[~inside])
        influence = np.where(inside, weight * (loss - mean) / part.w.sum(), 0.0)
        own = pd.Series(influence[inside]).groupby(part.user.to_numpy()).sum()
        close(
            found[(name,)]["metrics"]["cross_entropy"]["stderr"],
            math.sqrt(len(own) / (len(own) - 1) * (own**2).sum()),
            1e-10,
        )
        influence = np.where(inside, influence, -weight * (loss - rest) / weight[~inside].sum())
        both = pd.Series(influence).groupby(user.to_numpy()).sum()
        difference = found[(name,)]["difference"]
        close(difference["value"], mean - rest, 1e-10)
        close(difference["stderr"], math.sqrt(clusters / (clusters - 1) * (both**2).sum()), 1e-10)
        assert difference["df"] == min(part.user.nunique(), user[~inside].nunique()) - 1


def test_every_row_a_cluster_is_no_cluster_at_all() -> None:
    frame = binary()
    frame["row"] = np.arange(len(frame))
    plain = by_name(ce_cli.evaluate(frame, by="country"))
    for name, one in by_name(ce_cli.evaluate(frame, by="country", cluster="row")).items():
        close(one["metrics"]["cross_entropy"]["stderr"], plain[name]["metrics"]["cross_entropy"]["stderr"], 1e-10)


def test_crosses_and_edges() -> None:
    frame = binary()
    report = ce_cli.evaluate(frame, by="country*age:edges=30,50", min_slice=1)
    age = np.where(frame.age < 30, "<30", np.where(frame.age < 50, "[30,50)", ">=50"))
    expected = losses(frame).groupby([frame.country.fillna("(empty)"), age]).agg(["mean", "size"])
    found = by_name(report)
    assert set(found) == set(expected.index)
    for name, row in expected.iterrows():
        close(found[name]["metrics"]["cross_entropy"]["value"], row["mean"])
        assert found[name]["n"] == row["size"]
    assert list(report.slices[0]["by"]) == ["country", "age"]


def test_quantiles_cut_into_parts_of_about_the_same_size() -> None:
    frame = binary(1000)
    frame["x"] = np.random.default_rng(1).normal(size=1000)
    assert [one["n"] for one in ce_cli.evaluate(frame, by="x:quantiles=4").slices] == [250] * 4
    frame["x"] = np.where(frame.index < 900, 1.0, 2.0)
    assert sorted(one["by"]["x"] for one in ce_cli.evaluate(frame, by="x:quantiles=4").slices) == [">=1"]
    frame["x"] = np.where(frame.index < 400, 1.0, 2.5)
    assert sorted(one["by"]["x"] for one in ce_cli.evaluate(frame, by="x:quantiles=4").slices) == [">=2.5", "[1,2.5)"]


def test_infinite_losses_come_first_and_are_tested_against_nothing() -> None:
    frame = binary()
    worst = frame.index[(frame.country == "FR")][0]
    frame.loc[worst, ["prob", "label"]] = [0.0, 1]
    report = ce_cli.evaluate(frame, by="country")
    first, *others = report.slices
    assert (first["by"], first["infinite"]) == ({"country": "FR"}, 1)
    assert first["metrics"]["cross_entropy"] == {"value": math.inf}
    part = frame[(frame.country == "FR") & (frame.index != worst)]
    close(first["metrics"]["cross_entropy_finite"]["value"], losses(part).mean())
    assert first["metrics"]["skill"]["value"] == -math.inf
    assert not any({"difference", "excess", "share_of_loss"} & one.keys() for one in report.slices)
    assert all("lower" in one["metrics"]["cross_entropy"] for one in others)


def test_small_slices_are_told_and_not_judged() -> None:
    frame = binary()
    small = int((frame.country == "US").sum()) + 1
    found = by_name(ce_cli.evaluate(frame, by="country", min_slice=small))
    assert {name for name, one in found.items() if one["small"]} == {("US",), ("(empty)",)}
    assert "difference" not in found["US",]
    large = [one["difference"] for one in found.values() if not one["small"]]
    adjusted = holm(dict(enumerate(one["p"] for one in large)))
    assert [one["p_holm"] for one in large] == pytest.approx([adjusted[at] for at in range(2)])


def test_one_slice_with_all_rows_has_no_others() -> None:
    frame = binary(50)
    frame["all"] = "x"
    report = ce_cli.evaluate(frame, by="all")
    (one,) = report.slices
    assert "difference" not in one
    assert one["metrics"]["cross_entropy"]["value"] == report.cross_entropy.value
    assert one["metrics"]["cross_entropy"]["stderr"] == report.cross_entropy.stderr
    assert one["metrics"]["skill"]["value"] == report.skill.value
    assert one["share_of_loss"] == 1.0


@pytest.mark.parametrize(
    "options", [{"label_smoothing": 0.1}, {"class_weights": {0: 1, 1: 3}}, {"base": 2}, {"confidence": 0.9}]
)
def test_the_slice_of_all_rows_says_what_the_report_does(options: dict[str, Any]) -> None:
    frame = binary(200)
    frame["all"] = "x"
    report = ce_cli.evaluate(frame, by="all", weight_col="w", **options)
    for name, metric in report.slices[0]["metrics"].items():
        assert metric["value"] == pytest.approx(report[name].value, rel=1e-14), name
    whole, known = report.slices[0]["metrics"]["cross_entropy"], report.cross_entropy
    assert (whole["stderr"], whole["lower"]) == (known.stderr, known.lower)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 120), st.integers(0, 1000), st.integers(1, 50), st.integers(1, 3), st.booleans())
def test_no_cut_of_the_work_changes_a_bit(n: int, seed: int, chunk: int, jobs: int, weighted: bool) -> None:
    frame = binary(n, seed)
    frame["w"] += 0.25
    options: dict[str, Any] = {"by": ["country", "user*age:quantiles=3"], "cluster": "user"}
    options["weight_col"] = "w" if weighted else None
    one = ce_cli.evaluate(frame, jobs=1, **options).to_dict()
    assert ce_cli.evaluate(frame, jobs=jobs, chunk_rows=chunk, **options).to_dict() == one


def test_too_many_slices_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SLICES", 7)
    frame = binary(500)
    gate = "worst_slice.cross_entropy < 99"
    reports = [ce_cli.evaluate(frame, by="user", gates=[gate], chunk_rows=chunk, jobs=2) for chunk in (1, 13, 500)]
    assert not reports[0].gates[0].passed
    assert reports[0].to_dict() == reports[1].to_dict() == reports[2].to_dict()
    names = sorted(frame.user.unique())
    assert sorted(one["by"]["user"] for one in reports[0].slices) == names[:7]
    (issue,) = [issue for issue in reports[0].issues if issue.code == "too_many_slices"]
    assert issue.count == (~frame.user.isin(names[:7])).sum()
    whole = reports[0].cross_entropy.value * len(frame)
    for one in reports[0].slices:
        part = losses(frame)[frame.user == one["by"]["user"]]
        close(one["share_of_loss"], part.sum() / whole)


def test_clusters_of_too_many_slices_are_those_of_the_slices_that_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = binary(500).assign(day=np.arange(500) % 31)
    options: dict[str, Any] = {"by": "user", "cluster": "day", "min_slice": 2}
    whole = {one["by"]["user"]: one for one in ce_cli.evaluate(frame, **options).slices}
    monkeypatch.setattr(module, "MOST_SLICES", 5)
    for order in (frame, frame.sort_values("user"), frame.sort_values("user", ascending=False)):
        found = ce_cli.evaluate(order.reset_index(drop=True), **options, chunk_rows=11, jobs=2).slices
        assert sorted(one["by"]["user"] for one in found) == sorted(whole)[:5]
        for one in found:
            expected = whole[one["by"]["user"]]
            assert one["metrics"]["cross_entropy"] == expected["metrics"]["cross_entropy"]
            difference = dict(expected["difference"], p_holm=one["difference"]["p_holm"])  # of fewer tests
            assert one["difference"] == pytest.approx(difference, rel=1e-12)


def test_pairs_of_slices_and_clusters_are_bounded() -> None:
    state = SliceClusters(10)
    for start in range(0, 1000, 10):
        names = [(f"{at:04}",) for at in range(start, start + 10)]
        rows: Any = SimpleNamespace(scored=Scored(loss=np.ones(10)), weight=None)
        state.add(Groups(np.arange(10), names), Groups(np.zeros(10, dtype=np.int64), ["one"]), rows)
    assert len(state._sums) <= 21


def test_label_weights_of_many_slices_are_given_up_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_CELLS", 100)  # 50 slices of two classes
    frame = binary(500)
    for chunk in (7, 500):
        assert not any("skill" in one["metrics"] for one in ce_cli.evaluate(frame, by="user", chunk_rows=chunk).slices)
        assert all("skill" in one["metrics"] for one in ce_cli.evaluate(frame, by="country", chunk_rows=chunk).slices)


def test_the_label_and_an_id_can_cut() -> None:
    frame = binary(60)
    predictions = pd.DataFrame({"id": range(60), "prob": frame.prob})
    labels = pd.DataFrame({"id": range(60), "label": frame.label})
    report = ce_cli.evaluate(predictions, labels, by=["label", "id"], min_slice=1)
    found = [one for one in report.slices if "label" in one["by"]]
    for one in found:
        row = next(row for row in report.per_class if row.name == one["by"]["label"])
        close(one["metrics"]["cross_entropy"]["value"], row.cross_entropy or 0.0)
        assert one["share_of_loss"] == row.share_of_loss
    assert len(report.slices) == len(found) + 60
    assert report.alignment == "id"


def test_a_column_that_cuts_is_neither_score_nor_key() -> None:
    frame = binary(60).rename(columns={"prob": "thing"})[["thing", "label", "age"]]
    assert ce_cli.evaluate(frame, by="age").columns.scores == ("thing",)
    predictions, labels = frame[["thing", "age"]], frame[["label", "age"]]
    assert ce_cli.evaluate(predictions, labels, by="age").alignment == "position"


def test_frames_of_slices() -> None:
    frame = ce_cli.evaluate(binary(), by="country", min_slice=25).to_frame("slices")
    assert {"slice", "n", "cross_entropy", "cross_entropy_lower", "skill", "difference_p_holm"} <= set(frame.columns)
    assert set(frame.slice) == {"country=DE", "country=FR", "country=US", "country=(empty)"}


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ("country*country", "names a column twice"),
        ("age:quantiles=1", "from 2 to"),
        ("age:edges=3,1", "ascend"),
        ("age:edges=x", "ascend"),
        ("country*", "takes a column"),
        (["age", "age:quantiles=2"], "one at a time"),
        ("country:quantiles=2", "no numbers"),
    ],
)
def test_what_cannot_cut_is_told(by: Any, message: str) -> None:
    with pytest.raises(CeError) as caught:
        ce_cli.evaluate(binary(40), by=by)
    assert caught.value.problems[0].code == "bad_option"
    assert message in caught.value.problems[0].message


def test_text_between_edges_is_told() -> None:
    frame = binary(40)
    frame["age"] = frame.age.astype(str)
    frame.loc[[3, 5], "age"] = "old"
    with pytest.raises(CeError) as caught:
        ce_cli.evaluate(frame, by="age:edges=30")
    problem = caught.value.problems[0]
    assert (problem.code, problem.column, problem.rows, problem.count) == ("not_a_number", "age", (4, 6), 2)


def test_slices_of_several_labels() -> None:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"site": rng.choice(["x", "y"], 150)})
    for name in "ab":
        frame[f"prob_{name}"] = rng.random(150)
        frame[f"label_{name}"] = rng.integers(0, 2, 150)
    report = ce_cli.evaluate(frame, task="multilabel", by="site", pred_cols="prob_*")
    for one in report.slices:
        part = frame[frame.site == one["by"]["site"]]
        whole = ce_cli.evaluate(part.drop(columns="site"), task="multilabel")
        expected = whole.to_dict()["metrics"]
        assert one["metrics"] == {
            "cross_entropy": expected["cross_entropy"],
            "accuracy": {"value": expected["accuracy"]["value"]},
        }


def test_slices_of_a_regression() -> None:
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"mean": rng.normal(size=120), "std": 1.0, "site": rng.choice(["x", "y"], 120)})
    frame["label"] = frame["mean"] + rng.normal(size=120)
    options: dict[str, Any] = {"task": "regression", "bins": "-8,-2,-1,0,1,2,8"}
    for one in ce_cli.evaluate(frame, by="site", **options).slices:
        whole = ce_cli.evaluate(frame[frame.site == one["by"]["site"]].drop(columns="site"), **options)
        for name, metric in one["metrics"].items():
            assert metric["value"] == pytest.approx(whole[name].value, rel=1e-14), name
    assert len(ce_cli.evaluate(frame, by="label:quantiles=3", **options).slices) == 3


@pytest.mark.parametrize("sequences", [True, False])
def test_slices_of_tokens(sequences: bool) -> None:
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"logprob": -rng.exponential(size=200)})
    if sequences:
        frame.insert(0, "seq_id", np.repeat(np.arange(50), 4))
    domain = np.where(np.arange(200) < 120, "news", "talk")
    report = ce_cli.evaluate(frame.assign(domain=domain), task="tokens", by="domain")
    for one in report.slices:
        whole = ce_cli.evaluate(frame[domain == one["by"]["domain"]], task="tokens")
        for name, metric in one["metrics"].items():
            for part, value in metric.items():
                assert value == pytest.approx(getattr(whole[name], part), rel=1e-12), (name, part)
        assert "perplexity" in one["metrics"]


def test_slices_of_lists_of_tokens() -> None:

    rng = np.random.default_rng(4)
    rows = [(-rng.exponential(size=1 + at % 4)).tolist() for at in range(80)]
    domain = ["news" if at < 50 else "talk" for at in range(80)]
    report = ce_cli.evaluate(pa.table({"logprobs": rows, "domain": domain}), task="tokens", by="domain")
    for one in report.slices:
        part = [row for row, name in zip(rows, domain, strict=True) if name == one["by"]["domain"]]
        whole = ce_cli.evaluate(pa.table({"logprobs": part}), task="tokens")
        assert one["n"] == sum(map(len, part))
        assert one["metrics"]["cross_entropy"]["stderr"] == pytest.approx(whole.cross_entropy.stderr, rel=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("infinite", [False, True])
def test_lists_of_tokens_have_the_bits_of_their_rows(weighted, infinite):
    rng = np.random.default_rng(21)
    lists = [(-rng.exponential(size=1 + int(size))).tolist() for size in rng.integers(0, 6, 150)]
    if infinite:
        lists[3][0] = lists[90][0] = -math.inf
        lists[4] = [-math.inf]
    weight = rng.choice([0.0, 0.1, 1.0, 2.7], 150) if weighted else np.ones(150)
    domain = np.array(["law", "news", "web", "rare"])[np.minimum(rng.integers(0, 300, 150) // 90, 3)]
    domain[7] = "once"
    columns = {"domain": domain, "size": rng.normal(size=150), "w": weight}
    long = {name: np.repeat(values, [len(tokens) for tokens in lists]) for name, values in columns.items()}
    sequence = np.repeat(np.arange(150), [len(tokens) for tokens in lists])
    flat = pa.table({"logprob": np.concatenate(lists), "seq": sequence, **long})
    options = {"task": "tokens", "by": ("domain", "domain*size:edges=0"), **({"weight_col": "w"} if weighted else {})}
    whole = ce_cli.evaluate(pa.table({"logprobs": lists, **columns}), **options, min_slice=1)
    assert whole.slices == ce_cli.evaluate(flat, sequence_col="seq", **options, min_slice=1).slices
    assert any("difference" in one for one in whole.slices) is not infinite
    for jobs, chunk in ((1, 1), (2, 13)):
        again = ce_cli.evaluate(
            pa.table({"logprobs": lists, **columns}), **options, min_slice=1, jobs=jobs, chunk_rows=chunk
        )
        assert again.slices == whole.slices


def test_memory_of_lists_follows_the_slices():
    def size(rows):
        state, rng = SliceSequences(10), np.random.default_rng(22)
        for start in range(0, rows, 500):
            numbers = np.repeat(np.arange(start, start + 500), 3)
            scored = Scored(loss=rng.exponential(size=1500))
            judged = SimpleNamespace(scored=scored, weight=None, rows=numbers)
            names = [(f"{number:02d}",) for number in range(40)]
            clusters = Groups(numbers - start, [*range(start, start + 500)])
            state.add(Groups(numbers % 40, names), clusters, judged)
        return len(pickle.dumps(state)), state

    (small, _), (large, state) = size(1000), size(20_000)
    assert large < 1.3 * small
    assert state.spread({("01",)})(("01",))[1] is not None


@pytest.mark.parametrize("weighted", [False, True])
def test_slices_of_several_labels_have_their_accuracy(weighted):
    rng = np.random.default_rng(23)
    prob = rng.uniform(size=(120, 3))
    label = np.where(rng.uniform(size=(120, 3)) < 0.2, np.nan, rng.choice([0.0, 0.5, 1.0], (120, 3)))
    label[:, 0] = rng.integers(0, 2, 120)
    frame = pd.DataFrame(
        {f"{part}_{at}": values[:, at] for part, values in (("prob", prob), ("label", label)) for at in range(3)}
    )
    frame["site"], frame["w"] = rng.choice(["a", "b", "c"], 120), rng.choice([0.0, 0.5, 2.0], 120)
    options = {"task": "multilabel", **({"weight_col": "w"} if weighted else {})}
    report = ce_cli.evaluate(frame, by="site", **options)
    assert ce_cli.evaluate(frame, by="site", **options, chunk_rows=7, jobs=2).slices == report.slices
    for one in report.slices:
        part = ce_cli.evaluate(frame[frame["site"] == one["by"]["site"]], **options)
        assert one["metrics"]["accuracy"]["value"] == part.accuracy.value
        assert one["metrics"]["cross_entropy"]["stderr"] == pytest.approx(part.cross_entropy.stderr, rel=1e-12)


def test_gates_know_every_figure_that_a_slice_has() -> None:
    tokens = pd.DataFrame({"seq_id": [1, 2, 3, 3, 4], "logprob": [-1.0, -2.0, -1.5, -0.5, -np.inf], "g": [*"aabbb"]})
    found: dict[str, set[str]] = {}
    for report in (ce_cli.evaluate(binary(), by="country"), ce_cli.evaluate(tokens, by="g")):
        for one in report.slices:
            for name, metric in one["metrics"].items():
                found.setdefault(name, set()).update(metric)
    assert found == {name: {*fields} for name, fields in metrics.SLICED.items()}
