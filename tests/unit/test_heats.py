"""Attributions made ready to be shown: strengths on one scale, tokens as they stand in the text."""

from __future__ import annotations

from typing import Any

import pytest

from auditor.reports import heats


def heat(features: list[str], values: list[float], **more: Any) -> dict[str, Any]:
    return {
        "side": "before",
        "answer": "positive",
        "features": features,
        "values": values,
        "text": True,
        **more,
    }


def written(tokens: list[heats.Token]) -> str:
    return "".join(("" if t.glued else " ") + t.text for t in tokens)


@pytest.mark.parametrize(
    ("features", "text"),
    [
        (["a", "human", "##izing", "film", "."], "a humanizing film ."),
        (["The", " plot", " thick", "ens", "."], "The plot thickens."),
        ([" The", " plot"], "The plot"),
        (["##", "x", "##"], "## x ##"),
        (["a", " ", "b"], "a ␣b"),
        (["电", "影"], "电 影"),
        ([], ""),
    ],
)
def test_tokens_stand_as_in_the_text(features: list[str], text: str) -> None:
    assert written(heats.maps([heat(features, [0.1] * len(features))])[0].tokens) == text


@pytest.mark.parametrize(
    ("value", "level"),
    [
        (1.0, 4),
        (0.76, 4),
        (0.75, 3),
        (0.5, 2),
        (0.26, 2),
        (0.05, 1),
        (0.03, 0),
        (0.0, 0),
        (-0.3, -2),
        (-1, -4),
    ],
)
def test_strength_is_in_quarters_of_the_strongest_and_keeps_its_sign(value: float, level: int) -> None:
    assert heats.level(value, 1.0) == level


def test_the_attributions_of_one_example_have_one_scale() -> None:
    before, after = heats.maps([heat(["a"], [0.8]), heat(["a"], [-0.2], side="after")])
    assert (before.tokens[0].level, after.tokens[0].level) == (4, -1)
    assert [after.features[0].share, before.features[0].share] == pytest.approx([-0.25, 1.0])


def test_nothing_that_matters_has_no_strength() -> None:
    assert {t.level for t in heats.maps([heat(["a", "b"], [0.0, 0.0])])[0].tokens} == {0}


def test_the_strongest_parts_come_first_and_the_rest_is_counted() -> None:
    [found] = heats.maps([heat([str(i) for i in range(400)], [i * (-1) ** i for i in range(400)])])
    assert [f.name for f in found.features][:3] == ["399", "398", "397"]
    assert (found.more_features, found.more_tokens) == (400 - heats.SHOWN_FEATURES, 400 - heats.SHOWN_TOKENS)


def test_a_piece_within_a_word_is_named_as_one() -> None:
    [found] = heats.maps([heat(["a", "human", "##izing"], [0.1, 0.2, 0.3])])
    assert [f.name for f in found.features] == ["…izing", "human", "a"]


def test_columns_are_no_text() -> None:
    [found] = heats.maps([heat(["age", "sex"], [0.2, -0.1], text=False)])
    assert (found.tokens, found.cells) == ([], [])
    assert [f.name for f in found.features] == ["age", "sex"]


def test_the_cells_of_an_image_are_a_grid() -> None:
    names = [f"row {r}, column {c}" for r in (1, 2) for c in (1, 2, 3)]
    [found] = heats.maps([heat(names, [1, 0, 0, 0, 0, -1], text=False)])
    assert [[cell.level for cell in row] for row in found.cells] == [[4, 0, 0], [0, 0, -4]]


@pytest.mark.parametrize(
    "names",
    [
        ["row 1, column 1", "age"],
        ["row 1, column 1", "row 1, column 1"],
        ["row 0, column 1", "row 1, column 1"],
        ["row 1, column 99"],
    ],
)
def test_what_is_no_whole_grid_is_none(names: list[str]) -> None:
    assert heats.maps([heat(names, [0.1] * len(names), text=False)])[0].cells == []


@pytest.mark.parametrize(
    ("value", "text"), [(0.1234, "+0.123"), (-0.5, "−0.500"), (0.0, "0.000"), (-0.00042, "−0.00042")]
)
def test_a_value_carries_its_sign(value: float, text: str) -> None:
    assert heats.signed(value) == text
