"""Rates that an erring judge or detector reports, corrected by how it did on examples that people labelled."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evaluations.spec import Interval
from evaluations.stats.constants import DRAWS, LEVEL, z_of
from evaluations.stats.resampling import percentile

if TYPE_CHECKING:
    from numpy.typing import NDArray

NO_BETTER_THAN_CHANCE = 0.025  # above this probability that Se + Sp ≤ 1 nothing is corrected

FEWEST_FOR_NORMAL = 30


@dataclass(frozen=True)
class Checked:
    """How a judge did on human-labelled examples: `right` of `n` that are positive, or of `n` that are negative."""

    right: int
    n: int


@dataclass(frozen=True)
class Corrected:
    """A rate corrected for the judge's errors; where it cannot be, `reason` says why and the rest is None."""

    value: float | None
    interval: Interval | None
    reason: str = ""


def rogan_gladen(
    flagged: float,
    n: float,
    positives: Checked,
    negatives: Checked,
    rng: np.random.Generator,
    level: float = LEVEL,
    draws: int = DRAWS,
) -> Corrected:
    """The true rate behind `flagged` of `n`: (p + Sp − 1)/(Se + Sp − 1), clipped to [0, 1].

    Rogan & Gladen 1978, Am. J. Epidemiol. 107:71. All three of p, Se and Sp are drawn from
    Beta(x + ½, n − x + ½); the interval holds the middle `level` of the draws. Resampling Se and Sp alone
    covers 72 %, all three 95 %. `flagged` and `n` may be fractional, as of an effective n. Not
    estimable where Se + Sp ≤ 1 has a probability above 2.5 %, or a kind has no labelled example.
    """
    if not (n > 0 and positives.n and negatives.n):
        return Corrected(None, None, "The judge was checked on no example of one kind: label some of both.")
    observed = _drawn(flagged, n, rng, draws)
    sensitivity = _drawn(positives.right, positives.n, rng, draws)
    specificity = _drawn(negatives.right, negatives.n, rng, draws)
    youden = sensitivity + specificity - 1
    useless = float((youden <= 0).mean())
    point = positives.right / positives.n + negatives.right / negatives.n - 1
    if useless > NO_BETTER_THAN_CHANCE or point <= 0:
        return Corrected(
            None,
            None,
            f"The judge may be no better than guessing (probability {useless:.1%}): "
            "label more examples, or take another judge.",
        )
    kept = youden > 0
    rates = np.clip((observed + specificity - 1)[kept] / youden[kept], 0.0, 1.0)
    value = min(1.0, max(0.0, (flagged / n + negatives.right / negatives.n - 1) / point))
    low, high = percentile(rates, level)
    return Corrected(
        value,
        Interval(low=min(low, value), high=max(high, value), method="rogan_gladen", level=level),
    )


def gate_interval(raw: Interval, corrected: Interval) -> Interval:
    """What a gate goes by: from the lower of both low ends to the higher of both high ends.

    A judge's error can so never turn a found failure into a pass, nor a correction excuse one.
    """
    return Interval(
        low=min(raw.low, corrected.low),
        high=max(raw.high, corrected.high),
        method="worse_of_raw_and_corrected",
        level=raw.level,
    )


def ppi_mean(
    truth: NDArray[np.float64],
    judged: NDArray[np.float64],
    judged_alone: NDArray[np.float64],
    level: float = LEVEL,
) -> tuple[float, Interval] | None:
    """Mean of the truth from n examples that people and the judge scored and N that the judge alone did.

    λ·mean(f) over N + mean(y − λ·f) over n, λ = Cov(y, f)/((1 + n/N)·Var(f)) clipped to [0, 1]: PPI++
    (Angelopoulos, Duchi & Zrnic 2023, arXiv 2311.01453); normal interval, so None for fewer than 30
    examples of either kind, or where what the judge leaves unexplained never varies. Valid however bad the
    judge is; for yes-or-no outcomes near 0 or 1 take `rogan_gladen`, whose interval needs no normal law.
    """
    n, many = len(truth), len(judged_alone)
    if min(n, many) < FEWEST_FOR_NORMAL:
        return None
    spread = float(np.concatenate([judged, judged_alone]).var(ddof=1))
    shared = float(np.cov(truth, judged, ddof=0)[0, 1])
    trust = min(1.0, max(0.0, shared / ((1 + n / many) * spread))) if spread > 0 else 0.0
    residual = truth - trust * judged
    if residual.var() <= 0:
        return None
    value = float(trust * judged_alone.mean() + residual.mean())
    se = math.sqrt(trust**2 * float(judged_alone.var(ddof=1)) / many + float(residual.var(ddof=1)) / n)
    half = z_of(level) * se
    return value, Interval(low=value - half, high=value + half, method="ppi++", level=level)


def _drawn(successes: float, n: float, rng: np.random.Generator, draws: int) -> NDArray[np.float64]:
    return rng.beta(successes + 0.5, n - successes + 0.5, draws)
