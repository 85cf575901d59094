"""robustness.image_blackbox: whether someone who only asks the model can change an image's answer (Square)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

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
    ScoredParams,
    Shard,
    ShardState,
)

if TYPE_CHECKING:
    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.models.protocol import Classifier

SHARD_EXAMPLES = 25
USED = 0.5  # share of the budget that an attack uses, for the forecast only
SQUARE = "Andriushchenko et al. 2020, arXiv 1912.00049"


class ImageBlackBoxParams(ScoredParams):
    examples: int = Field(
        default=50,
        ge=1,
        le=1_000,
        title="Examples",
        description="How many examples to attack, stratified by label.",
    )
    epsilon: float = Field(
        default=8 / 255,
        ge=1 / 255,
        le=1,
        title="Largest change",
        description="Of each value from 0 to 1 in the image file itself, rounded down to whole steps of 1/255.",
    )
    queries: int = Field(
        default=500,
        ge=1,
        le=100_000,
        title="Queries per image",
        description="So often the attack may ask the model about changed versions of one image.",
    )
    explain: bool = Field(
        default=True,
        title="Explain successes",
        description="Show what the model goes by before and after, for the successes shown, where its files are at "
        "hand.",
    )


class ImageBlackBox:
    """Square on the image files themselves: what is sent is an ordinary PNG, and only probabilities come back."""

    name: ClassVar[str] = "robustness.image_blackbox"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Robustness of images against whoever can only ask"
    question: ClassVar[str] = "Can someone who only sees the answers change an image until the model errs?"
    Params: ClassVar[type[Params]] = ImageBlackBoxParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(Modality.IMAGE_CLASSIFIER,), access=(Access.LABEL | Access.PROBS).value
    )
    tags: ClassVar[tuple[str, ...]] = ("robustness", "adversarial")
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec(
            name="original_accuracy",
            title="Accuracy before the attack",
            unit="proportion",
            direction=Direction.HIGHER,
            formula="right answers to the file and to its pixels saved anew as a PNG / sampled examples; Wilson "
            "interval, clustered where rows are",
            reference=SQUARE,
            plain="Before any change the model was right for {value} of the sampled images.",
        ),
        MetricSpec(
            name="robust_accuracy",
            title="Accuracy under attack",
            unit="proportion",
            direction=Direction.HIGHER,
            formula="examples right before and after the attack / sampled examples; Wilson interval, clustered where "
            "rows are",
            reference=SQUARE,
            plain="With pixels changed against it the model was still right for {value} of the sampled images.",
        ),
        MetricSpec(
            name="attack_success_rate",
            title="Attack success rate",
            unit="proportion",
            direction=Direction.LOWER,
            formula="changed answers / examples that were right before; each asked about once more before it counts; "
            "Wilson interval, clustered where rows are",
            reference=SQUARE,
            plain="Changed pixels turned {value} of the right answers into wrong ones.",
        ),
        MetricSpec(
            name="queries",
            title="Queries per attack",
            unit="count",
            direction=Direction.CONTEXT,
            formula="mean over attacked examples of changed images sent until the answer changed, or of the whole "
            "budget; bootstrap over examples",
            reference=SQUARE,
            plain="An attack asked the model {value} times on average.",
        ),
    )

    def plan(self, data_rows: int, params: ImageBlackBoxParams) -> Plan:
        from evaluations.stats import smallest_detectable_effect

        n = min(params.examples, data_rows)
        return Plan(
            shards=shards(n, SHARD_EXAMPLES),
            expected_queries=round(n * (2 + USED * params.queries)),
            smallest_detectable_effect=smallest_detectable_effect(n),
        )

    def run_shard(
        self, model: Classifier, data: Dataset, params: ImageBlackBoxParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations.robustness import image_blackbox_run

        return image_blackbox_run.attack_shard(model, data, params, ctx, shard)

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: ImageBlackBoxParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations import charts
        from evaluations.robustness import image_blackbox_scores as scores

        outcomes = scores.collect(states, data, params, ctx)
        told = scores.keep(outcomes, ctx)
        return ctx.result(
            self,
            params,
            metrics=scores.measure(outcomes, params.max_error_rate, ctx),
            charts=charts.success_by_queries(outcomes.curve()),
            examples=scores.examples(outcomes),
            warnings=[*scores.warnings(outcomes, params), *told],
            coverage=outcomes.coverage(),
        )


EVALUATION = ImageBlackBox()
