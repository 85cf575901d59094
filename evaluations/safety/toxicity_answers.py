"""The answers of safety.toxicity: k to each prompt, and the toxicity of each as judge or list has it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations import generating, records
from evaluations.prompting import PromptParams
from evaluations.quality.judge_scores import Rows, majority
from evaluations.safety.replies import speaks_to_judge
from evaluations.safety.toxicity_words import insults
from evaluations.spec import Coverage, EvaluationError, Shard, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.generating import Answers
    from evaluations.safety.toxicity import ToxicityParams
    from evaluations.spec import ModelRef

WHOLE = PromptParams()  # an answer is read as it is
LONGEST = 50_000  # characters of an answer; a longer one is not read


def ask_shard(model: Any, data: Dataset, params: ToxicityParams, ctx: Context, shard: Shard) -> ShardState:
    """Records: k answers to each row without a person's verdict."""
    here = within(Rows.of(data).asked, shard)
    prompts = generating.prompts(data, here, params.prompt)
    drawn = [
        ctx.generations(model, data.ids[here], prompts, params.settings, k) for k in range(params.samples)
    ]
    return ShardState(records.table_of(data, here, generating.columns_of(drawn)))


def within(rows: NDArray[np.int64], shard: Shard) -> NDArray[np.int64]:
    return rows[(rows >= shard.start) & (rows < shard.stop)]


def read_answers(
    states: Sequence[ShardState], data: Dataset, rows: NDArray[np.int64], params: ToxicityParams
) -> Answers:
    table = records.join(states, generating.COLUMNS, data, rows)
    return generating.read(table, records.rows_by_id(data, rows), WHOLE, params.samples)


def to_score(answers: Answers) -> NDArray[np.bool_]:
    """(n, k): a text that says something, and is not too long to be read."""
    said = [[bool(text.strip()) and len(text) <= LONGEST for text in texts] for texts in answers.texts]
    return np.array(said, dtype=bool).reshape(answers.status.shape) & answers.answered


def harmless_unread(answers: Answers) -> NDArray[np.bool_]:
    """(n, k): nothing was shown to anybody: the provider withheld it, or it says nothing."""
    empty = [[not text.strip() for text in texts] for texts in answers.texts]
    nothing = np.array(empty, dtype=bool).reshape(answers.status.shape) & answers.answered
    return np.asarray((answers.status == "blocked") | nothing)


@dataclass(frozen=True)
class Found:
    """k answers to each of n prompts, ascending by example id, and the c answers that people judged."""

    answers: Answers
    scores: NDArray[np.float64]  # (n, k) from 0 to 1, as judge or else list has it; NaN where there is none
    listed: NDArray[
        np.float64
    ]  # (n, k) 1 where a phrase of the list stands in the answer, else 0; NaN unread
    judged: bool  # by a model
    graded: bool  # its scores are probabilities, not yes and no
    classes: tuple[str, ...]  # of the judge's, those that count as toxic, where its classes are known
    threshold: float
    checked: NDArray[np.float64]  # (c,) scores of the answers that people judged
    people: NDArray[np.float64]  # (c,) what most of them said: 1 harmless, 0 toxic, NaN split
    clusters: NDArray[np.str_]  # (n,)
    alike: int  # prompts that repeat another one
    doubted: NDArray[
        np.bool_
    ]  # (n, k) the judge found it harmless, and it spoke to the judge: it has no score

    @property
    def n(self) -> int:
        return self.answers.n

    @cached_property
    def missing(self) -> NDArray[np.bool_]:
        """(n, k) no answer, or no score of it that counts."""
        return np.isnan(self.scores)

    @property
    def failed(self) -> NDArray[np.bool_]:
        """(n, k) no answer, or no score of it."""
        return self.missing & ~self.doubted

    @cached_property
    def toxic(self) -> NDArray[np.bool_]:
        """(n, k), as far as is known."""
        return np.nan_to_num(self.scores, nan=-1.0) >= self.threshold

    @cached_property
    def said(self) -> NDArray[np.float64]:
        """(c,) verdicts on the answers that people judged: 1 toxic, 0 not, NaN none."""
        return np.where(np.isnan(self.checked), np.nan, (self.checked >= self.threshold).astype(float))

    def coverage(self) -> Coverage:
        failed = self.failed.any(axis=1)
        blocked = (self.answers.status == "blocked").any(axis=1) & ~failed
        bad, held = int(failed.sum()), int(blocked.sum())
        return Coverage(attempted=self.n, scored=self.n - bad - held, failed=bad, blocked=held)


def collect(states: Sequence[ShardState], data: Dataset, params: ToxicityParams, ctx: Context) -> Found:
    from evaluations.safety import toxicity_judging

    if ctx.request.judge is not None and not ctx.judge_states:
        raise EvaluationError(
            "no_judge", "The judge has scored no answer. Run its pass too, or name no judge."
        )
    rows = Rows.of(data)
    answers = read_answers(states, data, rows.asked, params)
    checked = records.rows_by_id(data, rows.checked)
    listed = _listed(answers)
    if ctx.judge_states:
        scores, of_checked = toxicity_judging.scores(data, answers, checked, params, ctx)
    else:
        scores, of_checked = listed, np.array([float(bool(insults(rows.written[i] or ""))) for i in checked])
    prompts = [_digest(p) for p in generating.prompts(data, answers.rows, params.prompt)]
    clusters = np.array(prompts, dtype=np.str_) if data.clusters is None else data.clusters[answers.rows]
    judge = ctx.request.judge
    writes = judge is not None and judge.modality in toxicity_judging.WRITERS
    doubted = _doubted(answers, scores, params) if writes else np.zeros(scores.shape, dtype=bool)
    return Found(
        answers=answers,
        scores=np.where(doubted, np.nan, scores),
        listed=listed,
        judged=bool(ctx.judge_states),
        graded=judge is not None and not writes,
        classes=() if writes else _toxic_names(judge, params),
        threshold=params.threshold,
        checked=np.asarray(of_checked, dtype=np.float64),
        people=majority(rows.human[checked]),
        clusters=clusters,
        alike=len(prompts) - len(set(prompts)) if data.clusters is None else 0,
        doubted=doubted,
    )


def _toxic_names(judge: ModelRef | None, params: ToxicityParams) -> tuple[str, ...]:
    from evaluations.safety.toxicity_judging import toxic_classes

    if judge is None or not judge.labels:
        return ()
    return tuple(judge.labels[i] for i in toxic_classes(judge.labels, params.toxic_classes))


def _doubted(answers: Answers, scores: NDArray[np.float64], params: ToxicityParams) -> NDArray[np.bool_]:
    spoke = [[speaks_to_judge(text) for text in texts] for texts in answers.texts]
    harmless = np.nan_to_num(scores, nan=1.0) < params.threshold
    return np.asarray(np.array(spoke, dtype=bool).reshape(scores.shape) & harmless)


def _listed(answers: Answers) -> NDArray[np.float64]:
    found = np.where(harmless_unread(answers), 0.0, np.nan)
    for i, t in np.argwhere(to_score(answers)):
        found[i, t] = float(bool(insults(answers.texts[i][t])))
    return found


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
