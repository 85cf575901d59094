"""quality.repeatability: whether the same input gets the same answer when it is asked again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from evaluations.planning import one_pass
from evaluations.prompting import PromptParams
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
    Shard,
    ShardState,
)

if TYPE_CHECKING:
    from evaluations.context import Context
    from evaluations.data.dataset import Dataset

ATIL = "Atil et al. 2024, arXiv 2408.04667"


class RepeatParams(PromptParams):
    repeats: int = Field(
        default=2,
        ge=2,
        le=10,
        title="Times asked",
        description="So often every input is asked, each time in another order, so among other neighbours.",
    )


class Repeatability:
    """Every input is asked several times. What changes is the noise floor of every comparison."""

    name: ClassVar[str] = "quality.repeatability"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Repeatability"
    question: ClassVar[str] = "Does the model give the same answer to the same input?"
    Params: ClassVar[type[Params]] = RepeatParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(
            Modality.TEXT_CLASSIFIER,
            Modality.IMAGE_CLASSIFIER,
            Modality.TABULAR,
            Modality.TABULAR_REGRESSION,
            Modality.CAUSAL_LM,
            Modality.SEQ2SEQ,
        ),
        access=Access(0).value,
        roles=(Role.INPUT,),
    )
    tags: ClassVar[tuple[str, ...]] = ("reliability",)
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec(
            name="flip_rate",
            title="Answers that differ",
            unit="proportion",
            direction=Direction.LOWER,
            formula="inputs whose answer (most probable class, whole text, number to six digits) was not the same each "
            "time / inputs answered each time; Wilson interval, clustered where rows are",
            reference=ATIL,
            plain="Asked again, the model changed its answer for {value} of the inputs.",
        ),
        MetricSpec(
            name="lapse_rate",
            title="Answered only sometimes",
            unit="proportion",
            direction=Direction.LOWER,
            formula="inputs answered at one time and not at another / inputs; Wilson interval, clustered where "
            "rows are",
            reference=ATIL,
            plain="{value} of the inputs were answered at one time and not at another.",
        ),
        MetricSpec(
            name="mean_change",
            title="Mean change",
            unit="score",
            direction=Direction.LOWER,
            formula="mean over inputs of the largest |difference| of a probability (of the number, for regression) "
            "from that of the first time; interval of a bounded mean, clustered where rows are, in which an input not "
            "answered each time moved by 0 or by 1; for regression t interval where all were",
            reference="Bland & Altman 1986, Lancet 327:307",
            plain="Asked again, probabilities (or predicted numbers) moved by {value} on average.",
        ),
        MetricSpec(
            name="max_change",
            title="Largest change",
            unit="score",
            direction=Direction.LOWER,
            formula="largest |difference| of a probability (of the number) from that of the first time; a maximum, so "
            "without an interval",
            reference="Bland & Altman 1986, Lancet 327:307",
            plain="Asked again, a probability (or predicted number) moved by up to {value}.",
        ),
    )

    def plan(self, data_rows: int, params: RepeatParams) -> Plan:
        plan = one_pass(data_rows)
        return Plan(
            shards=plan.shards,
            expected_queries=data_rows * params.repeats,
            expected_output_tokens=data_rows * params.repeats * params.settings.max_new_tokens,
            smallest_detectable_effect=plan.smallest_detectable_effect,
        )

    def run_shard(
        self, model: Any, data: Dataset, params: RepeatParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations.quality import repeats

        return repeats.ask_shard(model, data, ctx, shard, params)

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: RepeatParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations import charts
        from evaluations.quality import repeats

        found = repeats.collect(states, data, params)
        metrics = repeats.measure(found, params)
        shown = [("Answers that differ", metrics[0]), ("Answered only sometimes", metrics[1])]
        return ctx.result(
            self,
            params,
            metrics=metrics,
            charts=charts.group_bars("repeats", "Share of the inputs", shown),
            coverage=found.coverage(),
            examples=repeats.examples(found, data),
        )


EVALUATION = Repeatability()
