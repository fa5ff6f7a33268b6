"""Comparisons of models of tokens against pandas and scipy, through the library."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ce_cli import CeError, compare, evaluate
from ce_cli.kernels.holm import adjusted
from ce_cli.render.comparison import render_comparison

if TYPE_CHECKING:
    from ce_cli import Comparison

TEXTS = 60


def texts(seed: int, *, texts: int = TEXTS, cut: int = 0) -> pd.DataFrame:
    """Return the tokens of texts by a model, in rows; `cut`: another one for each cut into tokens. A text has 20 bytes."""
    length = np.random.default_rng(5).integers(2, 9, texts)
    length += np.random.default_rng(cut).integers(0, 3, texts) if cut else 0
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"seq_id": np.repeat([f"text {at}" for at in range(texts)], length)})
    frame["doc"] = np.repeat(np.arange(texts) // 5, length)
    frame["logprob"] = -rng.exponential(size=len(frame)) * np.repeat(1 + np.arange(texts) % 3, length)
    ones = frame.groupby("seq_id").cumcount() > 0
    frame["bytes"] = np.where(ones, 1, 21 - np.repeat(length, length))
    frame["w"] = np.repeat(1 + np.arange(texts) % 4, length) / 4
    return frame


def shuffled(frame: pd.DataFrame, seed: int = 1) -> pd.DataFrame:
    """Return the same texts in another order."""
    order = {name: at for at, name in enumerate(np.random.default_rng(seed).permutation(frame.seq_id.unique()))}
    return frame.iloc[np.argsort(frame.seq_id.map(order), kind="stable")].reset_index(drop=True)


def lists(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each text."""
    by = frame.groupby("seq_id", sort=False)
    return pd.DataFrame(
        {"logprobs": by.logprob.apply(list), "bytes": by.bytes.sum(), "doc": by.doc.first(), "w": by.w.first()}
    ).reset_index()


def sums(frame: pd.DataFrame, weight: Any = 1.0) -> pd.DataFrame:
    """Return loss, weight and bytes by text, and the document."""
    whole = frame.assign(loss=-frame.logprob * weight, weight=weight, bytes=frame.bytes * weight)
    by = whole.groupby("seq_id")
    return by[["loss", "weight", "bytes"]].sum().join(by.doc.first()).assign(one=1.0)


def ratio(upper: pd.Series, lower: pd.Series, cluster: pd.Series | None = None) -> tuple[float, float, int]:
    """Return Σa / Σb, its linearised standard error and the number of observations."""
    if cluster is not None:
        upper, lower = upper.groupby(cluster).sum(), lower.groupby(cluster).sum()
    mean, n = upper.sum() / lower.sum(), len(upper)
    return mean, math.sqrt(n / (n - 1) * ((upper - mean * lower) ** 2).sum()) / lower.sum(), n


def assert_differs(found: Comparison, at: int, expected: tuple[float, float, int]) -> None:
    row, (mean, error, n) = found.comparison[at], expected
    assert row.difference is not None
    assert row.difference.value == pytest.approx(mean, rel=1e-11)
    assert row.difference.stderr == pytest.approx(error, rel=1e-10)
    assert row.difference.upper == pytest.approx(mean + stats.t.ppf(0.975, n - 1) * error, rel=1e-9)
    assert row.p == pytest.approx(2 * stats.t.sf(abs(mean / error), n - 1), rel=1e-8)
    assert row.smallest_detectable == pytest.approx(
        (stats.t.ppf(0.975, n - 1) + stats.t.ppf(0.8, n - 1)) * error, rel=1e-8
    )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("cluster", [None, "doc"])
@pytest.mark.parametrize("other", [shuffled, lists])
def test_the_same_tokens_are_compared_by_token(other: Any, cluster: str | None, weighted: bool) -> None:
    models = {"a": texts(1), "b": other(texts(2)), "c": texts(3)}
    found = compare(models, task="tokens", cluster=cluster, weight_col="w" if weighted else None)
    by_text = {
        name: sums(texts(seed), texts(seed).w if weighted else 1.0) for name, seed in (("a", 1), ("b", 2), ("c", 3))
    }
    first = by_text["a"]
    assert found.per == "token"
    groups = first.doc if cluster else None
    for at, name in enumerate("bc"):
        own = by_text[name]
        assert_differs(found, at, ratio(own.loss - first.loss, first.weight, groups))
        row = found.comparison[at]
        wins = int((own.loss < first.loss).sum())
        assert (row.rows, row.wins, row.losses, row.share_improved) == (TEXTS, wins, TEXTS - wins, wins / TEXTS)
        report = found[name]
        assert report.deltas["cross_entropy"] == row.difference
        alone = evaluate(models[name], task="tokens", cluster=cluster, weight_col="w" if weighted else None)
        assert report.metrics == alone.metrics
        rank = next(one for one in found.ranking if one.model == name)
        assert rank.cross_entropy.value == report.cross_entropy.value
        assert rank.cross_entropy.stderr == pytest.approx(report.cross_entropy.stderr, rel=1e-12)
    p = [row.p for row in found.comparison if row.p is not None]
    assert [row.p_adjusted for row in found.comparison] == adjusted(np.array(p)).tolist()


@pytest.mark.parametrize("weighted", [False, True])
def test_other_tokens_are_compared_by_byte(weighted: bool) -> None:
    models = {"a": texts(1), "b": texts(2, cut=1), "c": lists(texts(3, cut=2))}
    options = {"weight_col": "w"} if weighted else {}
    found = compare(models, task="tokens", bytes_col="bytes", base="2", by="doc:edges=6", **options)
    first = sums(models["a"], models["a"].w if weighted else 1.0)
    for at, frame in enumerate((models["b"], texts(3, cut=2))):
        own = sums(frame, frame.w if weighted else 1.0)
        expected = ratio((own.loss - first.loss) / math.log(2), first.bytes)
        assert_differs(found, at, expected)
        assert found[found.comparison[at].model].deltas["bits_per_byte"].stderr == pytest.approx(expected[1], rel=1e-10)
        slices = {part.by["doc"]: part for part in found.comparison[at].by_slice}
        for name, chosen in (("<6", first.doc < 6), (">=6", first.doc >= 6)):
            mean, error, n = ratio((own.loss - first.loss)[chosen] / math.log(2), first.bytes[chosen])
            part = slices[name]
            assert part.difference is not None
            assert (part.n, part.difference.stderr) == (n, pytest.approx(error, rel=1e-10))
            assert part.contribution == pytest.approx(mean * first.bytes[chosen].sum() / first.bytes.sum(), rel=1e-10)
    assert found.per == "byte"
    assert [issue.code for issue in found.issues] == ["compared_by_byte"]
    assert not {"cross_entropy", "perplexity", "accuracy"} & found["b"].deltas.keys()
    assert "bits per byte" in render_comparison(found, width=100, color=False)


def test_without_bytes_they_are_compared_by_sequence() -> None:
    models = {"a": texts(1), "b": shuffled(texts(2, cut=1))}
    found = compare(
        models, task="tokens", bootstrap=2000, gates=["delta.sequence_sum_mean.upper < 99", "delta.perplexity < 9"]
    )
    one, two = sums(models["a"]), sums(models["b"])
    assert_differs(found, 0, ratio(two.loss - one.loss, one.one))
    expected = stats.ttest_rel(two.loss, one.loss)
    (row,) = found.comparison
    assert (row.per, row.df) == ("sequence", TEXTS - 1)
    assert row.t == pytest.approx(expected.statistic, rel=1e-10)
    assert row.bootstrap is not None
    assert row.difference is not None
    assert row.bootstrap.stderr == pytest.approx(row.difference.stderr, rel=0.1)
    assert [gate.passed for gate in found.gates] == [True, False]
    assert "into other tokens" in (found.gates[1].reason or "")


def test_infinite_losses_count_as_wins_alone() -> None:
    models = {"a": texts(1), "b": texts(2)}
    models["b"].loc[7, "logprob"] = -math.inf
    (row,) = compare(models, bootstrap=100, by="doc").comparison
    assert (row.p, row.bootstrap, row.infinite) == (None, None, 1)
    assert row.wins + row.losses == TEXTS
    assert row.difference is not None
    assert row.difference.value == math.inf
    assert sum(part.difference is None for part in row.by_slice) == 1


def test_few_and_unscored_sequences() -> None:
    models = {"a": texts(1, texts=1), "b": texts(2, texts=1)}
    (row,) = compare(models).comparison
    assert (row.rows, row.p) == (1, None)
    models = {"a": texts(1), "b": texts(2)}
    models["b"].loc[models["b"].seq_id == "text 3", "logprob"] = None
    (row,) = (found := compare(models)).comparison
    assert (row.rows, row.only_reference, row.only_model, row.per) == (TEXTS - 1, 1, 0, "token")
    assert set(found["b"].deltas) == {"cross_entropy"}
    assert "uncommon_rows" in [issue.code for issue in found.issues]
    models["b"] = texts(2)
    models["b"].loc[0, "logprob"] = None
    assert [issue.code for issue in compare(models).issues] == ["compared_by_sequence", "unlike_unscored"]


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize(
    ("per", "name", "cut", "options"),
    [
        ("token", "cross_entropy", 0, {}),
        ("byte", "bits_per_byte", 1, {"bytes_col": "bytes"}),
        ("sequence", "sequence_sum_mean", 1, {}),
    ],
)
def test_the_paired_metric_of_the_common_sequences_is_that_of_a_file_of_them(
    per: str, name: str, cut: int, options: dict[str, Any], clustered: bool
) -> None:
    options |= {"cluster": "doc" if clustered else None, "base": "2"}
    models = {"a": texts(1), "b": texts(2, cut=cut), "c": texts(3)}
    models["b"] = models["b"][models["b"].seq_id != "text 3"]
    models["c"] = models["c"][models["c"].seq_id != "text 4"]
    common = {model: frame[~frame.seq_id.isin(["text 3", "text 4"])] for model, frame in models.items()}
    found, expected = compare(models, missing="drop", **options), compare(common, **options)
    assert (found.per, found.same_rows, expected.same_rows) == (per, False, True)
    assert found.ranking == expected.ranking
    assert [one.difference for one in found.comparison] == [one.difference for one in expected.comparison]
    for model in found.models:
        (told,) = model.shared.items()
        alone = evaluate(common[model.name], **options)[name]
        assert told[0] == name
        for mine, other in zip(
            *((one.value, one.stderr, one.lower, one.upper) for one in (told[1], alone)), strict=True
        ):
            assert mine == pytest.approx(other, rel=1e-11)
    page = render_comparison(found, width=160, color=False)
    assert f"nats per {per}" not in page
    assert f"bits per {per}, the smallest first; of the {TEXTS - 2} common sequences" in page
    assert ("own sequences" in page, "own loss" in page) == (True, per == "token")
    assert "own" not in render_comparison(expected, width=160, color=False).split("differences")[0]


def test_an_infinite_loss_of_the_common_sequences() -> None:
    models = {"a": texts(1), "b": texts(2, cut=1)}
    models["b"].loc[models["b"].seq_id == "text 7", "logprob"] = -math.inf
    models["a"] = models["a"][models["a"].seq_id != "text 3"]
    found = compare(models, missing="drop", bytes_col="bytes")
    assert [model.shared["bits_per_byte"].value for model in found.models] == [
        pytest.approx(found.ranking[0].cross_entropy.value / math.log(2)),
        math.inf,
    ]
    page = render_comparison(found, width=160, color=False)
    assert "infinite sequences" in page
    assert "loss of the rest" not in page


def test_what_models_disagree_on_is_told() -> None:
    one, two = texts(1), texts(2, cut=1)
    two.loc[0, "bytes"] += 1
    with pytest.raises(CeError, match="in 1 sequence of <a>, the bytes of a sequence are not those in <b>"):
        compare({"a": one, "b": two}, bytes_col="bytes")
    for heavy in (texts(2).assign(w=1.0), texts(2, cut=1).assign(w=1.0)):
        with pytest.raises(CeError, match="the weight of a sequence is not that in <b>"):
            compare({"a": one, "b": heavy}, weight_col="w")
    with pytest.raises(CeError, match="the cluster is not that in <b>"):
        compare({"a": one, "b": texts(2).assign(doc=1)}, cluster="doc")
    with pytest.raises(CeError, match="column doc is not that in <b>"):
        compare({"a": one, "b": texts(2).assign(doc=1)}, by="doc")
    assert compare({"a": one, "b": texts(2).assign(doc=lambda own: own.doc.astype(float))}, by="doc").per == "token"
    with pytest.raises(CeError, match="the slice is not that of the row before"):
        compare({"a": one.assign(kind=np.arange(len(one)) % 2), "b": texts(2).assign(kind=1)}, by="kind")
    with pytest.raises(CeError, match="60 sequences of <a> are not in <b>"):
        compare({"a": one, "b": texts(2).assign(seq_id=lambda own: own.seq_id + "!")})
    with pytest.raises(CeError, match="no sequence was scored by all models"):
        compare({"a": one, "b": texts(2).assign(seq_id=lambda own: own.seq_id + "!")}, missing="drop")
    with pytest.raises(CeError, match="duplicate_id"):
        compare({"a": one, "b": pd.concat([texts(2), texts(2)])})
    with pytest.raises(CeError, match="does not say which rows are one"):
        compare({name: pd.DataFrame({"logprob": [-1.0, -2.0]}) for name in "ab"}, task="tokens")
    with pytest.raises(CeError, match="<a> has 2 sequences, but <b> 1"):
        compare(
            {name: pd.DataFrame({"logprob": [-1.0, -2.0][:n]}) for name, n in (("a", 2), ("b", 1))},
            task="tokens",
            align="position",
        )


def test_models_in_one_file_and_texts_without_a_name() -> None:
    one, two = texts(1), texts(2)
    expected = compare({"a": one, "b": two}).comparison[0]
    wide = one.rename(columns={"logprob": "a"}).assign(b=two.logprob)
    assert compare(wide, models=["a", "b"], task="tokens", input="logprobs").comparison[0] == expected
    long = pd.concat([one.assign(model="a"), two.assign(model="b")])
    assert compare(long, model_col="model").comparison[0] == expected
    nameless = {name: lists(frame).drop(columns="seq_id") for name, frame in (("a", one), ("b", two))}
    assert compare(nameless, align="position").comparison[0] == expected
    by_id = {name: lists(frame).rename(columns={"seq_id": "id"}) for name, frame in (("a", one), ("b", two))}
    assert compare(by_id).comparison[0] == expected
    rows = {name: frame[["logprob"]] for name, frame in (("a", one), ("b", two))}
    (row,) = compare(rows, task="tokens", align="position").comparison
    assert row.p == pytest.approx(stats.ttest_rel(two.logprob, one.logprob).pvalue, rel=1e-10)


def test_scores_of_a_vocabulary_with_smoothing() -> None:
    rng = np.random.default_rng(0)
    base = texts(1)[["seq_id"]].assign(token=rng.choice(["x", "y", "z"], len(texts(1))))
    models = {}
    for name in "ab":
        p = rng.dirichlet(np.ones(3) * 2, len(base))
        models[name] = base.assign(**{f"prob_{token}": p[:, k] for k, token in enumerate("xyz")})
    found = compare(models, task="tokens", label_smoothing=0.1)
    assert found.per == "token"
    difference = found["b"].cross_entropy.value - found["a"].cross_entropy.value
    assert found.comparison[0].difference is not None
    assert found.comparison[0].difference.value == pytest.approx(difference, rel=1e-10)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 30), st.integers(0, 1000), st.integers(1, 40), st.integers(1, 3), st.booleans())
def test_no_cut_of_the_work_changes_a_bit(size: int, seed: int, chunk: int, jobs: int, clustered: bool) -> None:
    models = {"a": texts(seed, texts=size), "b": shuffled(texts(seed + 1, texts=size, cut=seed % 3))}
    options: dict[str, Any] = {
        "bytes_col": "bytes",
        "by": "doc",
        "bootstrap": 100,
        "cluster": "doc" if clustered else None,
    }
    one = compare(models, jobs=1, **options).to_dict()
    assert compare(models, jobs=jobs, chunk_rows=chunk, **options).to_dict() == one


def test_texts_with_other_ids_at_their_place_are_told() -> None:
    one, two = texts(1), texts(2)
    other = two.assign(seq_id=two.seq_id.replace({"text 3": "text 4", "text 4": "text 3"}))
    found = compare({"one": one, "two": two, "other": other}, align="position", task="tokens")
    (issue,) = [issue for issue in found.issues if issue.code == "differing_ids"]
    first = {name: int(np.flatnonzero(one.seq_id == name)[0]) + 1 for name in ("text 3", "text 4")}
    assert (issue.severity, issue.count, issue.first_rows) == ("warning", 2, tuple(sorted(first.values())))
    same = compare({"one": one, "two": two}, align="position", task="tokens")
    assert "differing_ids" not in {issue.code for issue in same.issues}
