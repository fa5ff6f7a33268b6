"""The bootstrap against the same resamples in plain NumPy, and against bootstraps of other makers."""

from __future__ import annotations

import math
import pickle
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ce_cli import evaluate
from ce_cli.block import Objective, Scored
from ce_cli.errors import CeError
from ce_cli.judging.bootstrap import BootstrapState, percentile_interval
from ce_cli.kernels.poisson import poisson_counts, replicate_words, unit_words
from ce_cli.plan import Options
from ce_cli.readers.keys import text_words

PLAN = SimpleNamespace()  # of the mean loss alone nothing is asked of it


def binary(rows, seed=0):
    rng = np.random.default_rng(seed)
    prob = rng.uniform(0.02, 0.98, rows)
    label = (rng.uniform(size=rows) < prob).astype(np.int64)
    return prob, label, -np.log(np.where(label == 1, prob, 1 - prob))


def table(**columns):
    return pa.table({name: pa.array(values) for name, values in columns.items()})


def section(*data, **options):
    return evaluate(*data, **{"bootstrap": 200, **options}).sections["bootstrap"]


def counts_of(units, seed=0, replicates=200):
    return poisson_counts(units, replicate_words(seed, replicates)).astype(np.float64)


def expected(loss, weight, counts, confidence=0.95):
    means = (weight * loss) @ counts / (weight @ counts)
    tail = (1 - confidence) / 2
    lower, upper = np.quantile(means, [tail, 1 - tail], method="weibull")
    return {"stderr": means.std(ddof=1), "lower": lower, "upper": upper}


def close(found, wanted):
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, rel=1e-9)


def test_resamples_of_rows_are_those_of_the_counts():
    prob, label, loss = binary(1500)
    found = section(prob, label, seed=11)
    assert (found["replicates"], found["seed"], found["unit"], found["empty"]) == (200, 11, "row", 0)
    assert list(found["metrics"]) == ["cross_entropy", "accuracy", "brier"]
    close(found["metrics"]["cross_entropy"], expected(loss, np.ones(1500), counts_of(unit_words(np.arange(1500)), 11)))
    assert found["metrics"]["cross_entropy"]["value"] == evaluate(prob, label).cross_entropy.value


@pytest.mark.parametrize("base", ["2", "10"])
def test_the_interval_is_in_the_unit_of_the_report(base):
    prob, label, _ = binary(300)
    nats, other = (section(prob, label, base=one)["metrics"]["cross_entropy"] for one in ("e", base))
    size = math.log(int(base))
    assert other == pytest.approx({name: value / size for name, value in nats.items()}, rel=1e-12)


def test_weights_count_and_rows_without_any_do_not():
    prob, label, loss = binary(900)
    weight = np.random.default_rng(5).uniform(0.1, 3, 900)
    weight[::7] = 0
    found = section(table(prob=prob, label=label, weight=weight), weight_col="weight")["metrics"]["cross_entropy"]
    close(found, expected(loss, weight, counts_of(unit_words(np.arange(900)))))


def test_class_weights_count():
    prob, label, loss = binary(600)
    found = section(prob, label, class_weights={"1": 2.5, "0": 0})["metrics"]["cross_entropy"]
    close(found, expected(loss, np.where(label == 1, 2.5, 0), counts_of(unit_words(np.arange(600)))))


def test_clusters_are_resampled_whole():
    prob, label, loss = binary(800)
    cluster = [f"user {number % 37}" for number in range(800)]
    found = section(table(prob=prob, label=label, user=cluster), cluster="user")
    assert found["unit"] == "cluster"
    units = text_words(pa.array(cluster))
    close(found["metrics"]["cross_entropy"], expected(loss, np.ones(800), counts_of(units)))


def test_a_cluster_is_known_by_its_text_whatever_its_type():
    prob, label, _ = binary(300)
    cluster = np.arange(300) % 20
    found = [
        section(table(prob=prob, label=label, user=column), cluster="user")
        for column in (
            cluster,
            cluster.astype(str),
            cluster.astype(float),
            pa.array(cluster.astype(str)).dictionary_encode(),
        )
    ]
    assert found[0] == found[1] == found[2] == found[3]


def test_sequences_are_resampled_whole_and_give_the_perplexity():
    rng = np.random.default_rng(2)
    logprob = -rng.exponential(2, 700)
    sequence = np.repeat([f"s{number}" for number in range(70)], 10)
    found = section(table(seq_id=sequence, logprob=logprob), task="tokens", sequence_col="seq_id")
    assert found["unit"] == "sequence"
    counts = counts_of(text_words(pa.array(sequence)))
    close(found["metrics"]["cross_entropy"], expected(-logprob, np.ones(700), counts))
    means = -logprob @ counts / counts.sum(axis=0)
    for name, values in (("perplexity", np.exp(means)), ("bits_per_token", means / np.log(2))):
        lower, upper = np.quantile(values, [0.025, 0.975], method="weibull")
        close(found["metrics"][name], {"stderr": values.std(ddof=1), "lower": lower, "upper": upper})


def test_a_list_is_one_sequence_and_so_is_a_sum():
    rng = np.random.default_rng(2)
    lists = [(-rng.exponential(2, size)).tolist() for size in rng.integers(1, 9, 120)]
    of_lists = section(table(logprobs=lists), task="tokens")
    sums = [math.fsum(one) for one in lists]
    of_sums = section(table(logprob=sums, n=[len(one) for one in lists]), task="tokens", token_count_col="n")
    assert of_lists["unit"] == of_sums["unit"] == "sequence"
    for name, found in of_lists["metrics"].items():
        assert of_sums["metrics"][name] == pytest.approx(found, rel=1e-12)
    loss = np.array([-value for one in lists for value in one])
    rows = np.repeat(np.arange(120), [len(one) for one in lists])
    close(of_lists["metrics"]["cross_entropy"], expected(loss, np.ones(len(loss)), counts_of(unit_words(rows))))


def test_the_perplexity_of_a_smoothed_mean_has_none():
    rng = np.random.default_rng(3)
    scores = rng.dirichlet(np.ones(3), 60)
    data = table(**{f"prob_{name}": scores[:, at] for at, name in enumerate("abc")}, token=rng.choice(list("abc"), 60))
    found = section(data, task="tokens", token_col="token", label_smoothing=0.1)
    assert list(found["metrics"]) == ["cross_entropy", "accuracy"]


@settings(max_examples=15)
@given(st.integers(1, 400), st.integers(1, 130), st.integers(1, 3), st.booleans())
def test_jobs_and_chunks_change_no_bit(rows, chunk, jobs, clustered):
    prob, label, _ = binary(rows, seed=rows)
    data = table(prob=prob, label=label, user=np.arange(rows) // 9, weight=np.linspace(0.1, 7, rows) ** 3)
    options = {"weight_col": "weight", **({"cluster": "user"} if clustered else {})}
    whole = section(data, **options, jobs=1)
    assert section(data, **options, jobs=jobs, chunk_rows=chunk) == whole


def test_states_merge_in_any_order_also_from_other_processes():
    prob, _, loss = binary(1000)
    order = np.random.default_rng(0).permutation(1000)

    def state_of(at):
        state = BootstrapState(PLAN, 4, 100, None, repeated=False)
        scored = Scored(loss=loss[at], objective=Objective(loss[at], prob[at]))
        state.add(SimpleNamespace(scored=scored, weight=None, rows=at))
        return state

    whole = state_of(np.arange(1000))
    merged = state_of(order[700:])
    for part in (order[:1], order[1:700]):
        merged.merge(pickle.loads(pickle.dumps(state_of(part))))
    assert merged.means() == whole.means()


def test_the_distribution_is_that_of_drawing_rows_with_replacement():
    prob, label, loss = binary(400, seed=8)
    found = section(prob, label, bootstrap=4000)["metrics"]["cross_entropy"]
    other = stats.bootstrap((loss,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(1))
    # The standard error of a standard deviation from m draws is about 1/√(2m) of it; of a 2.5 % quantile about 2.7 σ/√m.
    assert found["stderr"] == pytest.approx(other.standard_error, rel=4 / math.sqrt(4000))
    error = other.standard_error * 2.7 * math.sqrt(2 / 4000)
    assert found["lower"] == pytest.approx(other.confidence_interval.low, abs=4 * error)
    assert found["upper"] == pytest.approx(other.confidence_interval.high, abs=4 * error)


def test_replicates_have_the_distribution_of_a_multinomial_bootstrap():
    _, _, loss = binary(300, seed=9)
    rng = np.random.default_rng(2)
    drawn = loss[rng.integers(0, 300, (3000, 300))].mean(axis=1)
    state = BootstrapState(PLAN, 0, 3000, None, repeated=False)
    state.add(SimpleNamespace(scored=Scored(loss=loss), weight=None, rows=np.arange(300)))
    assert stats.ks_2samp(state.means()["cross_entropy"], drawn).pvalue > 0.01


def test_an_infinite_loss_has_no_interval_but_accuracy_and_brier_have():
    prob, label, _ = binary(200)
    prob[0], label[0] = 0, 1
    report = evaluate(prob, label, bootstrap=200)
    found = report.sections["bootstrap"]["metrics"]
    assert list(found) == ["accuracy", "brier"]
    assert "no_bootstrap" in [issue.code for issue in report.issues]
    counts = counts_of(unit_words(np.arange(200)))
    close(found["brier"], expected((prob - label) ** 2, np.ones(200), counts))
    tokens = table(logprob=[-math.inf, -1.0])
    assert section(tokens, task="tokens")["metrics"] == {}


@pytest.mark.parametrize("options", [{}, {"class_weights": {"1": 3}}, {"label_smoothing": 0.1}])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("tied", [False, True])
def test_accuracy_and_brier_have_one_too(options, weighted, tied):
    if tied and options:
        options = {}
    prob, label, _ = binary(700)
    label = label.astype(float)
    if tied:
        label[::9] = 0.5
    weight = np.random.default_rng(5).uniform(0.1, 3, 700) if weighted else np.ones(700)
    data = table(prob=prob, label=label, weight=weight)
    report = evaluate(data, bootstrap=200, **options, **({"weight_col": "weight"} if weighted else {}))
    found = report.sections["bootstrap"]["metrics"]
    counts = counts_of(unit_words(np.arange(700)))
    close(found["brier"], expected((prob - label) ** 2, weight, counts))
    judged = weight * (label != 0.5)
    close(found["accuracy"], expected(((prob > 0.5) == (label > 0.5)).astype(float), judged, counts))
    for name in ("accuracy", "brier"):
        assert found[name]["value"] == report[name].value
        assert found[name]["stderr"] == pytest.approx(report[name].stderr, rel=4 / math.sqrt(400))


def test_few_rows():
    assert section([0.3], [1])["metrics"] == {}
    two = section([0.3, 0.6], [1, 1], bootstrap=1000)
    assert 90 < two["empty"] < 180  # e^-2 of them
    found = two["metrics"]["cross_entropy"]
    assert (found["lower"], found["upper"]) == (-math.log(0.6), -math.log(0.3))


def test_equal_losses_have_no_spread():
    found = section([0.3] * 50, [1] * 50)["metrics"]
    assert found["cross_entropy"] == {
        "value": -math.log(0.3),
        "stderr": 0,
        "lower": -math.log(0.3),
        "upper": -math.log(0.3),
    }


def test_multilabel_and_regression_have_one_too():
    rng = np.random.default_rng(4)
    cells = {f"prob_{name}": rng.uniform(0.1, 0.9, 80) for name in "ab"}
    labels = {f"label_{name}": rng.integers(0, 2, 80) for name in "ab"}
    found = section(table(**cells, **labels), task="multilabel")["metrics"]["cross_entropy"]
    loss = np.mean(
        [-np.log(np.where(labels[f"label_{n}"] == 1, cells[f"prob_{n}"], 1 - cells[f"prob_{n}"])) for n in "ab"], axis=0
    )
    close(found, expected(loss, np.ones(80), counts_of(unit_words(np.arange(80)))))
    report = evaluate(
        table(mean=rng.normal(size=60), std=np.ones(60), target=rng.normal(size=60)),
        task="regression",
        dist="normal",
        bins="-9,-1,0,1,9",
        bootstrap=100,
    )
    assert report.sections["bootstrap"]["metrics"]["cross_entropy"]["lower"] < report.cross_entropy.value


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60), st.floats(0.01, 0.999))
def test_quantiles_are_those_of_numpy(values, confidence):
    values = sorted(values)
    tail = (1 - confidence) / 2
    wanted = np.quantile(values, [tail, 1 - tail], method="weibull")
    assert percentile_interval(values, confidence) == pytest.approx(tuple(wanted), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"bootstrap": 99}, "--bootstrap takes a whole number from 100 to 1,000,000"),
        ({"seed": -1}, "--seed takes a whole number from 0"),
        ({"seed": 1 << 64}, "--seed takes a whole number from 0"),
        ({"bootstrap": 100, "confidence": 0.99}, "100 replicates have no quantiles"),
    ],
)
def test_options_that_cannot_be(options, says):
    with pytest.raises(CeError, match=says):
        Options(**options)


def test_the_least_replicates_for_a_level_are_enough():
    assert Options(bootstrap=199, confidence=0.99).bootstrap == 199
    with pytest.raises(CeError, match="no quantiles"):
        Options(bootstrap=198, confidence=0.99)


def test_a_single_cluster_has_no_spread():
    prob, label, _ = binary(60)
    for patients, some in ((["a"] * 60, False), (["a"] * 59 + ["b"], True)):
        data = table(prob=prob, label=label, patient=patients)
        for how in ({}, {"chunk_rows": 7, "jobs": 2}):
            assert bool(section(data, cluster="patient", **how)["metrics"]) is some
