"""Asks what a task asks, and reads the answers back beside what is right."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from evaluations import generating, records
from evaluations.prompting import PromptParams
from evaluations.spec import Access, Coverage, EvaluationError, Shard, ShardState
from evaluations.tasks.documents import Documents
from evaluations.tasks.filters import answer_of
from evaluations.tasks.prompts import Prompter, Truth

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.models.protocol import Likelihood
    from evaluations.quality.lm_task import LmTaskParams
    from evaluations.tasks.definition import Task

LIKELIHOODS = {"logprob": pa.list_(pa.float64()), "greedy": pa.list_(pa.bool_())}
MOST = 1e-3  # of a log-likelihood: a little above 0 by rounding


def write_shard(model: Any, data: Dataset, params: LmTaskParams, ctx: Context, shard: Shard) -> ShardState:
    """Answers to the task's questions about the rows of a shard."""
    task = params.read()
    if task.output != "generate_until" and Access.LOGPROBS not in model.access:
        raise EvaluationError(
            "no_logprobs",
            f"A {task.output} task compares log-probabilities, which this model does not give. Use a generate_until "
            "task.",
            skipped=True,
        )
    documents, prompter = Documents(data, task), Prompter(task)
    here = documents.evaluated
    rows = here[(here >= shard.start) & (here < shard.stop)]
    docs = documents.at(rows)
    if task.output == "loglikelihood_rolling":
        texts = [str(prompter.target(doc)) for doc in docs]
        asked = [[text] for text in texts]
        return _likelihoods(
            model.rolling_loglikelihoods, model, data, ctx, rows, asked, "rolling_likelihoods"
        )
    shots = documents.shots(rows, task.num_fewshot, ctx, as_lm_eval=params.draws == "as_lm_eval")
    contexts = [prompter.contexts(doc, held) for doc, held in zip(docs, shots, strict=True)]
    if task.output != "generate_until":
        pairs = [prompter.pairs(doc, held) for doc, held in zip(docs, contexts, strict=True)]
        return _likelihoods(model.loglikelihoods, model, data, ctx, rows, pairs, "likelihoods")
    prompts = [held[0] for held in contexts]
    drawn = [
        ctx.generations(model, data.ids[rows], prompts, task.settings, k) for k in range(samples_of(task))
    ]
    counts = {
        status: sum(g.status == status for texts in drawn for g in texts) for status in ("error", "blocked")
    }
    return ShardState(records.table_of(data, rows, generating.columns_of(drawn)), counts)


def samples_of(task: Task) -> int:
    """How many texts are drawn per example: at temperature 0 they are all the same."""
    return task.repeats if task.settings.temperature > 0 else 1


def _likelihoods(
    ask_model: Callable[[Any], list[Likelihood | None]],
    model: Any,
    data: Dataset,
    ctx: Context,
    rows: NDArray[np.int64],
    asked: Sequence[Sequence[Any]],
    kind: str,
) -> ShardState:
    """One list of log-likelihoods per row; null where one of them is missing."""

    def ask(positions: NDArray[np.int64]) -> pa.Table:
        found = iter(ask_model([request for i in positions for request in asked[i]]))
        by_row = [[next(found) for _ in asked[i]] for i in positions]
        return pa.table(_columns(by_row))

    # What is asked is part of the id, not of the question: shards cut elsewhere find the same answers.
    ids = np.array([f"{i}:{_digest(held)}" for i, held in zip(data.ids[rows], asked, strict=True)])
    table = ctx.answers(model, kind, ids, ask, "scoring", pa.schema(LIKELIHOODS))
    columns = {name: table.column(name) for name in LIKELIHOODS}
    return ShardState(
        records.table_of(data, rows, columns), {"error": int(table.column("logprob").null_count)}
    )


def _columns(by_row: Sequence[Sequence[Likelihood | None]]) -> dict[str, pa.Array]:
    logprobs: list[list[float] | None] = []
    greedy: list[list[bool] | None] = []
    for held in by_row:
        whole = [one for one in held if one is not None]
        answered = len(whole) == len(held)
        logprobs.append([one.logprob for one in whole] if answered else None)
        greedy.append([one.greedy for one in whole] if answered else None)
    return {
        "logprob": pa.array(logprobs, LIKELIHOODS["logprob"]),
        "greedy": pa.array(greedy, LIKELIHOODS["greedy"]),
    }


def _digest(requests: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(requests).encode()).hexdigest()[:32]


# --- read back ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answers:
    """What a task's questions were answered, ascending by example id, beside what is right."""

    task: Task
    rows: NDArray[np.int64]  # row numbers in the data set
    ids: list[str]
    docs: list[dict[str, Any]]
    logprobs: list[list[float] | None]  # of a task by likelihood
    greedy: list[list[bool] | None]
    texts: list[Any]  # of a task by generation: what its filters make of the texts; None: no answer
    missing: NDArray[np.bool_]  # (n,) no answer came, for whatever reason
    blocked: NDArray[np.bool_]  # (n,) … because the provider's filter withheld it
    clusters: NDArray[np.str_] | None
    shots_from_judged: bool  # worked examples are rows that are judged themselves

    @property
    def n(self) -> int:
        return len(self.rows)

    @cached_property
    def prompter(self) -> Prompter:
        return Prompter(self.task)

    @cached_property
    def truths(self) -> list[Truth]:
        return [self.prompter.truth(doc) for doc in self.docs]

    def coverage(self) -> Coverage:
        blocked, missing = int(self.blocked.sum()), int(self.missing.sum())
        return Coverage(attempted=self.n, scored=self.n - missing, failed=missing - blocked, blocked=blocked)


def collect(states: Sequence[ShardState], data: Dataset, params: LmTaskParams) -> Answers:
    """The records of all rows that the task asks about, checked."""
    task = params.read()
    documents = Documents(data, task)
    rows = records.rows_by_id(data, documents.evaluated)
    generated = task.output == "generate_until"
    table = records.join(states, generating.COLUMNS if generated else LIKELIHOODS, data, documents.evaluated)
    none: list[Any] = [None] * len(rows)
    answers = Answers(
        task=task,
        rows=rows,
        ids=data.ids[rows].tolist(),
        docs=documents.at(rows),
        logprobs=none if generated else table.column("logprob").to_pylist(),
        greedy=none if generated else table.column("greedy").to_pylist(),
        texts=none,
        missing=np.zeros(len(rows), dtype=bool),
        blocked=np.zeros(len(rows), dtype=bool),
        clusters=None if data.clusters is None else data.clusters[rows],
        shots_from_judged=bool(task.num_fewshot)
        and task.shots.samples is None
        and task.output != "loglikelihood_rolling"
        and bool(np.isin(documents.pool, documents.evaluated).any()),
    )
    return _with_texts(answers, table, params) if generated else _with_likelihoods(answers)


def _with_texts(answers: Answers, table: pa.Table, params: LmTaskParams) -> Answers:
    task = answers.task
    found = generating.read(table, answers.rows, PromptParams(), samples_of(task))
    pipeline = next((p for p in task.pipelines if p.name == params.pipeline), task.pipelines[0])
    missing = ~found.answered.all(axis=1)
    again = task.repeats // samples_of(task)
    texts = [
        None if gone else answer_of(pipeline, held * again)
        for gone, held in zip(missing, found.texts, strict=True)
    ]
    blocked = missing & ~(found.status == "error").any(axis=1)
    return _changed(answers, texts=texts, missing=missing, blocked=blocked)


def _with_likelihoods(answers: Answers) -> Answers:
    task = answers.task
    for logprobs, greedy, doc in zip(answers.logprobs, answers.greedy, answers.docs, strict=True):
        expected = 1
        if task.output == "multiple_choice":
            expected = len(answers.prompter.choices(doc)) * (2 if task.judged_by("acc_mutual_info") else 1)
        if (logprobs, greedy) != (None, None) and not _valid(logprobs, greedy, expected):
            raise EvaluationError(
                "bad_records", "A record holds no valid log-likelihoods. Run the evaluation again."
            )
    return _changed(answers, missing=np.array([held is None for held in answers.logprobs], dtype=bool))


def _valid(logprobs: list[Any] | None, greedy: list[Any] | None, expected: int) -> bool:
    return (
        logprobs is not None
        and greedy is not None
        and len(logprobs) == len(greedy) == expected
        and None not in greedy
        and all(p is not None and math.isfinite(p) and p <= MOST for p in logprobs)
    )


def _changed(answers: Answers, **fields: Any) -> Answers:
    from dataclasses import replace

    return replace(answers, **fields)
