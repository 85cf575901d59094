"""The numbers of quality.calibration: the ECE family, its null, an honest interval, the Brier score."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize, special

from evaluations import stats
from evaluations.quality.calibration_null import Null
from evaluations.scoring import Scored, not_estimable, too_many_errors
from evaluations.spec import Interval, Metric

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context

BINS = 15
NAMES = ("ece", "ece_debiased", "ece_adaptive", "ece_classwise", "ece_null_mean", "ece_null_q95", "brier")


@dataclass(frozen=True)
class Bins:
    """The bins that hold anything: counts, sums of outcomes (0/1) and of confidences."""

    counts: NDArray[np.int64]
    right: NDArray[np.float64]
    confidence: NDArray[np.float64]
    design: float = 1.0  # by how much clusters inflate the variance of a share right, at least 1

    @property
    def weights(self) -> NDArray[np.float64]:
        return self.counts / self.counts.sum()

    @property
    def gaps(self) -> NDArray[np.float64]:
        """Share right minus mean confidence, per bin."""
        return (self.right - self.confidence) / self.counts

    @property
    def ece(self) -> float:
        return float((self.weights * np.abs(self.gaps)).sum())


def measure(scored: Scored, max_error_rate: float, ctx: Context) -> list[Metric]:
    """Every metric of quality.calibration."""
    reason = too_many_errors(scored, max_error_rate)
    if reason:
        return [not_estimable(name, scored.n, reason) for name in NAMES]
    answered, n = scored.answered(), scored.n
    confidence, right = top_label(answered)
    null = Null(confidence, equal_width(confidence))
    draws = null.draw(ctx.rng("null:ece"))
    return [
        Metric(name="ece", value=binned(equal_width(confidence), confidence, right).ece, n=n),
        _debiased(scored),
        Metric(name="ece_adaptive", value=binned(equal_count(confidence), confidence, right).ece, n=n),
        Metric(name="ece_classwise", value=classwise(answered), n=n),
        Metric(name="ece_null_mean", value=null.mean, n=n),
        Metric(name="ece_null_q95", value=float(np.quantile(draws, 0.95)), n=n),
        _brier(scored),
    ]


def reliability(scored: Scored) -> Bins:
    confidence, right = top_label(scored)
    bins = binned(equal_width(confidence), confidence, right)
    if scored.clusters is None or not scored.n:
        return bins
    return replace(bins, design=max(1.0, scored.n / stats.interval_n(right - confidence, scored.clusters)))


def top_label(scored: Scored) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Confidence (largest probability) and whether that class is the true one, per row."""
    return scored.probs.max(axis=1), (scored.predicted == scored.truth).astype(np.float64)


# --- bins -----------------------------------------------------------------------------------------


def equal_width(confidence: NDArray[np.float64], bins: int = BINS) -> NDArray[np.int64]:
    """Bin of each value: (0, 1/15], (1/15, 2/15], …; 0 itself belongs to the first."""
    edges = np.arange(1, bins) / bins
    return np.asarray(np.searchsorted(edges, confidence, side="left"))


def equal_count(confidence: NDArray[np.float64], bins: int = BINS) -> NDArray[np.int64]:
    """Bin of each value by rank; equal values share the bin of their middle rank, so order does not matter."""
    _, index, counts = np.unique(confidence, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - counts / 2
    return np.asarray((middle * bins / len(confidence)).astype(np.int64)[index])


def binned(index: NDArray[np.int64], confidence: NDArray[np.float64], right: NDArray[np.float64]) -> Bins:
    counts = np.bincount(index)
    held = counts > 0
    return Bins(counts[held], np.bincount(index, right)[held], np.bincount(index, confidence)[held])


def classwise(scored: Scored) -> float:
    """Mean over classes of the ECE of each class's probability."""
    errors = []
    for k in range(len(scored.labels)):
        p = scored.probs[:, k]
        errors.append(binned(equal_width(p), p, (scored.truth == k).astype(np.float64)).ece)
    return float(np.mean(errors))


# --- without bias, with an honest interval ----------------------------------------------------------


def folded_mean(k: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """E|N(k, 1)|: 0.798 at 0, then approaching k."""
    k = np.asarray(k, dtype=np.float64)
    return np.asarray(np.sqrt(2 / np.pi) * np.exp(-k * k / 2) + k * (1 - 2 * special.ndtr(-k)))


def debiased_ece(bins: Bins) -> float:
    """Twice the ECE minus its expectation if the gaps seen were true, at least 0 (Kumar, Liang & Ma 2019)."""
    share = bins.right / bins.counts
    spread = np.sqrt(np.maximum(share * (1 - share) / bins.counts, 1e-12))
    expected = float((bins.weights * spread * folded_mean(np.abs(bins.gaps) / spread)).sum())
    return max(0.0, 2 * bins.ece - expected)


def ece_bounds(bins: Bins, level: float = stats.LEVEL) -> tuple[float, float]:
    """Bounds of the binned calibration error Σ w_b·|true gap_b|, by inverting the law of the plain ECE.

    With bin spreads σ_b the ECE is close to normal with mean Σ w_b·σ_b·h(|gap_b|/σ_b), h = folded_mean.
    Upper end: h is convex, so of all gaps with the same calibration error those proportional to σ_b
    make the smallest ECE; the largest error that they still make plausible is the bound. An ECE below
    that of a perfect model counts as that of a perfect model, so luck cannot make the bound vanish.
    Lower end: h(k) ≤ k + h(0). Variances are those of Agresti & Coull, not 0 in a bin of one kind. Clusters
    inflate the variance of ECE at either end, and the bias that is taken off at the lower end alone.
    """
    z, n = stats.z_of(level), float(bins.counts.sum())
    share = (bins.right + 2) / (bins.counts + 4)
    variance = share * (1 - share) / bins.counts
    scale = float((bins.weights * np.sqrt(variance)).sum())
    noise = float((bins.weights**2 * variance).sum()) * bins.design
    ece = bins.ece
    drift = max(0.0, float((bins.weights * bins.gaps**2).sum()) - ece**2) / n  # which bins the rows fell into
    drift *= bins.design
    low = ece - scale * np.sqrt(bins.design) * float(folded_mean(0.0)) - z * np.sqrt(noise + drift)
    seen = max(ece, scale * float(folded_mean(0.0)))

    def excess(k: float) -> float:
        h = float(folded_mean(k))
        return scale * h - z * float(np.sqrt(noise * (1 + k * k - h * h) + drift)) - seen

    far = 1.0
    while excess(far) < 0:
        far *= 2
    return max(0.0, float(low)), min(1.0, scale * float(optimize.brentq(excess, 0.0, far)))


def _debiased(scored: Scored) -> Metric:
    value = min(1.0, debiased_ece(reliability(scored.answered())))
    low, _ = ece_bounds(reliability(scored.filled("best")))
    _, high = ece_bounds(reliability(scored.filled("worst")))
    interval = Interval(low=min(low, value), high=max(high, value), method="ece_inversion")
    return Metric(name="ece_debiased", value=value, interval=interval, n=scored.n)


def brier_scores(scored: Scored) -> NDArray[np.float64]:
    """Σ_k (p_k − [truth = k])² per row, from 0 to 2."""
    return np.asarray(((scored.probs - np.eye(len(scored.labels))[scored.truth]) ** 2).sum(axis=1))


def _brier(scored: Scored) -> Metric:
    value = float(brier_scores(scored.answered()).mean())
    half = stats.unit_mean(np.clip(brier_scores(scored) / 2, 0, 1), scored.clusters)  # NaN: no answer
    ends = half.interval
    interval = ends.model_copy(update={"low": min(value, 2 * ends.low), "high": max(value, 2 * ends.high)})
    return Metric(
        name="brier",
        value=value,
        interval=interval,
        n=scored.n,
        n_effective=None if scored.clusters is None else half.n_effective,
    )
