"""example.confident_mistakes: how often a classifier is wrong while it is sure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from evaluations.planning import one_pass
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


class ConfidentParams(ScoredParams):
    sure: float = Field(
        default=0.9,
        gt=0,
        lt=1,
        title="Sure from",
        description="The probability from which the model counts as sure.",
    )


class ConfidentMistakes:
    """Wrong answers among those that the model gave with a probability of at least `sure`."""

    name: ClassVar[str] = "example.confident_mistakes"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Confident mistakes"
    question: ClassVar[str] = "How often is the model wrong when it says that it is sure?"
    Params: ClassVar[type[Params]] = ConfidentParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(Modality.TEXT_CLASSIFIER, Modality.TABULAR), access=(Access.LABEL | Access.PROBS).value
    )
    tags: ClassVar[tuple[str, ...]] = ("accuracy",)
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec(
            name="confident_error_rate",
            title="Mistakes while sure",
            unit="proportion",
            direction=Direction.LOWER,
            formula="wrong answers / answers with a probability of at least `sure`; Wilson interval",
            reference="Wilson 1927, JASA 22:209",
            plain="When the model said it was sure, it was wrong {value} of the time.",
        ),
    )

    def plan(self, data_rows: int, params: ConfidentParams) -> Plan:
        return one_pass(data_rows)

    def run_shard(
        self, model: Classifier, data: Dataset, params: ConfidentParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations import scoring

        return scoring.score_shard(model, data, ctx, scoring.all_rows(data, shard))

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: ConfidentParams, ctx: Context
    ) -> EvaluationResult:
        from confident_mistakes import scores
        from evaluations import charts, scoring

        scored = scoring.collect(states, data, ctx)
        answered = scored.answered()
        return ctx.result(
            self,
            params,
            metrics=[scores.confident_error_rate(scored, params)],
            charts=charts.confusion(answered.truth, answered.predicted, scored.labels) if answered.n else [],
            coverage=scored.coverage(),
        )


EVALUATION = ConfidentMistakes()
