"""Resampling of the area under the ROC curve, which is no function of counts: rows are drawn, ranks are not redone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evaluations.stats.constants import DRAWS

if TYPE_CHECKING:
    from numpy.typing import NDArray


def auc_bootstrap(
    positive: NDArray[np.bool_],
    score: NDArray[np.float64],
    groups: NDArray[np.int64],
    rng: np.random.Generator,
    draws: int = DRAWS,
) -> NDArray[np.float64]:
    """(draws, G) areas under the curve within each group, resampling the n rows of all groups together.

    `groups` holds 0 … G−1. Rows are sorted once by group and score; a draw counts how often each row came
    and sums, so it costs O(n). Ties count half. NaN where a draw has one class alone in a group. The law is
    that of drawing rows and computing the Mann–Whitney area anew (Hanley & McNeil 1982, Radiology 143:29).
    """
    n, count = len(score), int(groups.max()) + 1
    order = np.lexsort((score, groups))
    sign, ordered, group = positive[order], score[order], groups[order]
    new_run = np.r_[True, (np.diff(ordered) != 0) | (np.diff(group) != 0)]
    starts = np.flatnonzero(new_run)  # one run per score and group
    run_group = group[starts]
    first_run = np.searchsorted(run_group, np.arange(count))
    row_cell: NDArray[np.int64] = (np.cumsum(new_run) - 1) * 2 + ~sign  # run and class of each sorted row
    found: NDArray[np.float64] = np.empty((draws, count))
    for b in range(draws):
        drawn = np.bincount(row_cell[rng.integers(0, n, n)], minlength=2 * len(starts)).astype(np.float64)
        hits, misses = drawn[0::2], drawn[1::2]
        below = np.cumsum(misses) - misses
        below -= below[first_run][run_group]  # negatives of the same group with a lower score
        wins = np.add.reduceat(hits * (below + misses / 2), first_run)
        pairs = np.add.reduceat(hits, first_run) * np.add.reduceat(misses, first_run)
        with np.errstate(invalid="ignore", divide="ignore"):
            found[b] = np.where(pairs > 0, wins / pairs, np.nan)
    return found
