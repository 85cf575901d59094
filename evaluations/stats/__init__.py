"""Confidence intervals, tests and resampling: closed forms first, seeded PCG64 where resampling is needed."""

from evaluations.stats.agreement import cohens_kappa, krippendorff_alpha
from evaluations.stats.clustered import Estimate, cluster_codes, clustered_se, effective_n, proportion
from evaluations.stats.conformal import conformal_rank, coverage_band
from evaluations.stats.constants import DRAWS, LEVEL, z_of
from evaluations.stats.judges import Checked, Corrected, gate_interval, ppi_mean, rogan_gladen
from evaluations.stats.means import mean_interval
from evaluations.stats.multiplicity import Simultaneous, benjamini_hochberg, holm, max_t
from evaluations.stats.paired import mcnemar_exact, newcombe_paired, paired_proportions
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
from evaluations.stats.quantiles import block_quantile_interval, quantile_interval, sample_quantile
from evaluations.stats.resampling import bootstrap, cell_bootstrap, percentile, permutation_p
from evaluations.stats.unit_scores import unit_mean

__all__ = [
    "DRAWS",
    "LEVEL",
    "Checked",
    "Corrected",
    "Estimate",
    "Proportion",
    "Simultaneous",
    "auc_interval",
    "benjamini_hochberg",
    "block_quantile_interval",
    "bootstrap",
    "cell_bootstrap",
    "clopper_pearson",
    "cluster_codes",
    "clustered_se",
    "cohens_kappa",
    "conformal_rank",
    "coverage_band",
    "effective_n",
    "gate_interval",
    "holm",
    "krippendorff_alpha",
    "max_t",
    "mcnemar_exact",
    "mean_interval",
    "mover_difference",
    "mover_mean",
    "mover_ratio",
    "newcombe_paired",
    "paired_proportions",
    "percentile",
    "permutation_p",
    "ppi_mean",
    "proportion",
    "quantile_interval",
    "rogan_gladen",
    "sample_quantile",
    "smallest_detectable_effect",
    "spanning",
    "unit_mean",
    "wilson",
    "z_of",
]
