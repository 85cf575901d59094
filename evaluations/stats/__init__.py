"""Confidence intervals, tests and resampling: closed forms first, seeded PCG64 where resampling is needed.

A module is loaded when one of its names is asked for, so that plans, which the web process makes, load no scipy.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evaluations.stats.agreement import cohens_kappa, krippendorff_alpha
    from evaluations.stats.clustered import (
        Estimate,
        cluster_codes,
        clustered_se,
        effective_n,
        interval_n,
        proportion,
        worth_of_rows,
    )
    from evaluations.stats.conformal import conformal_rank, coverage_band
    from evaluations.stats.constants import DRAWS, LEVEL, z_of
    from evaluations.stats.judges import Checked, Corrected, gate_interval, ppi_mean, rogan_gladen
    from evaluations.stats.means import mean_interval
    from evaluations.stats.multiplicity import Simultaneous, benjamini_hochberg, holm, max_t
    from evaluations.stats.paired import mcnemar_exact, newcombe_paired, paired_proportions
    from evaluations.stats.planning import (
        detectable_effect,
        n_for_effect,
        n_without_events,
        paired_variance,
        repeat_components,
        repeated_mean_variance,
        sequential_detectable_effect,
        smallest_detectable_effect,
    )
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
    from evaluations.stats.ratios import paired_ratio
    from evaluations.stats.resampling import (
        bca,
        bca_bootstrap,
        bootstrap,
        cell_bootstrap,
        cluster_bootstrap,
        percentile,
        permutation_p,
    )
    from evaluations.stats.sequential import bernoulli_sequence, betting_sequence, mixture_evidence
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
    "bca",
    "bca_bootstrap",
    "benjamini_hochberg",
    "bernoulli_sequence",
    "betting_sequence",
    "block_quantile_interval",
    "bootstrap",
    "cell_bootstrap",
    "clopper_pearson",
    "cluster_bootstrap",
    "cluster_codes",
    "clustered_se",
    "cohens_kappa",
    "conformal_rank",
    "coverage_band",
    "detectable_effect",
    "effective_n",
    "gate_interval",
    "holm",
    "interval_n",
    "krippendorff_alpha",
    "max_t",
    "mcnemar_exact",
    "mean_interval",
    "mixture_evidence",
    "mover_difference",
    "mover_mean",
    "mover_ratio",
    "n_for_effect",
    "n_without_events",
    "newcombe_paired",
    "paired_proportions",
    "paired_ratio",
    "paired_variance",
    "percentile",
    "permutation_p",
    "ppi_mean",
    "proportion",
    "quantile_interval",
    "repeat_components",
    "repeated_mean_variance",
    "rogan_gladen",
    "sample_quantile",
    "sequential_detectable_effect",
    "smallest_detectable_effect",
    "spanning",
    "unit_mean",
    "wilson",
    "worth_of_rows",
    "z_of",
]

_NAMES = {
    "agreement": ("cohens_kappa", "krippendorff_alpha"),
    "clustered": (
        "Estimate",
        "cluster_codes",
        "clustered_se",
        "effective_n",
        "interval_n",
        "proportion",
        "worth_of_rows",
    ),
    "conformal": ("conformal_rank", "coverage_band"),
    "constants": ("DRAWS", "LEVEL", "z_of"),
    "judges": ("Checked", "Corrected", "gate_interval", "ppi_mean", "rogan_gladen"),
    "means": ("mean_interval",),
    "multiplicity": ("Simultaneous", "benjamini_hochberg", "holm", "max_t"),
    "paired": ("mcnemar_exact", "newcombe_paired", "paired_proportions"),
    "planning": (
        "detectable_effect",
        "n_for_effect",
        "n_without_events",
        "paired_variance",
        "repeat_components",
        "repeated_mean_variance",
        "sequential_detectable_effect",
        "smallest_detectable_effect",
    ),
    "proportions": (
        "Proportion",
        "auc_interval",
        "clopper_pearson",
        "mover_difference",
        "mover_mean",
        "mover_ratio",
        "spanning",
        "wilson",
    ),
    "quantiles": ("block_quantile_interval", "quantile_interval", "sample_quantile"),
    "ratios": ("paired_ratio",),
    "resampling": (
        "bca",
        "bca_bootstrap",
        "bootstrap",
        "cell_bootstrap",
        "cluster_bootstrap",
        "percentile",
        "permutation_p",
    ),
    "sequential": ("bernoulli_sequence", "betting_sequence", "mixture_evidence"),
    "unit_scores": ("unit_mean",),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = found
    return found
