"""quality.multiple_choice: whether a language model holds the right one of several answers for the most likely."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from evaluations.planning import shards
from evaluations.spec import (
    Access,
    Direction,
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

if TYPE_CHECKING:
    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.models.protocol import LanguageModel

SHARD_ROWS = 1024  # questions with long passages take a while: what is lost when a run is killed
CHOICES = 4  # of a question, where the plan cannot know
LM_EVAL = "lm-evaluation-harness 0.4.13, api/task.py; Miller 2024, arXiv 2411.00640 (clusters)"
SHARE = "Wilson interval, at the effective number of examples if clustered; no answer counts against and for"


class MultipleChoiceParams(ScoredParams):
    prompt: str = Field(
        default="",
        max_length=20_000,
        title="Prompt",
        description="{input} and {context} stand for the row's input and passage. Empty: the passage, if the data "
        "has one, an empty line, the input.",
    )
    delimiter: str = Field(
        default=" ",
        max_length=20,
        title="Between prompt and choice",
        description="What stands between the prompt and each choice. It does not count as length of the choice.",
    )


def _share(name: str, title: str, formula: str, plain: str) -> MetricSpec:
    return MetricSpec(
        name=name,
        title=title,
        unit="proportion",
        direction=Direction.HIGHER,
        formula=f"{formula}; {SHARE}",
        reference=LM_EVAL,
        plain=plain,
    )


class MultipleChoice:
    """The choice with the largest log-likelihood against the right one."""

    name: ClassVar[str] = "quality.multiple_choice"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Multiple choice"
    question: ClassVar[str] = "Does the model hold the right answer for the most likely of those offered?"
    Params: ClassVar[type[Params]] = MultipleChoiceParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(Modality.CAUSAL_LM,),
        access=Access.LOGPROBS.value,
        roles=(Role.INPUT, Role.CHOICES, Role.TARGET),
    )
    tags: ClassVar[tuple[str, ...]] = ("accuracy",)
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        _share(
            "acc",
            "Accuracy",
            "share of examples whose right choice has the highest Σ ln p(token | prompt and what stands before), "
            "first on ties",
            "The right choice was the most likely one in {value} of the examples.",
        ),
        _share(
            "acc_norm",
            "Accuracy, by length",
            "as accuracy, with Σ ln p ÷ characters of the choice without the delimiter",
            "With the length of the choices evened out, the right one was the most likely in {value} of the examples.",
        ),
        MetricSpec(
            name="brier",
            title="Brier score",
            unit="score",
            direction=Direction.LOWER,
            formula="mean of Σ_k (p_k − [k is right])², 0–2, p the softmax of Σ ln p over the choices; interval of a "
            "bounded mean, clustered where examples are; no answer is 2 and 0",
            reference="Brier 1950, Monthly Weather Review 78:1",
            plain="Probabilities of the choices miss the truth by {value} in squared distance; 0 is perfect, 2 is "
            "certain and wrong.",
        ),
    )

    def plan(self, data_rows: int, params: MultipleChoiceParams) -> Plan:
        from evaluations.stats import smallest_detectable_effect

        return Plan(
            shards=shards(data_rows, SHARD_ROWS),
            expected_queries=data_rows * CHOICES,
            smallest_detectable_effect=smallest_detectable_effect(data_rows),
        )

    def run_shard(
        self, model: LanguageModel, data: Dataset, params: MultipleChoiceParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations.quality import choice_scores
        from evaluations.records import all_rows

        return choice_scores.write_shard(model, data, params, ctx, all_rows(data, shard))

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: MultipleChoiceParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations import charts
        from evaluations.quality import choice_scores

        chosen = choice_scores.collect(states, data)
        metrics = choice_scores.measure(chosen, params.max_error_rate)
        titles: dict[str, Any] = {spec.name: spec.title for spec in self.metrics if spec.unit == "proportion"}
        return ctx.result(
            self,
            params,
            metrics=metrics,
            charts=charts.group_bars(
                "right_choices",
                "Share of right choices",
                [(titles[m.name], m) for m in metrics if m.name in titles],
            ),
            coverage=chosen.coverage(),
            examples=choice_scores.worst(chosen, data),
        )


EVALUATION = MultipleChoice()
