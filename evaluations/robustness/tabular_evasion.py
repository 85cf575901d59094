"""robustness.tabular_evasion: whether changes that are possible, and cheap, turn a table classifier's answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, model_validator

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

SHARD_EXAMPLES = 25  # an attack is some hundred queries: what is lost when a run is killed
QUERIES_EACH = 500  # for the forecast only: about 200 where five columns can be changed, 1,000 from thirty on
POOL = 256  # rows whose answers are known, so that those answered otherwise can lend their values
KIREEV = "Kireev, Kulynych & Troncoso 2023, arXiv 2208.13058"
MORRIS = "Morris et al. 2020, arXiv 2005.05909"


class EvasionParams(ScoredParams):
    examples: int = Field(
        default=100,
        ge=1,
        le=10_000,
        title="Examples",
        description="How many rows to attack, stratified by label.",
    )
    mutable: tuple[str, ...] = Field(
        default=(),
        title="Columns that can be changed",
        description="Names of columns that whoever fills in the row can change, categories too. Empty: every input "
        "column of numbers.",
    )
    immutable: tuple[str, ...] = Field(
        default=(),
        title="Columns that cannot be changed",
        description="Names of columns to leave as they are.",
    )
    bounds: dict[str, tuple[float, float]] = Field(
        default={},
        title="Bounds",
        description="Smallest and largest value by column. Elsewhere it is the range that occurs in the data.",
    )
    increase_only: tuple[str, ...] = Field(
        default=(),
        title="Columns that only grow",
        description="Such as an age: it can be raised and not lowered.",
    )
    decrease_only: tuple[str, ...] = Field(
        default=(), title="Columns that only shrink", description="They can be lowered and not raised."
    )
    max_cost: float = Field(
        default=1.0,
        gt=0,
        le=1e6,
        title="Largest cost",
        description="What an attacker may spend on a row. Changing a number by the interquartile range of its column "
        "(where that is 0, by its standard deviation) costs 1, and so does another category.",
    )
    most_queries: int = Field(
        default=1000,
        ge=10,
        le=1_000_000,
        title="Most queries",
        description="After so many queries the search on a row ends with what it has found.",
    )

    @model_validator(mode="after")
    def agreeing(self) -> Self:
        for name, (low, high) in self.bounds.items():
            if low > high:
                raise ValueError(f"bounds of {name[:60]!r}: {low:g} is above {high:g}")
        for one, other in (("mutable", "immutable"), ("increase_only", "decrease_only")):
            if both := sorted(set(getattr(self, one)) & set(getattr(self, other))):
                raise ValueError(f"{both[0][:60]!r} is named both as {one} and as {other}")
        limited = {*self.bounds, *self.increase_only, *self.decrease_only}
        fixed = limited - set(self.mutable) if self.mutable else limited & set(self.immutable)
        if fixed:
            raise ValueError(
                f"{min(fixed)[:60]!r} has bounds or a direction, and is not to be changed: take one of the two away"
            )
        return self


class TabularEvasion:
    """A search that asks alone, over changes that the columns allow. The cheapest success is asked about again."""

    name: ClassVar[str] = "robustness.tabular_evasion"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Evasion by possible changes"
    question: ClassVar[str] = "Can somebody turn the answer by changing what they can change, at little cost?"
    Params: ClassVar[type[Params]] = EvasionParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(Modality.TABULAR,), access=(Access.LABEL | Access.PROBS).value
    )
    tags: ClassVar[tuple[str, ...]] = ("robustness", "adversarial")
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec(
            name="original_accuracy",
            title="Accuracy before the attack",
            unit="proportion",
            direction=Direction.HIGHER,
            formula="right answers / sampled rows; Wilson interval, clustered where rows are",
            reference=MORRIS,
            plain="Before any change the model was right for {value} of the sampled rows.",
        ),
        MetricSpec(
            name="accuracy_under_attack",
            title="Accuracy under attack",
            unit="proportion",
            direction=Direction.HIGHER,
            formula="rows right before, and not turned within the largest cost / sampled rows; Wilson interval",
            reference=KIREEV,
            plain="With possible changes made against it the model was still right for {value} of the sampled rows.",
        ),
        MetricSpec(
            name="attack_success_rate",
            title="Attack success rate",
            unit="proportion",
            direction=Direction.LOWER,
            formula="rows turned by feasible changes within the largest cost / rows right before; Wilson interval",
            reference=KIREEV,
            plain="Possible changes within the budget turned {value} of the right answers into wrong ones.",
        ),
        MetricSpec(
            name="success_at_any_cost",
            title="Success at any cost",
            unit="proportion",
            direction=Direction.LOWER,
            formula="rows turned by feasible changes, whatever they cost / rows right before; Wilson interval",
            reference=KIREEV,
            plain="With no limit on the cost, possible changes turned {value} of the right answers.",
        ),
        MetricSpec(
            name="median_cost",
            title="Median cost of turning an answer",
            unit="score",
            direction=Direction.HIGHER,
            formula="median over rows right before of the least cost found, Σ |change| / interquartile range "
            "(standard deviation where that is 0) + number of changed categories; a row that was not turned counts as "
            "dearer than any; between order statistics. An upper bound: the search may miss a cheaper change",
            reference=f"{KIREEV}; David & Nagaraja 2003, Order Statistics, §7.1",
            plain="Half of the right answers were turned at a cost of {value} or less (1 is an interquartile range).",
        ),
        MetricSpec(
            name="columns_changed",
            title="Columns changed per success",
            unit="count",
            direction=Direction.CONTEXT,
            formula="mean over successes within the largest cost of the columns that differ; t interval",
            reference=KIREEV,
            plain="A successful attack changed {value} columns on average.",
        ),
        MetricSpec(
            name="queries",
            title="Queries per attack",
            unit="count",
            direction=Direction.CONTEXT,
            formula="mean over attacked rows of model queries; t interval",
            reference=MORRIS,
            plain="An attack asked the model {value} times on average.",
        ),
        MetricSpec(
            name="column_use",
            title="Successes that changed a column",
            unit="proportion",
            direction=Direction.CONTEXT,
            formula="successes within the largest cost that changed this column / such successes; Wilson interval",
            reference="Wilson 1927, JASA 22:209",
            plain="Of the successful attacks {value} changed this column.",
            sliced=True,
        ),
    )

    def plan(self, data_rows: int, params: EvasionParams) -> Plan:
        from evaluations.stats import smallest_detectable_effect

        n = min(params.examples, data_rows)
        return Plan(
            shards=shards(n, SHARD_EXAMPLES),
            expected_queries=n * min(QUERIES_EACH, params.most_queries) + min(POOL, data_rows),
            smallest_detectable_effect=smallest_detectable_effect(n),
        )

    def run_shard(
        self, model: Classifier, data: Dataset, params: EvasionParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations.robustness import tabular_evasion_attack

        return tabular_evasion_attack.attack_shard(model, data, params, ctx, shard)

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: EvasionParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations import charts
        from evaluations.robustness import tabular_evasion_examples, tabular_evasion_scores

        outcomes = tabular_evasion_scores.collect(states, data, params, ctx)
        metrics = tabular_evasion_scores.measure(outcomes, params, ctx)
        uses = [(m.slice.partition("=")[2], m) for m in metrics if m.name == "column_use"]
        return ctx.result(
            self,
            params,
            metrics=metrics,
            charts=[
                *charts.success_by_cost(outcomes.curve(), params.max_cost),
                *charts.group_bars("column_use", "Successes that changed the column", uses),
            ],
            coverage=outcomes.coverage(),
            examples=tabular_evasion_examples.examples(outcomes),
            warnings=[
                *tabular_evasion_scores.warnings(outcomes, params),
                *tabular_evasion_examples.keep(outcomes, data, ctx),
            ],
        )


EVALUATION = TabularEvasion()
