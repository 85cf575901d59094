"""robustness.known_attacks: shares counted by hand, and what still succeeds is shown."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluations import catalogue
from evaluations.robustness import known_attacks_scores
from evaluations.spec import EvaluationError, EvaluationResult, Modality, Role
from tests.evaluations import make

EVALUATION = catalogue.get("robustness.known_attacks")
LABELS = ("negative", "positive")
KEY = "0123456789abcdef01234567"
ROLES = {"id": Role.ID, "text": Role.INPUT, "label": Role.TARGET, "original_id": Role.CLUSTER}


def suite(texts: list[str], recipes: list[str], originals: list[str]) -> pd.DataFrame:
    ids = [f"{recipe}:{i:024x}" for i, recipe in enumerate(recipes)]
    return pd.DataFrame({"id": ids, "text": texts, "label": "positive", "original_id": originals})


class Reader(make.Answering):
    """A stand-in that reads texts."""

    modality = Modality.TEXT_CLASSIFIER


def evaluated(table: pd.DataFrame, folder: Path) -> EvaluationResult:
    def answer(texts: Any) -> Any:  # whatever holds "good" is positive
        good = np.array([np.nan if text == "silence" else "good" in text for text in texts], dtype=float)
        return np.stack([1 - good, good], axis=1)

    data = make.data_ref(table, folder, ROLES)
    ref = make.STAND_IN.model_copy(update={"modality": Modality.TEXT_CLASSIFIER, "labels": LABELS})
    return make.evaluate(EVALUATION, Reader(answer, LABELS), make.request(EVALUATION.name, data, ref), folder)


def test_the_share_withstood_is_counted_over_all_and_by_recipe(tmp_path: Path) -> None:
    table = suite(
        ["a good film", "a g00d film", "good", "b ad", "so good"],
        ["typos", "typos", "typos", "swap", "swap"],
        ["1", "1", "2", "3", "4"],
    )
    got = make.values(evaluated(table, tmp_path))
    assert got[("withstood", "all")] == pytest.approx(3 / 5)
    assert got[("withstood_by_recipe", "recipe=typos")] == pytest.approx(2 / 3)
    assert got[("withstood_by_recipe", "recipe=swap")] == pytest.approx(1 / 2)


def test_attacks_on_one_original_are_worth_less_than_as_many_on_others(tmp_path: Path) -> None:
    texts = ["good"] * 20 + ["bad"] * 20
    apart = evaluated(suite(texts, ["typos"] * 40, [str(i) for i in range(40)]), tmp_path)
    together = evaluated(suite(texts, ["typos"] * 40, [str(i // 10) for i in range(40)]), tmp_path)
    wide, narrow = (next(m for m in r.metrics if m.name == "withstood") for r in (together, apart))
    assert wide.value == narrow.value == 0.5
    assert wide.interval is not None
    assert narrow.interval is not None
    assert wide.interval.high - wide.interval.low > 1.5 * (narrow.interval.high - narrow.interval.low)


def test_the_attacks_that_still_succeed_are_shown_with_their_recipe(tmp_path: Path) -> None:
    [example] = evaluated(suite(["good", "g00d"], ["typos", "swap"], ["1", "2"]), tmp_path).examples
    assert (example.kind, example.before) == ("known_attack", "g00d")
    assert example.facts == {
        "true_label": "positive",
        "answer": "negative",
        "probability": 1.0,
        "recipe": "swap",
    }


def test_rows_that_no_suite_has_named_have_no_recipe() -> None:
    ids = np.array([f"typos:{KEY}", "mine+2:17", "17", f":{KEY}", "typos:", "two words:1", "<b>:1"])
    assert known_attacks_scores.recipes_of(ids).tolist() == ["typos", "mine+2", "", "", "", "", ""]


def test_an_image_that_still_misleads_is_shown_and_one_too_large_is_not(tmp_path: Path) -> None:
    from PIL import Image

    from evaluations.data import dataset

    small, noise = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(small, "PNG")
    pixels = np.random.default_rng(0).integers(0, 255, (400, 400, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(noise, "PNG")
    table = pd.DataFrame({"image": [small.getvalue(), noise.getvalue()], "label": ["a", "b"]})
    ref = make.data_ref(table, tmp_path, {"image": Role.INPUT, "label": Role.TARGET})
    data = dataset.read(ref, Modality.IMAGE_CLASSIFIER)
    _, [picture] = known_attacks_scores._fed(data, 0)
    assert base64.b64decode(picture.png) == small.getvalue()
    assert known_attacks_scores._fed(data, 1) == ("", ())


def test_rows_that_are_no_kept_attacks_are_warned_of(tmp_path: Path) -> None:
    table = suite(["good", "good"], ["typos", "typos"], ["1", "2"])
    assert evaluated(table, tmp_path).warnings == ()
    [said] = evaluated(table.assign(id=["1", table.id[1]]), tmp_path).warnings
    assert said.startswith("The ids of 1 of 2 rows")


def test_a_recipe_with_too_many_errors_has_no_share_of_its_own(tmp_path: Path) -> None:
    """Two of a hundred attacks without an answer are few, and half of one recipe's four."""
    recipes = ["typos"] * 96 + ["swap"] * 4
    table = suite(["good"] * 98 + ["silence"] * 2, recipes, [str(i) for i in range(100)])
    got = {(m.name, m.slice): m for m in evaluated(table, tmp_path).metrics}
    assert got["withstood", "all"].value == 1
    assert got["withstood_by_recipe", "recipe=typos"].value == 1
    assert got["withstood_by_recipe", "recipe=swap"].value is None
    assert "2 of 4" in got["withstood_by_recipe", "recipe=swap"].reason


def test_ids_that_name_a_recipe_each_make_no_report_of_hundreds(tmp_path: Path) -> None:
    table = suite(["good"] * 60, [f"r{i}" for i in range(60)], [str(i) for i in range(60)])
    result = evaluated(table, tmp_path)
    assert [m.name for m in result.metrics] == ["withstood"]
    assert "name 60 recipes" in " ".join(result.warnings)


def test_of_a_long_text_the_beginning_is_shown(tmp_path: Path) -> None:
    [shown] = evaluated(suite(["bad " * 10_000, "good"], ["typos"] * 2, ["1", "2"]), tmp_path).examples
    assert shown.before == "bad " * 500


def test_data_that_name_no_originals_are_no_suite(tmp_path: Path) -> None:
    from evaluations.runner import check_before_data

    data = make.data_ref(suite(["good"], ["typos"], ["1"]), tmp_path, make.TEXT_ROLES)
    ref = make.STAND_IN.model_copy(update={"modality": Modality.TEXT_CLASSIFIER})
    with pytest.raises(EvaluationError, match="cluster") as refused:
        check_before_data(EVALUATION, make.request(EVALUATION.name, data, ref))
    assert refused.value.skipped


def test_a_row_of_a_table_is_shown_as_its_columns(tmp_path: Path) -> None:
    from evaluations.data import dataset

    table = pd.DataFrame({"age": [39.123456789], "job": ["Sales"], "label": ["a"]})
    roles = {"age": Role.INPUT, "job": Role.INPUT, "label": Role.TARGET}
    data = dataset.read(make.data_ref(table, tmp_path, roles), Modality.TABULAR)
    assert known_attacks_scores._fed(data, 0) == ("age: 39.1235; job: Sales", ())
