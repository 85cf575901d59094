"""The names of the methods that make attributions, as parameters offer them. Light."""

from __future__ import annotations

from typing import Literal

OfClassifiers = Literal[
    "auto",
    "partition_shap",
    "permutation_shap",
    "tree_shap",
    "linear_shap",
    "integrated_gradients",
    "occlusion",
    "random",
]
OfNetworks = Literal[
    "auto", "partition_shap", "permutation_shap", "integrated_gradients", "occlusion", "random"
]
AUTO = (
    "Auto: SHAP's partition explainer for texts and images; for tables its explainer of trees or of linear models "
    "where it reads the model, else random permutations."
)
