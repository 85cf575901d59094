"""robustness.tabular_shift: what missing values, noise, wrong units and misspelt categories cost a model of tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from evaluations.planning import shards
from evaluations.robustness.tabular_shift_names import shifts_of
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

Share = Annotated[float, Field(gt=0, le=1)]
Times = Annotated[float, Field(gt=0, le=1e9)]
MOST = 20  # amounts of one fault
NEWCOMBE = "Newcombe 1998, Statistics in Medicine 17:2635, method 10"
MILLER = "Miller 2024, arXiv 2411.00640"
SCHELTER = "Schelter, Rukat & Biessmann 2020, SIGMOD, doi 10.1145/3318464.3380604"


class ShiftParams(ScoredParams):
    examples: int = Field(
        default=1000,
        ge=1,
        le=100_000,
        title="Examples",
        description="How many rows are asked about, as they are and once more for every shift.",
    )
    missing: tuple[Share, ...] = Field(
        default=(0.05, 0.1, 0.2),
        max_length=MOST,
        title="Missing values",
        description="Shares of the input values that go missing, at random. Leave out where the model takes no missing "
        "values and never gets any.",
    )
    noise: tuple[Times, ...] = Field(
        default=(0.1, 0.3),
        max_length=MOST,
        title="Noise",
        description="Gaussian noise on every number, in standard deviations of its column; whole numbers are rounded.",
    )
    units: tuple[Times, ...] = Field(
        default=(10.0, 1000.0, 0.001),
        max_length=MOST,
        title="Wrong units",
        description="One number of each row is multiplied by this, as when it was entered in another unit.",
    )
    typos: tuple[Share, ...] = Field(
        default=(0.1,),
        max_length=MOST,
        title="Misspelt categories",
        description="Shares of the categories (columns of text) that are misspelt by one letter.",
    )

    @model_validator(mode="after")
    def some(self) -> Self:
        for name in ("missing", "noise", "units", "typos"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise ValueError(f"{name}: each amount may be named once")
        if 1.0 in self.units:
            raise ValueError("units: times 1 changes nothing")
        if not (self.missing or self.noise or self.units or self.typos):
            raise ValueError("name at least one amount of missing, noise, units or typos")
        names = [shift.name for shift in shifts_of(self)]
        if alike := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"two amounts are too near each other to be told apart: both are {alike[0]}")
        return self


class TabularShift:
    """The same rows asked as they are and shifted: each difference is paired, row by row."""

    name: ClassVar[str] = "robustness.tabular_shift"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Robustness to faulty tables"
    question: ClassVar[str] = (
        "How much worse are the answers when values are missing, noisy, misspelt or in other units?"
    )
    Params: ClassVar[type[Params]] = ShiftParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(Modality.TABULAR, Modality.TABULAR_REGRESSION), access=Access.LABEL.value
    )
    tags: ClassVar[tuple[str, ...]] = ("robustness", "data_quality")
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec(
            name="clean_accuracy",
            title="Accuracy on rows as they are",
            unit="proportion",
            direction=Direction.HIGHER,
            formula="right answers / sampled rows; Wilson interval, clustered where rows are",
            reference="Wilson 1927, JASA 22:209",
            plain="On the rows as they are the model was right {value} of the time.",
        ),
        MetricSpec(
            name="shifted_accuracy",
            title="Accuracy on shifted rows",
            unit="proportion",
            direction=Direction.HIGHER,
            formula="right answers to shifted rows / sampled rows; Wilson interval, clustered where rows are",
            reference=SCHELTER,
            plain="With this fault in the rows the model was right {value} of the time.",
            sliced=True,
        ),
        MetricSpec(
            name="drop",
            title="Accuracy lost",
            unit="difference",
            direction=Direction.LOWER,
            formula="accuracy on the rows as they are − on the same rows shifted; Newcombe's paired interval",
            reference=NEWCOMBE,
            plain="This fault in the rows cost the model {value} of accuracy.",
            sliced=True,
        ),
        MetricSpec(
            name="worst_drop",
            title="Largest loss of accuracy",
            unit="difference",
            direction=Direction.LOWER,
            formula="largest drop of all shifts; bounds of the largest true one, whichever it is, from paired "
            "intervals that hold for all shifts at once (Bonferroni)",
            reference=f"{NEWCOMBE}; Dunn 1961, JASA 56:52",
            plain="The fault that hurts most cost the model {value} of accuracy.",
        ),
        MetricSpec(
            name="clean_error",
            title="Mean absolute error on rows as they are",
            unit="score",
            direction=Direction.LOWER,
            formula="mean of |answer − truth|; t interval, clustered where rows are",
            reference=MILLER,
            plain="On the rows as they are the answers were {value} off on average.",
        ),
        MetricSpec(
            name="error_rise",
            title="Rise of the mean absolute error",
            unit="score",
            direction=Direction.LOWER,
            formula="mean over rows of |answer to the shifted row − truth| − |answer to the row − truth|; t interval "
            "of the paired differences",
            reference=MILLER,
            plain="This fault in the rows put the answers {value} further off on average.",
            sliced=True,
        ),
        MetricSpec(
            name="worst_error_rise",
            title="Largest rise of the mean absolute error",
            unit="score",
            direction=Direction.LOWER,
            formula="largest rise of all shifts; bounds as for worst_drop, from t intervals",
            reference=f"{MILLER}; Dunn 1961, JASA 56:52",
            plain="The fault that hurts most put the answers {value} further off on average.",
        ),
    )

    def plan(self, data_rows: int, params: ShiftParams) -> Plan:
        from evaluations.stats import smallest_detectable_effect

        n = min(params.examples, data_rows)
        return Plan(
            shards=shards(n),
            expected_queries=n * (1 + len(shifts_of(params))),
            smallest_detectable_effect=smallest_detectable_effect(n),
        )

    def run_shard(
        self, model: Any, data: Dataset, params: ShiftParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations.robustness import tabular_shift_asking

        return tabular_shift_asking.ask_shard(model, data, params, ctx, shard)

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: ShiftParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations import charts
        from evaluations.robustness import tabular_shift_examples, tabular_shift_numbers, tabular_shift_scores

        if data.modality is Modality.TABULAR:
            answers = tabular_shift_scores.collect(states, data, params, ctx)
            metrics = tabular_shift_scores.measure(answers, params)
            chart = charts.changes(
                "drops", "Accuracy lost", tabular_shift_scores.named(metrics, "drop"), "worst_drop"
            )
            examples, coverage = (
                tabular_shift_examples.examples(answers, data, ctx),
                answers.coverage(),
            )
        else:
            numbers = tabular_shift_numbers.collect(states, data, params, ctx)
            metrics = tabular_shift_numbers.measure(numbers, params)
            rises = tabular_shift_scores.named(metrics, "error_rise")
            title = "Rise of the mean absolute error"
            chart = charts.changes("rises", title, rises, "worst_error_rise", number=".3g")
            examples, coverage = [], numbers.coverage()
        return ctx.result(
            self,
            params,
            metrics=metrics,
            charts=chart,
            coverage=coverage,
            examples=examples,
            warnings=tabular_shift_scores.warnings(data, coverage.attempted, params, ctx),
        )


EVALUATION = TabularShift()
