"""Asks every template, and the first one again; reads the answers back beside what is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from evaluations import generating, likelihoods, records, written_labels
from evaluations.data.sampling import stratified_sample
from evaluations.models.label_parsing import label_of
from evaluations.quality.choice_scores import right_choices
from evaluations.quality.text_overlap import normalised
from evaluations.robustness.prompt_sensitivity_templates import BUILT_IN, filled
from evaluations.spec import Access, Coverage, EvaluationError, Role, Shard, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.robustness.prompt_sensitivity import PromptSensitivityParams

Kind = Literal["choices", "labels", "answers"]
MOST_LABELS = 20  # values of a target that are taken for classes unless the parameters say otherwise
NONE = -1  # the choice of a text that names none


@dataclass(frozen=True)
class Task:
    """What is asked of `rows`: the options of each, none where the answer is free text."""

    kind: Kind
    likely: bool  # answers are compared by likelihood
    rows: NDArray[np.int64]
    options: list[tuple[str, ...]]
    templates: tuple[str, ...]
    askings: tuple[tuple[int, int], ...]  # template, and which time it is asked

    def prompts(self, data: Dataset, template: int) -> list[str]:
        text = self.templates[template]
        if "{context}" in text and data.contexts is None:
            raise EvaluationError(
                "context_missing",
                f"Template {template + 1} asks for {{context}}, and no column has the role 'context'. Give one the "
                "role, or take {context} out of the template.",
            )
        if "{choices}" in text and self.kind == "answers":
            raise EvaluationError(
                "choices_missing",
                f"Template {template + 1} asks for {{choices}}, and the answer is free text. Give the column of "
                "choices the role 'choices', set task to 'labels', or take {choices} out of the template.",
            )
        contexts = data.contexts
        return [
            filled(text, data.texts[i], contexts[i] if contexts else None, options)
            for i, options in zip(self.rows, self.options, strict=True)
        ]


def sample(data: Dataset, params: PromptSensitivityParams, ctx: Context) -> NDArray[np.int64]:
    """The rows that are asked about: seeded, the same in run and merge."""
    return stratified_sample(data.ids, np.full(data.rows, ""), params.examples, ctx.seed)


def task_of(
    data: Dataset, params: PromptSensitivityParams, ctx: Context, rows: NDArray[np.int64], likely: bool
) -> Task:
    """Raises EvaluationError where the data do not hold what the task needs."""
    kind = _kind(data, params, ctx)
    if kind == "choices":
        right_choices(data)  # refuse a target that is no choice before the work, not after it
        options = [data.choices[i] for i in rows]
    elif kind == "labels":
        labels = written_labels.labels_to_read(data, ctx)
        data.class_indices(labels)
        if len(labels) < 2:
            raise EvaluationError("labels_few", "The target has a single value. Choose among at least two.")
        options = [labels] * len(rows)
    else:
        _ = data.references
        options, likely = [()] * len(rows), False
    templates = params.templates or BUILT_IN[kind, likely]
    again = tuple((0, k) for k in range(1, params.repeats))
    return Task(kind, likely, rows, options, templates, (*((t, 0) for t in range(len(templates))), *again))


def _kind(data: Dataset, params: PromptSensitivityParams, ctx: Context) -> Kind:
    if params.task != "auto":
        return params.task
    if data.ref.columns(Role.CHOICES):
        return "choices"
    if ctx.request.model.labels:
        return "labels"
    if pa.types.is_nested(data.table.column(data.ref.columns(Role.TARGET)[0]).type):
        return "answers"
    distinct = len(set(data.truth.tolist()))
    return "labels" if 2 <= distinct <= min(MOST_LABELS, data.rows // 2) else "answers"


def ask_shard(
    model: Any, data: Dataset, params: PromptSensitivityParams, ctx: Context, shard: Shard
) -> ShardState:
    """For each asking a column of log-likelihoods, or of texts and of what became of them."""
    weighs = Access.LOGPROBS in model.access
    if params.scoring == "likelihood" and not weighs:
        raise EvaluationError(
            "no_logprobs",
            "The model gives no log-probabilities to compare choices by. Set scoring to 'written'.",
            skipped=True,
        )
    rows = sample(data, params, ctx)[shard.start : shard.stop]
    task = task_of(data, params, ctx, rows, weighs and params.scoring != "written")
    columns: dict[str, pa.Array] = {}
    errors = 0
    for template, again in task.askings:
        prompts, name = task.prompts(data, template), f"{template}_{again}"
        if task.likely:
            asked = [
                [(prompt, params.delimiter + option) for option in options]
                for prompt, options in zip(prompts, task.options, strict=True)
            ]
            state = likelihoods.of_pairs(model, data, ctx, rows, asked, sample=again)
            columns[f"logprob_{name}"] = state.records.column("logprob").combine_chunks()
            errors += columns[f"logprob_{name}"].null_count
        else:
            drawn = ctx.generations(model, data.ids[rows], prompts, params.settings, again)
            columns[f"text_{name}"] = pa.array(
                [g.text if g.status == "ok" else None for g in drawn], pa.string()
            )
            columns[f"status_{name}"] = pa.array([g.status for g in drawn], pa.string())
            errors += sum(g.status == "error" for g in drawn)
    return ShardState(records.table_of(data, rows, columns), {"errors": errors})


# --- read back ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """n examples, ascending by id, under A askings: first each template once, then the first one again."""

    task: Task
    ids: list[str]
    chosen: NDArray[np.int64]  # (n, A) index of the option, NONE where unread; for free text 1 right, 0 wrong
    right: NDArray[np.bool_]  # (n, A)
    status: NDArray[np.str_]  # (n, A) ok, unread (a text that names no option), error, blocked
    expected: list[str]
    clusters: NDArray[np.str_] | None

    @property
    def n(self) -> int:
        return len(self.ids)

    @property
    def count(self) -> int:
        """How many templates there are."""
        return len(self.task.templates)

    @property
    def missing(self) -> NDArray[np.bool_]:
        """(n, A) no answer came."""
        return np.isin(self.status, ("error", "blocked"))

    def coverage(self) -> Coverage:
        failed = (self.status == "error").any(axis=1)
        blocked = (self.status == "blocked").any(axis=1) & ~failed
        return Coverage(
            attempted=self.n,
            scored=int((~failed & ~blocked).sum()),
            failed=int(failed.sum()),
            blocked=int(blocked.sum()),
        )


def collect(
    states: Sequence[ShardState], data: Dataset, params: PromptSensitivityParams, ctx: Context
) -> Asked:
    """The records checked, and each answer judged here. Raises `bad_records` for what no honest run writes."""
    rows = sample(data, params, ctx)
    likely = any(name.startswith("logprob_") for state in states for name in state.records.column_names)
    if params.scoring != "auto" and _kind(data, params, ctx) != "answers":
        likely = params.scoring == "likelihood"  # as was asked for, whatever the records hold
    task = task_of(data, params, ctx, records.rows_by_id(data, rows), likely)
    names = [f"{template}_{again}" for template, again in task.askings]
    kinds: dict[str, pa.DataType] = {}
    for name in names:
        if task.likely:
            kinds[f"logprob_{name}"] = likelihoods.COLUMNS["logprob"]
        else:
            kinds |= {f"text_{name}": pa.string(), f"status_{name}": pa.string()}
    table = records.join(states, kinds, data, rows)
    truth = _truth(task, data)
    columns = [_judged(table, name, task, truth) for name in names]
    chosen, right, status = (np.stack([column[k] for column in columns], axis=1) for k in range(3))
    return Asked(
        task=task,
        ids=table.column("example_id").to_pylist(),
        chosen=chosen.astype(np.int64),
        right=right.astype(bool),
        status=status,
        expected=[options[t] if options else t[0] for t, options in zip(truth, task.options, strict=True)],
        clusters=None if data.clusters is None else data.clusters[task.rows],
    )


def _truth(task: Task, data: Dataset) -> list[Any]:
    """Index of the right option of each row; the accepted answers where there are no options."""
    if task.kind == "choices":
        return list(right_choices(data)[task.rows])
    if task.kind == "labels":
        return list(data.class_indices(task.options[0])[task.rows])
    return [data.references[i] for i in task.rows]


def _judged(table: pa.Table, name: str, task: Task, truth: Sequence[Any]) -> tuple[Any, Any, Any]:
    """(n,) choices, whether they are right, and statuses, of one asking."""
    if task.likely:
        counts = [len(options) for options in task.options]
        held = likelihoods.checked(table.column(f"logprob_{name}").to_pylist(), counts)
        chosen = [NONE if one is None else int(np.argmax(one)) for one in held]
        status = ["error" if one is None else "ok" for one in held]
    else:
        texts, status = (table.column(f"{what}_{name}").to_pylist() for what in ("text", "status"))
        if any(
            s not in generating.STATUSES or (t is None) is (s == "ok")
            for t, s in zip(texts, status, strict=True)
        ):
            raise EvaluationError("bad_records", "A record holds no valid texts. Run the evaluation again.")
        if task.kind == "answers":
            right = [contains(text or "", wanted) for text, wanted in zip(texts, truth, strict=True)]
            return np.array(right, dtype=np.int64), np.array(right), np.array(status, dtype="<U8")
        found = [
            None if text is None else label_of(text, o) for text, o in zip(texts, task.options, strict=True)
        ]
        chosen = [NONE if one is None else one for one in found]
        status = ["unread" if s == "ok" and one is None else s for s, one in zip(status, found, strict=True)]
    return np.array(chosen), np.array(chosen) == np.array(truth), np.array(status, dtype="<U8")


def contains(text: str, accepted: Sequence[str]) -> bool:
    """Whether an accepted answer stands in the text, whole words of both as SQuAD normalises them."""
    said = f" {normalised(text)} "
    return any(f" {normalised(answer)} " in said for answer in accepted if normalised(answer))
