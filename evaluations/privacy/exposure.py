"""The exposure of one canary: how early its secret would come in a list of all candidates, the most likely first.

Candidates are drawn one after the other, uniformly and independently, until so many were at least as likely as the
secret that its rank is known well, or until no more may be drawn. That is inverse binomial sampling, cut off: the
interval of the share of such candidates stays exact, and a secret that is not memorised takes few draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evaluations import stats

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context

FIRST = 200  # candidates that every secret is compared with
HITS = 100  # candidates as likely as the secret after which no more are drawn: its rank is known to about a tenth


@dataclass(frozen=True)
class Exposure:
    """Of `compared` candidates `hits` were at least as likely as the secret, one of 2^`space_bits` strings."""

    hits: int
    compared: int
    space_bits: float

    @property
    def value(self) -> float:
        """log2|R| − log2 of the rank that the secret has among those compared, carried over to all of R."""
        return self._at((1 + self.hits) / (1 + self.compared))

    def bounds(self, level: float) -> tuple[float, float]:
        """Exact bounds. Where drawing ended with a hit, the share cannot be larger than had it come one draw later."""
        stopped = self.hits == HITS and self.compared > FIRST
        low = stats.clopper_pearson(self.hits, self.compared, level).low
        high = stats.clopper_pearson(self.hits - stopped, self.compared - stopped, level).high
        return self._at(high), self._at(low)

    def _at(self, share: float) -> float:
        """The exposure of a secret than which this share of the other strings is more likely."""
        if share >= 1:
            return 0.0
        # 1 + share·(2^bits − 1), of which 2^bits may be no finite number
        before = math.log2(1 - share)
        if share > 0:
            before = float(np.logaddexp2(before, math.log2(share) + self.space_bits))
        return min(max(0.0, self.space_bits - before), self.space_bits)


def end_of(beaten: NDArray[np.bool_], most: int) -> int | None:
    """After how many draws drawing ends, by which of them were hits; None where more are to be drawn."""
    hits = np.cumsum(beaten)
    enough = np.flatnonzero(hits >= HITS)
    first = min(FIRST, most)
    if len(enough) and max(first, int(enough[0]) + 1) <= len(beaten):
        return max(first, int(enough[0]) + 1)
    return most if len(beaten) >= most else None


def beaten(
    own: float, others: NDArray[np.float64], example_id: str, ctx: Context, most: int
) -> NDArray[np.bool_]:
    """Which candidates come before the secret; of two as likely as each other either does, by a coin."""
    coins = ctx.rng(f"{example_id}:ties").random(most)[: len(others)] < 0.5
    return (others > own) | ((others == own) & coins)


def uniform_rank(own: float, others: NDArray[np.float64], example_id: str, ctx: Context) -> float:
    """Rank of a secret among its first candidates, made continuous; uniform on (0, 1) if it is one like them.

    Equally likely strings are put in a random order, then the rank is spread over the step it stands for.
    """
    rng = ctx.rng(f"{example_id}:rank")
    place, within = rng.random(2)
    compared = others[:FIRST]
    before = int((compared > own).sum()) + int(rng.binomial(int((compared == own).sum()), place))
    return float((before + within) / (len(compared) + 1))


def quantile_bounds(
    lows: NDArray[np.float64], highs: NDArray[np.float64], share: float, wrong: float, most: float
) -> tuple[float, float]:
    """Bounds, at `stats.LEVEL`, of the exposure that a `share` of canaries like these exceed.

    `lows` and `highs` are bounds of k canaries, each wrong with probability at most `wrong`, independently. A high
    bound lies below the quantile where the exposure does, or where the bound is wrong, so of k no more do than a
    binomial count; likewise above it. The ends are order statistics (David & Nagaraja 2003, §7.1) by these counts.
    Where k is too small for an upper end it is `most`; for a lower end it is 0.
    """
    from scipy.stats import binom

    k, tail = len(lows), (1 - stats.LEVEL) / 2
    above = binom.sf(
        np.arange(k), k, share + (1 - share) * wrong
    )  # [j]: P(more than j low bounds lie above it)
    below = binom.sf(
        np.arange(k), k, 1 - share + share * wrong
    )  # [j]: P(more than j high bounds lie below it)
    lower, upper = np.flatnonzero(above <= tail), np.flatnonzero(below <= tail)
    return (
        float(np.sort(lows)[::-1][lower[0]]) if len(lower) else 0.0,
        float(np.sort(highs)[upper[0]]) if len(upper) else most,
    )
