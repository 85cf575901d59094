"""Finds the counts in config.json that a library would build parts for, one by one, before it looks at the weights."""

from __future__ import annotations

import re
from typing import Any

from evaluations.intake.formats import code_hooks
from evaluations.intake.formats.fault import Fault

MAX_LAYERS = 10_000  # the deepest that are known have about 1,000, and Switch-C 2,048 experts
MAX_CLASSES = 1_000_000
_LAYERS = re.compile(r"(?:num|n)_(?:\w+_)?(?:layers?|blocks?|experts?)|n_layers?|\w+_layers|depths?")
_CLASSES = {"num_labels", "num_classes"}


def refuse(config: Any) -> None:
    """Raise Fault `config_size` for more layers, or more classes, than any model has, at any depth."""
    for key, held in code_hooks.items(config):
        most = MAX_CLASSES if key in _CLASSES else MAX_LAYERS if _LAYERS.fullmatch(key) else None
        counts = held if isinstance(held, list) else [held]
        if most is not None and any(type(n) in (int, float) and n > most for n in counts):
            raise Fault(
                "config_size",
                f"The configuration says that {key[:60]} is more than {most:,}, which no model has, and which takes "
                "the memory of the computer that loads it. Correct it, and save the model again.",
            )
