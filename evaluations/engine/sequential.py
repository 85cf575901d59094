"""Sequential stopping: asks the model in a seeded order and stops once a rate is settled against a limit.

The interval is a confidence sequence, which holds whenever one stops, so an untrusted process may do the
stopping; `merge` derives the stop again from the records all the same. An evaluation takes four steps:

- `plan`: one shard of all rows, so that a run can stop.
- `run_shard`: `rows_to_ask` instead of all rows of the shard.
- `merge`: `asked_rows` says which rows the records must cover; `check_stop` that a run stops there.
- its metrics: `only` gives the rate its interval; the others have none that holds here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from evaluations import stats
from evaluations.spec import EvaluationError, Metric, Shard, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.engine.stop_early import StopEarly

    Outcomes = Callable[[NDArray[np.int64]], NDArray[np.float64]]

LEAST, SHARE = 16, 20  # the next look comes 16 rows later, or a twentieth of those asked
THRESHOLD = -math.log(1 - stats.LEVEL)  # evidence, in nats, that puts a rate outside the interval


def looks(rows: int) -> NDArray[np.int64]:
    """After how many rows the answers are looked at: 16, 32, …, later every twentieth more, and all of them."""
    sizes = [min(rows, LEAST)]
    while sizes[-1] < rows:
        sizes.append(min(rows, sizes[-1] + max(LEAST, sizes[-1] // SHARE)))
    return np.array(sizes, dtype=np.int64)


def seeded_order(data: Dataset, ctx: Context) -> NDArray[np.int64]:
    """All rows in the order in which they are asked: that of the seed and the ids, not of the file."""
    return data.by_id[ctx.rng("sequential:order").permutation(data.rows)]


def settled(
    rule: StopEarly,
    hits: NDArray[np.int64],
    unanswered: NDArray[np.int64],
    asked: NDArray[np.int64],
    max_error_rate: float,
) -> NDArray[np.bool_]:
    """Where the interval of `rate` lies on one side of the limit, from counts of any shape.

    Never while more than a share `max_error_rate` of the rows went unanswered, since nothing is estimated then.
    """
    most = hits + unanswered
    clears = (hits > rule.limit * asked) & (stats.mixture_evidence(hits, asked, rule.limit) >= THRESHOLD)
    falls = (most < rule.limit * asked) & (stats.mixture_evidence(most, asked, rule.limit) >= THRESHOLD)
    return np.asarray((clears | falls) & (unanswered <= max_error_rate * asked))


def stop_of(rule: StopEarly, outcomes: NDArray[np.float64], max_error_rate: float) -> NDArray[np.int64]:
    """(…, n) outcomes in the order asked (1 hit, 0 miss, NaN no answer) to (…): how many rows a run asks."""
    at = looks(outcomes.shape[-1])
    hits = np.cumsum(outcomes == 1, axis=-1)[..., at - 1]
    unanswered = np.cumsum(np.isnan(outcomes), axis=-1)[..., at - 1]
    stops = settled(rule, hits, unanswered, at, max_error_rate)
    stops[..., -1] = True
    return np.asarray(at[stops.argmax(axis=-1)])


def rows_to_ask(
    rule: StopEarly, max_error_rate: float, data: Dataset, ctx: Context, shard: Shard, outcomes_of: Outcomes
) -> NDArray[np.int64]:
    """The rows at [shard.start, shard.stop) of the seeded order, as far as they come before the stop.

    `outcomes_of` asks the model about rows through `ctx`, which asks nothing twice, and gives their outcomes
    as for `stop_of`.
    """
    _refuse_clusters(data)
    order, stop = seeded_order(data, ctx), shard.stop
    for size in looks(data.rows):
        if size > shard.stop:
            break
        outcomes = outcomes_of(order[:size])
        hits, unanswered = np.array((outcomes == 1).sum()), np.array(np.isnan(outcomes).sum())
        if settled(rule, hits, unanswered, size, max_error_rate):
            stop = int(size)
            break
    return order[shard.start : max(shard.start, stop)]


def _refuse_clusters(data: Dataset) -> None:
    if data.clusters is not None:
        raise EvaluationError(
            "clusters_not_independent",
            "Stopping early needs examples that are independent of each other, and this data set has a column with "
            "the role 'cluster'. Take stop_early out of the parameters.",
        )


def asked_rows(states: Sequence[ShardState], data: Dataset, ctx: Context) -> NDArray[np.int64]:
    """The rows that the records must cover, in the order asked: as many as there are records, from the first on."""
    _refuse_clusters(data)
    return seeded_order(data, ctx)[: sum(state.records.num_rows for state in states)]


def check_stop(rule: StopEarly, outcomes: NDArray[np.float64], rows: int, max_error_rate: float) -> None:
    """Raises `bad_records` unless a run over `rows` rows with these outcomes, in the order asked, stops after them."""
    asked = len(outcomes)
    rest = np.zeros(max(0, rows - asked))  # what comes later cannot move an earlier stop
    if not asked or int(stop_of(rule, np.append(outcomes, rest), max_error_rate)) != asked:
        raise EvaluationError(
            "bad_records",
            f"The records end after {asked} of {rows} examples, where a run would not have stopped. Run it again.",
        )


def rate(outcomes: NDArray[np.float64]) -> stats.Estimate:
    """Share of hits among the answered rows, at least one, with its confidence sequence.

    A row without an answer is a miss in the lower end and a hit in the upper one.
    """
    n, hits, unanswered = len(outcomes), int((outcomes == 1).sum()), int(np.isnan(outcomes).sum())
    value = hits / (n - unanswered)
    ends = stats.bernoulli_sequence(hits, n), stats.bernoulli_sequence(hits + unanswered, n)
    return stats.Estimate(value, stats.spanning(*ends, value), n, float(n))


def only(metrics: Sequence[Metric], name: str, outcomes: NDArray[np.float64]) -> list[Metric]:
    """The metrics with the interval of `rate` on the one called `name`, and with none on the others."""
    return [
        metric.model_copy(
            update={
                "interval": rate(outcomes).interval
                if metric.name == name and metric.value is not None
                else None
            }
        )
        for metric in metrics
    ]


def said(metric: str, asked: int, rows: int) -> str:
    """What the reader of a result is told."""
    how = (
        f"Stopped early at n = {asked:,} of {rows:,} examples"
        if asked < rows
        else f"Asked all {rows:,} examples"
    )
    return (
        f"{how}. The answers were looked at along the way: the interval of {metric} holds whenever one stops, "
        "and the other metrics have none."
    )
