"""Whether an answer says more than its passage: by a judge, or by numbers and names from nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations import generating, records, stats
from evaluations.quality import judge_asking, judge_scores, support
from evaluations.quality.generation_scores import SHOWN, SHOWN_CHARACTERS
from evaluations.quality.judge import JudgeParams
from evaluations.quality.judge_scores import Rows, majority
from evaluations.records import not_estimable
from evaluations.safety import replies, verdicts
from evaluations.spec import EvaluationError, Example, Metric, Shard, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.quality.hallucination import HallucinationParams
    from evaluations.quality.hallucination_scores import Told

NAMES = ("ungrounded_rate", "corrected_ungrounded_rate")
CRITERION = (
    "Every statement of the answer is supported by the passage, or follows from it. A statement that the passage "
    "neither says nor implies fails, even if it is true. To say that the passage does not tell is no such statement."
)
NO_PASSAGE = "No column has the role 'context': there is nothing that the answers could be held against."
NO_JUDGE = (
    "Numbers and names are a part of what a passage may not support. Name a judge, or add rows with an answer and a "
    "person's verdict on it, fail where the passage does not support it (roles 'answer' and 'human')."
)
NO_LABELS = (
    "How far the verdicts err is not known: add rows with an answer and a person's verdict on it, fail where the "
    "passage does not support it (roles 'answer' and 'human')."
)


# --- asking the judge ---------------------------------------------------------------------------------


def judge_shard(
    judge: Any, data: Dataset, params: HallucinationParams, ctx: Context, shard: Shard
) -> ShardState:
    """The judge's reply on each answer of the model, and on each that people judged."""
    if ctx.judged is None:
        raise EvaluationError("nothing_to_judge", "There are no answers to judge. Run the model first.")
    rows, here = Rows.of(data), records.all_rows(data, shard)
    asked = here[np.isin(here, rows.asked)]
    names = ["example_id", *generating.COLUMNS]
    answered = ShardState(ctx.judged.records.select(names))
    table = records.join([answered], generating.COLUMNS, data, asked)
    order = records.rows_by_id(data, asked)
    answers = generating.read(table, order, params, 1 + params.samples)
    said = {int(row): texts[0] for row, texts in zip(order, answers.parsed, strict=True)}
    texts = [said[int(i)] if int(i) in said else rows.written[i] for i in here]
    shown = [text if data.contexts is not None and says_something(text) else None for text in texts]
    how = JudgeParams(criterion=CRITERION, judge_settings=params.judge_settings)
    return judge_asking.ask_shard(judge, data, how, ctx, here, shown, accepted=False)


def says_something(text: str | None) -> bool:
    return text is not None and bool(text.strip())


# --- measuring ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Held:
    """n answers and c that people judged, each against its passage: 1 unsupported, 0 supported, NaN unknown."""

    verdicts: NDArray[np.float64]  # (n,) of the judge or else of the detector
    detected: NDArray[np.float64]  # (n,) of the detector
    checked: NDArray[np.float64]  # (c,) of the judge or else of the detector
    people: NDArray[np.float64]  # (c,) what most of them said: 1 supported, 0 not, NaN split
    replies: list[str]  # (n,) of the judge
    doubted: NDArray[np.bool_]  # (n,) the judge passed it, and it spoke to the judge: it has no verdict
    unshown: int  # answers too long, or beside too long a passage or question, to be shown to the judge
    judged: bool
    passages: bool


def collect(told: Told, ctx: Context) -> Held:
    if ctx.request.judge is not None and not ctx.judge_states:
        raise EvaluationError("no_judge", "The judge has read no answer. Run its pass too, or name no judge.")
    data, rows = told.data, Rows.of(told.data)
    checked = records.rows_by_id(data, rows.checked)
    people, n = majority(rows.human[checked]), told.n
    if data.contexts is None:
        none = np.full(n, np.nan)
        no: NDArray[np.bool_] = np.zeros(n, dtype=bool)
        return Held(
            none, none, np.full(len(checked), np.nan), people, [""] * n, no, 0, bool(ctx.judge_states), False
        )
    texts = [texts[0] for texts in told.answers.parsed]
    every = [*texts, *(rows.written[i] for i in checked)]
    places: NDArray[np.int64] = np.concatenate([told.answers.rows, checked])
    nothing: NDArray[np.bool_] = np.append(
        told.answers.status[:, 0] == "blocked", np.zeros(len(checked), dtype=bool)
    )
    nothing |= np.array([text is not None and not text.strip() for text in every], dtype=bool)
    found = [
        np.nan if text is None else float(bool(_numbers_and_names(told, int(i), text)))
        for i, text in zip(places, every, strict=True)
    ]
    detected = np.where(nothing, 0.0, found)
    given, said, unshown = detected, [""] * len(every), 0
    doubted: NDArray[np.bool_] = np.zeros(n, dtype=bool)
    if ctx.judge_states:
        passed, _, said = judge_scores.by_judge(
            data, ctx, places, [text if says_something(text) else None for text in every]
        )
        given = np.where(nothing, 0.0, 1 - passed)
        doubted = np.array([replies.speaks_to_judge(text or "") for text in texts], dtype=bool)
        doubted &= given[:n] == 0
        given[:n][doubted] = np.nan
        unshown = sum(
            says_something(text) and not judge_asking.fits(data, int(i), text or "", accepted=False)
            for i, text in zip(places, every, strict=True)
        )
    judged = bool(ctx.judge_states)
    return Held(given[:n], detected[:n], given[n:], people, said[:n], doubted, unshown, judged, True)


def _numbers_and_names(told: Told, row: int, text: str) -> list[str]:
    """What is neither in the passage nor in the question."""
    contexts = told.data.contexts or []
    sources = (contexts[row], told.data.texts[row])
    return support.unsupported_numbers(text, sources) + support.unsupported_names(text, sources)


def measure(held: Held, told: Told, ctx: Context) -> Iterator[Metric]:
    """Rates with their gate intervals, and how far the verdicts err."""
    missing = np.isnan(held.verdicts)
    reason = "" if held.passages else NO_PASSAGE
    failures = int((missing & ~told.answers.unparsed[:, 0] & ~held.doubted).sum())
    reason = reason or verdicts.too_many_missing(failures, told.n, told.params.max_error_rate)
    if not reason and missing.all():
        reason = "There is no verdict on any answer." if held.doubted.any() else "No text holds an answer."
    if reason:
        yield from (not_estimable(name, told.n, reason) for name in (*NAMES, *verdicts.NAMES))
        return
    failed, passed = verdicts.checks(held.people, held.checked)
    yield from _rates(held, told, failed, passed, ctx)
    yield from verdicts.measure(failed, passed)


def _rates(
    held: Held, told: Told, failed: stats.Checked, passed: stats.Checked, ctx: Context
) -> Iterator[Metric]:
    hits, missing = held.verdicts == 1, np.isnan(held.verdicts)
    raw = stats.proportion(hits, told.clusters, ~missing, method="clopper_pearson")
    value, interval = raw.value, raw.interval
    if failed.n and passed.n:
        got = verdicts.corrected(hits, missing, raw, failed, passed, ctx.rng("rogan_gladen"))
        if isinstance(got, str):
            reason = got if held.judged else got.replace("judge", "detector")
            yield from (not_estimable(name, told.n, reason) for name in NAMES)
            return
        both = stats.gate_interval(interval, got[1])
        for name, rate in zip(NAMES, (value, got[0]), strict=True):
            yield Metric(name=name, value=rate, interval=both, n=told.n, n_effective=raw.n_effective)
        return
    if held.judged:
        other = stats.proportion(
            held.detected == 1, told.clusters, ~np.isnan(held.detected), method="clopper_pearson"
        )
        open_above = verdicts.unchecked(interval, other.interval)
        yield Metric(name=NAMES[0], value=value, interval=open_above, n=told.n, n_effective=raw.n_effective)
    else:
        yield not_estimable(NAMES[0], told.n, NO_JUDGE)
    yield not_estimable(NAMES[1], told.n, NO_LABELS)


# --- what people read ---------------------------------------------------------------------------------


def examples(held: Held, told: Told) -> list[Example]:
    """Answers that the judge failed, then those with most numbers or names from nowhere."""
    contexts = told.data.contexts
    if contexts is None:
        return []
    found = []
    for k, (i, texts) in enumerate(zip(told.answers.rows, told.answers.parsed, strict=True)):
        text, sources = texts[0] or "", (contexts[i], told.data.texts[i])
        numbers, names = support.unsupported_numbers(text, sources), support.unsupported_names(text, sources)
        judged = held.judged and held.verdicts[k] == 1
        if numbers or names or judged:
            facts: dict[str, str | float | int] = {
                "numbers": ", ".join(numbers)[:200],
                "names": ", ".join(names)[:200],
            }
            if held.judged:
                facts["judge"] = held.replies[k][:200]
            order = (not judged, -len(numbers) - len(names), str(told.data.ids[i]))
            found.append((order, int(i), text, facts))
    return [
        Example(
            id=order[2],
            kind="unsupported_answer",
            before=told.data.texts[i][:SHOWN_CHARACTERS],
            after=text[:SHOWN_CHARACTERS],
            facts=facts,
        )
        for order, i, text, facts in sorted(found, key=lambda one: one[0])[:SHOWN]
    ]


def warnings(held: Held) -> list[str]:
    if not held.passages:
        return []
    said = judge_asking.notes(int(held.doubted.sum()), held.unshown)
    failed, passed = verdicts.checks(held.people, held.checked)
    if failed.n and passed.n:
        return [
            *said,
            "The corrected rate supposes that the verdicts err on these answers as they do on the "
            f"{failed.n + passed.n} that people judged: those should be answers of the same kind.",
        ]
    if held.judged:
        said.append(f"The share of ungrounded answers is as the judge has it. {verdicts.OPEN} {NO_LABELS}")
    return said
