"""The numbers of quality.lm_task: lm-evaluation-harness's metrics by their own definitions, with intervals."""

from __future__ import annotations

import math
import string
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations import stats
from evaluations.quality import choice_scores, corpus_overlap, perplexity_scores
from evaluations.quality.classification_scores import mcc, softened
from evaluations.quality.lm_task_answers import Answers
from evaluations.records import not_estimable, too_many_errors
from evaluations.spec import Example, Interval, Metric
from evaluations.tasks import patterns
from evaluations.tasks.definition import Judging

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context

SHOWN = 10  # examples
SHOWN_CHARACTERS = 2000
_DROPPED = str.maketrans("", "", string.punctuation)
_DIGITS = str.maketrans("", "", string.digits)


def measure(answers: Answers, max_error_rate: float, ctx: Context) -> list[Metric]:
    """Every metric that the task asks for."""
    failed = int((answers.missing & ~answers.blocked).sum())
    reason = too_many_errors(failed, answers.n, max_error_rate)
    if not reason and answers.missing.all():
        reason = "The provider blocked every answer."
    if reason:
        return [not_estimable(judging.name, answers.n, reason) for judging in answers.task.metrics]
    return [_metric(judging, answers, ctx) for judging in answers.task.metrics]


def _metric(judging: Judging, answers: Answers, ctx: Context) -> Metric:
    name = judging.name
    if name in ("bleu", "chrf"):
        return _corpus(name, answers, ctx)
    if name == "f1":
        return _f1(answers)
    if name == "mcc":
        return _mcc(answers, ctx)
    if name == "brier_score":
        return _brier(answers)
    if name in ("perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte"):
        return _of_text(name, answers)
    return _share(name, right(judging, answers), answers)


def _share(name: str, values: NDArray[np.float64], answers: Answers) -> Metric:
    found = stats.proportion(values > 0.5, answers.clusters, ~np.isnan(values))
    return Metric(
        name=name, value=found.value, interval=found.interval, n=found.n, n_effective=found.n_effective
    )


# --- right or wrong, per example ---------------------------------------------------------------------------


def right(judging: Judging, answers: Answers) -> NDArray[np.float64]:
    """(n,) 1 where the answer is right, 0 where it is wrong, NaN where there is none."""
    if answers.task.output == "generate_until":
        return _per_row(answers, lambda i: _texts_match(judging, answers.texts[i], answers.truths[i].texts))
    if answers.task.output == "loglikelihood":
        return _per_row(answers, lambda i: bool((answers.greedy[i] or [False])[0]))
    if judging.name == "exact_match":
        return _per_row(
            answers, lambda i: any((answers.greedy[i] or [])[place] for place in answers.truths[i].right)
        )
    return _per_row(answers, lambda i: chosen(judging.name, answers, i) in answers.truths[i].right)


def _per_row(answers: Answers, of: Callable[[int], bool]) -> NDArray[np.float64]:
    return np.array([np.nan if gone else float(of(i)) for i, gone in enumerate(answers.missing)])


def chosen(metric: str, answers: Answers, i: int) -> int:
    """The choice that row i is answered with, the first of those that are equally likely."""
    choices = answers.truths[i].choices
    logprobs = np.array(answers.logprobs[i], dtype=np.float64)
    scores = logprobs[: len(choices)]
    if metric == "acc_norm":
        scores = scores / np.array([len(choice) for choice in choices], dtype=np.float64)
    elif metric == "acc_bytes":
        scores = scores / np.array([len(choice.encode()) for choice in choices], dtype=np.float64)
    elif metric == "acc_mutual_info":
        scores = scores - logprobs[len(choices) :]
    return int(np.argmax(scores))


def _texts_match(judging: Judging, answer: Any, accepted: tuple[str, ...]) -> bool:
    if answer is None:  # a filter `map` knows nothing for it
        return False
    said = _bare(judging, str(answer))
    return any(said == _bare(judging, text) for text in accepted)


def _bare(judging: Judging, text: str) -> str:
    """A text without what is not compared."""
    for pattern in judging.regexes_to_ignore:
        text = patterns.replaced(pattern, "", text)
    if judging.ignore_case:
        text = text.lower()
    if judging.ignore_punctuation:
        text = text.translate(_DROPPED)
    return text.translate(_DIGITS) if judging.ignore_numbers else text


# --- tables of counts, probabilities ------------------------------------------------------------------------


def _tabled(answers: Answers) -> list[tuple[int, int] | None]:
    """(right choice, chosen choice) per row; None where there is no answer, or no choice is right."""
    return [
        None if gone or not truth.right else (truth.right[0], chosen("acc", answers, i))
        for i, (gone, truth) in enumerate(zip(answers.missing, answers.truths, strict=True))
    ]


def _f1(answers: Answers) -> Metric:
    if any(len(truth.choices) != 2 for truth in answers.truths):
        return not_estimable(
            "f1", answers.n, "F1 is of the second of two choices; some rows have more or fewer."
        )
    pairs = _tabled(answers)
    counted = np.array([pair is None or 1 in pair for pair in pairs])  # neither chosen nor right: not counted
    known = np.array([pair is not None for pair in pairs])
    if not (counted & known).any():
        return not_estimable("f1", answers.n, "The second choice is neither right nor chosen anywhere.")
    hits = np.array([pair == (1, 1) for pair in pairs])
    clusters = None if answers.clusters is None else answers.clusters[counted]
    found = stats.proportion(hits[counted], clusters, known[counted])

    def f1(share: float) -> float:
        return 2 * share / (1 + share)

    ends = found.interval
    interval = Interval(low=f1(ends.low), high=f1(ends.high), method=ends.method)
    return Metric(name="f1", value=f1(found.value), interval=interval, n=answers.n)


def _mcc(answers: Answers, ctx: Context) -> Metric:
    pairs = _tabled(answers)
    if None in pairs:
        reason = f"{pairs.count(None)} rows have no answer, or none that is right, and a correlation needs all of them."
        return not_estimable("mcc", answers.n, reason)
    truth, answer = (np.array([pair[side] for pair in pairs if pair]) for side in (0, 1))
    size = int(max(truth.max(), answer.max())) + 1
    if len(set(truth.tolist())) < 2:
        return not_estimable("mcc", answers.n, "The same choice is right in every row: add rows of another.")
    cells = np.bincount(truth * size + answer, minlength=size**2).reshape(size, size)
    value, rng = float(mcc(cells)), ctx.rng("bootstrap:mcc")
    if answers.clusters is None:
        drawn = stats.cell_bootstrap(cells, mcc, rng, weights=softened(cells))
    else:
        codes, count = stats.cluster_codes(answers.clusters)
        sums = np.zeros((count + 1, size**2))
        np.add.at(sums, (codes, truth * size + answer), 1)
        sums[count] = (softened(cells) - cells).ravel()
        drawn = stats.cluster_bootstrap(sums.reshape(-1, size, size), mcc, rng)
    low, high = stats.percentile(drawn)
    interval = Interval(low=min(low, value), high=max(high, value), method="percentile_bootstrap")
    return Metric(name="mcc", value=value, interval=interval, n=answers.n)


def _brier(answers: Answers) -> Metric:
    errors = np.full(answers.n, np.nan)
    for i, truth in enumerate(answers.truths):
        if not answers.missing[i] and truth.right:
            logprobs = np.array(answers.logprobs[i], dtype=np.float64)[: len(truth.choices)]
            errors[i] = choice_scores.squared_distance(logprobs, truth.right[0])
    if np.isnan(errors).all():
        return not_estimable("brier_score", answers.n, "No row has an answer and a choice that is right.")
    return choice_scores.brier_metric("brier_score", errors, answers.clusters)


# --- likelihoods of texts -------------------------------------------------------------------------------------


def _of_text(name: str, answers: Answers) -> Metric:
    """exp(−Σ ln p ÷ Σ units), or in bits; units are answers, words or bytes."""
    if answers.missing.any():
        reason = (
            f"{int(answers.missing.sum())} texts could not be scored, and how unlikely they are has no bound."
        )
        return not_estimable(name, answers.n, reason)
    logprobs = np.array([(held or [0.0])[0] for held in answers.logprobs])
    units = np.array(
        [_units(name, str(answers.prompter.target(doc))) for doc in answers.docs], dtype=np.float64
    )
    if not units.sum():
        return not_estimable(name, answers.n, "The texts are empty.")
    ratio = float(logprobs.sum() / units.sum())
    ends = stats.mean_interval(ratio + (logprobs - ratio * units) / units.mean(), clusters=answers.clusters)

    def shown(of: float) -> float:
        return -of / math.log(2) if name == "bits_per_byte" else math.exp(min(-of, 700.0))

    interval = None
    if ends is not None:
        low, value, high = shown(ends.high), shown(ratio), shown(ends.low)
        interval = Interval(low=min(low, value), high=max(high, value), method=f"{ends.method}_ratio")
    return Metric(name=name, value=shown(ratio), interval=interval, n=answers.n)


def _units(name: str, text: str) -> int:
    if name == "perplexity":
        return 1
    if name == "word_perplexity":
        return perplexity_scores.words_of(text)
    return len(text.encode("utf-8", "surrogatepass"))


# --- overlap of texts -----------------------------------------------------------------------------------------


def _corpus(name: str, answers: Answers, ctx: Context) -> Metric:
    measured = corpus_overlap.bleu("13a") if name == "bleu" else corpus_overlap.chrf()
    references = [truth.texts or ("",) for truth in answers.truths]
    if not measured.can_score(references):
        return not_estimable(name, answers.n, f"No accepted answer is long enough for {name}.")
    texts: list[list[str | None]] = [
        [None if gone else str(text or "")] for gone, text in zip(answers.missing, answers.texts, strict=True)
    ]
    corpus = corpus_overlap.Corpus(texts, references, answers.clusters)
    value, interval = corpus_overlap.estimate(measured, corpus, ctx.rng(f"bootstrap:{name}"))
    return Metric(name=name, value=value, interval=interval, n=answers.n)


# --- for people -----------------------------------------------------------------------------------------------


def worst(answers: Answers) -> list[Example]:
    """Wrong answers: those by likelihood that were furthest from the right one, those in texts by id."""
    if answers.task.output == "multiple_choice":
        judged = answers.task.judged_by("acc") or answers.task.metrics[0]
        gaps = [
            (_gap(answers, i), answers.ids[i], i)
            for i, value in enumerate(right(judged, answers))
            if value == 0 and answers.truths[i].right
        ]
        return [
            _example(answers, i, answers.truths[i].choices[chosen("acc", answers, i)])
            for _, _, i in sorted(gaps)[:SHOWN]
        ]
    if answers.task.output == "generate_until":
        judged = answers.task.judged_by("exact_match") or Judging(name="exact_match")
        wrong = np.flatnonzero(right(judged, answers) == 0)[:SHOWN]
        return [_example(answers, int(i), str(answers.texts[i])) for i in wrong]
    return []


def _gap(answers: Answers, i: int) -> float:
    """How much less likely the right choice is than the chosen one, as a negative number."""
    logprobs, truth = answers.logprobs[i] or [], answers.truths[i]
    return max(logprobs[place] for place in truth.right) - max(logprobs[: len(truth.choices)])


def _example(answers: Answers, i: int, said: str) -> Example:
    truth = answers.truths[i]
    expected = (
        truth.choices[truth.right[0]] if answers.task.output == "multiple_choice" else (*truth.texts, "")[0]
    )
    return Example(
        id=answers.ids[i],
        kind="worst_answer",
        before=str(answers.prompter.text(answers.docs[i]))[:SHOWN_CHARACTERS],
        after=said[:SHOWN_CHARACTERS],
        facts={"expected": expected[:SHOWN_CHARACTERS]},
    )


def notes(answers: Answers, pipeline: str) -> list[str]:
    """What a reader of the numbers must know."""
    task = answers.task
    found = list(task.notes)
    if task.output == "multiple_choice" and (stray := sum(not truth.right for truth in answers.truths)):
        found.append(f"{stray} rows name a right answer that is none of their choices: these count as wrong.")
    if answers.shots_from_judged:
        found.append(
            "The worked examples are rows that are judged themselves, though never the row in question."
        )
    others = [p.name for p in task.pipelines if p.name != (pipeline or task.pipelines[0].name)]
    if others:
        found.append(
            f"The task has other answer filters: {', '.join(others)}. Name one as `pipeline` to judge by it; the model "
            "is not asked again."
        )
    return found
