"""robustness.text_char: whether misspelt words change a text classifier's answer (DeepWordBug)."""

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
    from evaluations.models.protocol import TextClassifier

SHARD_EXAMPLES = 25  # an attack is some hundred queries: what is lost when a run is killed
QUERIES_EACH = 60  # of a sentence of twenty words, for the forecast only
GAO = "Gao et al. 2018, arXiv 1801.04354"
MORRIS = "Morris et al. 2020, arXiv 2005.05909"


class TextCharParams(ScoredParams):
    examples: int = Field(
        default=100,
        ge=1,
        le=10_000,
        title="Examples",
        description="How many examples to attack, stratified by label.",
    )


class TextChar:
    """TextAttack's DeepWordBug on a seeded sample. Every success is scored again before it counts."""

    name: ClassVar[str] = "robustness.text_char"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Robustness to misspelt words"
    question: ClassVar[str] = "Can a few changed letters make the model change its answer?"
    Params: ClassVar[type[Params]] = TextCharParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(Modality.TEXT_CLASSIFIER,),
        access=(Access.LABEL | Access.PROBS | Access.LOGITS).value,
        languages=("en",),
    )
    tags: ClassVar[tuple[str, ...]] = ("robustness", "adversarial")
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec(
            name="original_accuracy",
            title="Accuracy before the attack",
            unit="proportion",
            direction=Direction.HIGHER,
            formula="right answers / sampled examples; Wilson interval",
            reference=MORRIS,
            plain="Before any change the model was right for {value} of the sampled examples.",
        ),
        MetricSpec(
            name="accuracy_under_attack",
            title="Accuracy under attack",
            unit="proportion",
            direction=Direction.HIGHER,
            formula="examples right before and after the attack / sampled examples; Wilson interval",
            reference=MORRIS,
            plain="With letters changed against it the model was still right for {value} of the sampled examples.",
        ),
        MetricSpec(
            name="attack_success_rate",
            title="Attack success rate",
            unit="proportion",
            direction=Direction.LOWER,
            formula="changed answers / examples that were right before; Wilson interval",
            reference=GAO,
            plain="Changing a few letters turned {value} of the right answers into wrong ones.",
        ),
        MetricSpec(
            name="perturbed_words",
            title="Words changed per success",
            unit="proportion",
            direction=Direction.CONTEXT,
            formula="mean over successes of changed words / words, split at spaces; bootstrap over successes",
            reference=MORRIS,
            plain="A successful attack changed {value} of the words on average.",
        ),
        MetricSpec(
            name="queries",
            title="Queries per attack",
            unit="count",
            direction=Direction.CONTEXT,
            formula="mean over attacked examples of model queries; bootstrap over examples",
            reference=MORRIS,
            plain="An attack asked the model {value} times on average.",
        ),
    )

    def plan(self, data_rows: int, params: TextCharParams) -> Plan:
        from evaluations.stats import smallest_detectable_effect

        n = min(params.examples, data_rows)
        return Plan(
            shards=shards(n, SHARD_EXAMPLES),
            expected_queries=n * QUERIES_EACH,
            smallest_detectable_effect=smallest_detectable_effect(n),
        )

    def run_shard(
        self, model: TextClassifier, data: Dataset, params: TextCharParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations.robustness import textattack_setup

        textattack_setup.prepare(ctx.resources)  # before anything that imports TextAttack
        from evaluations.robustness import text_char_attack

        return text_char_attack.attack_shard(model, data, params, ctx, shard)

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: TextCharParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations import charts
        from evaluations.robustness import text_char_scores

        outcomes = text_char_scores.collect(states, data, params, ctx)
        return ctx.result(
            self,
            params,
            metrics=text_char_scores.measure(outcomes, params.max_error_rate, ctx),
            charts=charts.success_by_queries(outcomes.curve()),
            examples=text_char_scores.examples(outcomes),
            warnings=text_char_scores.warnings(outcomes, params, ctx),
            coverage=outcomes.coverage(),
        )


EVALUATION = TextChar()
