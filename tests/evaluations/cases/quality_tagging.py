"""quality.tagging."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from evaluations.models.loader import load
from evaluations.spec import ModelRef
from tests.evaluations import kinds
from tests.evaluations.cases import Case, everywhere


def tiny_tagger(folder: Path) -> tuple[Any, ModelRef]:
    ref = kinds.tiny_tagger(folder)
    return load(ref), ref


def knowing(table: pd.DataFrame) -> Any:
    """A tagger that knows the truth."""
    truth = {tuple(words): list(tags) for words, tags in zip(table.words, table.tags, strict=True)}
    return kinds.Tags(truth.__getitem__)


def nothing(table: pd.DataFrame) -> Any:
    """A tagger that never finds an entity."""
    return kinds.Tags(lambda words: ["O"] * len(words))


FOUND = ("entity_f1", "entity_precision", "entity_recall", "token_accuracy")

CASE = Case(
    table=kinds.tagged,
    roles=dict(kinds.TAGGING_ROLES),
    data={},
    rows=20,
    model=tiny_tagger,
    label=None,
    silent=lambda: kinds.Tags(lambda words: None),
    known={
        "perfect": (
            knowing,
            {
                **everywhere(dict.fromkeys(FOUND, 1.0)),
                ("type_f1", "type=PER"): 1.0,
                ("type_f1", "type=LOC"): 1.0,
            },
        ),
        "nothing": (nothing, everywhere({"entity_f1": 0.0, "entity_recall": 0.0})),
    },
)
