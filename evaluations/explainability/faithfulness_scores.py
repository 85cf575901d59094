"""The half of explainability.faithfulness that judges: falls of the answer, against chance and against their bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import kendalltau

from evaluations import stats
from evaluations.explainability import naopc, playing
from evaluations.explainability.faithfulness_asking import NUMBERS, RECORDS, bounded_rows
from evaluations.explainability.listed import (
    LARGEST,
    lengths_are,
    mean_correlation,
    mean_within,
    names,
    numbers,
)
from evaluations.explainability.perturbation_curves import PERCENT, counts
from evaluations.records import join, not_estimable, rows_by_id, too_many_errors
from evaluations.scoring import labels_of, read_probs
from evaluations.spec import Coverage, EvaluationError, Example, Heat, Metric, Modality, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.charts.perturbation import Point
    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.explainability.faithfulness import FaithfulnessParams

NAMES = (
    "comprehensiveness", "sufficiency", "excess_comprehensiveness", "excess_sufficiency", "naopc", "tau_b",
)  # fmt: skip
SHOWN = 5  # examples at either end of the excess
SHOWN_TEXT = 2000  # characters
UNRANKED = "No example has two features or more, so there was nothing to rank."
CLOSE = 0.05  # between two answers to the same input: one as a text or image, one as its features


@dataclass(frozen=True)
class Explained:
    """n examples, ascending by id. Arrays over examples hold NaN where an example gave no answer or was skipped."""

    ids: list[str]
    texts: list[str] | None
    labels: tuple[str, ...]
    target: NDArray[np.int64]
    features: list[list[str]]
    values: list[NDArray[np.float64]]
    error: NDArray[np.bool_]
    skipped: NDArray[np.bool_]
    clusters: NDArray[np.str_] | None
    falls: NDArray[np.float64]  # (n, 5) at PERCENT, without the highest attributions
    keeps: NDArray[np.float64]  # (n, 5) with them alone
    random_falls: NDArray[np.float64]  # (n, 5) means over draws
    random_keeps: NDArray[np.float64]
    best: NDArray[np.float64]  # (n, 5) along the order that lowers the answer most; NaN where not sought
    worst: NDArray[np.float64]
    naopc: NDArray[np.float64]  # (n,)
    tau: NDArray[np.float64]  # (n,)
    bounded: NDArray[np.bool_]  # drawn for the search of best and worst order

    @property
    def scored(self) -> NDArray[np.bool_]:
        return ~(self.error | self.skipped)

    def clusters_of(self, keep: NDArray[np.bool_]) -> NDArray[np.str_] | None:
        return None if self.clusters is None else self.clusters[keep]

    def coverage(self) -> Coverage:
        errors, skipped = int(self.error.sum()), int(self.skipped.sum())
        n = len(self.ids)
        return Coverage(attempted=n, scored=n - errors - skipped, failed=errors, skipped=skipped)


def collect(
    states: Sequence[ShardState], data: Dataset, params: FaithfulnessParams, ctx: Context
) -> Explained:
    """The records, checked: every number is made here, of probabilities and attributions."""
    drawn = playing.sample(data, params.examples, ctx)
    table, labels = join(states, RECORDS, data, drawn), labels_of(states, ctx)
    rows = rows_by_id(data, drawn)
    probs, error = read_probs(table.column("probs"), len(labels))
    features = names(table.column("features"))
    total = np.array([len(held) for held in features], dtype=np.int64)
    skipped = ~error & ((total < 2) | (total > params.most_features))
    scored = ~(error | skipped)
    total = np.where(scored, total, 0)
    read = {
        name: numbers(table.column(name), *((-LARGEST, LARGEST) if name == "values" else ()))
        for name in NUMBERS
    }
    seek = bounded_rows(data, drawn, params, ctx)
    sought = scored & (total <= params.bounded_features) & np.isin(rows, list(seek))
    points = np.where(scored, len(PERCENT), 0)
    for name in ("values", "left_out"):
        lengths_are(read[name], total)
    for name in ("without", "only"):
        lengths_are(read[name], points)
    for name in ("random_without", "random_only"):
        lengths_are(read[name], points * params.draws)
    for name in ("own", "best", "worst"):
        lengths_are(read[name], np.where(sought, total, 0))
    lengths_are(read["output"], scored.astype(np.int64))
    target = np.argmax(np.nan_to_num(probs), axis=1)
    n = len(rows)
    falls, keeps, random_falls, random_keeps, best, worst = np.full((6, n, len(PERCENT)), np.nan)
    areas, tau = np.full((2, n), np.nan)
    for i in np.flatnonzero(scored):
        full = float(read["output"][i][0])
        if abs(full - probs[i, target[i]]) > CLOSE:
            raise EvaluationError(
                "bad_records", "An explained answer is not the model's answer. Run it again."
            )
        falls[i], keeps[i] = full - read["without"][i], full - read["only"][i]
        random_falls[i] = full - read["random_without"][i].reshape(params.draws, -1).mean(axis=0)
        random_keeps[i] = full - read["random_only"][i].reshape(params.draws, -1).mean(axis=0)
        tau[i] = rank_agreement(read["values"][i], full - read["left_out"][i])
        if sought[i]:
            own, most, least = (full - read[name][i] for name in ("own", "best", "worst"))
            areas[i] = naopc.normalised(own.mean(), least.mean(), most.mean())
            at = counts(int(total[i])) - 1
            best[i], worst[i] = most[at], least[at]
    return Explained(
        ids=[str(i) for i in data.ids[rows]],
        texts=[data.texts[row] for row in rows] if data.modality is Modality.TEXT_CLASSIFIER else None,
        labels=labels,
        target=target,
        features=features,
        values=read["values"],
        error=error,
        skipped=skipped,
        clusters=None if data.clusters is None else data.clusters[rows],
        falls=falls,
        keeps=keeps,
        random_falls=random_falls,
        random_keeps=random_keeps,
        best=best,
        worst=worst,
        naopc=areas,
        tau=tau,
        bounded=np.isin(rows, list(seek)),
    )


def rank_agreement(values: NDArray[np.float64], drops: NDArray[np.float64]) -> float:
    """Kendall's τ-b; NaN where either never varies."""
    if np.ptp(values) == 0 or np.ptp(drops) == 0:
        return float("nan")
    return float(kendalltau(values, drops, variant="b").statistic)


def measure(found: Explained, max_error_rate: float) -> list[Metric]:
    """Every metric of explainability.faithfulness."""
    n = len(found.ids)
    reason = too_many_errors(int(found.error.sum()), n, max_error_rate)
    if not reason and not found.scored.any():
        reason = UNRANKED
    if reason:
        return [not_estimable(name, n, reason) for name in NAMES]
    fall, keep = found.falls.mean(axis=1), found.keeps.mean(axis=1)
    per_example = {
        "comprehensiveness": fall,
        "sufficiency": keep,
        "excess_comprehensiveness": fall - found.random_falls.mean(axis=1),
        "excess_sufficiency": keep - found.random_keeps.mean(axis=1),
    }
    counted = ~found.skipped
    metrics = []
    for name, values in per_example.items():
        value, interval = mean_within(values[counted], -1.0, 1.0, found.clusters_of(counted))
        metrics.append(Metric(name=name, value=value, interval=interval, n=int(counted.sum())))
    return [*metrics, _bounded(found), _agreement(found)]


def _agreement(found: Explained) -> Metric:
    known = ~np.isnan(found.tau)
    counted = known | found.error
    if not known.any():
        return not_estimable("tau_b", 0, "In no example did both the attributions and the answers vary.")
    return mean_correlation("tau_b", found.tau[counted], found.clusters_of(counted))


def _bounded(found: Explained) -> Metric:
    known = ~np.isnan(found.naopc)
    counted = known | (found.bounded & found.error)
    if not known.any():
        reason = (
            "For no example were the best and the worst order sought: none was asked for, all have too many "
            "features, or the order made no difference."
        )
        return not_estimable("naopc", 0, reason)
    e = stats.unit_mean(found.naopc[counted], found.clusters_of(counted))
    return Metric(name="naopc", value=e.value, interval=e.interval, n=e.n, n_effective=e.n_effective)


def curves(found: Explained) -> list[Point]:
    """Mean falls at PERCENT of the explanation, of chance and of the bounds, each with its interval."""
    some = f" ({int((~np.isnan(found.naopc)).sum())} examples)"
    points: list[Point] = []
    shown = (
        ("explanation's order", found.falls),
        ("random order", found.random_falls),
        ("best order found" + some, found.best),
        ("worst order found" + some, found.worst),
    )
    for name, falls in shown:
        known = ~np.isnan(falls[:, 0])
        clusters = found.clusters_of(known)
        for percent, column in zip(PERCENT, falls[known].T, strict=True) if known.any() else ():
            value, interval = mean_within(column, -1.0, 1.0, clusters)
            ends = (interval.low, interval.high) if interval else (None, None)
            points.append((name, percent, int(known.sum()), value, *ends))
    return points


def warnings(found: Explained, params: FaithfulnessParams) -> list[str]:
    said = []
    if len(found.ids) < params.examples:
        said.append(f"The data set has only {len(found.ids)} examples; {params.examples} were asked for.")
    if found.skipped.any():
        said.append(
            f"{int(found.skipped.sum())} examples have fewer than two features or more than {params.most_features} "
            "and were skipped."
        )
    return said


def examples(found: Explained) -> list[Example]:
    """The explanations that beat chance by least, and by most."""
    excess = found.falls.mean(axis=1) - found.random_falls.mean(axis=1)
    ranked = [int(i) for i in np.argsort(excess, kind="stable") if found.scored[i]]
    chosen = ranked[:SHOWN] + [i for i in ranked[-SHOWN:] if i not in ranked[:SHOWN]]
    return [
        Example(
            id=found.ids[i],
            kind="attribution",
            before=found.texts[i][:SHOWN_TEXT] if found.texts else "",
            heat=(
                Heat(
                    answer=found.labels[found.target[i]],
                    features=tuple(found.features[i]),
                    values=tuple(float(f"{value:.6g}") for value in found.values[i]),
                    text=found.texts is not None,
                ),
            ),
            facts={
                "comprehensiveness": round(float(found.falls[i].mean()), 4),
                "sufficiency": round(float(found.keeps[i].mean()), 4),
                "comprehensiveness_beyond_chance": round(float(excess[i]), 4),
            },
        )
        for i in chosen
    ]
