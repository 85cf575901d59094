"""The numbers of quality.ranking: gains and hits as scikit-learn defines them, exposure of groups of items."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evaluations import stats
from evaluations.quality.ranking_lists import Lists, wanted
from evaluations.records import not_estimable, too_many_errors
from evaluations.spec import EvaluationError, Interval, Metric, MetricStatus, Role

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.data.dataset import Dataset
    from evaluations.quality.ranking import RankingParams

NAMES = ("ndcg", "mrr", "recall")
FEWEST_RELEVANT = 10  # relevant rows of a group of items, below which nothing is said of it


def discounts(k: int) -> NDArray[np.float64]:
    """1/log₂(j + 1) of the places 1 … k."""
    return 1 / np.log2(np.arange(2, k + 2))


def measure(lists: Lists, data: Dataset, params: RankingParams) -> list[Metric]:
    """Every metric of quality.ranking."""
    failed = sum(top is None for top in lists.top)
    reason = too_many_errors(failed, len(lists.users), params.max_error_rate)
    scores = per_user(lists)
    wishing = np.array([any(v > 0 for v in own.values()) for own in lists.relevance], dtype=bool)
    if not reason and not wishing.any():
        reason = "Nobody has a relevant item: give some items a relevance above 0."
    found = []
    for m, name in enumerate(NAMES):
        values = scores[wishing, m]
        if reason or np.isnan(values).all():
            why = reason or "No person with a relevant item has a list."
            found.append(not_estimable(name, len(lists.users), why))
            continue
        estimate = stats.unit_mean(values)
        found.append(
            Metric(
                name=name,
                value=estimate.value,
                interval=estimate.interval,
                n=estimate.n,
                n_effective=estimate.n_effective,
            )
        )
    for column in data.ref.columns(Role.SENSITIVE):
        found += _exposure(lists, data, column, reason)
    return found


def per_user(lists: Lists) -> NDArray[np.float64]:
    """(users, 3): NDCG, reciprocal rank, recall. NaN without a list, or without a relevant item."""
    found = np.full((len(lists.users), len(NAMES)), np.nan)
    weight = discounts(lists.k)
    for row, (top, relevance) in enumerate(zip(lists.top, lists.relevance, strict=True)):
        best = np.sort([v for v in relevance.values() if v > 0])[::-1]
        if top is None or not len(best):
            continue
        gains = np.array([relevance.get(item, 0.0) for item in top])
        hits = np.flatnonzero(gains > 0)
        ideal = float((best[: lists.k] * weight[: len(best)]).sum())
        found[row] = (
            float((gains * weight[: len(gains)]).sum()) / ideal,
            1 / (hits[0] + 1) if len(hits) else 0.0,
            len(hits) / len(best),
        )
    return np.clip(found, 0, 1)  # rounding may leave 1.0000000000000002


def by_place(lists: Lists) -> list[tuple[int, float, int]]:
    """(place, share of relevant items, lists that long), for places 1 … k."""
    found = []
    for place in range(lists.k):
        held = [
            relevance.get(top[place], 0) > 0
            for top, relevance in zip(lists.top, lists.relevance, strict=True)
            if top is not None and len(top) > place
        ]
        if held:
            found.append((place + 1, float(np.mean(held)), len(held)))
    return found


def warnings(lists: Lists) -> list[str]:
    without = sum(not any(v > 0 for v in own.values()) for own in lists.relevance)
    if without:
        return [f"{without} of {len(lists.users)} people have no relevant item: nothing is measured on them."]
    return []


# --- exposure -----------------------------------------------------------------------------------------


def _exposure(lists: Lists, data: Dataset, column: str, reason: str) -> list[Metric]:
    groups = _group_of(data, column)
    names = sorted(set(groups.values()))
    merit: NDArray[np.float64] = np.zeros(len(names))
    relevant: NDArray[np.int64] = np.zeros(len(names), dtype=np.int64)
    place = {name: i for i, name in enumerate(names)}
    for own in lists.relevance:
        for item, value in own.items():
            merit[place[groups[item]]] += value
            relevant[place[groups[item]]] += value > 0
    if reason:
        return [
            *(not_estimable("exposure_share", len(lists.users), reason, f"{column}={g}") for g in names),
            not_estimable("exposure_ratio", len(lists.users), reason, column),
        ]
    shares = _shares(lists, groups, place)
    if np.isnan(shares).all():
        return _exposure(lists, data, column, "No list shows an item.")
    level = 1 - (1 - stats.LEVEL) / len(names)  # all groups at once
    metrics: list[Metric] = []
    by_merit: list[tuple[float, Interval]] = []
    for i, name in enumerate(names):
        if relevant[i] < FEWEST_RELEVANT:
            metrics.append(
                Metric(
                    name="exposure_share",
                    value=None,
                    n=len(lists.users),
                    slice=f"{column}={name}",
                    status=MetricStatus.SUPPRESSED,
                    reason=f"Only {relevant[i]} relevant items: fewer than {FEWEST_RELEVANT}.",
                )
            )
            continue
        estimate = stats.unit_mean(shares[:, i])
        metrics.append(
            Metric(
                name="exposure_share",
                value=estimate.value,
                interval=estimate.interval,
                n=estimate.n,
                n_effective=estimate.n_effective,
                slice=f"{column}={name}",
            )
        )
        wide = stats.unit_mean(shares[:, i], level=level)
        own = merit[i] / merit.sum()
        by_merit.append(
            (
                wide.value / own,
                Interval(low=wide.interval.low / own, high=wide.interval.high / own, method="wilson"),
            )
        )
    return [*metrics, _ratio(by_merit, column, len(lists.users))]


def _ratio(by_merit: list[tuple[float, Interval]], column: str, n: int) -> Metric:
    if len(by_merit) < 2 or max(value for value, _ in by_merit) <= 0:
        return not_estimable("exposure_ratio", n, "Fewer than two groups of items can be compared.", column)
    value = min(v for v, _ in by_merit) / max(v for v, _ in by_merit)
    pairs = [(a, b) for i, (_, a) in enumerate(by_merit) for j, (_, b) in enumerate(by_merit) if i != j]
    low = min(a.low / b.high for a, b in pairs if b.high > 0)
    high = min((a.high / b.low if b.low > 0 else 1.0) for a, b in pairs)
    interval = Interval(low=min(low, value), high=max(min(high, 1.0), value), method="simultaneous_wilson")
    return Metric(name="exposure_ratio", value=value, interval=interval, n=n, slice=column)


def _shares(lists: Lists, groups: dict[str, str], place: dict[str, int]) -> NDArray[np.float64]:
    """(lists, groups): the group's share of the exposure in each list; NaN where there is no answer."""
    weight = discounts(lists.k)
    shown = [
        top for top in lists.top if top is None or len(top)
    ]  # who has seen everything gets an empty list
    found = np.full((len(shown), len(place)), np.nan)
    for row, top in enumerate(shown):
        if top is not None:
            found[row] = 0
            for j, item in enumerate(top):
                if item in groups:  # an item that the data never name is of no known group
                    found[row, place[groups[item]]] += weight[j]
            found[row] /= weight[: len(top)].sum()
    return np.clip(found, 0, 1)


def _group_of(data: Dataset, column: str) -> dict[str, str]:
    """The group of each item. Raises where the data give an item two."""
    found: dict[str, str] = {}
    for item, group in zip(wanted(data).items.tolist(), data.groups(column).tolist(), strict=True):
        if found.setdefault(item, group) != group:
            raise EvaluationError(
                "item_groups",
                f"Item {item[:60]!r} is {found[item][:60]!r} in one row and {group[:60]!r} in another (column "
                f"{column!r}). A sensitive column of a recommender's data describes the item: make it agree.",
            )
    return found
