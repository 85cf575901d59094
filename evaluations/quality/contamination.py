"""quality.contamination: signs that a language model was trained on the data that it is tested with."""

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
    Role,
    ScoredParams,
    Shard,
    ShardState,
)

if TYPE_CHECKING:
    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.models.protocol import LanguageModel

SHARD_ROWS = 512  # every row is read once per order: what is lost when a run is killed


class ContaminationParams(ScoredParams):
    block: int = Field(
        default=10,
        ge=2,
        le=1000,
        title="Examples per block",
        description="So many examples stand in one text. Choose it so that a block fits what the model reads.",
    )
    shuffles: int = Field(
        default=25,
        ge=1,
        le=1000,
        title="Other orders per block",
        description="With how many random orders the published one is compared. The cost grows with it.",
    )
    words: int = Field(
        default=13,
        ge=2,
        le=100,
        title="Words in a row",
        description="An example overlaps with the training split where so many words in a row occur there.",
    )


class Contamination:
    """The published order of the examples against others; runs of words shared with a training split."""

    name: ClassVar[str] = "quality.contamination"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Contamination"
    question: ClassVar[str] = "Does the model show signs of having been trained on this data?"
    Params: ClassVar[type[Params]] = ContaminationParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(Modality.CAUSAL_LM,), access=Access.LOGPROBS.value, roles=(Role.INPUT,), min_examples=2
    )
    tags: ClassVar[tuple[str, ...]] = ("contamination",)
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec(
            name="exchangeability_p",
            title="p value of the published order",
            unit="probability",
            direction=Direction.CONTEXT,
            formula="blocks of neighbouring examples, in the order of their ids (numbers by value, the order of the "
            "rows without ids); T = Σ_blocks ln p(block in this order); null: of each block one of its orders, "
            "published or shuffled, at random; p = (1 + #{T* ≥ T})/(B + 1), B = 9,999, so no interval. Small p: the "
            "order was learnt. Large p shows nothing: what was learnt in another order cannot be seen",
            reference="Oren et al. 2023, arXiv 2310.17623 (test of exchangeability by blocks, here by permutation "
            "instead of t)",
            plain="If the model had never seen the data in this order, so good a fit would have a probability of "
            "{value}.",
        ),
        MetricSpec(
            name="order_gain",
            title="Likelihood gained by the published order",
            unit="nats",
            direction=Direction.CONTEXT,
            formula="mean over blocks of ln p(published order) − mean of ln p(shuffled orders); t interval",
            reference="Oren et al. 2023, arXiv 2310.17623",
            plain="A block of examples in the published order is more likely by {value} than in a random one.",
        ),
        MetricSpec(
            name="train_overlap",
            title="Overlap with the training split",
            unit="proportion",
            direction=Direction.LOWER,
            formula="share of examples outside the split `train` of which some run of words (letters and digits, lower "
            "case) occurs in the split `train`, or all of a shorter one is an example there; Wilson interval, at the "
            "effective number of examples if clustered",
            reference="Brown et al. 2020, arXiv 2005.14165, appendix C",
            plain="{value} of the test examples share a long run of words with the training split.",
        ),
    )

    def plan(self, data_rows: int, params: ContaminationParams) -> Plan:
        blocks = max(1, data_rows // params.block)
        return Plan(shards=shards(data_rows, SHARD_ROWS), expected_queries=blocks * (1 + params.shuffles))

    def run_shard(
        self, model: LanguageModel, data: Dataset, params: ContaminationParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations.quality import exchangeability

        return exchangeability.write_shard(model, data, params, ctx, shard)

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: ContaminationParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations import charts
        from evaluations.quality import exchangeability, train_overlap

        orders = exchangeability.collect(states, data, params)
        metrics = exchangeability.measure(orders, params.max_error_rate, ctx)
        return ctx.result(
            self,
            params,
            metrics=[*metrics, train_overlap.measure(data, params.words)],
            charts=charts.distributions(
                "order_gain",
                "Likelihood gained by the published order, by block",
                "ln p of the published order less that of shuffled ones",
                {"blocks": exchangeability.gains(orders)},
            ),
            coverage=orders.coverage(),
        )


EVALUATION = Contamination()
