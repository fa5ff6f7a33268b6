"""How often the intervals hold the true mean, by simulation: nominal 95 % within what 2,000 replications leave to chance."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from ce_cli.block import Pair, Scored
from ce_cli.columns import Kind, Role
from ce_cli.judging.base import JudgedRows
from ce_cli.judging.bootstrap import BootstrapState, percentile_interval
from ce_cli.judging.clusters import ClusterSums
from ce_cli.kernels.hashing import mixed
from ce_cli.state.fractions import to_float
from ce_cli.state.moments import Moments
from ce_cli.state.products import factor
from ce_cli.state.replicates import ReplicateSums
from ce_cli.state.runs import Runs
from ce_cli.state.sequences import SequenceStatistics
from ce_cli.state.student_t import t_quantile

REPLICATIONS = 2000
LOW, HIGH = 0.935, 0.965  # 3 standard errors of a share of 95 % are 1.46 points
ROWS = 300
PLAN = SimpleNamespace()  # of the mean loss alone nothing is asked of it
# Losses of a model that is right about the probabilities it gives: p is uniform, and the label has it.
TRUE_MEAN = 0.5  # ∫ -p log p - (1-p) log(1-p) dp


def losses(rng, rows=ROWS):
    prob = rng.uniform(size=rows)
    return -np.log(np.where(rng.uniform(size=rows) < prob, prob, 1 - prob))


def coverage(interval, truth=TRUE_MEAN, replications=REPLICATIONS, seed=0):
    rng = np.random.default_rng(seed)
    held = 0
    for _ in range(replications):
        lower, upper = interval(rng)
        held += lower <= truth <= upper
    return held / replications


def t_interval(mean, error, df):
    margin = t_quantile(0.975, df) * error
    return mean - margin, mean + margin


def test_t_interval():
    def interval(rng):
        state = Moments()
        state.add(losses(rng), None)
        return t_interval(to_float(state.mean()), state.standard_error(), ROWS - 1)

    assert LOW <= coverage(interval) <= HIGH


def test_t_interval_is_that_of_scipy():
    loss = losses(np.random.default_rng(1), 25)
    state = Moments()
    state.add(loss, None)
    wanted = stats.t(24, loss.mean(), stats.sem(loss)).interval(0.95)
    assert t_interval(to_float(state.mean()), state.standard_error(), 24) == pytest.approx(wanted, rel=1e-12)


def test_weighted_t_interval():
    def interval(rng):
        state = Moments()
        state.add(losses(rng), rng.uniform(0.2, 2, ROWS))
        return t_interval(to_float(state.mean()), state.standard_error(), ROWS - 1)

    assert LOW <= coverage(interval) <= HIGH


def sequences(rng, count=60):
    """Return the losses of tokens, and their sequences: tokens of one have something in common, and lengths differ."""
    lengths = rng.integers(5, 15, count)
    sequence = np.repeat(np.arange(count), lengths)
    return rng.gamma(4, 0.125, count)[sequence] * rng.exponential(size=len(sequence)), sequence


def test_interval_with_sequences_as_clusters():
    def interval(rng):
        loss, sequence = sequences(rng)
        starts = np.flatnonzero(np.append(True, sequence[1:] != sequence[:-1]))
        ends = np.append(starts[1:], len(loss)) - 1
        state = SequenceStatistics({})
        state.note(Runs(starts, starts, ends, sequence[starts], np.zeros_like(starts), {}))
        rows = SimpleNamespace(run=sequence, total=loss, tokens=None, smoothed=None, correct=None)
        state.add(rows, None, np.arange(len(loss)))
        whole = state.closed()
        ratio = whole.ratio("loss", "weight")
        return t_interval(to_float(ratio.value), ratio.error, whole.sequences - 1)

    assert LOW <= coverage(interval) <= HIGH


def test_rows_taken_for_independent_would_not_do():
    def interval(rng):
        loss, _ = sequences(rng)
        state = Moments()
        state.add(loss, None)
        return t_interval(to_float(state.mean()), state.standard_error(), len(loss) - 1)

    assert coverage(interval, replications=500) < 0.9


def resampled(state, loss, rows):
    state.add(SimpleNamespace(scored=Scored(loss=loss), weight=None, rows=rows))
    return percentile_interval(state.means()["cross_entropy"], 0.95)


def test_bootstrap():
    seeds = iter(range(REPLICATIONS))

    def interval(rng):
        return resampled(BootstrapState(PLAN, next(seeds), 400, None, repeated=False), losses(rng), np.arange(ROWS))

    assert LOW <= coverage(interval) <= HIGH


def test_bootstrap_of_clusters():
    seeds = iter(range(REPLICATIONS))

    def interval(rng):
        # As many clusters as leave the bias of percentiles, of the order of one over their number, to the tolerance.
        loss, sequence = sequences(rng, 150)
        sums = ReplicateSums(next(seeds), 400, 2)
        sums.add(mixed(sequence.astype(np.uint64)), [None, factor(loss)], repeated=True)
        count, total = sums.totals()
        return percentile_interval(sorted(to_float(a / b) for a, b in zip(total, count, strict=True)), 0.95)

    assert LOW <= coverage(interval) <= HIGH


def test_bootstrap_and_t_agree_on_the_standard_error():
    loss = losses(np.random.default_rng(4), 2000)
    state = BootstrapState(PLAN, 0, 2000, None, repeated=False)
    state.add(SimpleNamespace(scored=Scored(loss=loss), weight=None, rows=np.arange(2000)))
    assert np.std(state.means()["cross_entropy"], ddof=1) == pytest.approx(stats.sem(loss), rel=4 / math.sqrt(2 * 2000))


def test_clustered_interval():
    layout = SimpleNamespace(roles={"cluster": Role("user", "predictions", Kind.CATEGORY)})

    def interval(rng):
        loss, user = sequences(rng)
        order = rng.permutation(len(loss))  # the rows of a cluster need not stand together
        batch = pa.RecordBatch.from_pydict({"user": pa.array([f"u{one}" for one in user[order].tolist()])})
        state = ClusterSums(PLAN)
        rows = np.arange(len(loss))
        pair = Pair(rows, rows, batch, batch)
        state.add(JudgedRows(Scored(loss=loss[order]), None, rows, None, None, pair, layout))
        mean, squared, count = state.spread("cross_entropy")
        return t_interval(to_float(mean), math.sqrt(squared), count - 1)

    assert LOW <= coverage(interval) <= HIGH
