"""The half of robustness.tabular_evasion that judges: feasibility and cost from the data, rates, curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evaluations import stats
from evaluations.names import short
from evaluations.records import join, not_estimable, rows_by_id
from evaluations.robustness.tabular_evasion_attack import RECORDS, sample
from evaluations.robustness.tabular_evasion_space import Space, space_of
from evaluations.scoring import labels_of, read_probs
from evaluations.spec import Coverage, EvaluationError, Interval, Metric, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.robustness.tabular_evasion import EvasionParams

NAMES = (
    "original_accuracy",
    "accuracy_under_attack",
    "attack_success_rate",
    "success_at_any_cost",
    "median_cost",
    "columns_changed",
    "queries",
)
MOST_COLUMNS = 40  # that are reported one by one
MOST_POINTS = 200  # of the curve
NOTHING = "The model was wrong on every sampled row, so there was nothing to attack."


@dataclass(frozen=True)
class Outcomes:
    """Per sampled row, ascending by id. Exactly one of error, skipped, attacked holds."""

    space: Space
    ids: list[str]
    rows: NDArray[np.int64]
    labels: tuple[str, ...]
    truth: NDArray[np.int64]
    probs: NDArray[np.float64]
    attacked_probs: NDArray[np.float64]
    before: NDArray[np.float64]  # (n, D) cells
    after: NDArray[np.float64]  # (n, D) cells; as before where nothing was found
    cost: NDArray[np.float64]  # (n,) infinite where the answer was not turned
    queries: NDArray[np.int64]
    error: NDArray[np.bool_]
    skipped: NDArray[np.bool_]  # wrong before any change
    clusters: NDArray[np.str_] | None
    max_cost: float
    unconfirmed: int
    silent: int

    @property
    def n(self) -> int:
        return len(self.ids)

    @property
    def attacked(self) -> NDArray[np.bool_]:
        return ~(self.error | self.skipped)

    @property
    def succeeded(self) -> NDArray[np.bool_]:
        """Turned within the largest cost."""
        return self.attacked & (self.cost <= self.max_cost * (1 + 1e-9))

    def coverage(self) -> Coverage:
        errors, skipped = int(self.error.sum()), int(self.skipped.sum())
        return Coverage(attempted=self.n, scored=self.n - errors - skipped, failed=errors, skipped=skipped)

    def curve(self) -> list[tuple[float, float, float, float]]:
        """(cost, share of attacked rows turned within it, low, high), from cost 0 on."""
        held = self.attacked
        if not held.any():
            return []
        costs = self.cost[held]
        clusters = None if self.clusters is None else self.clusters[held]
        points = np.unique(costs[np.isfinite(costs)])
        if len(points) > MOST_POINTS:
            points = np.unique(np.quantile(points, np.linspace(0, 1, MOST_POINTS), method="nearest"))
        found = []
        for point in [0.0, *points.tolist()]:
            share = stats.proportion(costs <= point, clusters)
            found.append((point, share.value, share.interval.low, share.interval.high))
        return found


def collect(states: Sequence[ShardState], data: Dataset, params: EvasionParams, ctx: Context) -> Outcomes:
    """Outcomes decided here, from data, truth and answers. Raises `bad_records` for an impossible change."""
    space, rows = space_of(data, params), sample(data, params, ctx)
    table, labels = join(states, RECORDS, data, rows), labels_of(states, ctx)
    order = rows_by_id(data, rows)
    probs, error = read_probs(table.column("probs"), len(labels))
    attacked_probs, unscored = read_probs(table.column("attacked_probs"), len(labels))
    truth = data.class_indices(labels)[order]
    before = space.cells(data, order)
    after = before.copy()
    claimed: NDArray[np.bool_] = np.zeros(len(order), dtype=bool)
    lengths = np.asarray(table.column("cells").combine_chunks().value_lengths().drop_null())
    if (lengths != len(space.columns)).any():  # before any of them is made a list
        raise EvaluationError("bad_records", "A changed row has the wrong number of columns. Run it again.")
    for i, cells in enumerate(table.column("cells").to_pylist()):
        if cells is None:
            continue
        after[i] = [np.nan if cell is None else cell for cell in cells]
        claimed[i] = True
    if not space.feasible(before, after).all():
        raise EvaluationError("bad_records", "A row was changed as it cannot be changed. Run it again.")
    queries, silent = (
        table.column(name).fill_null(0).to_numpy().astype(np.int64) for name in ("queries", "silent")
    )
    if (
        (queries < 0).any()
        or (queries > params.most_queries).any()
        or (silent < 0).any()
        or (silent > queries).any()
    ):
        raise EvaluationError("bad_records", "A record has an impossible number of queries. Run it again.")
    skipped = ~error & (np.argmax(np.nan_to_num(probs), axis=1) != truth)
    changed = ~unscored & (np.argmax(np.nan_to_num(attacked_probs), axis=1) != truth)
    cost = space.cost(before, after)
    turned = ~error & ~skipped & claimed & changed & (cost > 0)
    # who falls silent where the answer would turn withstands nothing: such a row may have been turned, or not
    unanswered = (silent > params.max_error_rate * queries) | (claimed & unscored)
    error = error | (~skipped & ~turned & unanswered)
    return Outcomes(
        space=space,
        ids=table.column("example_id").to_pylist(),
        rows=order,
        labels=labels,
        truth=truth,
        probs=probs,
        attacked_probs=attacked_probs,
        before=before,
        after=after,
        cost=np.where(turned, cost, np.inf),
        queries=queries,
        error=error,
        skipped=skipped,
        clusters=None if data.clusters is None else data.clusters[order],
        max_cost=params.max_cost,
        unconfirmed=int((~error & ~skipped & claimed & ~turned).sum()),
        silent=int(silent.sum()),
    )


def measure(outcomes: Outcomes, params: EvasionParams, ctx: Context) -> list[Metric]:
    """Every metric of robustness.tabular_evasion."""
    errors, n = int(outcomes.error.sum()), outcomes.n
    shown = _shown(outcomes)
    if errors / n > params.max_error_rate or errors == n:
        reason = f"{errors} of {n} rows gave no result, more than the {params.max_error_rate:.0%} allowed."
        return [
            *(not_estimable(name, n, reason) for name in NAMES),
            *(not_estimable("column_use", n, reason, f"column={name}") for _, name in shown),
        ]
    known, attacked, won = ~outcomes.error, outcomes.attacked, outcomes.succeeded
    every: NDArray[np.bool_] = np.ones(n, dtype=bool)
    found = [
        _rate("original_accuracy", attacked, every, known, outcomes),
        _rate("accuracy_under_attack", attacked & ~won, every, known, outcomes),
    ]
    if not attacked.any():
        return [
            *found,
            *(not_estimable(name, n, NOTHING) for name in NAMES[2:]),
            *(not_estimable("column_use", n, NOTHING, f"column={name}") for _, name in shown),
        ]
    tried = ~outcomes.skipped
    found += [
        _rate("attack_success_rate", won, tried, known, outcomes),
        _rate("success_at_any_cost", np.isfinite(outcomes.cost), tried, known, outcomes),
        _median(outcomes, tried, ctx),
    ]
    differs = _differs(outcomes)
    if won.any():
        found.append(_mean("columns_changed", differs.sum(axis=1).astype(np.float64), won, outcomes, 1))
    else:
        found.append(not_estimable("columns_changed", 0, "No attack succeeded within the largest cost."))
    found.append(_mean("queries", outcomes.queries.astype(np.float64), attacked, outcomes, 0))
    for d, name in shown:
        part = f"column={name}"
        if won.any():
            found.append(_rate("column_use", differs[:, d], won, won, outcomes, part))
        else:
            reason = "No attack succeeded within the largest cost."
            found.append(not_estimable("column_use", 0, reason, part))
    return found


def _differs(outcomes: Outcomes) -> NDArray[np.bool_]:
    return np.asarray((outcomes.before != outcomes.after) & ~np.isnan(outcomes.after))


def _shown(outcomes: Outcomes) -> list[tuple[int, str]]:
    """(place, name) of the columns to report, the most used ones first where there are many."""
    use = (_differs(outcomes) & outcomes.succeeded[:, None]).sum(axis=0)
    order = np.argsort(-use, kind="stable")[:MOST_COLUMNS]
    return [(int(d), short(outcomes.space.columns[d].name, int(d))) for d in order]


def _rate(
    name: str,
    hits: NDArray[np.bool_],
    among: NDArray[np.bool_],
    known: NDArray[np.bool_],
    outcomes: Outcomes,
    part: str = "all",
) -> Metric:
    clusters = None if outcomes.clusters is None else outcomes.clusters[among]
    found = stats.proportion(hits[among], clusters, known[among])
    return Metric(
        name=name,
        value=found.value,
        interval=found.interval,
        n=found.n,
        n_effective=found.n_effective,
        slice=part,
    )


def _mean(
    name: str, values: NDArray[np.float64], among: NDArray[np.bool_], outcomes: Outcomes, least: int
) -> Metric:
    """Of counts, of which none is below `least`."""
    clusters = None if outcomes.clusters is None else outcomes.clusters[among]
    held = values[among]
    interval = stats.mean_interval(held, clusters=clusters)
    if interval is not None:
        interval = interval.model_copy(update={"low": max(float(least), interval.low)})
    return Metric(name=name, value=float(held.mean()), interval=interval, n=len(held))


def _median(outcomes: Outcomes, tried: NDArray[np.bool_], ctx: Context) -> Metric:
    """Of the least costs found. A row without a result is turned for nothing in the one end, and never in the other."""
    costs, error = outcomes.cost[tried], outcomes.error[tried]
    value = stats.sample_quantile(costs[~error], 0.5)
    if not np.isfinite(value):
        reason = "Fewer than half of the right answers could be turned at any cost."
        return not_estimable("median_cost", len(costs), reason)
    ends = []
    for filled in (0.0, np.inf):
        values = np.where(error, filled, costs)
        if outcomes.clusters is None:
            ends.append(stats.quantile_interval(values, 0.5))
        else:
            blocks, rng = outcomes.clusters[tried], ctx.rng("bootstrap:median_cost")
            ends.append(stats.block_quantile_interval(values, blocks, 0.5, rng))
    low, high = ends
    interval: Interval | None = stats.spanning(low, high, value) if low and high else None
    return Metric(name="median_cost", value=value, interval=interval, n=len(costs))


def warnings(outcomes: Outcomes, params: EvasionParams) -> list[str]:
    found = [outcomes.space.told()]
    fixed = [f"{name[:60]!r} ({why})" for name, why in outcomes.space.fixed.items()]
    if fixed:
        found.append(
            "Were left as they are: " + ", ".join(fixed[:30]) + (" and more." if len(fixed) > 30 else ".")
        )
    if outcomes.n < params.examples:
        found.append(f"The data set has only {outcomes.n} examples; {params.examples} were asked for.")
    if outcomes.unconfirmed:
        found.append(f"{outcomes.unconfirmed} successes did not hold when asked again: counted as failures.")
    if outcomes.silent:
        found.append(
            f"The model gave no answer to {outcomes.silent} of {int(outcomes.queries.sum())} changed rows: a cheaper "
            "change may have been missed."
        )
    spent = int((outcomes.queries >= params.most_queries).sum())
    if spent:
        found.append(
            f"{spent} searches ended at {params.most_queries:,} queries: a cheaper change may have been missed."
        )
    return found
