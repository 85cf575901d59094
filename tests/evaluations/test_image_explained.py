"""What is shown of what an image model goes by, before and after an attack."""

from __future__ import annotations

import base64
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from evaluations.context import Context
from evaluations.data import dataset
from evaluations.explainability import overlay
from evaluations.robustness import image_autoattack, image_blackbox, image_explained, image_files
from evaluations.spec import EvaluationError, Modality, ModelFormat, ModelRef
from tests.evaluations import kinds, make, vision

REF = ModelRef(
    path="/nowhere", digest="m", modality=Modality.IMAGE_CLASSIFIER, format=ModelFormat.SAFETENSORS
)
SIDE = 14  # two pixels a cell
HOW = {"epsilon": 0.2, "iterations": 5, "square_queries": 20}


def corner(units: torch.Tensor) -> torch.Tensor:
    """Goes by the brightness of the four pixels at the top left, which are the first cell."""
    score = 8 * (units[:, :, :2, :2].mean((1, 2, 3)) - 0.5)
    return torch.stack([-score, score], dim=1)


def bright(corner_level: int, rest: int) -> np.ndarray:
    levels = np.full((SIDE, SIDE), rest)
    levels[:2, :2] = corner_level
    return levels


def run(evaluation: Any, folder: Path, n: int = 3, **params: Any) -> Any:
    state, rest = state_of(evaluation, folder, n, **params)
    return evaluation.merge([state], *rest)


def state_of(evaluation: Any, folder: Path, n: int = 3, **params: Any) -> Any:
    table = vision.table_of(torch.zeros(n, 1, SIDE, SIDE), [1] * n)
    table["image"] = [vision.png(bright(150 + i % 5, 40)) for i in range(n)]
    ref = make.data_ref(table, folder, kinds.IMAGE_ROLES)
    asked = make.request(evaluation.name, ref, REF, **params)
    data = dataset.read(ref, Modality.IMAGE_CLASSIFIER)
    settings = evaluation.Params.model_validate(asked.params)
    ctx = Context(asked, folder)
    (shard,) = evaluation.plan(n, settings).shards
    model = vision.classifier(corner, 2, SIDE)
    return evaluation.run_shard(model, data, settings, ctx, shard), (data, settings, ctx)


def test_only_the_cell_that_the_model_goes_by_speaks_for_its_answer() -> None:
    model = vision.classifier(corner, 2, SIDE)
    before, after = (
        bright(level, 40)[None].astype(np.float32) / np.float32(255) for level in (204, 102)
    )  # .8 and .4
    found = image_explained.explain(model, before, after, answer=1)
    assert found is not None
    assert found.grid == (7, 7, SIDE, SIDE)
    for pixels, heat in zip((before, after), found.heat, strict=True):

        def answer(level: float) -> float:
            return 1 / (1 + np.exp(-16 * (level - 0.5)))

        assert heat[0] == pytest.approx(
            answer(float(pixels[0, 0, 0])) - answer(float(pixels.mean())), abs=1e-5
        )
        assert np.abs(heat[1:]).max() < 1e-6


def test_colours_lie_on_the_cell_and_both_pictures_share_one_scale() -> None:
    grey = bytes([100] * 3 * 49)
    heat = np.zeros(49), np.zeros(49)
    heat[0][8], heat[1][8] = 0.8, -0.4
    before, after = image_explained.pictures(
        image_explained.Explained((7, 7, 7, 7), (grey, grey), heat), "seven"
    )
    assert (before.title, after.title) == ("Attribution before", "Attribution after")
    assert "before the attack" in before.alt
    assert "seven" in before.alt
    assert "row 2, column 2" in before.alt
    levels = [image_files.read(base64.b64decode(picture.png)) for picture in (before, after)]
    for held, colour, share in zip(levels, (overlay.FOR, overlay.AGAINST), (0.65, 0.325), strict=True):
        expected = np.full((3, 7, 7), 100.0)
        expected[:, 1, 1] = 100 * (1 - share) + np.array(colour) * share
        assert (held == np.rint(expected)).all()


@pytest.mark.parametrize(
    ("evaluation", "params"),
    [
        (image_autoattack.EVALUATION, HOW),
        (image_blackbox.EVALUATION, {"epsilon": 0.2, "queries": 200}),
    ],
)
def test_no_more_attacks_are_explained_than_are_shown(evaluation: Any, params: Any, tmp_path: Path) -> None:
    state, rest = state_of(evaluation, tmp_path, n=13, **params)
    grids = state.records.column("grid").to_pylist()
    held = "attacked" if evaluation is image_blackbox.EVALUATION else "after"
    successes = [i for i, file in enumerate(state.records.column(held).to_pylist()) if file]
    assert len(successes) > 8
    assert [i for i, grid in enumerate(grids) if grid] == successes[:8]
    result = evaluation.merge([state], *rest)
    assert [len(example.pictures) for example in result.examples] == [5] * 8
    assert "row 1, column 1" in result.examples[0].pictures[3].alt
    without = run(evaluation, tmp_path, n=3, **params, explain=False)
    assert [len(example.pictures) for example in without.examples] == [3] * 3


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("grid", None),
        ("grid", [7, 7, 14]),
        ("grid", [7, 7, 14, 100_000]),
        ("grid", [7, 7, 14, None]),
        ("grid", [-7, -7, 14, 14]),
        ("seen_before", None),
        ("seen_after", b"short"),
        ("heat_before", None),
        ("heat_before", [0.0] * 48),
        ("heat_after", [float("nan")] * 49),
        ("heat_after", [None] * 49),
        ("heat_after", [2.0] * 49),
    ],
)
def test_a_damaged_explanation_is_refused(column: str, value: Any, tmp_path: Path) -> None:
    evaluation = image_autoattack.EVALUATION
    state, rest = state_of(evaluation, tmp_path, n=1, **HOW)
    place = state.records.column_names.index(column)
    field = state.records.schema.field(column)
    damaged = dataclasses.replace(
        state, records=state.records.set_column(place, field, pa.array([value], field.type))
    )
    with pytest.raises(EvaluationError) as error:
        evaluation.merge([damaged], *rest)
    assert error.value.code == "bad_records"
