"""fairness.ll144: the tables of New York City's Local Law 144 on automated employment decision tools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from evaluations.fairness.group import favourable
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
    Role,
    ScoredParams,
    Shard,
    ShardState,
)

if TYPE_CHECKING:
    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.models.protocol import Classifier

RULE = "6 RCNY § 5-300 to 5-304 (New York City, Local Law 144 of 2021)"


class LL144Params(ScoredParams):
    sex_column: str = Field(
        default="sex", title="Sex", description="The sensitive column with the applicants' sex."
    )
    race_column: str = Field(
        default="race", title="Race or ethnicity", description="The sensitive column with race or ethnicity."
    )
    unknown: tuple[str, ...] = Field(
        default=("(missing)", "Unknown", "unknown", ""),
        title="Unknown",
        description="Values that mean that nothing is known: counted apart, outside the calculation.",
    )
    smallest_share: float = Field(
        default=0.02,
        ge=0,
        le=0.02,
        title="Smallest share",
        description="A category of a smaller share may be left out of the impact ratio; the rule allows at most 2 %.",
    )
    justification: str = Field(
        default="",
        title="Justification",
        description="Why small categories are left out, as the rule demands. Empty: none is left out.",
    )


def _rate(name: str, title: str, formula: str, plain: str) -> MetricSpec:
    return MetricSpec(
        name=name,
        title=title,
        unit="proportion" if "ratio" not in name else "ratio",
        direction=Direction.CONTEXT,
        formula=formula,
        reference=RULE,
        plain=plain,
        sliced=True,
    )


class LL144:
    """Selection and scoring rates and impact ratios by sex, race or ethnicity, and both. The rule sets no limit."""

    name: ClassVar[str] = "fairness.ll144"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Bias audit under Local Law 144"
    question: ClassVar[str] = "What are the rates and impact ratios that New York City wants published?"
    Params: ClassVar[type[Params]] = LL144Params
    requires: ClassVar[Requirements] = Requirements(
        modalities=(Modality.TABULAR, Modality.TEXT_CLASSIFIER),
        access=Access.LABEL.value,
        roles=(Role.INPUT, Role.SENSITIVE),
    )
    tags: ClassVar[tuple[str, ...]] = ("fairness", "ll144", "employment")
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        _rate(
            "selection_rate",
            "Selection rate",
            "applicants of the category who were selected / applicants of the category; Wilson interval",
            "The tool selected {value} of this category.",
        ),
        _rate(
            "impact_ratio",
            "Impact ratio of selection",
            "selection rate of the category / highest selection rate of a category; MOVER-R interval over Wilson",
            "This category is selected {value} times as often as the most selected one.",
        ),
        _rate(
            "scoring_rate",
            "Scoring rate",
            "applicants of the category whose score is strictly above the median of all / applicants of the category; "
            "Wilson interval at the median seen",
            "{value} of this category scored above the median of all applicants.",
        ),
        _rate(
            "scoring_impact_ratio",
            "Impact ratio of scores",
            "scoring rate of the category / highest scoring rate of a category; MOVER-R interval over Wilson",
            "This category scores above the median {value} times as often as the category that does so most.",
        ),
        MetricSpec(
            name="unknown_category",
            title="Applicants of unknown category",
            unit="count",
            direction=Direction.CONTEXT,
            formula="applicants whose category is not known: not in any rate",
            reference=RULE,
            plain="For {value} applicants the category is not known; they are not in these figures.",
            sliced=True,
        ),
    )

    def plan(self, data_rows: int, params: LL144Params) -> Plan:
        return one_pass(data_rows)

    def run_shard(
        self, model: Classifier, data: Dataset, params: LL144Params, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations import records, scoring
        from evaluations.fairness import ll144_tables

        favourable(data, model.labels)
        ll144_tables.categories(data, params)  # refuse missing columns before the work
        rows = records.all_rows(data, shard)
        scores = ctx.predictions(model, data, rows)
        table = records.table_of(data, rows, {"probs": scoring.probs_column(scores.probs, scores.errors)})
        graded = Access.PROBS in model.access
        return ShardState(
            scoring.with_labels(table, model.labels, graded), {"errors": int(scores.errors.sum())}
        )

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: LL144Params, ctx: Context
    ) -> EvaluationResult:
        from evaluations.fairness import ll144_tables

        found = ll144_tables.audit(states, data, params, ctx)
        return ctx.result(
            self,
            params,
            metrics=found.metrics,
            charts=found.charts,
            coverage=found.coverage,
            warnings=found.warnings,
        )


EVALUATION = LL144()
