"""quality.generation against SQuAD's script, rouge-score, sacrebleu, closed forms and hand-worked tables."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sacrebleu
from rouge_score.rouge_scorer import RougeScorer

from evaluations import catalogue, generating
from evaluations.context import Context
from evaluations.engine.score_store import ScoreStore
from evaluations.models.protocol import Generation
from evaluations.quality import corpus_overlap, text_overlap
from evaluations.quality.generation import GenerationParams
from evaluations.quality.generation_scores import pass_at_k
from evaluations.spec import (
    EvaluationError,
    EvaluationResult,
    GenerationSettings,
    MetricStatus,
    Modality,
    Role,
)
from evaluations.stats import clustered_se, unit_mean, wilson
from tests.evaluations import make, seq

GENERATION = catalogue.get("quality.generation")
SAMPLED = {"temperature": 0.8}
GREEDY = GenerationSettings()


def measured(
    model: Any, table: pd.DataFrame, folder: Path, roles: dict[str, Role] = seq.ROLES, **params: Any
) -> EvaluationResult:
    ref = seq.FINDER if model.modality is Modality.EXTRACTIVE_QA else seq.WRITER
    asked = make.request("quality.generation", make.data_ref(table, folder, roles), ref, **params)
    return make.evaluate(GENERATION, model, asked, folder)


def metric(result: EvaluationResult, name: str, where: str = "all") -> Any:
    return next(m for m in result.metrics if (m.name, m.slice) == (name, where))


def texts(n: int, seed: int, words: int = 12) -> list[str]:
    rng = random.Random(seed)
    pool = [*make.WORDS, "Film,", "the", "NAÏVE", "17", "co-star", "中文"]
    return [" ".join(rng.choices(pool, k=rng.randint(0, words))) for _ in range(n)]


# --- one text against another ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "references", "exact", "f1"),
    [
        ("The Eiffel Tower!", ["eiffel tower"], 1, 1),  # article, case and punctuation do not count
        ("in 1990's Paris", ["Paris"], 0, 2 / 4),  # in 1990s paris: 1 of 3 and 1 of 1
        ("a the an", ["the"], 1, 1),  # nothing is left on either side
        ("", [""], 1, 1),  # unanswerable, and said so
        ("Paris", [""], 0, 0),
        ("", ["Paris"], 0, 0),
        ("Denver Broncos", ["Broncos", "the Denver Broncos won"], 0, 4 / 5),  # the best reference
        ("red red blue", ["red blue blue"], 0, 2 / 3),  # each word as often as it occurs on both sides
    ],
)
def test_match_and_f1_of_hand_worked_answers(
    answer: str, references: list[str], exact: float, f1: float
) -> None:
    assert text_overlap.exact(answer, references) == exact
    assert text_overlap.token_f1(answer, references) == pytest.approx(f1)


@pytest.mark.parametrize("stem", [False, True])
def test_rouge_l_equals_rouge_scores(stem: bool) -> None:
    scorer = RougeScorer(["rougeL"], use_stemmer=stem)
    for said, *wanted in zip(texts(300, 3, 30), texts(300, 4, 40), texts(300, 5, 9), strict=True):
        mine = text_overlap.rouge_l(
            text_overlap.rouge_words(said, stem), [text_overlap.rouge_words(w, stem) for w in wanted]
        )
        assert mine == pytest.approx(scorer.score_multi(wanted, said)["rougeL"].fmeasure, abs=1e-12)


def test_repetition_of_a_hand_worked_text() -> None:
    # runs: abcd bcda cdab dabc abcd bcde: one of six came before
    assert text_overlap.repetition("a b c d a b c d e") == pytest.approx(1 / 6)
    assert text_overlap.repetition("a b c") == 0


# --- a corpus -------------------------------------------------------------------------------------


def corpus(n: int, seed: int) -> tuple[list[str], list[list[str]]]:
    said, first, second = texts(n, seed), texts(n, seed + 1), texts(n, seed + 2)
    rng = random.Random(seed)
    said = [f if rng.random() < 0.3 else s for s, f in zip(said, first, strict=True)]
    return said, [[f] if rng.random() < 0.5 else [f, s] for f, s in zip(first, second, strict=True)]


@pytest.mark.parametrize("measure", [corpus_overlap.bleu("13a"), corpus_overlap.chrf()], ids=["bleu", "chrf"])
@pytest.mark.parametrize("n", [1, 2, 5, 60])
def test_corpus_scores_equal_sacrebleus(measure: corpus_overlap.Measure, n: int) -> None:
    for seed in range(12):
        said, references = corpus(n, seed)
        streams = [list(s) for s in itertools.zip_longest(*references)]
        counts = measure.counts(said, measure.read(references)).sum(axis=0)
        wanted = type(measure.scorer)().corpus_score(said, streams).score
        assert float(measure.score(counts)) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("measure", [corpus_overlap.bleu("13a"), corpus_overlap.chrf()], ids=["bleu", "chrf"])
def test_scores_of_summed_counts_equal_sacrebleus_of_the_resampled_corpus(
    measure: corpus_overlap.Measure,
) -> None:
    said, references = corpus(20, 3)
    counts = measure.counts(said, measure.read(references))
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, 20, (30, 20))
    wanted = []
    for rows in drawn:
        streams = [list(s) for s in itertools.zip_longest(*(references[i] for i in rows))]
        wanted.append(type(measure.scorer)().corpus_score([said[i] for i in rows], streams).score)
    assert measure.score(counts[drawn].sum(axis=1)) == pytest.approx(np.array(wanted), abs=1e-9)


def test_the_bootstrap_of_a_corpus_score_agrees_with_sacrebleus_own() -> None:
    said, references = corpus(150, 8)
    value, interval = estimated(corpus_overlap.bleu("13a"), said, references)
    streams = [list(s) for s in itertools.zip_longest(*references)]
    theirs = sacrebleu.BLEU().corpus_score(said, streams, n_bootstrap=2000)
    assert value == pytest.approx(theirs.score)
    assert (interval.high - interval.low) / 2 == pytest.approx(theirs._ci, rel=0.08)


def estimated(measure: corpus_overlap.Measure, said: Any, references: Any, clusters: Any = None) -> Any:
    texts = [text if isinstance(text, list) else [text] for text in said]
    held = corpus_overlap.Corpus(texts, references, clusters)
    return corpus_overlap.estimate(measure, held, np.random.default_rng(1))


def test_clusters_are_resampled_as_a_whole() -> None:
    said, references = corpus(60, 4)

    def width(*held: Any) -> float:
        _, interval = estimated(corpus_overlap.chrf(), *held)
        return float(interval.high - interval.low)

    five_times = said * 5, references * 5
    assert width(*five_times, np.array([str(i) for i in range(60)] * 5)) == pytest.approx(
        width(said, references), rel=0.05
    )
    assert width(*five_times) < 0.6 * width(said, references)


def test_several_texts_of_an_example_are_segments_of_their_own() -> None:
    said, references = corpus(30, 5)
    again = texts(30, 77)
    value, _ = estimated(
        corpus_overlap.bleu("13a"), [list(p) for p in zip(said, again, strict=True)], references
    )
    streams = [list(s) for s in itertools.zip_longest(*references * 2)]
    assert value == pytest.approx(sacrebleu.BLEU().corpus_score(said + again, streams).score)


def test_a_missing_text_is_empty_in_the_lower_end_and_perfect_in_the_upper() -> None:
    said, references = corpus(40, 6)
    for measure in (corpus_overlap.bleu("13a"), corpus_overlap.chrf()):
        value, interval = estimated(measure, [None, *said[1:]], references)
        _, low = estimated(measure, ["", *said[1:]], references)
        _, high = estimated(measure, [references[0][0], *said[1:]], references)
        left_out, _ = estimated(measure, said[1:], references[1:])
        assert value == pytest.approx(left_out)
        assert (interval.low, interval.high) == (low.low, high.high)


# --- pass@k ---------------------------------------------------------------------------------------


def test_pass_at_k_equals_enumeration() -> None:
    for n in range(1, 8):
        for k in range(1, n + 1):
            for right in range(n + 1):
                drawn = list(itertools.combinations([i < right for i in range(n)], k))
                share = sum(any(d) for d in drawn) / len(drawn)
                assert pass_at_k(np.array([right]), n, k)[0] == pytest.approx(share, abs=1e-12)


def test_pass_at_k_counts_the_right_samples_of_each_example(tmp_path: Path) -> None:
    table = seq.questions(30)
    drawn: dict[str, int] = {}

    def third_right(prompt: str, seed: int) -> str:  # of three samples of each prompt one is right
        drawn[prompt] = drawn.get(prompt, 0) + 1
        return seq._answers(table)[prompt.rsplit("\n\n", 1)[-1]] if drawn[prompt] == 2 else "no"

    result = measured(
        seq.Writing(third_right), table, tmp_path, samples=3, pass_at=[1, 2, 3], settings=SAMPLED
    )
    assert [metric(result, "pass_at_k", f"k={k}").value for k in (1, 2, 3)] == pytest.approx(
        [1 / 3, 2 / 3, 1]
    )
    assert metric(result, "exact_match").value == pytest.approx(1 / 3)


def test_several_texts_of_a_greedy_model_are_refused() -> None:
    with pytest.raises(ValueError, match="temperature above 0"):
        GenerationParams(samples=3)
    with pytest.raises(ValueError, match="between 1 and"):
        GenerationParams(pass_at=(2,))
    with pytest.raises(ValueError, match="no regular expression"):
        GenerationParams(answer_pattern="(")


# --- answers that are missing ---------------------------------------------------------------------


def some(table: pd.DataFrame, other: Any, every: int) -> seq.Writing:
    """Right, but each `every`-th question is answered with `other`."""
    answers = seq._answers(table)
    odd = set(list(answers)[::every])

    def write(prompt: str, seed: int) -> Any:
        question = prompt.rsplit("\n\n", 1)[-1]
        return other if question in odd else answers[question]

    return seq.Writing(write)


def test_an_answer_that_failed_counts_as_wrong_in_the_lower_end_and_as_right_in_the_upper(
    tmp_path: Path,
) -> None:
    table = seq.questions(100)
    result = measured(some(table, None, 50), table, tmp_path)
    match = metric(result, "exact_match")
    assert match.value == 1
    assert match.interval.low == pytest.approx(wilson(98, 100).low)
    assert match.interval.high == 1
    assert result.coverage.failed == 2
    assert metric(result, "bleu").interval.low < 99.5


def test_half_a_character_is_no_answer(tmp_path: Path) -> None:
    table = seq.questions(100)
    assert measured(some(table, "\ud800", 50), table, tmp_path).coverage.failed == 2


def test_drawn_texts_are_not_shared_between_seeds(tmp_path: Path) -> None:
    store = ScoreStore()
    data = make.data_ref(seq.questions(6), tmp_path, seq.ROLES)
    drawn = []
    for seed, settings in itertools.product((1, 2), (GREEDY, GenerationSettings(temperature=1.0))):
        context = Context(
            make.request("quality.generation", data, seq.WRITER, seed=seed), tmp_path, store=store
        )
        writer = seq.Writing(lambda prompt, seed: f"{prompt} {seed % 1000}")
        drawn.append(
            [g.text for g in context.generations(writer, np.array(["a", "b"]), ["p", "q"], settings)]
        )
    assert drawn[0] == drawn[2]
    assert drawn[1] != drawn[3]


def test_too_many_failures_leave_nothing_estimated(tmp_path: Path) -> None:
    table = seq.questions(100)
    result = measured(some(table, None, 20), table, tmp_path)
    assert {m.status for m in result.metrics} == {MetricStatus.NOT_ESTIMABLE}
    assert "5 of 100" in result.metrics[0].reason


def test_what_the_provider_blocked_is_no_error_and_is_counted_by_itself(tmp_path: Path) -> None:
    table = seq.questions(100)
    blocked = Generation("", "blocked", "content filter")
    result = measured(some(table, blocked, 10), table, tmp_path)
    assert result.coverage.blocked == 10
    assert result.coverage.failed == 0
    assert metric(result, "blocked_rate").value == 0.1
    assert metric(result, "exact_match").interval.low == pytest.approx(wilson(90, 100).low)


def test_a_text_without_an_answer_has_its_own_rate_and_widens_the_interval(tmp_path: Path) -> None:
    table = seq.questions(100).assign(target=[[str(i % 7)] for i in range(100)])
    answers = {t: a[0] for t, a in zip(table.text, table.target, strict=True)}

    def reasoned(prompt: str, seed: int) -> str:
        question = prompt.rsplit("\n\n", 1)[-1]
        if question.endswith("0?"):
            return "I would rather not say."
        return f"First 5, then 6. Answer: {answers[question]}."

    result = measured(seq.Writing(reasoned), table, tmp_path, answer_pattern=r"Answer: (\d+)")
    assert metric(result, "unparsed_rate").value == 0.1
    assert metric(result, "exact_match").value == 1
    assert metric(result, "exact_match").interval.low == pytest.approx(wilson(90, 100).low)
    last = measured(seq.Writing(reasoned), table, tmp_path, answer_pattern=r"\d+", answer_take="last")
    assert metric(last, "exact_match").value == 1
    never = measured(seq.Writing(reasoned), table, tmp_path, answer_pattern=r"Result (\d+)")
    assert metric(never, "exact_match").status is MetricStatus.NOT_ESTIMABLE
    assert metric(never, "unparsed_rate").value == 1


def test_a_pattern_that_never_ends_is_refused() -> None:
    find = generating.finder(GenerationParams(answer_pattern=r"(a|aa)+$"))
    with pytest.raises(EvaluationError, match="more than a second"):
        find("a" * 80 + "b")


# --- what is measured at all ----------------------------------------------------------------------


def test_every_reference_counts_and_the_best_is_taken(tmp_path: Path) -> None:
    table = seq.questions(12)
    short = {text: target[1] for text, target in zip(table.text, table.target, strict=True)}
    result = measured(seq.Writing(lambda prompt, seed: short[prompt.rsplit("\n\n", 1)[-1]]), table, tmp_path)
    assert metric(result, "exact_match").value == 1
    assert metric(result, "rouge_l").value == 1


def test_bleu_of_answers_shorter_than_four_words_is_not_estimated(tmp_path: Path) -> None:
    table = seq.questions(12).assign(target=[["three films"]] * 12)
    result = measured(seq.Writing(lambda prompt, seed: "three films"), table, tmp_path)
    assert "4 words" in metric(result, "bleu").reason
    assert metric(result, "chrf").value == 100


def test_rouge_says_that_it_cannot_read_other_scripts(tmp_path: Path) -> None:
    table = seq.questions(12).assign(target=[["三部电影"]] * 12)
    result = measured(seq.Writing(lambda prompt, seed: "三部电影"), table, tmp_path, bleu_tokenizer="zh")
    assert "a–z" in metric(result, "rouge_l").reason
    assert metric(result, "bleu").value == pytest.approx(100)
    assert any("tok:zh" in warning for warning in result.warnings)


def test_an_extractive_model_is_given_question_and_passage(tmp_path: Path) -> None:
    table = seq.questions(20)

    def number(question: str, passage: str) -> str:
        assert question.startswith("How many")
        return passage.split("There are ")[1].split()[0]

    result = measured(seq.Finding(number), table, tmp_path)
    assert metric(result, "exact_match").value == 1
    unanswerable = table.assign(target=[[""]] * 20)
    result = measured(seq.Finding(lambda q, c: ""), unanswerable, tmp_path, unanswerable=True)
    assert metric(result, "exact_match").value == 1


def test_the_prompt_is_filled_in_once(tmp_path: Path) -> None:
    seen: list[str] = []
    table = seq.questions(3).assign(text=["What does {context} mean?"] * 3)

    def write(prompt: str, seed: int) -> str:
        seen.append(prompt)
        return ""

    measured(seq.Writing(write), table, tmp_path, prompt="Q: {input}\nPassage: {context}\nA:")
    assert seen[0] == f"Q: What does {{context}} mean?\nPassage: {table.passage[0]}\nA:"
    with pytest.raises(EvaluationError, match="role 'context'"):
        measured(
            seq.Writing(write),
            table,
            tmp_path,
            {c: r for c, r in seq.ROLES.items() if r is not Role.CONTEXT},
            prompt="{context} {input}",
        )


def test_examples_of_one_cluster_count_for_less(tmp_path: Path) -> None:
    table = seq.questions(200)
    table = table.assign(box=[f"b{i // 10}" for i in range(200)])
    right = {f"How many films are in box {i}?" for i in range(200) if i // 10 % 2}
    answers = seq._answers(table)

    def write(prompt: str, seed: int) -> str:  # all of a cluster right, or none
        question = prompt.rsplit("\n\n", 1)[-1]
        return answers[question] if question in right else "no idea"

    alone = metric(measured(seq.Writing(write), table, tmp_path), "exact_match")
    together = metric(
        measured(seq.Writing(write), table, tmp_path, {**seq.ROLES, "box": Role.CLUSTER}), "exact_match"
    )
    assert alone.value == together.value == 0.5
    assert 15 < together.n_effective < 21
    assert together.interval.high - together.interval.low > 2.5 * (alone.interval.high - alone.interval.low)


# --- intervals of scores between 0 and 1 ----------------------------------------------------------


def test_the_interval_of_yes_and_no_scores_is_wilsons() -> None:
    for hits, n in ((0, 20), (20, 20), (7, 20), (980, 1000)):
        scores = np.repeat([1.0, 0.0], [hits, n - hits])
        found = unit_mean(scores).interval
        assert (found.low, found.high) == pytest.approx((wilson(hits, n).low, wilson(hits, n).high))


def test_the_interval_of_a_mean_approaches_students() -> None:
    scores = np.random.default_rng(0).beta(4, 3, 4000)
    found = unit_mean(scores).interval
    half = 1.96 * scores.std(ddof=1) / np.sqrt(4000)
    assert found.low == pytest.approx(scores.mean() - half, abs=2e-4)
    assert found.high == pytest.approx(scores.mean() + half, abs=2e-4)
    clusters = np.repeat(np.arange(400), 10)
    scores = np.clip(scores + np.repeat(np.random.default_rng(1).normal(0, 0.1, 400), 10), 0, 1)
    found = unit_mean(scores, clusters).interval
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * clustered_se(scores, clusters), rel=0.01)


@pytest.mark.parametrize("n", [20, 50, 200])
def test_the_interval_of_a_mean_covers_over_scores_of_many_shapes(n: int) -> None:
    rng = np.random.default_rng(n)
    covered, drawn = 0, 0
    for _ in range(3000):
        ends, centre = rng.dirichlet([1, 1, 1]), rng.uniform(0.05, 0.95)
        a = rng.uniform(0.5, 8)
        b = a * (1 - centre) / centre
        truth = ends[0] + ends[2] * centre
        kinds = rng.choice(3, n, p=ends)
        scores = np.where(kinds == 0, 1.0, np.where(kinds == 1, 0.0, rng.beta(a, b, n)))
        found = unit_mean(scores).interval
        covered += found.low <= truth <= found.high
        drawn += 1
    assert covered / drawn >= 0.945


def test_a_corpus_of_one_text_has_no_interval_and_one_of_five_a_wide_one() -> None:
    rng = np.random.default_rng(2)

    def drawn(n: int) -> tuple[list[str], list[tuple[str, ...]]]:
        wanted = [" ".join(rng.choice(list("abcdefgh"), 12)) for _ in range(n)]
        said = [" ".join(w if rng.random() < 0.8 else "x" for w in text.split()) for text in wanted]
        return said, [(text,) for text in wanted]

    measure = corpus_overlap.bleu("13a")
    assert estimated(measure, *drawn(1))[1] is None
    said, wanted = drawn(3000)
    true = sacrebleu.BLEU().corpus_score(said, [[text for (text,) in wanted]]).score
    held = 0
    for _ in range(150):
        said, wanted = drawn(5)
        texts: list[list[str | None]] = [[text] for text in said]
        _, interval = corpus_overlap.estimate(measure, corpus_overlap.Corpus(texts, wanted), rng, draws=199)
        assert interval is not None
        held += interval.low <= true <= interval.high
    assert held / 150 >= 0.88
