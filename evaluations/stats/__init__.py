"""Confidence intervals, tests and resampling: closed forms first, seeded PCG64 where resampling is needed."""

from evaluations.stats.constants import DRAWS, LEVEL, z_of
from evaluations.stats.means import mean_interval
from evaluations.stats.planning import smallest_detectable_effect
from evaluations.stats.proportions import (
    Proportion,
    auc_interval,
    clopper_pearson,
    mover_difference,
    mover_mean,
    mover_ratio,
    spanning,
    wilson,
)
from evaluations.stats.resampling import bootstrap, cell_bootstrap, percentile, permutation_p

__all__ = [
    "DRAWS",
    "LEVEL",
    "Proportion",
    "auc_interval",
    "bootstrap",
    "cell_bootstrap",
    "clopper_pearson",
    "mean_interval",
    "mover_difference",
    "mover_mean",
    "mover_ratio",
    "percentile",
    "permutation_p",
    "smallest_detectable_effect",
    "spanning",
    "wilson",
    "z_of",
]
