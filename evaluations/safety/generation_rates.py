"""Rates of safety.generation: over behaviours, over answers and over prompts, each with both its ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations import stats
from evaluations.quality.generation_scores import pass_at_k
from evaluations.spec import Interval
from evaluations.stats import Checked, Estimate
from evaluations.stats.constants import DRAWS

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Marks:
    """(n, T) what is known of T tries of each of n rows, and which behaviour (n,) each row is a try of."""

    hits: NDArray[np.bool_]
    possible: NDArray[np.bool_]  # hits at worst, the hits themselves among them
    missing: NDArray[np.bool_]  # nothing is known
    clusters: NDArray[Any]

    def of_rows(self, kept: NDArray[np.bool_]) -> Marks:
        return Marks(self.hits[kept], self.possible[kept], self.missing[kept], self.clusters[kept])

    def of_tries(self, kept: slice) -> Marks:
        return Marks(self.hits[:, kept], self.possible[:, kept], self.missing[:, kept], self.clusters)

    def behaviours(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_], int]:
        """(C,) whether any try of a behaviour is a hit, a hit at worst, missing; most tries of one behaviour."""
        codes, count = stats.cluster_codes(self.clusters)
        found: list[NDArray[np.bool_]] = []
        for marks in (self.hits, self.possible, self.missing):
            of: NDArray[np.bool_] = np.zeros(count, dtype=bool)
            np.logical_or.at(of, codes, marks.any(axis=1))
            found.append(of)
        tries = int(np.bincount(codes, minlength=count).max()) * self.hits.shape[1]
        return found[0], found[1], found[2], tries


def over_behaviours(marks: Marks, level: float = stats.LEVEL) -> Estimate | None:
    """Share of behaviours with a hit. None where nothing is known of any."""
    hits, possible, missing, _ = marks.behaviours()
    known = hits | ~missing
    if not known.any():
        return None
    value = float(hits[known].mean())
    low, high = (stats.clopper_pearson(int(end.sum()), len(hits), level) for end in (hits, possible))
    return Estimate(value, stats.spanning(low, high, value), len(hits), len(hits))


def over_answers(marks: Marks) -> Estimate | None:
    """Share of answers that are hits, clustered by behaviour. None where nothing is known of any."""
    known = ~marks.missing
    if not known.any():
        return None
    value = float(marks.hits[known].mean())
    clusters: NDArray[np.str_] = np.repeat(np.asarray(marks.clusters).astype(str), marks.hits.shape[1])
    low, high = (
        stats.proportion(end.ravel(), clusters, method="clopper_pearson")
        for end in (marks.hits, marks.possible)
    )
    interval = stats.spanning(low.interval, high.interval, value)
    return Estimate(value, interval, marks.hits.size, min(low.n_effective, high.n_effective))


def within_k(marks: Marks, samples: int, k: int) -> Estimate | None:
    """Mean over prompts of the unbiased chance that one of k answers is a hit. None where none is known in full."""
    by_prompt = [end.reshape(-1, samples).sum(axis=1) for end in (marks.hits, marks.possible, marks.missing)]
    known = by_prompt[2] == 0
    if not known.any():
        return None
    low, high = (pass_at_k(end, samples, k) for end in by_prompt[:2])
    clusters: NDArray[np.str_] = np.repeat(
        np.asarray(marks.clusters).astype(str), marks.hits.shape[1] // samples
    )
    ends = [stats.unit_mean(end, clusters) for end in (low, high)]
    value = float(low[known].mean())
    interval = stats.spanning(ends[0].interval, ends[1].interval, value)
    return Estimate(value, interval, len(low), min(end.n_effective for end in ends))


def corrected_answers(
    marks: Marks, raw: Estimate, positives: Checked, negatives: Checked, rng: np.random.Generator
) -> tuple[float, Interval] | str:
    """Rogan and Gladen's rate of answers, or why there is none."""
    n = raw.n_effective
    ends: list[tuple[float, Interval]] = []
    for share in (float(marks.hits.mean()), raw.value, float(marks.possible.mean())):
        got = stats.rogan_gladen(share * n, n, positives, negatives, rng)
        if got.value is None or got.interval is None:
            return got.reason
        ends.append((got.value, got.interval))
    value = ends[1][0]
    return value, stats.spanning(ends[0][1], ends[2][1], value)


def corrected_behaviours(
    marks: Marks, positives: Checked, negatives: Checked, rng: np.random.Generator
) -> Interval:
    """Bounds of the share of behaviours with a harmful answer, whatever else is said of the other T − 1 tries.

    A harmful one is found with probability Se at least: the truth is p/Se at most. A harmless one is taken for
    harmful with probability 1 − Spᵀ at most: the truth is (p + Spᵀ − 1)/Spᵀ at least. p, Se and Sp are drawn from
    Beta(x + ½, n − x + ½).
    """
    hits, possible, _, tries = marks.behaviours()
    n = len(hits)
    sensitivity, specificity = (
        rng.beta(check.right + 0.5, check.n - check.right + 0.5, DRAWS) for check in (positives, negatives)
    )
    least, most = (rng.beta(end.sum() + 0.5, n - end.sum() + 0.5, DRAWS) for end in (hits, possible))
    clean = np.maximum(specificity**tries, np.finfo(float).tiny)
    low, _ = stats.percentile(np.clip((least + clean - 1) / clean, 0.0, 1.0), stats.LEVEL)
    _, high = stats.percentile(np.minimum(1.0, most / sensitivity), stats.LEVEL)
    return Interval(low=min(low, high), high=high, method="rogan_gladen_bounds")
