"""The numbers of quality.hallucination: support by the passage, agreement of drawn answers, belief in true choices."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from evaluations import generating, likelihoods, records, stats
from evaluations.quality import support
from evaluations.quality.generation_scores import metric_of
from evaluations.quality.judge_scores import Rows
from evaluations.records import not_estimable, too_many_errors
from evaluations.spec import Access, EvaluationError, Interval, Metric, Role, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.generating import Answers
    from evaluations.quality.hallucination import HallucinationParams

SUPPORT = ("knowledge_precision", "unsupported_number_rate", "unsupported_name_rate")
CONSISTENCY = ("self_agreement", "selfcheck_unigram")
CHOICES = ("mc1", "mc2")
COLUMNS = {**generating.COLUMNS, **likelihoods.COLUMNS}


# --- asking ---------------------------------------------------------------------------------------


def ask(
    model: Any, data: Dataset, params: HallucinationParams, ctx: Context, rows: NDArray[np.int64]
) -> ShardState:
    """One text as the settings say, `samples` drawn ones, and the log-probability of each choice, where there are."""
    prompts = generating.prompts(data, rows, params.prompt)
    ids = data.ids[rows]
    warm = params.settings.model_copy(update={"temperature": params.sample_temperature})
    drawn = [ctx.generations(model, ids, prompts, params.settings)]
    drawn += [ctx.generations(model, ids, prompts, warm, 1 + k) for k in range(params.samples)]
    beliefs = pa.nulls(len(rows), COLUMNS["logprob"])
    if has_choices(data) and Access.LOGPROBS in model.access:
        pairs = [
            [(prompt, f" {choice}") for choice in data.choices[i]]
            for i, prompt in zip(rows, prompts, strict=True)
        ]
        asked = likelihoods.of_pairs(model, data, ctx, rows, pairs)
        beliefs = asked.records.column("logprob").combine_chunks()
    columns = {**generating.columns_of(drawn), "logprob": beliefs}
    return ShardState(records.table_of(data, rows, columns))


def has_choices(data: Dataset) -> bool:
    return bool(data.ref.columns(Role.CHOICES)) and bool(data.ref.columns(Role.TARGET))


# --- measuring ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """What the model wrote and believes, ascending by example id."""

    answers: Answers  # column 0 as the settings say, the others drawn
    logprobs: list[list[float] | None]
    data: Dataset
    params: HallucinationParams

    @property
    def n(self) -> int:
        return self.answers.n

    @property
    def clusters(self) -> NDArray[np.str_] | None:
        held = self.data.clusters
        return None if held is None else held[self.answers.rows]


def collect(states: Sequence[ShardState], data: Dataset, params: HallucinationParams) -> Told:
    asked = Rows.of(data).asked
    table = records.join(states, COLUMNS, data, asked)
    order = records.rows_by_id(data, asked)
    answers = generating.read(
        table.select(["example_id", *generating.COLUMNS]), order, params, 1 + params.samples
    )
    counts = [len(data.choices[row]) if has_choices(data) else 0 for row in order]
    logprobs = likelihoods.checked(table.column("logprob").to_pylist(), counts)
    return Told(answers, logprobs, data, params)


def measure(told: Told) -> list[Metric]:
    """Every metric of quality.hallucination."""
    return [*_support(told), *_consistency(told), *_choices(told)]


def _support(told: Told) -> Iterator[Metric]:
    contexts, answers = told.data.contexts, told.answers
    if contexts is None:
        reason = "No column has the role 'context': there is nothing that the answers could be held against."
        yield from (not_estimable(name, told.n, reason) for name in SUPPORT)
        return
    errors = int((answers.status[:, 0] == "error").sum())
    reason = too_many_errors(errors, told.n, told.params.max_error_rate)
    texts = [row[0] for row in answers.parsed]
    if not reason and all(text is None for text in texts):
        reason = "No text holds an answer."
    if reason:
        yield from (not_estimable(name, told.n, reason) for name in SUPPORT)
        return

    def metric(name: str, of: Callable[[str, str, str], float | None]) -> Metric:
        rows = zip(answers.rows, texts, strict=True)
        found = [np.nan if t is None else of(t, contexts[i], told.data.texts[i]) for i, t in rows]
        kept = np.array([value is not None for value in found])
        if not any(t is not None and k for t, k in zip(texts, kept, strict=True)):
            return not_estimable(name, told.n, "No answer says anything in words.")
        values = np.array([np.nan if value is None else value for value in found], dtype=np.float64)
        return metric_of(name, values[kept], None if told.clusters is None else told.clusters[kept])

    yield metric("knowledge_precision", lambda a, passage, question: support.knowledge_precision(a, passage))
    yield metric(
        "unsupported_number_rate",
        lambda a, passage, question: float(bool(support.unsupported_numbers(a, (passage, question)))),
    )
    if any(text and support.has_case(text) for text in texts):
        yield metric(
            "unsupported_name_rate",
            lambda a, passage, question: float(bool(support.unsupported_names(a, (passage, question)))),
        )
    else:
        reason = "The answers are in no script with capitals, by which names are told from other words."
        yield not_estimable("unsupported_name_rate", told.n, reason)


def _consistency(told: Told) -> Iterator[Metric]:
    answers, samples = told.answers, told.params.samples
    if samples < 2:
        reason = "It takes at least two drawn answers per question: raise the number of drawn answers."
        yield from (not_estimable(name, told.n, reason) for name in CONSISTENCY)
        return
    whole = np.array([all(text is not None for text in row) for row in answers.parsed])
    reason = too_many_errors(answers.errors, told.n, told.params.max_error_rate)
    if reason or not whole.any():
        reason = reason or "No question has all of its answers."
        yield from (not_estimable(name, told.n, reason) for name in CONSISTENCY)
        return
    drawn = [[text or "" for text in row] for row in answers.parsed]
    agreed = [support.agreement(row[1:]) if ok else np.nan for row, ok in zip(drawn, whole, strict=True)]
    yield metric_of("self_agreement", np.array(agreed), told.clusters)
    surprise = [
        support.unigram_surprise(row[0], row[1:]) if ok else np.nan
        for row, ok in zip(drawn, whole, strict=True)
    ]
    yield _surprise(told, surprise)


def _surprise(told: Told, surprise: list[float | None]) -> Metric:
    """Mean surprise. A missing one counts as 0, and as that of a word that occurs once in texts of full length."""
    kept = np.array([value is not None for value in surprise])
    values = np.array([value for value in surprise if value is not None], dtype=np.float64)
    if np.isnan(values).all():
        return not_estimable("selfcheck_unigram", told.n, "No answer says anything in words.")
    most = math.log((1 + told.params.samples) * told.params.settings.max_new_tokens)
    clusters = None if told.clusters is None else told.clusters[kept]
    value = float(np.nanmean(values))
    low = stats.mean_interval(np.nan_to_num(values, nan=0.0), clusters=clusters)
    high = stats.mean_interval(np.nan_to_num(values, nan=most), clusters=clusters)
    interval = None
    if low and high:
        interval = Interval(low=max(0.0, min(low.low, value)), high=max(high.high, value), method=low.method)
    return Metric(name="selfcheck_unigram", value=value, interval=interval, n=len(values))


def _choices(told: Told) -> Iterator[Metric]:
    reason = ""
    if not has_choices(told.data):
        reason = "It takes columns with the roles 'choices' and 'target' (the true ones among them, the best first)."
    elif not any(told.logprobs):
        reason = "The model gives no log-probabilities."
    missing = sum(given is None for given in told.logprobs)
    reason = reason or too_many_errors(missing, told.n, told.params.max_error_rate)
    if reason:
        yield from (not_estimable(name, told.n, reason) for name in CHOICES)
        return
    best, share = np.full(told.n, np.nan), np.full(told.n, np.nan)
    for i, (row, given) in enumerate(zip(told.answers.rows, told.logprobs, strict=True)):
        true = _true(told.data, int(row))
        if given is not None:
            best[i], share[i] = mc1(given, true), mc2(given, true)
    yield metric_of("mc1", best, told.clusters)
    yield metric_of("mc2", share, told.clusters)


def _true(data: Dataset, row: int) -> list[int]:
    """Places of the true answers among the choices, the best first. Raises where one is not there, or none is false."""
    choices, wanted = data.choices[row], data.references[row]
    absent = [text for text in wanted if text not in choices]
    if absent or len(set(choices)) != len(choices) or len(set(wanted)) == len(choices):
        where = f"(id {str(data.ids[row])[:60]!r})"
        raise EvaluationError(
            "choices_unmatched",
            f"Row {row + 1} {where}: each true answer must be among the choices, each choice must differ, and one "
            "must be false. Correct the columns with the roles 'choices' and 'target'.",
        )
    return [choices.index(text) for text in dict.fromkeys(wanted)]


def mc1(logprobs: Sequence[float], true: Sequence[int]) -> float:
    """1 where the best true answer is more probable than every false one (Lin, Hilton & Evans 2022)."""
    false = [value for i, value in enumerate(logprobs) if i not in true]
    return float(logprobs[true[0]] > max(false))


def mc2(logprobs: Sequence[float], true: Sequence[int]) -> float:
    """Share of the true answers in the probability of all choices."""
    weights = np.exp(np.array(logprobs) - max(logprobs))
    return float(weights[list(true)].sum() / weights.sum())
