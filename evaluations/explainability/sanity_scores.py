"""The half of explainability.sanity that judges: complexity, change, agreement, the planted sign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations import charts, stats
from evaluations.explainability import playing
from evaluations.explainability.attribution_scores import rank_agreement
from evaluations.explainability.emprt import histogram_entropy, share_entropy
from evaluations.explainability.listed import (
    LARGEST,
    lengths_are,
    mean_correlation,
    names,
    numbers,
    pooled_ratio,
)
from evaluations.explainability.nearby import largest_change
from evaluations.explainability.planted import found_first
from evaluations.explainability.sanity_asking import (
    NUMBERS,
    RECORDS,
    network_of,
    plant_of,
    repeated_rows,
)
from evaluations.records import join, not_estimable, rows_by_id, too_many_errors
from evaluations.scoring import labels_of, read_probs
from evaluations.spec import Chart, Coverage, Example, Heat, Interval, Metric, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.explainability.sanity import SanityParams

NAMES = (
    "emprt", "emprt_shares", "emprt_risen", "max_sensitivity", "seed_correlation", "shortcut_precision",
    "shortcut_untaught", "shortcut_chance", "shortcut_learnt", "shortcut_without",
)  # fmt: skip
LEARNT = 0.9  # share of examples in which the sign has to decide, before an explanation is blamed
DRAWS_NOTHING = ("integrated_gradients", "occlusion")
SHOWN = 5  # planted examples that were found, and that were missed
UNRANKED = "No example has two features or more, so there was nothing to explain."


@dataclass(frozen=True)
class Checked:
    """n examples, ascending by id. NaN where an example gave no answer, was skipped or was not repeated."""

    ids: list[str]
    text: bool
    labels: tuple[str, ...]
    error: NDArray[np.bool_]
    skipped: NDArray[np.bool_]
    clusters: NDArray[np.str_] | None
    networks: NDArray[np.int64]
    before: NDArray[
        np.float64
    ]  # (2, n) complexity of the model's explanation: of its histogram, of its shares
    after: NDArray[np.float64]  # (2, n) of the random network's
    repeated: NDArray[np.bool_]  # drawn to be explained repeatedly
    change: NDArray[np.float64]  # largest, of nearby inputs' attributions
    size: NDArray[np.float64]  # norm of the attributions
    agreement: NDArray[np.float64]
    which: NDArray[np.int64]  # class that the sign decides for; -1 where nothing was planted
    decides: NDArray[np.bool_]  # the copy follows the sign, and the other sign
    without: NDArray[np.bool_]  # it answers the sign's class with the sign masked
    first: NDArray[np.bool_]
    untaught: NDArray[np.bool_]
    chance: NDArray[np.float64]
    planted: list[NDArray[np.float64]]
    planted_features: list[list[str]]

    @property
    def scored(self) -> NDArray[np.bool_]:
        return ~(self.error | self.skipped)

    def clusters_of(self, keep: NDArray[np.bool_]) -> NDArray[np.str_] | None:
        return None if self.clusters is None else self.clusters[keep]

    def coverage(self) -> Coverage:
        errors, skipped, n = int(self.error.sum()), int(self.skipped.sum()), len(self.ids)
        return Coverage(attempted=n, scored=n - errors - skipped, failed=errors, skipped=skipped)


def collect(states: Sequence[ShardState], data: Dataset, params: SanityParams, ctx: Context) -> Checked:
    """The records, checked. What was drawn for an example is drawn again here."""
    drawn = playing.sample(data, params.examples, ctx)
    table, labels = join(states, RECORDS, data, drawn), labels_of(states, ctx)
    rows = rows_by_id(data, drawn)
    _, error = read_probs(table.column("probs"), len(labels))
    total = np.array([len(held) for held in names(table.column("features"))], dtype=np.int64)
    skipped = ~error & ((total < 2) | (total > params.most_features))
    scored = ~(error | skipped)
    total = np.where(scored, total, 0)
    read = {
        name: numbers(table.column(name), *(() if name == "planted_probs" else (-LARGEST, LARGEST)))
        for name in NUMBERS
    }
    repeated = np.isin(rows, list(repeated_rows(data, drawn, params, ctx)))
    for name in ("values", "randomised", "planted", "untaught"):
        lengths_are(read[name], total)
    lengths_are(read["seeds"], total * repeated * (params.seeds - 1))
    lengths_are(read["nearby"], total * repeated * params.nearby)
    lengths_are(read["planted_probs"], scored * 3 * len(labels))
    n, ids = len(rows), [str(i) for i in data.ids[rows]]
    change, size, agreement, chance = np.full((4, n), np.nan)
    before, after = np.full((2, 2, n), np.nan)
    flags: NDArray[np.bool_] = np.zeros((4, n), dtype=bool)
    decides, without, first, untaught = flags
    which: NDArray[np.int64] = np.full(n, -1)
    for i in np.flatnonzero(scored):
        values, count = read["values"][i], int(total[i])
        before[:, i] = histogram_entropy(values), share_entropy(values)
        after[:, i] = histogram_entropy(read["randomised"][i]), share_entropy(read["randomised"][i])
        if repeated[i]:
            size[i] = np.linalg.norm(values)
            change[i] = largest_change(values, read["nearby"][i].reshape(-1, count))
            agreement[i] = rank_agreement(np.vstack([values, read["seeds"][i].reshape(-1, count)]))
        place, which[i] = plant_of(ids[i], count, ctx)
        answers = read["planted_probs"][i].reshape(3, -1).argmax(axis=1)
        decides[i] = answers[0] == which[i] and answers[1] == 1 - which[i]
        without[i] = answers[2] == which[i]
        first[i] = found_first(read["planted"][i], place)
        untaught[i] = found_first(read["untaught"][i], place)
        chance[i] = 1 / count
    return Checked(
        ids=ids,
        text=data.modality.value.startswith("text"),
        labels=labels,
        error=error,
        skipped=skipped,
        clusters=None if data.clusters is None else data.clusters[rows],
        networks=np.array([network_of(one, params, ctx) for one in ids], dtype=np.int64),
        before=before,
        after=after,
        repeated=repeated,
        change=change,
        size=size,
        agreement=agreement,
        which=which,
        decides=decides,
        without=without,
        first=first,
        untaught=untaught,
        chance=chance,
        planted=read["planted"],
        planted_features=names(table.column("planted_features")),
    )


def measure(found: Checked, params: SanityParams, ctx: Context) -> list[Metric]:
    """Every metric of explainability.sanity."""
    n = len(found.ids)
    reason = too_many_errors(int(found.error.sum()), n, params.max_error_rate)
    if not reason and not found.scored.any():
        reason = UNRANKED
    if reason:
        return [not_estimable(name, n, reason) for name in NAMES]
    return [*_rise(found, ctx), _change(found, ctx), _agreement(found), *_shortcut(found, params)]


def _rise(found: Checked, ctx: Context) -> list[Metric]:
    counted = ~found.skipped
    before, after = found.before[:, counted], found.after[:, counted]
    networks, n = found.networks[counted], before.shape[1]
    hits = np.nan_to_num(after[1]) > np.nan_to_num(before[1]) + 1e-12
    share = stats.proportion(hits, networks, ~found.error[counted])
    risen = Metric(
        name="emprt_risen", value=share.value, interval=share.interval, n=n, n_effective=share.n_effective
    )
    rises = [
        _rise_of(name, before[k], after[k], networks, found.clusters_of(counted), ctx)
        for k, name in enumerate(NAMES[:2])
    ]
    return [*rises, risen]


def _rise_of(
    name: str,
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    networks: NDArray[np.int64],
    clusters: NDArray[np.str_] | None,
    ctx: Context,
) -> Metric:
    if not np.nansum(before) > 0:
        return not_estimable(
            name, len(before), "Every explanation is flat: it names no feature before others."
        )
    ratio, interval = pooled_ratio(after, before, networks, ctx.rng(f"bootstrap:{name}"))
    if clusters is not None:
        interval = _wider(interval, pooled_ratio(after, before, clusters, ctx.rng(f"bootstrap:{name}"))[1])
    if interval is not None:
        interval = interval.model_copy(update={"low": interval.low - 1, "high": interval.high - 1})
    return Metric(name=name, value=ratio - 1, interval=interval, n=len(before))


def _wider(one: Interval | None, other: Interval | None) -> Interval | None:
    """None where either cannot be made: what cannot be told is not told by leaving it out."""
    if one is None or other is None:
        return None
    return one if one.high - one.low >= other.high - other.low else other


def _change(found: Checked, ctx: Context) -> Metric:
    known = ~np.isnan(found.change)
    counted = known | (found.repeated & found.error)
    n = int(counted.sum())
    if not np.nansum(found.size) > 0:
        return not_estimable("max_sensitivity", n, "No repeated example has an explanation that is not flat.")
    units = np.arange(n) if found.clusters is None else found.clusters[counted]
    change, size = found.change[counted], found.size[counted]
    value, interval = pooled_ratio(change, size, units, ctx.rng("bootstrap:max_sensitivity"))
    if interval is not None:
        interval = interval.model_copy(update={"low": max(0.0, interval.low)})
    return Metric(name="max_sensitivity", value=value, interval=interval, n=n)


def _agreement(found: Checked) -> Metric:
    known = ~np.isnan(found.agreement)
    counted = known | (found.repeated & found.error)
    if not known.any():
        reason = "No example has explanations that vary over its features, with every seed."
        return not_estimable("seed_correlation", int(counted.sum()), reason)
    return mean_correlation("seed_correlation", found.agreement[counted], found.clusters_of(counted))


def _shortcut(found: Checked, params: SanityParams) -> list[Metric]:
    """Rates of the planted sign. An example without an answer may have been found or missed."""
    counted = ~found.skipped
    learnt = _rate("shortcut_learnt", found.decides, counted, found)
    without = _rate("shortcut_without", found.without, counted, found)
    ground = counted & (found.decides | found.error)
    n = int(found.decides.sum())
    reason = ""
    if (learnt.value or 0.0) < LEARNT:
        reason = (
            f"The taught copy follows the planted sign in {learnt.value or 0.0:.0%} of the examples only, so nothing "
            "is known of its reasons. Raise the steps or the learning rate."
        )
    elif n < params.min_planted:
        reason = (
            f"The planted sign decides in {n} examples, {params.min_planted} are needed. Raise the examples."
        )
    if reason:
        named = [not_estimable(name, n, reason) for name in NAMES[5:8]]
        return [*named, learnt, without]
    chance = Metric(name="shortcut_chance", value=float(found.chance[found.decides].mean()), n=n)
    first = _rate("shortcut_precision", found.first, ground, found)
    return [first, _rate("shortcut_untaught", found.untaught, ground, found), chance, learnt, without]


def _rate(name: str, hits: NDArray[np.bool_], counted: NDArray[np.bool_], found: Checked) -> Metric:
    e = stats.proportion(hits[counted], found.clusters_of(counted), ~found.error[counted])
    return Metric(name=name, value=e.value, interval=e.interval, n=e.n, n_effective=e.n_effective)


def drawn(found: Checked, metrics: Sequence[Metric]) -> list[Chart]:
    """Complexity before and after, and how often the planted sign is named first."""
    named = {metric.name: metric for metric in metrics}
    before, after = found.before[1, found.scored], found.after[1, found.scored]
    shown = [
        ("Taught to follow it", named["shortcut_precision"]),
        ("Not taught", named["shortcut_untaught"]),
    ]
    return [
        *charts.distributions(
            "complexity",
            "Complexity of explanations",
            "Entropy of the features' shares (nats)",
            {"The model": before, "Weights drawn anew": after},
        ),
        *charts.group_bars("shortcut", "Planted sign named first", shown),
    ]


def warnings(found: Checked, params: SanityParams, metrics: Sequence[Metric]) -> list[str]:
    said = []
    if params.method in DRAWS_NOTHING:
        said.append(f"{params.method} draws nothing at random: its agreement between seeds is 1 by itself.")
    named = {metric.name: metric.interval for metric in metrics}
    taught, untaught = named["shortcut_precision"], named["shortcut_untaught"]
    if taught and untaught and untaught.high >= taught.low:
        said.append(
            "Explanations of the model that was never taught the planted sign name it first about as often: that it "
            "is named says nothing of what they find."
        )
    if len(found.ids) < params.examples:
        said.append(f"The data set has only {len(found.ids)} examples; {params.examples} were asked for.")
    if found.skipped.any():
        said.append(
            f"{int(found.skipped.sum())} examples have fewer than two features or more than {params.most_features} "
            "and were skipped."
        )
    return said


def examples(found: Checked) -> list[Example]:
    """Planted examples in which the sign decides: those that the explanation missed first."""
    missed = np.flatnonzero(found.decides & ~found.first)[:SHOWN]
    hit = np.flatnonzero(found.decides & found.first)[:SHOWN]
    return [_example(found, int(i)) for i in (*missed, *hit)]


def _example(found: Checked, i: int) -> Example:
    features, values = found.planted_features[i], found.planted[i]
    heat: tuple[Heat, ...] = ()
    if len(features) == len(values):
        heat = (
            Heat(
                answer=found.labels[found.which[i]],
                features=tuple(features),
                values=tuple(float(f"{value:.6g}") for value in values),
                text=found.text,
            ),
        )
    facts: dict[str, Any] = {"planted_sign_named_first": "yes" if found.first[i] else "no"}
    return Example(id=found.ids[i], kind="attribution", heat=heat, facts=facts)
