"""The numbers of quality.generation: each answer against its references, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import comb
from typing import TYPE_CHECKING

import numpy as np

from evaluations import stats
from evaluations.generating import Answers
from evaluations.quality import corpus_overlap, text_overlap
from evaluations.records import not_estimable, too_many_errors
from evaluations.spec import Example, Metric

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.quality.generation import GenerationParams

OVERLAPS = ("exact_match", "token_f1", "rouge_l")
CORPUS = ("bleu", "chrf")
RATES = ("empty_rate", "repetition", "cut_rate", "unparsed_rate", "blocked_rate")
SHOWN = 10  # examples
SHOWN_CHARACTERS = 2000


@dataclass(frozen=True)
class Judged:
    """Answers beside the accepted ones, ascending by example id."""

    answers: Answers
    references: list[tuple[str, ...]]
    inputs: list[str]
    ids: list[str]
    clusters: NDArray[np.str_] | None
    params: GenerationParams

    @classmethod
    def of(cls, answers: Answers, data: Dataset, params: GenerationParams) -> Judged:
        rows = answers.rows
        return cls(
            answers=answers,
            references=[data.references[i] for i in rows],
            inputs=[data.texts[i] for i in rows],
            ids=data.ids[rows].tolist(),
            clusters=None if data.clusters is None else data.clusters[rows],
            params=params,
        )

    def scores(self, of: Callable[[int, str], float]) -> NDArray[np.float64]:
        """(n, S) scores by row number and answer; NaN where there is no answer."""
        rows = enumerate(self.answers.parsed)
        found = [[np.nan if text is None else of(i, text) for text in row] for i, row in rows]
        return np.array(found, dtype=np.float64).reshape(self.answers.status.shape)

    @cached_property
    def exact_match(self) -> NDArray[np.float64]:
        return self.scores(lambda i, text: text_overlap.exact(text, self.references[i]))

    @cached_property
    def token_f1(self) -> NDArray[np.float64]:
        return self.scores(lambda i, text: text_overlap.token_f1(text, self.references[i]))

    @cached_property
    def rouge_references(self) -> list[list[list[str]]]:
        stem = self.params.rouge_stem
        return [[text_overlap.rouge_words(r, stem) for r in references] for references in self.references]

    @cached_property
    def rouge_l(self) -> NDArray[np.float64]:
        stem = self.params.rouge_stem
        return self.scores(
            lambda i, text: text_overlap.rouge_l(
                text_overlap.rouge_words(text, stem), self.rouge_references[i]
            )
        )


def measure(judged: Judged, ctx: Context) -> tuple[list[Metric], list[str]]:
    """Every metric of quality.generation, and warnings."""
    answers, params = judged.answers, judged.params
    reason = too_many_errors(answers.errors, answers.n, params.max_error_rate)
    if not reason and not answers.answered.any():
        reason = "The provider blocked every answer."
    if reason:
        names = [(name, "all") for name in (*OVERLAPS, *CORPUS, *RATES)]
        names += [("pass_at_k", f"k={k}") for k in params.pass_at]
        return [not_estimable(name, answers.n, reason, slice) for name, slice in names], []
    metrics = list(_rates(judged))
    if answers.unparsed.sum() == answers.answered.sum():
        reason = "No text holds an answer as the answer pattern wants it. Correct the pattern or the prompt."
        names = [(name, "all") for name in (*OVERLAPS, *CORPUS)]
        names += [("pass_at_k", f"k={k}") for k in params.pass_at]
        return [*(not_estimable(name, answers.n, reason, slice) for name, slice in names), *metrics], []
    corpus, signatures = _corpus(judged, ctx)
    return [*_overlaps(judged), *corpus, *_pass_at_k(judged), *metrics], signatures


def worst(judged: Judged) -> list[Example]:
    """The answers with the least in common with what was wanted."""
    f1 = judged.token_f1
    found = [
        (f1[i, s], judged.ids[i], i, s)
        for i in range(judged.answers.n)
        for s in range(f1.shape[1])
        if not np.isnan(f1[i, s]) and judged.exact_match[i, s] == 0
    ]
    return [
        Example(
            id=name,
            kind="worst_answer",
            before=judged.inputs[i][:SHOWN_CHARACTERS],
            after=judged.answers.texts[i][s][:SHOWN_CHARACTERS],
            facts={
                "expected": judged.references[i][0][:SHOWN_CHARACTERS],
                "token_f1": round(float(score), 4),
            },
        )
        for score, name, i, s in sorted(found)[:SHOWN]
    ]


def metric_of(
    name: str, values: NDArray[np.float64], clusters: NDArray[np.str_] | None, where: str = "all"
) -> Metric:
    """The mean of scores in [0, 1]; NaN is a score that may be either."""
    found = stats.unit_mean(values, clusters)
    return Metric(
        name=name,
        value=found.value,
        interval=found.interval,
        n=found.n,
        n_effective=found.n_effective,
        slice=where,
    )


def _overlaps(judged: Judged) -> Iterator[Metric]:
    yield metric_of("exact_match", judged.exact_match, judged.clusters)
    yield metric_of("token_f1", judged.token_f1, judged.clusters)
    bare = sum(not any(references) for references in judged.rouge_references)
    if bare:
        yield not_estimable(
            "rouge_l",
            judged.answers.n,
            f"ROUGE compares words of the letters a–z and digits; {bare} examples have no reference with one.",
        )
    else:
        yield metric_of("rouge_l", judged.rouge_l, judged.clusters)


def _corpus(judged: Judged, ctx: Context) -> tuple[list[Metric], list[str]]:
    corpus = corpus_overlap.Corpus(judged.answers.parsed, judged.references, judged.clusters)
    metrics, signatures = [], []
    for name, measure, reason in (
        (
            "bleu",
            corpus_overlap.bleu(judged.params.bleu_tokenizer),
            f"BLEU compares runs of {corpus_overlap.ORDER} words, and no reference is that long. Use exact match, F1 "
            "or chrF.",
        ),
        ("chrf", corpus_overlap.chrf(), "Every reference is empty."),
    ):
        if not measure.can_score(judged.references):
            metrics.append(not_estimable(name, judged.answers.n, reason))
            continue
        value, interval = corpus_overlap.estimate(measure, corpus, ctx.rng(f"bootstrap:{name}"))
        metrics.append(Metric(name=name, value=value, interval=interval, n=judged.answers.n))
        signatures.append(f"{name} as sacrebleu computes it: {measure.signature}")
    return metrics, signatures


def pass_at_k(right: NDArray[np.int64], samples: int, k: int) -> NDArray[np.float64]:
    """1 − C(n − c, k)/C(n, k) per example: the chance that one of k texts, drawn from n with c right, is right."""
    return np.array([1 - comb(samples - int(c), k) / comb(samples, k) for c in right])


def _pass_at_k(judged: Judged) -> Iterator[Metric]:
    right, samples = judged.exact_match, judged.exact_match.shape[1]
    complete = ~np.isnan(right).any(axis=1)
    for k in judged.params.pass_at:
        where = f"k={k}"
        low = pass_at_k(np.nan_to_num(right, nan=0.0).sum(axis=1), samples, k)
        high = pass_at_k(np.nan_to_num(right, nan=1.0).sum(axis=1), samples, k)
        if not complete.any():
            reason = "No example has all of its answers."
            yield not_estimable("pass_at_k", judged.answers.n, reason, where)
            continue
        worst, best = stats.unit_mean(low, judged.clusters), stats.unit_mean(high, judged.clusters)
        value = float(low[complete].mean())
        yield Metric(
            name="pass_at_k",
            value=value,
            interval=stats.spanning(worst.interval, best.interval, value),
            n=judged.answers.n,
            n_effective=min(worst.n_effective, best.n_effective),
            slice=where,
        )


def _rates(judged: Judged) -> Iterator[Metric]:
    answers = judged.answers
    none = ~answers.answered
    texts = [[text.strip() for text in row] for row in answers.texts]

    def rate(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(none, np.nan, values)

    empty = np.array([[not text for text in row] for row in texts], float).reshape(none.shape)
    repeated = np.array([[text_overlap.repetition(t) for t in row] for row in texts], float).reshape(
        none.shape
    )
    yield metric_of("empty_rate", rate(empty), judged.clusters)
    yield metric_of("repetition", rate(repeated), judged.clusters)
    yield metric_of("cut_rate", rate(answers.cut.astype(float)), judged.clusters)
    yield metric_of("unparsed_rate", rate(answers.unparsed.astype(float)), judged.clusters)
    failed = answers.status == "error"
    blocked = np.where(failed, np.nan, (answers.status == "blocked").astype(float))
    yield metric_of("blocked_rate", blocked, judged.clusters)
