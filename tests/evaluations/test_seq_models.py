"""Encoder–decoders and span models: the same texts as transformers writes, the same spans as trying all of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats as scipy_stats
from transformers.generation.logits_process import TemperatureLogitsWarper, TopPLogitsWarper

from evaluations import catalogue
from evaluations.models import extractive_qa
from evaluations.models.loader import load
from evaluations.models.sampling import SeededTokens, ended_at
from evaluations.spec import EvaluationError, GenerationSettings, Modality
from tests.evaluations import make, seq

GREEDY = GenerationSettings(max_new_tokens=12)
SAMPLED = GenerationSettings(max_new_tokens=12, temperature=1.0)


@pytest.fixture(scope="module", params=["t5", "bart", "marian"])
def writer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load(seq.seq2seq(tmp_path_factory.mktemp(request.param), request.param))


@pytest.fixture(scope="module")
def prompts() -> list[str]:
    return [*make.sentences(12, seed=3).text, "", "a", "naïve 🎬 " * 40]


def direct(model: Any, prompt: str) -> str:
    """What transformers writes for one prompt alone."""
    ids = model.tokenizer(prompt, truncation=True, max_length=model.longest)["input_ids"] or [0]
    found = model.network.generate(
        input_ids=torch.tensor([ids], device=model.device),
        max_new_tokens=12,
        do_sample=False,
    )
    return str(model.tokenizer.decode(found[0, 1:], skip_special_tokens=True))


def test_texts_equal_those_of_transformers_one_by_one(writer: Any, prompts: list[str]) -> None:
    made = writer.generate(prompts, GREEDY, [0] * len(prompts))
    assert len({m.text for m in made}) > 4
    for prompt, text in zip(prompts, made, strict=True):
        expected = direct(writer, prompt)
        assert (text.status, text.text) == ("ok", expected)


def test_the_models_own_beams_are_used_where_nothing_is_drawn(
    writer: Any, prompts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    greedy = [m.text for m in writer.generate(prompts, GREEDY, [0] * len(prompts))]
    monkeypatch.setattr(writer.network.generation_config, "num_beams", 4)
    made = writer.generate(prompts, GREEDY, [0] * len(prompts))
    assert [m.text for m in made] == [direct(writer, prompt) for prompt in prompts]
    assert [m.text for m in made] != greedy


def test_drawn_texts_depend_on_their_seed_and_on_nothing_else(
    writer: Any, prompts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = list(range(100, 100 + len(prompts)))
    together = [m.text for m in writer.generate(prompts, SAMPLED, seeds)]
    assert together == [m.text for m in writer.generate(prompts[::-1], SAMPLED, seeds[::-1])][::-1]
    alone = [
        writer.generate([prompt], SAMPLED, [seed])[0].text
        for prompt, seed in zip(prompts, seeds, strict=True)
    ]
    assert together == alone
    monkeypatch.setattr(writer.network.generation_config, "do_sample", True)
    monkeypatch.setattr(writer.network.generation_config, "top_k", 1)
    monkeypatch.setattr(writer.network.generation_config, "num_beams", 3)
    assert together == [m.text for m in writer.generate(prompts, SAMPLED, seeds)]
    assert together != [m.text for m in writer.generate(prompts, SAMPLED, [s + 1 for s in seeds])]


def test_a_text_that_would_be_ended_by_force_is_cut(tmp_path: Path) -> None:
    ref = seq.seq2seq(tmp_path, "bart", forced_eos_token_id=0)
    made = load(ref).generate(["good film"] * 2, GREEDY.model_copy(update={"max_new_tokens": 1}), [0, 0])
    assert made[0].cut
    assert made[0].output_tokens == 1


def test_a_text_that_did_not_end_is_said_to_be_cut(writer: Any, prompts: list[str]) -> None:
    made = writer.generate(prompts, GREEDY.model_copy(update={"max_new_tokens": 1}), [0] * len(prompts))
    assert all(m.output_tokens <= 1 for m in made)
    assert all(m.cut is (m.output_tokens == 1) for m in made)


def test_texts_longer_than_the_model_reads_are_counted(writer: Any) -> None:
    before = writer.usage.truncated, writer.usage.queries
    made = writer.generate(["naïve 🎬 " * 200, "a"], GREEDY, [0, 0])
    assert [text.shortened for text in made] == [True, False]
    assert (writer.usage.truncated, writer.usage.queries) == (before[0] + 1, before[1] + 2)


def test_outputs_that_are_no_numbers_are_an_error(tmp_path: Path) -> None:
    model = load(seq.seq2seq(tmp_path, "t5"))
    with torch.no_grad():
        model.network.lm_head.weight.fill_(torch.nan)
    assert {m.status for m in model.generate(["a", "b"], GREEDY, [0, 0])} == {"error"}


def test_of_a_folders_search_only_what_is_known_is_kept(tmp_path: Path) -> None:
    ref = seq.seq2seq(tmp_path, "t5")
    path = tmp_path / "generation_config.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps({**said, "penalty_alpha": 0.6, "top_k": 4, "do_sample": True, "num_beams": 3}))
    config = load(ref).network.generation_config
    assert (config.num_beams, config.penalty_alpha, config.do_sample) == (3, None, None)
    path.write_text(json.dumps({**said, "num_beams": 5000}))
    with pytest.raises(EvaluationError, match="5000 beams"):
        load(ref)


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.7, 1.0), (1.3, 0.8)])
def test_tokens_are_drawn_with_the_probabilities_of_transformers_warpers(
    temperature: float, top_p: float
) -> None:
    logits = torch.tensor([[2.0, 1.0, 0.3, -0.5, -1.0, 0.9]])
    wanted = TopPLogitsWarper(top_p)(None, TemperatureLogitsWarper(temperature)(None, logits)).softmax(-1)[0]
    n = 4000
    tokens = SeededTokens(range(n), temperature, top_p)(None, logits.expand(n, -1)).argmax(dim=1)
    seen = torch.bincount(tokens, minlength=6).numpy()
    possible = wanted.numpy() > 0
    assert seen[~possible].sum() == 0
    expected = wanted.double().numpy()[possible]
    assert scipy_stats.chisquare(seen[possible], n * expected / expected.sum()).pvalue > 1e-3


def test_a_text_ends_before_the_first_stop_string() -> None:
    assert ended_at("one. two! three", ["!", ". "]) == ("one", True)
    assert ended_at("one", ["!", ""]) == ("one", False)


# --- spans ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load(seq.span_model(tmp_path_factory.mktemp("span")))


def windows_by_hand(model: Any, question: str, context: str) -> list[tuple[list[int], list[Any], list[int]]]:
    """Token ids, offsets (None outside the passage) and segment ids of each window, built without the tokenizer's own
    overflow."""
    tokenizer = model.tokenizer
    asked = tokenizer(question, add_special_tokens=False)["input_ids"]
    passage = tokenizer(context, add_special_tokens=False, return_offsets_mapping=True)
    ids, places = passage["input_ids"], passage["offset_mapping"]
    room = model.longest - len(asked) - 3
    step = room - model.longest // 4
    found = []
    for start in range(0, max(1, len(ids)), step):
        part, where = ids[start : start + room], places[start : start + room]
        whole = [tokenizer.cls_token_id, *asked, tokenizer.sep_token_id, *part, tokenizer.sep_token_id]
        offsets = [None] * (len(asked) + 2) + list(where) + [None]
        found.append((whole, offsets, [0] * (len(asked) + 2) + [1] * (len(part) + 1)))
        if start + room >= len(ids):
            break
    return found


def best_by_hand(model: Any, question: str, context: str) -> tuple[tuple[int, int], float, float]:
    """The best span, its sum of logits and that of the empty span, by trying every pair of tokens."""
    best, score, empty = (0, 0), -np.inf, np.inf
    for ids, offsets, segments in windows_by_hand(model, question, context):
        with torch.inference_mode():
            out = model.network(
                input_ids=torch.tensor([ids], device=model.device),
                token_type_ids=torch.tensor([segments], device=model.device),
            )
        start, end = out.start_logits[0].tolist(), out.end_logits[0].tolist()
        empty = min(empty, start[0] + end[0])
        for i, opening in enumerate(offsets):
            for j in range(i, min(len(ids), i + extractive_qa.LONGEST_ANSWER)):
                if opening and offsets[j] and start[i] + end[j] > score:
                    best, score = (opening[0], offsets[j][1]), start[i] + end[j]
    return best, score, empty


@pytest.mark.parametrize("sentences", [1, 3, 14])
def test_the_answer_is_the_best_of_all_spans_in_all_windows(finder: Any, sentences: int) -> None:
    questions = [f"what is {word}" for word in ("good", "the film", "never boring", "it")]
    texts = list(make.sentences(60, seed=11).text)
    contexts = [" ".join(texts[i * sentences : (i + 1) * sentences]) for i in range(4)]
    found = finder.answer(questions, contexts)
    for question, context, span in zip(questions, contexts, found, strict=True):
        (start, stop), score, empty = best_by_hand(finder, question, context)
        assert (span.start, span.stop, span.text) == (start, stop, context[start:stop])
        (offered,) = finder.answer([question], [context], unanswerable=True)
        assert (offered.text == "") is (empty > score)
    if sentences == 14:
        assert all(len(windows_by_hand(finder, q, c)) > 2 for q, c in zip(questions, contexts, strict=True))


def test_candidates_are_ordered_and_share_out_their_belief(finder: Any) -> None:
    ((*spans,),) = finder.candidates(["what is good"], [" ".join(make.sentences(6, seed=2).text)], True)
    assert [s.score for s in spans] == sorted((s.score for s in spans), reverse=True)
    assert sum(s.score for s in spans) == pytest.approx(1)
    assert len({(s.start, s.stop) for s in spans}) == len(spans) <= extractive_qa.CANDIDATES


def test_empty_passages_and_long_questions_are_answered(finder: Any) -> None:
    before = finder.usage.truncated
    empty, long, odd = finder.answer(
        ["what", "what is " * 60, "‮?"], ["", "the film was good", "\u0000 中文🎬 good film"]
    )
    assert empty.text == ""
    assert long.text in "the film was good"
    assert odd.text in "\u0000 中文🎬 good film"
    assert finder.usage.truncated == before + 1
    assert finder.answer([], []) == []


def test_spans_of_outputs_that_are_no_numbers_are_none(tmp_path: Path) -> None:
    model = load(seq.span_model(tmp_path))
    with torch.no_grad():
        model.network.qa_outputs.weight.fill_(torch.nan)
    assert model.answer(["what"], ["the film"]) == [None]


# --- through an evaluation -------------------------------------------------------------------------


@pytest.mark.parametrize("make_model", [seq.seq2seq, seq.span_model])
def test_their_answers_are_measured(make_model: Any, tmp_path: Path) -> None:
    ref = make_model(tmp_path / "model")
    table = seq.questions(12)
    asked = make.request(
        "quality.generation",
        make.data_ref(table, tmp_path, seq.ROLES),
        ref,
        settings={"max_new_tokens": 8},
    )
    result = make.evaluate(catalogue.get("quality.generation"), load(ref), asked, tmp_path)
    assert result.coverage.scored == 12
    assert all(m.value is not None for m in result.metrics)


# --- folders that are something else --------------------------------------------------------------


@pytest.mark.parametrize("modality", [Modality.SEQ2SEQ, Modality.EXTRACTIVE_QA])
def test_a_classifier_is_no_writer_and_no_finder(modality: Modality, tmp_path: Path) -> None:
    ref = make.tiny_bert(tmp_path).model_copy(update={"modality": modality})
    with pytest.raises(EvaluationError) as error:
        load(ref)
    assert error.value.code in ("model_unreadable", "model_incomplete")
