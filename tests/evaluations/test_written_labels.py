"""fairness.group on a language model: labels read from its texts, what names none is no answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from evaluations import catalogue, stats
from evaluations.models.protocol import Generation, Usage
from evaluations.spec import Access, EvaluationError, EvaluationResult, Modality, ModelFormat, ModelRef, Role
from tests.evaluations import make

GROUP = catalogue.get("fairness.group")
REF = ModelRef(path="/nowhere", digest="lm", modality=Modality.CAUSAL_LM, format=ModelFormat.SAFETENSORS)
ROLES = {"id": Role.ID, "text": Role.INPUT, "sex": Role.SENSITIVE, "label": Role.TARGET}


class Writing:
    """A stand-in that writes what `says` makes of the prompt."""

    modality, access, adapter, device = Modality.CAUSAL_LM, Access.GENERATE, "stand_in/1", "cpu"

    def __init__(self, says: Any) -> None:
        self.says, self.usage, self.asked = says, Usage(), []

    def generate(self, prompts: Sequence[str], settings: Any, seeds: Sequence[int]) -> list[Generation]:
        self.asked += list(prompts)
        return [Generation(self.says(prompt)) for prompt in prompts]


def applications(n: int = 200) -> pd.DataFrame:
    """Every second person is a woman; the model grants to every fourth woman and every second man."""
    rows = []
    for i in range(n):
        woman = i % 2 == 0
        grant = i % 8 == 0 if woman else i % 4 == 1
        rows.append((f"a{i}", f"case {i} {'grant' if grant else 'refuse'}", "F" if woman else "M", "granted"))
    return pd.DataFrame(rows, columns=["id", "text", "sex", "label"]).assign(
        label=["granted" if i % 3 else "refused" for i in range(n)]
    )


def measured(table: pd.DataFrame, folder: Path, says: Any, **params: Any) -> tuple[EvaluationResult, Writing]:
    data = make.data_ref(table, folder, ROLES, favourable_label="granted")
    model = Writing(says)
    asked = make.request(GROUP.name, data, REF, **params)
    return make.evaluate(GROUP, model, asked, folder), model


def decides(prompt: str) -> str:
    return "I would say: Granted." if "grant" in prompt else "Refused"


def test_rates_are_those_of_the_labels_that_the_texts_name(tmp_path: Path) -> None:
    result, model = measured(applications(), tmp_path, decides, prompt="Decide: {input}\nAnswer:")
    values = make.values(result)
    assert values["selection_rate", "sex=F"] == 0.25
    assert values["selection_rate", "sex=M"] == 0.5
    assert values["selection_rate_ratio", "sex"] == 0.5
    assert model.asked[0].startswith("Decide: case")


def test_a_text_that_names_no_label_may_have_been_either(tmp_path: Path) -> None:
    table = applications()
    result, _ = measured(
        table, tmp_path, lambda p: "It depends." if "case 8 " in p else decides(p), max_error_rate=0.05
    )
    found = {(m.name, m.slice): m for m in result.metrics}
    rate = found["selection_rate", "sex=F"]
    assert (rate.value, rate.n) == (pytest.approx(24 / 99), 100)
    assert rate.interval is not None
    assert rate.interval.low == pytest.approx(stats.wilson(24, 100).low)
    assert rate.interval.high == pytest.approx(stats.wilson(25, 100).high)
    assert result.coverage.failed == 1


def test_a_model_that_never_names_a_label_gives_no_numbers(tmp_path: Path) -> None:
    result, _ = measured(applications(), tmp_path, lambda prompt: "granted or refused, who knows")
    assert {m.status for m in result.metrics} == {"not_estimable"}


def test_the_favourable_label_must_be_one_of_the_labels(tmp_path: Path) -> None:
    table = applications().assign(label="refused")
    with pytest.raises(EvaluationError, match="not one of the classes"):
        measured(table, tmp_path, decides)
