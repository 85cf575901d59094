"""The numbers of quality.ood: how well a score of certainty separates foreign from own examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from scipy import special
from scipy import stats as scipy_stats

from evaluations import records, scoring, stats
from evaluations.quality.classification_scores import auroc, average_precision
from evaluations.records import not_estimable
from evaluations.spec import Access, Coverage, EvaluationError, Interval, Metric, Modality, Shard, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.models.protocol import Classifier
    from evaluations.quality.ood import OodParams

ENDS = ("", "_entropy", "_energy")
ACCEPTED = 0.95
ENERGY = pa.schema({"energy": pa.float64()})
NOT_ASKED = "The energy score was not asked for. Set the parameter energy."
NO_LOGITS = "The model gives no logits, which the energy score is made of."


@dataclass(frozen=True)
class Rows:
    """Own and foreign rows, ascending by id: probabilities, energy (NaN: none), errors."""

    foreign: NDArray[np.bool_]
    probs: NDArray[np.float64]
    energy: NDArray[np.float64]
    errors: NDArray[np.bool_]
    clusters: NDArray[np.str_] | None
    total: int  # rows of the data set, those of other splits too
    failed: int

    def coverage(self) -> Coverage:
        used = len(self.foreign)
        return Coverage(
            attempted=self.total,
            scored=used - self.failed,
            failed=self.failed,
            skipped=self.total - used,
        )


def used(data: Dataset) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which rows are own and which foreign. Own: the split test, else all but train and ood."""
    if data.split is None:
        raise EvaluationError(
            "split_missing", "No column says which rows are foreign (role split).", skipped=True
        )
    foreign = data.split == "ood"
    own = np.isin(data.split, ("train", "ood"), invert=True)
    if (data.split == "test").any():
        own = data.split == "test"
    if not foreign.any() or not own.any():
        raise EvaluationError(
            "no_ood_rows",
            "The split column needs rows named ood and rows of another split beside train. "
            "Add examples from elsewhere under the name ood.",
            skipped=True,
        )
    return own, foreign


def score_shard(
    model: Classifier, data: Dataset, ctx: Context, shard: Shard, params: OodParams
) -> ShardState:
    """Probabilities of the own and foreign rows of a shard, and their energy where it is asked for and to be had."""
    own, foreign = used(data)
    every = records.all_rows(data, shard)
    rows = every[(own | foreign)[every]]
    scores = ctx.predictions(model, data, rows)
    energy = pa.nulls(len(rows), pa.float64())
    if params.energy and Access.LOGITS in model.access and data.modality is Modality.TEXT_CLASSIFIER:
        energy = _energy(model, data, ctx, rows)
    columns = {"probs": scoring.probs_column(scores.probs, scores.errors), "energy": energy}
    table = scoring.with_labels(records.table_of(data, rows, columns), model.labels)
    return ShardState(table, {"errors": int(scores.errors.sum())})


def _energy(model: Any, data: Dataset, ctx: Context, rows: NDArray[np.int64]) -> pa.Array:
    def ask(positions: NDArray[np.int64]) -> pa.Table:
        logits = np.asarray(model.logits(data.inputs(rows[positions], None)), dtype=np.float64)
        energy = special.logsumexp(logits, axis=1)
        return pa.table({"energy": pa.array(energy, mask=~np.isfinite(energy))}, schema=ENERGY)

    found = ctx.answers(model, "energy", data.ids[rows], ask, "scoring logits", ENERGY)
    return found.column("energy").combine_chunks()


def collect(states: Sequence[ShardState], data: Dataset, ctx: Context) -> Rows:
    """The records of the own and foreign rows, checked."""
    own, foreign = used(data)
    rows = np.flatnonzero(own | foreign)
    columns = {"probs": pa.list_(pa.float64()), "energy": pa.float64()}
    table = records.join(states, columns, data, rows)
    labels = scoring.labels_of(states, ctx)
    order = records.rows_by_id(data, rows)
    probs, errors = scoring.read_probs(table.column("probs"), len(labels))
    energy = table.column("energy").to_numpy().astype(np.float64)
    return Rows(
        foreign=foreign[order],
        probs=probs,
        energy=np.where(np.isfinite(energy), energy, np.nan),
        errors=errors,
        clusters=None if data.clusters is None else data.clusters[order],
        total=data.rows,
        failed=int(errors.sum()),
    )


def confidences(rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Largest probabilities of the answered own and foreign rows."""
    found = rows.probs.max(axis=1)
    return found[~rows.foreign & ~rows.errors], found[rows.foreign & ~rows.errors]


def measure(rows: Rows, params: OodParams) -> list[Metric]:
    """Every metric of quality.ood."""
    n = len(rows.foreign)
    found = []
    for end, score in zip(ENDS, _scores(rows), strict=True):
        names = [f"auroc{end}", f"fpr95{end}", *(["aupr"] if not end else [])]
        why = _why_not(rows, score, params)
        if end == "_energy" and np.isnan(rows.energy).all():
            why = NO_LOGITS if params.energy else NOT_ASKED
        if why:
            found += [not_estimable(name, n, why) for name in names]
            continue
        ranking = Ranking(score, rows.foreign, rows.clusters)
        found += [ranking.auroc(names[0]), ranking.fpr(names[1])]
        if not end:
            found.append(ranking.aupr())
    return found


def _why_not(rows: Rows, score: NDArray[np.float64], params: OodParams) -> str:
    """Why a score says nothing: too many rows lack it, or all of a kind do. "" where it says something."""
    known = np.isfinite(score)
    if reason := records.too_many_errors(int((~known).sum()), len(known), params.max_error_rate):
        return reason
    if not (known & rows.foreign).any() or not (known & ~rows.foreign).any():
        return "The model gave no answer to any foreign, or to any own, example."
    return ""


def _scores(rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Confidence, negative entropy and energy: higher where the model is surer; NaN without an answer."""
    entropy = special.xlogy(rows.probs, rows.probs).sum(axis=1)
    return rows.probs.max(axis=1), entropy, np.where(rows.errors, np.nan, rows.energy)


class Ranking:
    """One score over own and foreign rows. Rows without a score rank at either end, for the two bounds."""

    def __init__(
        self,
        score: NDArray[np.float64],
        foreign: NDArray[np.bool_],
        clusters: NDArray[np.str_] | None,
    ) -> None:
        self.score, self.foreign, self.clusters = score, foreign, clusters
        self.known = np.isfinite(score)
        below, above = score[self.known].min() - 1, score[self.known].max() + 1
        self.worst = np.where(self.known, score, np.where(foreign, above, below))
        self.best = np.where(self.known, score, np.where(foreign, below, above))

    def auroc(self, name: str) -> Metric:
        own = ~self.foreign
        value = auroc(own[self.known], self.score[self.known])
        low, high = (stats.auc_interval(auroc(own, s), *self._worth(s)) for s in (self.worst, self.best))
        return self._metric(name, value, stats.spanning(low, high, value))

    def _worth(self, score: NDArray[np.float64]) -> tuple[int, int]:
        """How many independent own and foreign rows these are worth: by the placements (DeLong 1988) in clusters."""
        sizes = int((~self.foreign).sum()), int(self.foreign.sum())
        if self.clusters is None:
            return sizes
        found = []
        for mine, size in ((~self.foreign, sizes[0]), (self.foreign, sizes[1])):
            others = np.sort(score[~mine])
            placed = np.searchsorted(others, score[mine], "left") + np.searchsorted(
                others, score[mine], "right"
            )
            worth = stats.interval_n(placed / (2 * len(others)), self.clusters[mine])
            found.append(max(1, min(size, round(worth))))
        return found[0], found[1]

    def fpr(self, name: str) -> Metric:
        """Foreign rows accepted. Both the threshold and the share are uncertain: each end holds at 97.5 %."""
        level = 1 - (1 - stats.LEVEL) / 2
        own = ~self.foreign
        together = None if self.clusters is None else self.clusters[own]
        t, _, _ = thresholds(self.score[own & self.known], level)
        _, loose, _ = thresholds(self.worst[own], level, together)
        _, _, strict = thresholds(self.best[own], level, together)
        answered = self.known[self.foreign]
        clusters = None if self.clusters is None else self.clusters[self.foreign]
        accepted = np.nan_to_num(self.score[self.foreign], nan=-np.inf)
        point, low, high = (
            stats.proportion(accepted >= limit, clusters, answered, level=level)
            for limit in (t, strict, loose)
        )
        interval = Interval(
            low=min(low.interval.low, point.value),
            high=max(high.interval.high, point.value),
            method="order_statistics_wilson",
        )
        return self._metric(name, point.value, interval)

    def aupr(self) -> Metric:
        value = average_precision(self.foreign[self.known], -self.score[self.known])
        hits = self._worth(self.score if self.known.all() else self.worst)[1]
        ends = [average_precision(self.foreign, -s) * hits for s in (self.worst, self.best)]
        interval = stats.spanning(stats.wilson(ends[0], hits), stats.wilson(ends[1], hits), value)
        return self._metric("aupr", value, interval)

    def _metric(self, name: str, value: float, interval: Interval) -> Metric:
        return Metric(name=name, value=value, interval=interval, n=len(self.foreign))


def thresholds(
    own: NDArray[np.float64], level: float, clusters: NDArray[np.str_] | None = None
) -> tuple[float, float, float]:
    """The largest value that 95 % of the own rows reach, and bounds of it between order statistics.

    X_(r) and X_(s) with P(Bin(n, .05) < r) and P(Bin(n, .05) ≥ s) each at most half of what `level` leaves;
    infinite where there are too few rows. In clusters n is what the rows below the value are worth, and the
    order statistics are those at the same shares (Woodruff 1952, JASA 47:635).
    """
    ordered, n, tail = np.sort(own), len(own), (1 - level) / 2
    value = float(ordered[int((1 - ACCEPTED) * n + 1e-9)])
    worth = n
    if clusters is not None:
        worth = max(1, min(n, int(stats.interval_n((own < value).astype(np.float64), clusters, level))))
    below = scipy_stats.binom.cdf(np.arange(worth + 1), worth, 1 - ACCEPTED)
    r = int((below[:worth] <= tail).sum())  # P(Bin < r) = below[r − 1]
    s = int((1 - below > tail).sum()) + 1  # P(Bin ≥ s) = 1 − below[s − 1]
    low = float(ordered[max(1, r * n // worth) - 1]) if r else -np.inf
    high = float(ordered[-(-s * n // worth) - 1]) if s <= worth else np.inf
    return value, min(low, value), max(high, value)
