"""The numbers of quality.classification: point values as scikit-learn defines them, with intervals."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats as scipy_stats

from evaluations import stats
from evaluations.scoring import Scored, not_estimable, too_many_errors
from evaluations.spec import Interval, Metric

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context

    OfCells = Callable[[NDArray[Any]], NDArray[np.float64]]

EPSILON = float(np.finfo(np.float64).eps)
OF_PROBABILITIES = ("auroc", "average_precision", "log_loss")
UNGRADED = "The model names a class and states no probabilities."
NAMES = ("accuracy", "balanced_accuracy", "macro_f1", "mcc", "auroc", "average_precision", "log_loss")


def measure(
    scored: Scored, max_error_rate: float, ctx: Context, clusters: NDArray[np.str_] | None = None
) -> list[Metric]:
    """Every metric of quality.classification. `clusters` says which rows of `scored` are not independent.

    The areas under curves have no interval then.
    """
    reason = too_many_errors(scored, max_error_rate)
    if reason:
        return [not_estimable(name, scored.n, reason) for name in NAMES]
    of_labels = [
        _accuracy(scored, clusters),
        _balanced_accuracy(scored, clusters),
        _of_cells("macro_f1", macro_f1, scored, clusters, ctx),
        _of_cells("mcc", mcc, scored, clusters, ctx),
    ]
    if not scored.graded:
        return [*of_labels, *(not_estimable(name, scored.n, UNGRADED) for name in OF_PROBABILITIES)]
    return [
        *of_labels,
        *(m if clusters is None else m.model_copy(update={"interval": None}) for m in _ranking(scored)),
        _log_loss(scored, clusters),
    ]


def warnings(scored: Scored, clusters: NDArray[np.str_] | None = None) -> list[str]:
    absent = [scored.labels[k] for k in range(len(scored.labels)) if not (scored.truth == k).any()]
    said = []
    if absent:
        said.append(
            f"No example has the class {', '.join(map(repr, absent[:10]))}: nothing is said about it."
        )
    if clusters is not None:
        said.append(
            f"The examples come in {len(np.unique(clusters)):,} clusters: the intervals are those of clusters, and "
            "the area under the ROC curve and average precision have none."
        )
    return said


# --- counts ---------------------------------------------------------------------------------------


def confusion_cells(scored: Scored) -> NDArray[np.int64]:
    """Counts (truth, answer), shape (K, K)."""
    k = len(scored.labels)
    return np.bincount(scored.truth * k + scored.predicted, minlength=k * k).reshape(k, k)


def cells_by_cluster(scored: Scored, clusters: NDArray[np.str_]) -> NDArray[np.int64]:
    """Counts (cluster, truth, answer), shape (C, K, K)."""
    k, (codes, count) = len(scored.labels), stats.cluster_codes(clusters)
    cells = (codes * k + scored.truth) * k + scored.predicted
    return np.bincount(cells, minlength=count * k * k).reshape(count, k, k)


def macro_f1(cells: NDArray[Any]) -> NDArray[np.float64]:
    """(…, K, K) counts to (…,): mean F1 over the classes that occur as truth or as answer."""
    hits = np.diagonal(cells, axis1=-2, axis2=-1)
    both = cells.sum(axis=-1) + cells.sum(axis=-2)  # 2·TP + FP + FN
    with np.errstate(invalid="ignore", divide="ignore"):
        f1 = np.where(both > 0, 2 * hits / both, np.nan)
    return np.asarray(np.nanmean(f1, axis=-1))


def mcc(cells: NDArray[Any]) -> NDArray[np.float64]:
    """(…, K, K) counts to (…,): Gorodkin's R_K; 0 where truth or answers are all one class."""
    n = cells.sum(axis=(-2, -1)).astype(np.float64)
    hits = np.trace(cells, axis1=-2, axis2=-1)
    truth, answer = cells.sum(axis=-1).astype(np.float64), cells.sum(axis=-2).astype(np.float64)
    covariance = hits * n - (truth * answer).sum(axis=-1)
    scale = np.sqrt((n**2 - (truth**2).sum(axis=-1)) * (n**2 - (answer**2).sum(axis=-1)))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(scale > 0, covariance / scale, 0.0)


def softened(cells: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weights for the cell bootstrap: a class that was always right, or never, gets one pseudo-count the other way.

    Otherwise a perfect score on a handful of rows would have an interval of no width.
    """
    weights = cells.astype(np.float64)
    k = len(cells)
    for c in range(k):
        total = cells[c].sum()
        if total and cells[c, c] == total:
            weights[c, np.arange(k) != c] += 1 / (k - 1)
        elif total and cells[c, c] == 0:
            weights[c, c] += 1
    return weights


def _accuracy(scored: Scored, clusters: NDArray[np.str_] | None) -> Metric:
    found = stats.proportion(scored.predicted == scored.truth, clusters, ~scored.errors)
    return Metric(
        name="accuracy",
        value=found.value,
        interval=found.interval,
        n=scored.n,
        n_effective=None if clusters is None else found.n_effective,
    )


def _balanced_accuracy(scored: Scored, clusters: NDArray[np.str_] | None) -> Metric:
    right = scored.answered()
    hits = right.predicted == right.truth
    parts = []
    for k in np.unique(scored.truth):
        here = right.truth == k
        if not here.any():
            return not_estimable("balanced_accuracy", scored.n, f"No answer for class {scored.labels[k]!r}.")
        unknown = int(((scored.truth == k) & scored.errors).sum())
        parts.append(stats.Proportion(int(hits[here].sum()), int(here.sum()), unknown))
    if len(parts) < 2:
        return not_estimable(
            "balanced_accuracy", scored.n, "All examples are of one class: add examples of another."
        )
    value = sum(p.value for p in parts) / len(parts)
    interval = stats.mover_mean(parts) if clusters is None else _mean_of_classes(scored, clusters)
    return Metric(name="balanced_accuracy", value=value, interval=interval, n=scored.n)


def _mean_of_classes(scored: Scored, clusters: NDArray[np.str_]) -> Interval:
    """Ends averaged over the classes: a cluster may hold several, so their shares are not independent."""
    hits, found = scored.predicted == scored.truth, []
    for k in np.unique(scored.truth):
        here = scored.truth == k
        found.append(stats.proportion(hits[here], clusters[here], ~scored.errors[here]).interval)
    return Interval(
        low=float(np.mean([i.low for i in found])),
        high=float(np.mean([i.high for i in found])),
        method="mean_wilson_clustered",
    )


def _of_cells(
    name: str, statistic: OfCells, scored: Scored, clusters: NDArray[np.str_] | None, ctx: Context
) -> Metric:
    if len(np.unique(scored.truth)) < 2:
        return not_estimable(name, scored.n, "All examples are of one class: add examples of another.")
    value = float(statistic(confusion_cells(scored.answered())))
    low, _ = _resampled(statistic, scored.filled("worst"), clusters, ctx.rng(f"bootstrap:{name}"))
    _, high = _resampled(statistic, scored.filled("best"), clusters, ctx.rng(f"bootstrap:{name}"))
    method = "percentile_bootstrap" if clusters is None else "cluster_bootstrap"
    interval = Interval(low=min(value, low), high=max(value, high), method=method)
    return Metric(name=name, value=value, interval=interval, n=scored.n)


def _resampled(
    statistic: OfCells, scored: Scored, clusters: NDArray[np.str_] | None, rng: np.random.Generator
) -> tuple[float, float]:
    cells = confusion_cells(scored)
    if clusters is None:
        return stats.percentile(stats.cell_bootstrap(cells, statistic, rng, weights=softened(cells)))
    parts = cells_by_cluster(scored, clusters).astype(np.float64)
    unseen = (
        (softened(cells) - cells)[None] * len(scored.truth) / len(parts)
    )  # what a cluster more might hold
    if unseen.any():
        parts = np.concatenate([parts, unseen])
    return stats.percentile(stats.cluster_bootstrap(parts, statistic, rng))


# --- scores ---------------------------------------------------------------------------------------


def auroc(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    """Mann–Whitney estimate with ties counted half."""
    ranks = scipy_stats.rankdata(score)
    m, n = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - m * (m + 1) / 2) / (m * n))


def average_precision(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    """Step-wise area under precision against recall, ties taken together."""
    order = np.argsort(-score, kind="stable")
    hits, ordered = positive[order].astype(np.float64), score[order]
    last: NDArray[np.int64] = np.append(
        np.flatnonzero(np.diff(ordered)), len(ordered) - 1
    )  # end of each run of ties
    found = np.cumsum(hits)[last]
    gained = np.diff(found, prepend=0.0)
    return float((gained * found / (last + 1)).sum() / hits.sum())


def _ranking(scored: Scored) -> list[Metric]:
    """AUROC and AP. Two classes: of the second one. More: mean of one against rest over the classes present."""
    present = [k for k in range(len(scored.labels)) if 0 < (scored.truth == k).sum() < scored.n]
    classes = [1] if len(scored.labels) == 2 and 1 in present else present
    if not classes:
        reason = "All examples are of one class: add examples of another."
        return [not_estimable(name, scored.n, reason) for name in ("auroc", "average_precision")]
    answered, worst, best = scored.answered(), scored.filled("worst"), scored.filled("best")
    found: dict[str, list[tuple[float, Interval, Interval]]] = {"auroc": [], "average_precision": []}
    for k in classes:
        if not 0 < (answered.truth == k).sum() < answered.n:
            reason = f"No answer for class {scored.labels[k]!r}, or for any other."
            return [not_estimable(name, scored.n, reason) for name in found]
        positives = int((scored.truth == k).sum())
        point, low, high = ((s.truth == k, s.probs[:, k]) for s in (answered, worst, best))
        found["auroc"].append(
            (
                auroc(*point),
                stats.auc_interval(auroc(*low), positives, scored.n - positives),
                stats.auc_interval(auroc(*high), positives, scored.n - positives),
            )
        )
        found["average_precision"].append(
            (
                average_precision(*point),
                stats.wilson(average_precision(*low) * positives, positives),
                stats.wilson(average_precision(*high) * positives, positives),
            )
        )
    return [_mean_of(name, parts, scored.n) for name, parts in found.items()]


def _mean_of(name: str, parts: list[tuple[float, Interval, Interval]], n: int) -> Metric:
    """Mean over classes. Ends are averaged: exact for one class, conservative for several, which are correlated."""
    value = float(np.mean([p for p, _, _ in parts]))
    low = float(np.mean([lo.low for _, lo, _ in parts]))
    high = float(np.mean([hi.high for _, _, hi in parts]))
    interval = Interval(low=min(low, value), high=max(high, value), method=parts[0][1].method)
    return Metric(name=name, value=value, interval=interval, n=n)


def losses(scored: Scored) -> NDArray[np.float64]:
    """−ln of the probability of the true class, per row, in nats."""
    p = scored.probs / scored.probs.sum(axis=1, keepdims=True)
    return -np.log(np.clip(p[np.arange(scored.n), scored.truth], EPSILON, 1.0))


def _log_loss(scored: Scored, clusters: NDArray[np.str_] | None) -> Metric:
    value = float(losses(scored.answered()).mean())
    low = stats.mean_interval(losses(scored.filled("best")), clusters=clusters)
    high = stats.mean_interval(losses(scored.filled("worst")), clusters=clusters)
    interval = None
    if low and high:
        interval = Interval(low=min(value, max(0.0, low.low)), high=max(value, high.high), method=low.method)
    return Metric(name="log_loss", value=value, interval=interval, n=scored.n)
