"""Charts stand where everybody reads them: they tell no text that only some may be shown."""

from __future__ import annotations

import numpy as np
import pytest

from evaluations.explainability.attribution_examples import LEAST, drawn
from evaluations.explainability.attribution_scores import Found
from evaluations.spec import Modality

TEXTS = (Modality.TEXT_CLASSIFIER, Modality.CAUSAL_LM)


def found(modality: Modality, features: list[list[str]]) -> Found:
    n = len(features)
    return Found(
        modality=modality,
        ids=[f"Ann-{i}" for i in range(n)],
        texts=[" ".join(names) for names in features] if modality in TEXTS else None,
        answers=["yes"] * n,
        probability=np.full(n, 0.9),
        method="occlusion",
        unit="probability",
        features=features,
        values=[np.full((1, len(names)), 0.5) for names in features],
        start=[np.zeros(1)] * n,
        end=[np.ones(1)] * n,
        delta=np.full(n, np.nan),
        grids=[()] * n,
        pictures=[None] * n,
        error=np.zeros(n, dtype=bool),
        skipped=np.zeros(n, dtype=bool),
        clusters=None,
    )


@pytest.mark.parametrize("modality", TEXTS)
def test_of_texts_a_chart_names_tokens_that_many_hold_and_shows_no_text(modality: Modality) -> None:
    texts = [["film", "dull", f"one {i}"] for i in range(LEAST - 1)]
    texts += [["film", "Ann", "Ann", "Ann", "Ann", "Ann"]] * LEAST  # one text that comes often is one
    [chart] = drawn(found(modality, texts))
    assert [row[0] for row in chart.rows] == ["film"]
    assert "Ann" not in chart.model_dump_json()
    assert drawn(found(modality, texts[:2])) == []


def test_of_tables_one_answer_is_drawn_by_its_columns() -> None:
    charts = drawn(found(Modality.TABULAR, [["age", "hours"]]))
    assert [chart.name for chart in charts] == ["mean_attributions", "one_attribution"]
    assert not any("Ann" in chart.model_dump_json() for chart in charts)  # an id may name a person
