"""quality.contamination: orders that were learnt are found, others are not, and shared runs of words are counted."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluations import catalogue
from evaluations.context import Context
from evaluations.data import dataset
from evaluations.models.loader import load
from evaluations.quality import exchangeability, train_overlap
from evaluations.spec import EvaluationError, EvaluationResult, MetricStatus, Role
from tests.evaluations import lm, make, tasks

EVALUATION = catalogue.get("quality.contamination")
ROLES = {"id": Role.ID, "text": Role.INPUT}


def run(
    table: pd.DataFrame, folder: Path, model: Any, roles: dict[str, Role] | None = None, **params: Any
) -> EvaluationResult:
    data = make.data_ref(table, folder, roles or ROLES)
    return make.evaluate(
        EVALUATION, model, make.request(EVALUATION.name, data, tasks.SPEAKER, **params), folder
    )


def having_learnt(table: pd.DataFrame, gain: float) -> tasks.Speaking:
    """A model that finds an example likelier behind the one that it was published behind."""
    follows = set(itertools.pairwise(table.text))

    def score(context: str, text: str) -> float:
        examples = text.split(exchangeability.BETWEEN)
        known = sum(pair in follows for pair in itertools.pairwise(examples))
        return tasks.fickle(context, text) * 5 - 100 + gain * known

    return tasks.Speaking(score)


def test_a_learnt_order_is_found(tmp_path: Path) -> None:
    table = make.sentences(80)
    metrics = {m.name: m for m in run(table, tmp_path, having_learnt(table, 3.0), block=5).metrics}
    assert metrics["exchangeability_p"].value == pytest.approx(1e-4)
    gain = metrics["order_gain"]
    assert gain.value is not None
    assert gain.interval is not None
    assert gain.interval.low > 0
    # Of 4 neighbours a random order of 5 keeps 4/5 on average: 3.2 × 3 nats are gained.
    assert gain.interval.low < 9.6 < gain.interval.high


def test_p_is_uniform_where_no_order_was_learnt() -> None:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(400):
        scale = rng.gamma(1.0, 20.0, (16, 1))  # blocks differ much in length and spread
        logprobs = -300 - scale * rng.gamma(2.0, 1.0, (16, 11))
        found.append(exchangeability.order_p(logprobs, rng, draws=499))
    for level in (0.05, 0.2, 0.5):
        share = np.mean(np.array(found) <= level)
        assert share == pytest.approx(level, abs=3 * np.sqrt(level * (1 - level) / 400))


def test_p_is_that_of_all_combinations_of_orders() -> None:
    logprobs = np.array([[3.0, 1.0, 2.0], [5.0, 6.0, 1.0], [0.0, -1.0, -2.0]])
    sums = [sum(held) for held in itertools.product(*logprobs.tolist())]
    exact = np.mean(np.array(sums) >= 8.0)
    found = exchangeability.order_p(logprobs, np.random.default_rng(1), draws=20_000)
    assert found == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 20_000))


def test_the_published_order_is_that_of_the_ids_by_value(tmp_path: Path) -> None:
    names = ["e10", "e9", "e2", "x", "e1b"]
    data = dataset.read(
        make.data_ref(pd.DataFrame({"id": names, "text": names}), tmp_path, ROLES), tasks.SPEAKER.modality
    )
    assert [names[i] for i in exchangeability.published(data)] == ["e1b", "e2", "e9", "e10", "x"]
    assert [len(rows) for rows in exchangeability.blocks(data, 2)] == [2, 3]


def test_every_order_of_a_block_holds_the_same_examples_with_their_answers(tmp_path: Path) -> None:
    table = make.sentences(6).assign(passage="P")
    roles = {**make.TEXT_ROLES, "passage": Role.CONTEXT}
    asked = make.request(EVALUATION.name, make.data_ref(table, tmp_path, roles), tasks.SPEAKER)
    data = dataset.read(asked.data, asked.model.modality)
    first, *others = exchangeability.orders(data, np.arange(6), 20, Context(asked, tmp_path))
    assert first.startswith(f"P\n{table.text[0]}\n{table.label[0]}\n\nP\n{table.text[1]}")
    assert len(set(others)) > 10
    for text in others:
        assert sorted(text.split("\n\n")) == sorted(first.split("\n\n"))


def test_a_real_model_that_never_saw_the_data_shows_nothing(tmp_path: Path) -> None:
    model: Any = load(lm.causal_lm(tmp_path / "model"))
    result = run(make.sentences(24), tmp_path, model, block=3, shuffles=9)
    values = make.values(result)
    p = values["exchangeability_p", "all"]
    assert p is not None
    assert 0.01 < p < 0.99
    assert result.coverage.scored == 24


def test_too_few_blocks_are_said(tmp_path: Path) -> None:
    result = run(make.sentences(12), tmp_path, tasks.Speaking(tasks.fickle), block=4)
    assert result.metrics[0].status is MetricStatus.NOT_ESTIMABLE
    assert "takes 5" in result.metrics[0].reason
    roles = {**ROLES, "split": Role.SPLIT}
    with pytest.raises(EvaluationError, match="two examples"):
        run(make.sentences(12).assign(split="train"), tmp_path, tasks.Speaking(tasks.fickle), roles)


# --- overlap --------------------------------------------------------------------------------------------


def test_examples_that_share_a_run_of_words_with_the_training_split_are_counted(tmp_path: Path) -> None:
    long = "the quick brown fox jumps over the lazy dog and then it sleeps"
    rows = [
        ("train", long),
        ("train", "Short one"),
        ("test", f"Look: THE quick, brown fox jumps over the lazy dog — and more {long[:9]}"),  # 9 words
        ("test", "quick brown fox jumps over lazy dog and then it"),  # no run of 6 is the same
        ("test", "short ONE!"),  # all of a short example
        ("test", "one"),
        ("test", "…"),  # no word at all
    ]
    table = pd.DataFrame(
        {"id": [f"r{i}" for i in range(7)], "split": [s for s, _ in rows], "text": [t for _, t in rows]}
    )
    data = dataset.read(
        make.data_ref(table, tmp_path, {**ROLES, "split": Role.SPLIT}), tasks.SPEAKER.modality
    )
    hits = train_overlap.overlapping(data, np.array([0, 1]), np.arange(2, 7), 6)
    assert hits.tolist() == [True, False, True, False, False]
    metric = train_overlap.measure(data, 6)
    assert (metric.value, metric.n) == (pytest.approx(2 / 5), 5)


def test_without_a_training_split_the_overlap_is_not_estimable(tmp_path: Path) -> None:
    table = make.sentences(6)
    for roles, split in ((ROLES, "test"), ({**ROLES, "split": Role.SPLIT}, "test")):
        data = dataset.read(make.data_ref(table.assign(split=split), tmp_path, roles), tasks.SPEAKER.modality)
        assert train_overlap.measure(data, 5).status is MetricStatus.NOT_ESTIMABLE
