"""quality.lm_task: any task that lm-evaluation-harness describes in YAML, on registered data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator

from evaluations.planning import shards
from evaluations.spec import (
    Access,
    Direction,
    EvaluationError,
    EvaluationResult,
    MetricSpec,
    Modality,
    Params,
    Plan,
    Requirements,
    Role,
    ScoredParams,
    Shard,
    ShardState,
)
from evaluations.tasks import reading
from evaluations.tasks.definition import Task
from evaluations.tasks.yaml_text import MAX_TEXT

if TYPE_CHECKING:
    from evaluations.context import Context
    from evaluations.data.dataset import Dataset

SHARD_ROWS = 512  # prompts with worked examples take long: what is lost when a run is killed
CHOICES = 4  # of a question, where the plan cannot know


class LmTaskParams(ScoredParams):
    task: str = Field(
        default="",
        max_length=MAX_TEXT,
        title="Task",
        description="The YAML of one lm-evaluation-harness task, with what it includes written into it: python -m "
        "evaluations.tasks FILE prints it so. Its data set is the registered one.",
    )
    num_fewshot: int | None = Field(
        default=None,
        ge=0,
        le=64,
        title="Worked examples in the prompt",
        description="Empty: as many as the task says.",
    )
    draws: Literal["by_example", "as_lm_eval"] = Field(
        default="by_example",
        title="How worked examples are drawn",
        description="by_example: each row draws its own, so that the order of the rows does not matter. as_lm_eval: "
        "the draws of lm-evaluation-harness with its seed 1234, row after row.",
    )
    pipeline: str = Field(
        default="",
        max_length=200,
        title="Answer filter",
        description="The name of the filters in the task's filter_list that the answer is judged by. Empty: the first.",
    )

    @field_validator("task")
    @classmethod
    def readable(cls, text: str) -> str:
        if text.strip():
            reading.parse(text)
        return text

    def read(self) -> Task:
        """The task, with the number of worked examples that is asked for. Raises EvaluationError without one."""
        if not self.task.strip():
            raise EvaluationError("task_missing", "Give the YAML of an lm-evaluation-harness task as `task`.")
        task = reading.parse(self.task)
        names = [pipeline.name for pipeline in task.pipelines]
        if self.pipeline and self.pipeline not in names:
            raise EvaluationError(
                "pipeline_missing",
                f"The task has no filters {self.pipeline[:60]!r}; it has {', '.join(names)}. Correct `pipeline`.",
            )
        return task if self.num_fewshot is None else task.model_copy(update={"num_fewshot": self.num_fewshot})


LM_EVAL = "lm-evaluation-harness 0.4.13, api/metrics.py and api/task.py"
SHARE = "Wilson interval, at the effective number of examples if clustered; no answer counts against and for"


def _metric(name: str, title: str, formula: str, plain: str, **more: Any) -> MetricSpec:
    return MetricSpec(
        **{
            "name": name,
            "title": title,
            "unit": "proportion",
            "direction": Direction.HIGHER,
            "formula": formula,
            "reference": LM_EVAL,
            "plain": plain,
            **more,
        }
    )


def _of_text(name: str, title: str, formula: str, plain: str, unit: str = "score") -> MetricSpec:
    how = "t interval of the linearised ratio of sums (Cochran 1977, §6), clustered where examples are"
    return _metric(name, title, f"{formula}; {how}", plain, unit=unit, direction=Direction.LOWER)


class LmTask:
    """One task: prompts by template, answers by likelihood or generation, judged by the task's metrics."""

    name: ClassVar[str] = "quality.lm_task"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "A task of lm-evaluation-harness"
    question: ClassVar[str] = (
        "How well does the model do a task that is described as lm-evaluation-harness does?"
    )
    Params: ClassVar[type[Params]] = LmTaskParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(Modality.CAUSAL_LM, Modality.SEQ2SEQ), access=Access.GENERATE.value, roles=(Role.INPUT,)
    )
    tags: ClassVar[tuple[str, ...]] = ("accuracy",)
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        _metric(
            "acc",
            "Accuracy",
            f"share of examples whose right choice has the highest Σ ln p(choice | prompt), first on ties; with one "
            f"continuation, share in which each of its tokens is the most probable; {SHARE}",
            "The model gave the right answer to {value} of the examples.",
        ),
        _metric(
            "acc_norm",
            "Accuracy, by length",
            f"as accuracy, with Σ ln p(choice | prompt) ÷ characters of the choice; {SHARE}",
            "With the length of the answers evened out, the model was right for {value} of the examples.",
        ),
        _metric(
            "acc_bytes",
            "Accuracy, by bytes",
            f"as accuracy, with Σ ln p(choice | prompt) ÷ UTF-8 bytes of the choice; {SHARE}",
            "With the bytes of the answers evened out, the model was right for {value} of the examples.",
        ),
        _metric(
            "acc_mutual_info",
            "Accuracy, by what the prompt adds",
            f"as accuracy, with Σ ln p(choice | prompt) − Σ ln p(choice); {SHARE}",
            "By what the prompt adds to each answer's likelihood, the model was right for {value} of the examples.",
        ),
        _metric(
            "exact_match",
            "Exact match",
            "share of examples whose filtered text equals an accepted one; for choices, share in which each token of a "
            f"right choice is the most probable; {SHARE}",
            "The model's answer was exactly right for {value} of the examples.",
        ),
        _metric(
            "f1",
            "F1 of the second choice",
            "2·TP/(2·TP + FP + FN) of choice 1 against choice 0 = 2J/(1 + J), J = TP/(TP + FP + FN) with its Wilson "
            "interval; no answer counts against and for",
            "Precision and recall of the second choice together come to {value}.",
        ),
        _metric(
            "mcc",
            "Matthews correlation",
            "correlation of right and chosen answer over the table of counts; percentile bootstrap over examples or "
            "clusters",
            "The chosen answers go with the right ones by {value}, where 1 is always and 0 is chance.",
            unit="score",
        ),
        _metric(
            "brier_score",
            "Brier score",
            "mean of Σ_choices (softmax of Σ ln p − right)², 0–2; interval of a bounded mean; no answer is 2 and 0",
            "The squared error of the probabilities of the choices is {value}, where 0 is best and 2 worst.",
            unit="score",
            direction=Direction.LOWER,
        ),
        _of_text(
            "perplexity",
            "Perplexity of the answer",
            "exp(−mean Σ ln p(answer | prompt))",
            "On average the right answers are as unlikely as one of {value} equally likely ones.",
        ),
        _of_text(
            "word_perplexity",
            "Perplexity per word",
            "exp(−Σ ln p(text) ÷ Σ words), words between white space",
            "Per word, the model is as unsure as among {value} equally likely ones.",
        ),
        _of_text(
            "byte_perplexity",
            "Perplexity per byte",
            "exp(−Σ ln p(text) ÷ Σ UTF-8 bytes)",
            "Per byte, the model is as unsure as among {value} equally likely ones.",
        ),
        _of_text(
            "bits_per_byte",
            "Bits per byte",
            "−Σ log₂ p(text) ÷ Σ UTF-8 bytes",
            "The model would need {value} to write down one byte of the texts.",
            unit="bits",
        ),
        _metric(
            "bleu",
            "BLEU",
            "corpus BLEU as sacrebleu has it, 0–100; wider of the percentile bootstrap and the jackknife's t interval "
            "over examples or clusters; no answer is empty in the lower end, perfect in the upper",
            "The runs of words in the model's texts match the accepted ones at {value} of 100 (BLEU).",
            unit="score",
        ),
        _metric(
            "chrf",
            "chrF",
            "corpus chrF2 as sacrebleu has it, 0–100; wider of the percentile bootstrap and the jackknife's t interval "
            "over examples or clusters; no answer is empty in the lower end, perfect in the upper",
            "The runs of letters in the model's texts match the accepted ones at {value} of 100 (chrF).",
            unit="score",
        ),
    )

    def plan(self, data_rows: int, params: LmTaskParams) -> Plan:
        from evaluations.stats import smallest_detectable_effect

        task = params.read()
        asked, tokens = 1, 0
        if task.output == "multiple_choice":
            asked = len(task.doc_to_choice) if isinstance(task.doc_to_choice, list | dict) else CHOICES
            asked *= 2 if task.judged_by("acc_mutual_info") else 1
        elif task.output == "generate_until":
            asked = task.repeats if task.settings.temperature > 0 else 1
            tokens = task.settings.max_new_tokens
        return Plan(
            shards=shards(data_rows, SHARD_ROWS),
            expected_queries=data_rows * asked,
            expected_output_tokens=data_rows * asked * tokens,
            smallest_detectable_effect=smallest_detectable_effect(data_rows),
        )

    def run_shard(
        self, model: Any, data: Dataset, params: LmTaskParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations.quality import lm_task_answers

        return lm_task_answers.write_shard(model, data, params, ctx, shard)

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: LmTaskParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations import charts
        from evaluations.quality import lm_task_answers, lm_task_scores

        answers = lm_task_answers.collect(states, data, params)
        metrics = lm_task_scores.measure(answers, params.max_error_rate, ctx)
        titles = {spec.name: spec.title for spec in self.metrics if spec.unit == "proportion"}
        return ctx.result(
            self,
            params,
            metrics=metrics,
            charts=charts.group_bars(
                "scores", "Share", [(titles[m.name], m) for m in metrics if m.name in titles]
            ),
            coverage=answers.coverage(),
            examples=lm_task_scores.worst(answers),
            warnings=lm_task_scores.notes(answers, params.pipeline),
        )


EVALUATION = LmTask()
