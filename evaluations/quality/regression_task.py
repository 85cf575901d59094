"""quality.regression_task: how far predicted numbers are from the true ones, overall and for each group."""

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
    from evaluations.models.protocol import Regressor


class RegressionParams(ScoredParams):
    """What the model claims to predict, and how wide its claim is."""

    quantile: float = Field(
        default=0.5,
        gt=0,
        lt=1,
        title="Quantile",
        description="Which quantile of the true value the model predicts; 0.5 is the median.",
    )
    half_width: float | None = Field(
        default=None,
        gt=0,
        title="Claimed margin",
        description="The model is said to be right within this much, either way. Used where it gives no bounds itself.",
    )
    smallest_group: int = Field(
        default=10,
        ge=2,
        title="Smallest group",
        description="Groups with fewer examples are not shown.",
    )


_INTERVAL = (
    "wider of BCa bootstrap and jackknife t over rows or clusters, beyond 1,000 of them the latter alone"
)
_MISSING = (
    "; no answer: right in the favourable end, at the end of all values seen that costs most in the other"
)


class RegressionTask:
    """Predicted against true numbers, in the unit of the target."""

    name: ClassVar[str] = "quality.regression_task"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Regression quality"
    question: ClassVar[str] = "How far from the truth are the model's numbers, and do they lean one way?"
    Params: ClassVar[type[Params]] = RegressionParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(Modality.TABULAR_REGRESSION,), access=Access.LABEL.value
    )
    tags: ClassVar[tuple[str, ...]] = ("accuracy",)
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec(
            name="mae",
            title="Mean absolute error",
            unit="score",
            direction=Direction.LOWER,
            formula=f"mean of |answer − truth|, in the unit of the target; {_INTERVAL}{_MISSING}",
            reference="Willmott & Matsuura 2005, Climate Research 30:79; interval: Efron 1987, JASA 82:171",
            plain="The model's number is off by {value} on average.",
        ),
        MetricSpec(
            name="rmse",
            title="Root mean squared error",
            unit="score",
            direction=Direction.LOWER,
            formula=f"√ mean of (answer − truth)², in the unit of the target; {_INTERVAL}{_MISSING}",
            reference="Gneiting 2011, JASA 106:746; interval: Efron 1987, JASA 82:171",
            plain="Large errors counting more, the model's number is off by {value}.",
        ),
        MetricSpec(
            name="r2",
            title="Explained variance (R²)",
            unit="score",
            direction=Direction.HIGHER,
            formula=f"1 − Σ (answer − truth)² / Σ (truth − mean truth)²; {_INTERVAL}{_MISSING}",
            reference="Kvålseth 1985, The American Statistician 39:279, R²₁",
            plain="R² is {value}: 1 is always right, 0 is no better than always answering the mean.",
        ),
        MetricSpec(
            name="pinball",
            title="Pinball loss",
            unit="score",
            direction=Direction.LOWER,
            formula=f"mean of max(τ·(truth − answer), (τ − 1)·(truth − answer)), τ = parameter `quantile`; {_INTERVAL}"
            f"{_MISSING}",
            reference="Koenker & Bassett 1978, Econometrica 46:33",
            plain="As a statement of that quantile, the model's number costs {value} on average; 0 is perfect.",
        ),
        MetricSpec(
            name="signed_error",
            title="Mean signed error",
            unit="difference",
            direction=Direction.CONTEXT,
            formula="mean of answer − truth; t interval, clustered where rows belong together",
            reference="Willmott 1982, Bull. Am. Meteorol. Soc. 63:1309; clusters: Miller 2024, arXiv 2411.00640",
            plain="The model's number is too high by {value} on average; below zero it is too low.",
        ),
        MetricSpec(
            name="group_signed_error",
            title="Mean signed error of a group",
            unit="difference",
            direction=Direction.CONTEXT,
            formula="mean of answer − truth within the group; t interval, clustered where rows belong together",
            reference="Agarwal, Dudík & Wu 2019, arXiv 1905.12843",
            plain="For this group the model's number is too high by {value} on average; below zero it is too low.",
            sliced=True,
        ),
        MetricSpec(
            name="interval_coverage",
            title="Coverage of the stated bounds",
            unit="proportion",
            direction=Direction.CONTEXT,
            formula="share of rows with low ≤ truth ≤ high; the model's own bounds, else answer ± `half_width`; "
            "Wilson interval",
            reference="Christoffersen 1998, International Economic Review 39:841",
            plain="The true number lay within the stated bounds for {value} of the examples.",
        ),
        MetricSpec(
            name="interval_width",
            title="Width of the stated bounds",
            unit="score",
            direction=Direction.LOWER,
            formula="mean of high − low, in the unit of the target; t interval",
            reference="Gneiting & Raftery 2007, JASA 102:359, §6.2",
            plain="The stated bounds are {value} apart on average.",
        ),
    )

    def plan(self, data_rows: int, params: RegressionParams) -> Plan:
        return Plan(shards=shards(data_rows), expected_queries=data_rows)

    def run_shard(
        self, model: Regressor, data: Dataset, params: RegressionParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations import predicting, records

        return predicting.predict_shard(model, data, ctx, records.all_rows(data, shard))

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: RegressionParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations import charts, predicting
        from evaluations.quality import regression_errors

        predicted = predicting.collect(states, data)
        answered = predicted.answered()
        return ctx.result(
            self,
            params,
            metrics=regression_errors.measure(predicted, data, params, ctx),
            charts=charts.error_by_tenth(answered.values, answered.values - answered.truth),
            coverage=predicted.coverage(),
        )


EVALUATION = RegressionTask()
