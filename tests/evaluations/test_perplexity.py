"""quality.perplexity: lm-eval's own numbers on the same model and texts, a closed form, intervals that cover."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluations import catalogue, likelihoods
from evaluations.models.loader import load
from evaluations.quality import perplexity_scores
from evaluations.spec import EvaluationError, EvaluationResult, MetricStatus, Role
from evaluations.stats.sums import intervals_of_sums
from tests.evaluations import lm, make, tasks

EVALUATION = catalogue.get("quality.perplexity")
ROLES = {"id": Role.ID, "text": Role.INPUT}
NAMES = ("word_perplexity", "byte_perplexity", "bits_per_byte")


def run(
    table: pd.DataFrame, folder: Path, model: Any, roles: dict[str, Role] | None = None
) -> EvaluationResult:
    data = make.data_ref(table, folder, roles or ROLES)
    return make.evaluate(EVALUATION, model, make.request(EVALUATION.name, data, tasks.SPEAKER), folder)


def test_numbers_are_lm_evals_on_the_same_model_and_texts(tmp_path: Path) -> None:
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    model: Any = load(lm.causal_lm(tmp_path / "model", longest=32))
    texts = [*make.sentences(12).text, "  two  spaces\tand\n\nlines ", "naïve — ﬁlm 🎬 " * 9]
    table = pd.DataFrame({"id": [f"t{i:02d}" for i in range(len(texts))], "text": texts})
    here = tmp_path / "tasks"
    here.mkdir()
    (here / "data.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    task = {
        "task": "local_texts",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(here / "data.jsonl")}},
        "test_split": "test",
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "{{text}}",
        "metric_list": [{"metric": name} for name in NAMES],
    }
    (here / "local_texts.yaml").write_text(json.dumps(task))  # JSON is YAML
    found = lm_eval.simple_evaluate(
        model=HFLM(pretrained=model.network, tokenizer=model.tokenizer, batch_size=4, device="cpu"),
        tasks=["local_texts"],
        task_manager=TaskManager(include_path=str(here), include_defaults=False),
        bootstrap_iters=0,
    )["results"]["local_texts"]
    got = make.values(run(table, tmp_path, model))
    for name in NAMES:
        assert got[name, "all"] == pytest.approx(found[f"{name},none"], rel=1e-5)


def test_a_ratio_of_sums_is_no_mean_of_ratios(tmp_path: Path) -> None:
    table = pd.DataFrame({"id": ["a", "b"], "text": ["one two", "three four five six"]})
    model = tasks.Speaking(lambda context, text: -2.0 if "one" in text else -16.0)
    got = make.values(run(table, tmp_path, model))
    assert got["word_perplexity", "all"] == pytest.approx(math.exp(18 / 6))
    assert got["byte_perplexity", "all"] == pytest.approx(math.exp(18 / 26))
    assert got["bits_per_byte", "all"] == pytest.approx(18 / 26 / math.log(2))


@pytest.mark.slow
def test_intervals_hold_the_true_perplexity() -> None:
    """Documents of random length and difficulty; 95 % less what a simulation of 400 may miss."""
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(400):
        words = rng.integers(20, 200, 60).astype(float)
        nats = words * rng.gamma(9.0, 1 / 3, 60)  # 3 nats a word on average
        sums = np.stack([nats, words, words * 6], axis=1)
        (found, _) = intervals_of_sums(sums, perplexity_scores.exponents, rng, draws=999)
        held += found is not None and found.low <= 3.0 <= found.high
    assert held / 400 >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / 400)


def test_clusters_widen_the_interval(tmp_path: Path) -> None:
    table = make.sentences(60).assign(book=[f"b{i // 10}" for i in range(60)])
    of = dict(zip(table.text, table.book, strict=True))
    model = tasks.Speaking(lambda context, text: -float(len(text)) * (1 + int(of[text][1:])))
    alone = run(table, tmp_path, model).metrics
    together = run(table, tmp_path, model, {**ROLES, "book": Role.CLUSTER}).metrics
    for a, b in zip(alone, together, strict=True):
        assert a.value == b.value
        assert a.interval is not None
        assert b.interval is not None
        assert b.interval.high - b.interval.low > 1.5 * (a.interval.high - a.interval.low)


def test_one_text_without_an_answer_leaves_nothing_to_estimate(tmp_path: Path) -> None:
    table = make.sentences(80)
    gone = table.text[3]
    model = tasks.Speaking(lambda context, text: None if text == gone else -9.0)
    result = run(table, tmp_path, model)
    assert {m.status for m in result.metrics} == {MetricStatus.NOT_ESTIMABLE}
    assert "no bound" in result.metrics[0].reason
    assert result.coverage.failed == 1


def test_empty_texts_alone_give_no_number(tmp_path: Path) -> None:
    table = pd.DataFrame({"id": ["a", "b"], "text": ["", ""]})
    result = run(table, tmp_path, tasks.Speaking(lambda context, text: 0.0))
    assert {m.status for m in result.metrics} == {MetricStatus.NOT_ESTIMABLE}


def test_an_endlessly_unlikely_text_is_a_finite_number(tmp_path: Path) -> None:
    table = pd.DataFrame({"id": ["a", "b"], "text": ["x", "y"]})
    result = run(table, tmp_path, tasks.Speaking(lambda context, text: -1e6))
    assert all(m.value is not None and math.isfinite(m.value) for m in result.metrics)


def test_a_likelihood_that_overflows_is_no_answer_and_no_record(tmp_path: Path) -> None:
    table = make.sentences(10)
    result = run(table, tmp_path, tasks.Speaking(lambda context, text: -1e300))
    assert result.coverage.failed == 10
    with pytest.raises(EvaluationError, match="no log-likelihoods"):
        likelihoods.checked([[-1e300]], [1])
