"""Games of features: with everything present they answer as the model does, and absent features change nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluations.explainability.attributing import occlusion
from evaluations.explainability.games import ImageGame, TableGame, TextGame, everything, without_each
from evaluations.models.loader import load
from tests.evaluations import kinds, make


@pytest.fixture(scope="module")
def text_model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load(make.tiny_bert(tmp_path_factory.mktemp("text")))


def test_a_whole_text_is_answered_as_the_model_answers_it(text_model: Any) -> None:
    for text in (*make.sentences(6).text, "", "🎬🎬", "中文", "good " * 500):
        whole = TextGame(text_model, text)
        got = whole.outputs(everything(whole))
        np.testing.assert_allclose(got, text_model.predict_proba([text]).probs, atol=1e-6)


def test_a_deleted_token_leaves_the_ids_of_the_others(text_model: Any) -> None:
    game = TextGame(text_model, "a good film", removal="delete")
    assert game.features == ("a", "good", "film")
    present = np.array([[True, False, True]])
    np.testing.assert_allclose(game.outputs(present), text_model.predict_proba(["a film"]).probs, atol=1e-6)


def test_a_masked_token_keeps_the_length(text_model: Any) -> None:
    game = TextGame(text_model, "a good film")
    present = np.array([[True, False, True]])
    np.testing.assert_allclose(
        game.outputs(present), text_model.predict_proba(["a [MASK] film"]).probs, atol=1e-6
    )


@pytest.mark.parametrize("kind", ["vit", "resnet"])
def test_a_whole_image_is_answered_as_the_model_answers_it(kind: str, tmp_path: Path) -> None:
    model: Any = load(kinds.tiny_image_network(tmp_path, kind))
    game = ImageGame(model, kinds.picture(3), side=4)
    got = game.outputs(np.concatenate([everything(game), without_each(game)]))
    assert got.shape == (17, 2)
    np.testing.assert_allclose(got[:1], model.predict_proba([kinds.picture(3)]).probs, atol=1e-6)


def test_a_row_is_averaged_over_the_background() -> None:
    table = make.frame(8)[["x", "z"]]
    game = TableGame(make.Answering(make.logistic), table.iloc[:1], table.iloc[1:])
    got = game.outputs(np.array([[True, True], [False, True], [False, False]]))
    mean = make.logistic(table.iloc[1:]).mean(axis=0)
    np.testing.assert_allclose(got, [make.logistic(table.iloc[:1])[0], mean, mean], atol=1e-12)


def test_occlusion_finds_the_column_that_the_model_reads() -> None:
    table = pd.DataFrame({"x": [2.0, 0.0, 0.0], "z": [1.0, 2.0, 3.0]})
    game = TableGame(make.Answering(make.logistic), table.iloc[:1], table.iloc[1:])
    found = occlusion(game, 1, np.random.default_rng(0))
    assert found.values[1] == pytest.approx(0)
    assert found.values[0] == pytest.approx(1 / (1 + np.exp(-4)) - 0.5)


def test_a_wide_question_about_a_table_is_asked_in_parts() -> None:
    asked: list[int] = []

    def counted(rows: pd.DataFrame) -> np.ndarray:
        asked.append(len(rows))
        return make.logistic(rows)

    table = make.frame(40)[["x", "z"]]
    game = TableGame(make.Answering(counted), table.iloc[[0]], table)
    present = np.random.default_rng(0).random((600, 2)) < 0.5
    found = game.outputs(present)
    assert max(asked) <= 10_000 < sum(asked)
    wanted = [game.outputs(one[None])[0] for one in present[::97]]
    np.testing.assert_allclose(found[::97], wanted)
