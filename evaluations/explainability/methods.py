"""The methods that make attributions, and the ways to remove a token, as parameters offer them. Light."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

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
Removal = Annotated[
    Literal["mask", "delete"],
    Field(
        title="Removal of tokens",
        description="Whether a token of a text is replaced by the mask token or left out.",
    ),
]
