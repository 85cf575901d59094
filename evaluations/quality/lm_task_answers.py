"""Asks what a task asks, and reads the answers back beside what is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations import generating, likelihoods, records
from evaluations.prompting import PromptParams
from evaluations.spec import Access, Coverage, EvaluationError, Shard, ShardState
from evaluations.tasks.documents import Documents
from evaluations.tasks.filters import answer_of
from evaluations.tasks.prompts import Prompter, Truth

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.quality.lm_task import LmTaskParams
    from evaluations.tasks.definition import Task


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
        return likelihoods.of_texts(model, data, ctx, rows, [[text] for text in texts], greedy=True)
    shots = documents.shots(rows, task.num_fewshot, ctx, as_lm_eval=params.draws == "as_lm_eval")
    contexts = [prompter.contexts(doc, held) for doc, held in zip(docs, shots, strict=True)]
    if task.output != "multiple_choice" and any(len(held) != 1 for held in contexts):
        raise EvaluationError(
            "prompt_number",
            "doc_to_text gives a number, which names a choice in multiple_choice tasks alone. Give it a text.",
        )
    if task.output != "generate_until":
        pairs = [prompter.pairs(doc, held) for doc, held in zip(docs, contexts, strict=True)]
        return likelihoods.of_pairs(model, data, ctx, rows, pairs, greedy=True)
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
    none: list[Any] = [None] * len(rows)
    answers = Answers(
        task=task,
        rows=rows,
        ids=data.ids[rows].tolist(),
        docs=documents.at(rows),
        logprobs=none,
        greedy=none,
        texts=none,
        missing=np.zeros(len(rows), dtype=bool),
        blocked=np.zeros(len(rows), dtype=bool),
        clusters=None if data.clusters is None else data.clusters[rows],
        shots_from_judged=bool(task.num_fewshot)
        and task.shots.samples is None
        and task.output != "loglikelihood_rolling"
        and bool(np.isin(documents.pool, documents.evaluated).any()),
    )
    if task.output == "generate_until":
        return _with_texts(answers, states, data, params)
    counts = [1] * len(rows)
    if task.output == "multiple_choice":
        times = 2 if task.judged_by("acc_mutual_info") else 1
        counts = [times * len(answers.prompter.choices(doc)) for doc in answers.docs]
    logprobs, greedy = likelihoods.collect_with_greedy(states, data, documents.evaluated, counts)
    missing = np.array([held is None for held in logprobs], dtype=bool)
    return replace(answers, logprobs=logprobs, greedy=greedy, missing=missing)


def _with_texts(
    answers: Answers, states: Sequence[ShardState], data: Dataset, params: LmTaskParams
) -> Answers:
    task = answers.task
    table = records.join(states, generating.COLUMNS, data, answers.rows)
    found = generating.read(table, answers.rows, PromptParams(), samples_of(task))
    pipeline = next((p for p in task.pipelines if p.name == params.pipeline), task.pipelines[0])
    missing = ~found.answered.all(axis=1)
    again = task.repeats // samples_of(task)
    texts = [
        None if gone else answer_of(pipeline, held * again, doc)
        for gone, held, doc in zip(missing, found.texts, answers.docs, strict=True)
    ]
    blocked = missing & ~(found.status == "error").any(axis=1)
    return replace(answers, texts=texts, missing=missing, blocked=blocked)
