"""robustness.image_autoattack: a tiny network, few steps."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from evaluations.models.loader import load
from evaluations.spec import ModelRef
from tests.evaluations import kinds
from tests.evaluations.cases import Case


def tiny_vit(folder: Path) -> tuple[Any, ModelRef]:
    """A random network that gives each class as often, so that answers are near the border."""
    import numpy as np
    import torch

    ref = kinds.tiny_image_network(folder, "vit")
    model: Any = load(ref)
    pixels = np.stack([model.prepare(image) for image in kinds.pictures(14).image])
    with torch.no_grad():
        model.network.classifier.bias -= model.logits(pixels).median(dim=0).values
    return model, ref


CASE = Case(
    table=functools.partial(kinds.pictures, seed=1),
    roles=dict(kinds.IMAGE_ROLES),
    data={},
    params={"iterations": 4, "square_queries": 12, "epsilon": 0.004, "check_examples": 14},
    rows=14,
    model=tiny_vit,
    silent=None,  # its weights always answer
)
