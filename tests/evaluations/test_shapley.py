"""SHAP over games, held against enumeration of all orders, closed forms, and shap itself."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import pytest

from evaluations.explainability import owen as owen_module
from evaluations.explainability import shap_setup
from evaluations.explainability.attributing import EXPLAINERS
from evaluations.explainability.feature_trees import (
    halving,
    image_tree,
    linkage,
    tree_of,
    tree_of_segments,
    without_leaves,
)
from evaluations.explainability.games import Remembered, TextGame
from evaluations.explainability.owen import Coalitions, evaluations_of, owen
from evaluations.explainability.shapley import partition_shap, permutation_shap
from evaluations.models.loader import load
from tests.benchmarks import shap_text
from tests.evaluations import make

TEXTS = [
    "The movie was really quite lovely, but the plot (never funny) is awful. It is not for one!",
    "a good film",
    "naïve—“ﬁlm” 🎬 isn't the actor's",
    "中文 good 電影",
]


class Made:
    """A game of F features with outputs in (0, 1) that features make together, not one by one."""

    def __init__(self, features: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.features = tuple(f"f{i}" for i in range(features))
        self.inner, self.outer = rng.normal(size=(features, 6)), rng.normal(size=6)
        self.asked: list[int] = []

    def outputs(self, present: Any) -> Any:
        self.asked.append(len(present))
        p = 1 / (1 + np.exp(-np.tanh(present @ self.inner) @ self.outer))
        return np.stack([1 - p, p], axis=1)


def exact_shapley(game: Any, target: int) -> Any:
    """The definition: marginal contributions weighted over every coalition."""
    total = len(game.features)
    every = np.array(list(itertools.product([False, True], repeat=total)))
    worth = {tuple(c): v for c, v in zip(every.tolist(), game.outputs(every)[:, target], strict=True)}
    found = np.zeros(total)
    for held, value in worth.items():
        weight = math.factorial(sum(held)) * math.factorial(total - sum(held) - 1) if not all(held) else 0
        for i in [k for k in range(total) if not held[k]]:
            more = tuple(h or k == i for k, h in enumerate(held))
            found[i] += weight / math.factorial(total) * (worth[more] - value)
    return found


def orders_of(tree: Any) -> Iterator[list[int]]:
    """Every order in which no group of the tree is torn apart."""
    leaves = len(tree) + 1

    def of(group: int) -> list[list[int]]:
        if group < leaves:
            return [[group]]
        left, right = (of(int(child)) for child in tree[group - leaves, :2])
        return [a + b for a, b in itertools.product(left, right)] + [
            b + a for a, b in itertools.product(left, right)
        ]

    yield from of(2 * leaves - 2)


def exact_owen(game: Any, tree: Any, target: int) -> Any:
    """Mean marginal contribution over those orders."""
    found, count = np.zeros(len(tree) + 1), 0
    for order in orders_of(tree):
        present = np.zeros((len(order) + 1, len(order)), dtype=bool)
        for k, i in enumerate(order):
            present[k + 1 :, i] = True
        found[order] += np.diff(game.outputs(present)[:, target])
        count += 1
    return found / count


TREES = {
    "balanced": halving([[i] for i in range(8)]),
    "chain": linkage([(0, 1), (8, 2), (9, 3), (10, 4), (11, 5), (12, 6), (13, 7)], 8),
    "cells": image_tree((2, 4)),
}


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_with_a_full_budget_the_values_are_owens(tree: Any) -> None:
    game = Made(8)
    draw = np.random.default_rng(0).standard_normal
    found = owen(lambda present: game.outputs(present)[:, 1:], tree, evaluations_of(tree), draw)
    np.testing.assert_allclose(found.values[:, 0], exact_owen(game, tree, 1), atol=1e-12)
    np.testing.assert_allclose(found.values.sum(), found.output - found.base, atol=1e-12)


@pytest.mark.parametrize("budget", [12, 60, 151, 500])
@pytest.mark.parametrize("batch", [6, 64, 1024])
def test_a_search_cut_short_is_shaps_own_with_the_same_draws(
    budget: int, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owen_module, "BATCH", batch)
    shap, tree, game = shap_setup.imported(), halving([[i] for i in range(19)]), Made(19, seed=3)
    found = owen(game.outputs, tree, budget, np.random.default_rng(5).standard_normal)
    explainer = shap.PartitionExplainer(game.outputs, Coalitions(tree))
    with mock.patch("numpy.random.randn", np.random.default_rng(5).standard_normal):
        theirs = explainer.explain_row(
            np.zeros(19),
            max_evals=budget,
            main_effects=False,
            error_bounds=False,
            outputs=None,
            silent=True,
            batch_size=5,
            fixed_context=None,
        )
    np.testing.assert_allclose(found.values, theirs["values"], atol=1e-12)


def test_a_tree_that_fits_the_budget_is_asked_about_in_few_batches() -> None:
    tree, game = halving([[i] for i in range(16)]), Made(16)
    owen(Remembered(game).outputs, tree, 1000, np.random.default_rng(0).standard_normal)
    assert sum(game.asked) <= evaluations_of(tree)
    assert len(game.asked) <= 20, game.asked  # SHAP's own steps are of six: 29 of them


@pytest.mark.parametrize("seed", range(4))
def test_asking_ahead_saves_batches_and_wastes_little(seed: int) -> None:
    tree, game, budget = halving([[i] for i in range(29)]), Made(29, seed), 400
    owen(Remembered(game).outputs, tree, budget, np.random.default_rng(0).standard_normal)
    assert sum(game.asked) <= 1.1 * budget
    assert len(game.asked) <= budget / 6 / 1.5  # SHAP's own steps are of six


@pytest.fixture(scope="module")
def text_model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load(make.tiny_bert(tmp_path_factory.mktemp("text")))


@pytest.mark.parametrize("text", TEXTS)
def test_texts_have_shaps_tree_and_without_special_tokens_the_same_values(text: str, text_model: Any) -> None:
    masker = shap_setup.imported().maskers.Text(text_model.tokenizer)
    game = shap_text.AsShapMasks(text_model, text)
    whole = tree_of_segments(game.segments, "[SEP]")
    np.testing.assert_array_equal(whole, masker.clustering(text))
    pruned = tree_of(TextGame(text_model, text))
    np.testing.assert_array_equal(pruned, without_leaves(whole, {0, len(whole)}))
    made = Made(len(game.features))
    draw = np.random.default_rng(0).standard_normal
    few = owen(made.outputs, pruned, 10**6, draw) if evaluations_of(pruned) < 20_000 else None
    if few is not None:
        many = owen(lambda present: made.outputs(present[:, 1:-1]), whole, 10**6, draw)
        np.testing.assert_allclose(many.values[1:-1], few.values, atol=1e-9)
        np.testing.assert_allclose(many.values[[0, -1]], 0, atol=1e-9)


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_explained_as_shap_explains_the_pipelines_strings(text: str, text_model: Any) -> None:
    shap = shap_setup.imported()
    explainer = shap.Explainer(shap_text.plain_function(text_model), shap.maskers.Text(text_model.tokenizer))
    with shap_text.draws_from(4), mock.patch.object(shap_text, "BUDGET", 120):
        theirs = explainer([text], max_evals=120, silent=True)
        ours = shap_text.explained(text_model, text, 4)
    np.testing.assert_allclose(ours.values, theirs.values[0], atol=1e-5)


@pytest.mark.parametrize("grid", [(1, 5), (4, 4), (7, 7), (3, 8)])
def test_cells_are_halved_as_shap_halves_images(grid: tuple[int, int]) -> None:
    theirs, cells = np.zeros((grid[0] * grid[1] - 1, 4)), grid[0] * grid[1]
    fill = shap_setup.imported().maskers._image._jit_build_partition_tree
    whole = [(0, 0, grid[0], 0, grid[1], 0, 1, -1, False)]
    getattr(fill, "py_func", fill)(0, grid[0], 0, grid[1], 0, 1, grid[1], 1, cells, theirs, whole)

    def groups(tree: Any, leaves: list[int]) -> set[frozenset[int]]:
        held = [frozenset([i]) for i in leaves]
        for left, right in tree[:, :2].astype(int):
            held.append(held[left] | held[right])
        return set(held)

    in_order = list(range(cells))
    # SHAP numbers its leaves from the last cell to the first
    assert groups(image_tree(grid), in_order) == groups(theirs, in_order[::-1])


def test_one_permutation_is_exact_where_features_act_in_pairs() -> None:
    rng = np.random.default_rng(1)
    alone, pairs = rng.normal(size=6), np.triu(rng.normal(size=(6, 6)), 1)

    class Pairs:
        features = tuple("abcdef")

        def outputs(self, present: Any) -> Any:
            return (present @ alone + np.einsum("mi,ij,mj->m", present, pairs, present))[:, None]

    found = permutation_shap(Pairs(), 0, np.random.default_rng(0), budget=13)
    np.testing.assert_allclose(found.values, alone + (pairs + pairs.T).sum(axis=1) / 2, atol=1e-12)


def test_many_permutations_come_near_the_enumeration_of_all_coalitions() -> None:
    game = Made(6, seed=2)
    found = permutation_shap(game, 1, np.random.default_rng(0), budget=13 * 800)
    np.testing.assert_allclose(found.values, exact_shapley(game, 1), atol=0.01)


@pytest.mark.parametrize("method", ["partition_shap", "permutation_shap"])
def test_draws_come_from_the_generator_alone(method: str) -> None:
    before = np.random.get_state()[1].copy()
    a, b = (EXPLAINERS[method](Made(9), 1, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(a.values, b.values)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    assert a.values.sum() == pytest.approx(a.output - a.base, abs=1e-12)


@pytest.mark.parametrize("method", [partition_shap, permutation_shap])
def test_a_single_feature_has_all_of_the_change_and_none_nothing(method: Any) -> None:
    game = Made(1)
    found = method(game, 1, np.random.default_rng(0))
    assert found.values.tolist() == [found.output - found.base]
    assert method(Made(0), 1, np.random.default_rng(0)).values.shape == (0,)


def test_a_coalition_is_asked_about_once() -> None:
    game = Made(4)
    held = Remembered(game)
    twice = np.array([[True, False, True, False]] * 2 + [[True] * 4])
    np.testing.assert_array_equal(held.outputs(twice), game.outputs(twice))
    held.outputs(twice[:1])
    assert game.asked == [2, 3]
    assert held.queries == 2
