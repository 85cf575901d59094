"""quality.hallucination against hand-worked answers and closed forms."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluations import catalogue
from evaluations.models.loader import load
from evaluations.quality import hallucination_scores, support
from evaluations.spec import EvaluationError, EvaluationResult, MetricStatus, Role
from evaluations.stats import mean_interval
from tests.evaluations import lm, make, seq
from tests.evaluations.cases import quality_hallucination

HALLUCINATION = catalogue.get("quality.hallucination")


def measured(
    model: Any, table: pd.DataFrame, folder: Path, roles: dict[str, Role] = seq.CHOICE_ROLES, **params: Any
) -> EvaluationResult:
    asked = make.request("quality.hallucination", make.data_ref(table, folder, roles), seq.WRITER, **params)
    return make.evaluate(HALLUCINATION, model, asked, folder)


def metrics(result: EvaluationResult) -> dict[str, Any]:
    return {m.name: m for m in result.metrics}


# --- one answer -----------------------------------------------------------------------------------

PASSAGE = "In 1889 Gustave Eiffel's firm built the tower. It is 330 m high and cost 7,799,401 francs."


@pytest.mark.parametrize(
    ("answer", "share"),
    [
        ("The tower is 330 m high.", 1),  # tower is 330 m high
        ("The tower is 300 m high.", 4 / 5),
        ("tower tower", 1 / 2),  # once in the passage
        ("The", None),  # an article is no word
    ],
)
def test_words_found_in_the_passage(answer: str, share: float | None) -> None:
    assert support.knowledge_precision(answer, PASSAGE) == (share if share is None else pytest.approx(share))


@pytest.mark.parametrize(
    ("answer", "missing"),
    [
        ("Built in 1889 for 7799401 francs.", []),
        ("It cost 7.799.401 francs.", []),
        ("It is 330.0 m high.", []),
        ("It is 33 m high, built in 1890.", ["33", "1890"]),
        ("It was built in eighteen eighty-nine.", []),
    ],
)
def test_numbers_from_nowhere_whatever_their_notation(answer: str, missing: list[str]) -> None:
    assert support.unsupported_numbers(answer, [PASSAGE]) == missing


@pytest.mark.parametrize(
    ("answer", "missing"),
    [
        ("Built by Gustave Eiffel's firm.", []),
        ("It was built by Sauvestre in Paris.", ["Sauvestre", "Paris"]),
        (
            "Sauvestre built it. Later Koechlin did.",
            ["Koechlin"],
        ),  # the first word of a sentence is not told apart
        ("the TOWER", []),
    ],
)
def test_names_from_nowhere(answer: str, missing: list[str]) -> None:
    assert support.unsupported_names(answer, [PASSAGE]) == missing


def test_agreement_is_the_mean_f1_of_all_pairs() -> None:
    # red film / red: 2/3; red film / blue film: 1/2; red / blue film: 0
    assert support.agreement(["red film", "red", "blue film"]) == pytest.approx((2 / 3 + 1 / 2) / 3)


def test_surprise_is_that_of_the_rarest_word_of_each_sentence() -> None:
    # 8 words in all: red 3, film 3, blue 1, sad 1. Sentences: "red film" (rarest 3), "blue film" (1).
    found = support.unigram_surprise("Red film. Blue film", ["red film", "sad red"])
    assert found == pytest.approx((math.log(8 / 3) + math.log(8 / 1)) / 2)
    assert support.unigram_surprise("…", ["red"]) is None


@pytest.mark.parametrize(
    ("logprobs", "true", "mc1", "mc2"),
    [
        ([-1.0, -5.0, -2.0], [0, 1], 1, None),
        ([-3.0, -1.0, -2.0], [0, 1], 0, None),  # the best true answer is the first, not the likeliest
        ([-2.0, -2.0], [0], 0, 0.5),  # a tie is not more likely
        ([-2000.0, -2000.0 - math.log(3)], [0], 1, 0.75),  # far beyond what exp can tell
    ],
)
def test_mc1_and_mc2(logprobs: list[float], true: list[int], mc1: float, mc2: float | None) -> None:
    assert hallucination_scores.mc1(logprobs, true) == mc1
    p = np.exp(np.array(logprobs))
    wanted = p[true].sum() / p.sum() if mc2 is None else mc2
    assert hallucination_scores.mc2(logprobs, true) == pytest.approx(wanted)


# --- a model --------------------------------------------------------------------------------------


def test_what_cannot_be_measured_is_there_with_its_reason(tmp_path: Path) -> None:
    table = seq.with_choices(12)
    writer = seq.Writing(seq.fickle)  # no log-probabilities
    found = metrics(measured(writer, table, tmp_path))
    assert {found[name].status for name in ("mc1", "mc2")} == {MetricStatus.NOT_ESTIMABLE}
    assert "no log-probabilities" in found["mc1"].reason
    bare = {c: r for c, r in seq.ROLES.items() if r in (Role.ID, Role.INPUT)}
    found = metrics(measured(writer, table, tmp_path, bare, samples=1))
    assert {m.status for m in found.values()} == {MetricStatus.NOT_ESTIMABLE}
    assert "role 'context'" in found["knowledge_precision"].reason
    assert "at least two" in found["self_agreement"].reason
    assert "'choices'" in found["mc2"].reason


def test_a_wavering_model_agrees_less_with_itself(tmp_path: Path) -> None:
    table = seq.with_choices(40)
    steady = metrics(measured(seq.knowing(table), table, tmp_path))
    wavering = metrics(measured(seq.Writing(seq.wavering), table, tmp_path))
    # four answers that differ in one of six words at a chance of 3/4: 1 − 3/4·1/6
    assert wavering["self_agreement"].value == pytest.approx(1 - 0.75 / 6, abs=0.03)
    assert wavering["self_agreement"].interval.high < steady["self_agreement"].interval.low + 0.1
    assert wavering["selfcheck_unigram"].value > math.log(7)


def test_the_interval_of_the_surprise_is_students(tmp_path: Path) -> None:
    table = seq.with_choices(30)
    found = metrics(measured(seq.Writing(seq.wavering), table, tmp_path))["selfcheck_unigram"]
    assert found.interval.method == "t"
    assert found.interval.high - found.value == pytest.approx(found.value - found.interval.low)


def test_drawn_answers_are_asked_at_their_own_temperature_with_seeds_that_differ(tmp_path: Path) -> None:
    seen: list[tuple[float, int]] = []

    class Noting(seq.Writing):
        def generate(self, prompts: Any, settings: Any, seeds: Any) -> Any:
            seen.extend((settings.temperature, seed) for seed in seeds)
            return super().generate(prompts, settings, seeds)

    measured(Noting(seq.fickle), seq.with_choices(5), tmp_path, samples=3, sample_temperature=0.6)
    assert [t for t, _ in seen] == [0.0] * 5 + [0.6] * 15
    assert len({seed for _, seed in seen}) == 20


def test_a_missing_answer_may_be_anything(tmp_path: Path) -> None:
    table = seq.with_choices(100)
    known = seq.knowing(table)
    silent = "box 7?"

    def write(prompt: str, seed: int) -> str | None:
        return None if prompt.endswith(silent) else known.write(prompt, seed)

    found = metrics(measured(seq.Writing(write), table, tmp_path))
    for name in ("knowledge_precision", "self_agreement"):
        assert found[name].value == 1
        assert found[name].interval.low < 0.96
    assert found["unsupported_number_rate"].interval.high > 0.04
    worst = mean_interval(np.append(np.full(99, math.log(7)), math.log(5 * 128)))
    assert worst is not None
    assert found["selfcheck_unigram"].interval.high == pytest.approx(worst.high)


def test_answers_that_say_nothing_are_left_out(tmp_path: Path) -> None:
    table = seq.with_choices(20)
    known = seq.knowing(table)

    def write(prompt: str, seed: int) -> str | None:
        return "" if prompt.endswith("0?") else known.write(prompt, seed)

    found = metrics(measured(seq.Writing(write), table, tmp_path))
    assert (found["knowledge_precision"].value, found["knowledge_precision"].n) == (1, 18)
    assert found["unsupported_number_rate"].n == 20


def test_scripts_without_capitals_have_no_rate_of_names(tmp_path: Path) -> None:
    table = seq.with_choices(6)
    found = metrics(measured(seq.Writing(lambda prompt, seed: "三部电影"), table, tmp_path))
    assert "capitals" in found["unsupported_name_rate"].reason


def test_a_true_answer_that_is_no_choice_is_said(tmp_path: Path) -> None:
    table = seq.with_choices(6)
    table.at[2, "choices"] = ["Something.", "Nothing."]
    model = quality_hallucination.stand_in(tmp_path)[0]
    with pytest.raises(EvaluationError, match=r"Row 3 .*'q0002'"):
        measured(model, table, tmp_path)


def test_a_causal_model_is_asked_for_texts_and_for_its_beliefs(tmp_path: Path) -> None:
    ref = lm.causal_lm(tmp_path / "model")
    model: Any = load(ref)
    table = seq.with_choices(8)
    asked = make.request(
        "quality.hallucination",
        make.data_ref(table, tmp_path, seq.CHOICE_ROLES),
        ref,
        settings={"max_new_tokens": 8},
        samples=2,
        prompt="{input}",
    )
    found = metrics(make.evaluate(HALLUCINATION, model, asked, tmp_path))
    assert all(m.value is not None for m in found.values())
    right, share = [], []
    for question, choices in zip(table.text, table.choices, strict=True):
        beliefs = [model.loglikelihoods([(question, f" {choice}")])[0].logprob for choice in choices]
        right.append(beliefs[0] > max(beliefs[2:]))
        share.append(np.exp(beliefs[:2]).sum() / np.exp(beliefs).sum())
    assert found["mc1"].value == pytest.approx(np.mean(right))
    assert found["mc2"].value == pytest.approx(np.mean(share), abs=1e-4)


def test_made_up_answers_are_shown(tmp_path: Path) -> None:
    table = seq.with_choices(4)
    result = measured(seq.Writing(lambda prompt, seed: "It was Zorro in 99999."), table, tmp_path)
    assert result.examples[0].facts == {"numbers": "99999", "names": "Zorro"}
