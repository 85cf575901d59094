"""Rates and means of attacks on texts: of all recipes together, and of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evaluations import stats
from evaluations.records import not_estimable, too_many_errors
from evaluations.robustness.attack_limits import REDUCTION
from evaluations.robustness.attack_outcomes import Outcomes, Tally, Tried
from evaluations.robustness.attack_specs import Search
from evaluations.robustness.changed_words import changed_words
from evaluations.spec import Metric

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_POINTS = 40  # of a curve: each is a row of its table
Likeness = dict[tuple[int, str], float]  # (example, recipe) -> of its success to the original text
Curve = list[tuple[int, float, float, float]]


@dataclass(frozen=True)
class Names:
    """What the metrics are called: of all recipes, or of one as a slice."""

    prefix: str = ""
    slice: str = "all"

    def __call__(self, name: str) -> str:
        return f"{self.prefix}{name}"


def measure(outcomes: Outcomes, likeness: Likeness | None, max_error_rate: float) -> list[Metric]:
    """Every metric. `likeness` is None where it is not measured."""
    whole = Names()
    found = [_original(outcomes, max_error_rate)]
    if outcomes.recipes:
        own, adjusted = outcomes.together(False), outcomes.together(True)
        found += _rates(outcomes, own, adjusted, whole, max_error_rate)
        found += _means(outcomes, outcomes.recipes, whole, likeness)
    else:
        reason = "No attack is among the chosen recipes."
        named = ["accuracy_under_attack", "attack_success_rate", "attack_success_rate_adjusted"]
        named += ["perturbed_words", "queries", *(["similarity"] if likeness is not None else [])]
        found += [not_estimable(name, outcomes.n, reason) for name in named]
    for recipe in outcomes.recipes:
        names = Names("recipe_", f"recipe={recipe}")
        found += _rates(
            outcomes, outcomes.search(recipe, False), outcomes.search(recipe, True), names, max_error_rate
        )
        found += _means(outcomes, [recipe], names, likeness)
    if (reduction := outcomes.tried.get(Search(REDUCTION, False))) is not None:
        found.append(_removable(outcomes, reduction, max_error_rate))
    return found


def _original(outcomes: Outcomes, max_error_rate: float) -> Metric:
    name = "original_accuracy"
    if reason := _nothing(outcomes, outcomes.silent, max_error_rate):
        return not_estimable(name, outcomes.n, reason)
    every: NDArray[np.bool_] = np.ones(outcomes.n, dtype=bool)
    return _rate(name, outcomes, outcomes.right, ~outcomes.silent, every)


def _rates(
    outcomes: Outcomes, own: Tally, adjusted: Tally, names: Names, max_error_rate: float
) -> list[Metric]:
    under, rate = names("accuracy_under_attack"), "success_rate" if names.prefix else "attack_success_rate"
    found = []
    unknown = outcomes.silent | own.unknown
    if reason := _nothing(outcomes, unknown, max_error_rate):
        found.append(not_estimable(under, outcomes.n, reason, names.slice))
    else:
        every: NDArray[np.bool_] = np.ones(outcomes.n, dtype=bool)
        found.append(_rate(under, outcomes, outcomes.right & ~own.won, ~unknown, every, names.slice))
    at_stake = _at_stake(outcomes)
    for name, tally in ((names(rate), own), (names(f"{rate}_adjusted"), adjusted)):
        unknown = outcomes.silent | tally.unknown
        if reason := _nothing(outcomes, unknown, max_error_rate, at_stake):
            found.append(not_estimable(name, int(at_stake.sum()), reason, names.slice))
        else:
            found.append(_rate(name, outcomes, tally.won, ~unknown, at_stake, names.slice))
    return found


def _at_stake(outcomes: Outcomes) -> NDArray[np.bool_]:
    """What an attack can win. An example without an answer may have been right: it counts in both ends of a rate."""
    return outcomes.right | outcomes.silent


def _nothing(
    outcomes: Outcomes, unknown: NDArray[np.bool_], limit: float, among: NDArray[np.bool_] | None = None
) -> str:
    """Why there is nothing to estimate of the examples `among` (None: of all), or ""."""
    if not outcomes.n:
        return "Every sampled text is too long to be attacked, or written in another script than Latin."
    n = outcomes.n if among is None else int(among.sum())
    if not n:
        return "The model was wrong on every sampled example, so there was nothing to attack."
    return too_many_errors(int(unknown.sum()), n, limit)


def _rate(
    name: str,
    outcomes: Outcomes,
    hits: NDArray[np.bool_],
    known: NDArray[np.bool_],
    among: NDArray[np.bool_],
    slice: str = "all",
) -> Metric:
    clusters = None if outcomes.clusters is None else outcomes.clusters[among]
    found = stats.proportion(hits[among], clusters, known[among])
    return Metric(
        name=name,
        value=found.value,
        interval=found.interval,
        n=found.n,
        n_effective=None if clusters is None else found.n_effective,
        slice=slice,
    )


def _means(outcomes: Outcomes, recipes: list[str], names: Names, likeness: Likeness | None) -> list[Metric]:
    """Words changed, likeness (of broken examples, the best of these recipes) and queries (of all of them)."""
    tried = {recipe: outcomes.search(recipe, False) for recipe in recipes}
    broken = [int(i) for i in np.flatnonzero(np.any([t.won for t in tried.values()], axis=0))]
    words = np.array([min(share_changed(outcomes, t, i) for t in tried.values() if t.won[i]) for i in broken])
    found = [_unit_mean(names("perturbed_words"), outcomes, words, broken, names.slice)]
    if likeness is not None:
        best = np.array([max(likeness[i, recipe] for recipe, t in tried.items() if t.won[i]) for i in broken])
        found.append(_unit_mean(names("similarity"), outcomes, best, broken, names.slice))
    queries = np.sum([t.queries for t in tried.values()], axis=0)
    attacked = np.flatnonzero(~np.isnan(queries))
    name = names("queries")
    if not len(attacked):
        return [*found, not_estimable(name, 0, "No example could be attacked.", names.slice)]
    values = queries[attacked]
    clusters = None if outcomes.clusters is None else outcomes.clusters[attacked]
    return [
        *found,
        Metric(
            name=name,
            value=float(values.mean()),
            interval=stats.mean_interval(values, clusters=clusters),
            n=len(values),
            slice=names.slice,
        ),
    ]


def _unit_mean(
    name: str, outcomes: Outcomes, values: NDArray[np.float64], rows: list[int], slice: str
) -> Metric:
    if not len(rows):
        return not_estimable(name, 0, "No attack succeeded.", slice)
    clusters = None if outcomes.clusters is None else outcomes.clusters[rows]
    found = stats.unit_mean(np.clip(values, 0.0, 1.0), clusters)
    return Metric(name=name, value=found.value, interval=found.interval, n=found.n, slice=slice)


def _removable(outcomes: Outcomes, reduction: Tried, max_error_rate: float) -> Metric:
    """The mean share of words that input reduction left out; a text from which none could go counts as 0."""
    name = "removable_words"
    unknown = outcomes.silent | reduction.unknown
    rows = np.flatnonzero(outcomes.right)
    if reason := _nothing(outcomes, unknown, max_error_rate, _at_stake(outcomes)):
        return not_estimable(name, len(rows), reason)
    shares = np.array(
        [
            np.nan if reduction.unknown[i] else share_left_out(outcomes.texts[i], reduction, int(i))
            for i in rows
        ]
    )
    if not (~np.isnan(shares)).any():
        return not_estimable(
            name, len(rows), "No example that the model was right on was searched to the end."
        )
    clusters = None if outcomes.clusters is None else outcomes.clusters[rows]
    found = stats.unit_mean(shares, clusters)
    return Metric(name=name, value=found.value, interval=found.interval, n=found.n)


def share_left_out(text: str, reduction: Tried, i: int) -> float:
    """Of the words that hold a letter or a digit, those that are gone."""
    before = _words(text)
    if not reduction.won[i] or not before:
        return 0.0
    return min(1.0, max(0.0, 1 - _words(str(reduction.texts[i])) / before))


def _words(text: str) -> int:
    return sum(any(c.isalnum() for c in word) for word in text.split())


def share_changed(outcomes: Outcomes, tried: Tried, i: int) -> float:
    before = outcomes.texts[i]
    pairs = changed_words(before, str(tried.texts[i]))
    return min(1.0, len({old for old, _ in pairs}) / max(1, len(before.split())))


def curves(outcomes: Outcomes, max_error_rate: float) -> dict[str, Curve]:
    """ASR(q) per search: (queries, share of attacks that succeeded within them, low, high), at most MOST_POINTS.

    Of the attacks that were searched to the end; none of a search whose rate too many errors leave open.
    """
    found = {}
    for search, tried in outcomes.tried.items():
        unknown = outcomes.silent | tried.unknown
        attacked = outcomes.right & ~tried.unknown
        if search.recipe == REDUCTION or not attacked.any():
            continue
        if _nothing(outcomes, unknown, max_error_rate, _at_stake(outcomes)):
            continue
        queries, won = tried.queries[attacked], tried.won[attacked]
        clusters = None if outcomes.clusters is None else outcomes.clusters[attacked]
        at = np.unique(queries)
        if len(at) > MOST_POINTS:
            at = at[np.unique(np.linspace(0, len(at) - 1, MOST_POINTS).round().astype(int))]
        points = []
        for q in at:
            part = stats.proportion(won & (queries <= q), clusters)
            points.append((int(q), part.value, part.interval.low, part.interval.high))
        found[search.told] = points
    return found
