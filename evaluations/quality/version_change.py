"""quality.version_change: what a new version gains and loses against its parent, example by example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

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

NEWCOMBE = "Newcombe 1998, Statistics in Medicine 17:2635, method 10"
PAIRED = "Newcombe's method 10 for paired proportions, at the effective n where rows are clustered"
MILLER = "Miller 2024, arXiv 2411.00640"
YAN = "Yan et al. 2021, CVPR, arXiv 2011.09161"


class VersionParams(ScoredParams):
    suppress_below: int = Field(
        default=10,
        ge=1,
        title="Suppress below",
        description="A change over fewer examples than this is not shown.",
    )


def _flip(name: str, title: str, formula: str, direction: Direction, plain: str) -> MetricSpec:
    return MetricSpec(
        name=name,
        title=title,
        unit="proportion",
        direction=direction,
        formula=f"{formula}; Wilson interval, clustered where rows are",
        reference=YAN,
        plain=plain,
    )


def _score(name: str, title: str, formula: str, plain: str) -> MetricSpec:
    return MetricSpec(
        name=name,
        title=title,
        unit="nats" if name.startswith("log") else "score",
        direction=Direction.LOWER,
        formula=f"mean over examples of this version's minus the parent's {formula}; paired t interval, clustered "
        "where rows are",
        reference=MILLER,
        plain=plain,
    )


class VersionChange:
    """Paired differences on the same examples. No answer from either: against this version in the one end."""

    name: ClassVar[str] = "quality.version_change"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Change against the parent version"
    question: ClassVar[str] = "Is this version better or worse than the one it replaces, and for whom?"
    Params: ClassVar[type[Params]] = VersionParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(
            Modality.TEXT_CLASSIFIER,
            Modality.IMAGE_CLASSIFIER,
            Modality.TABULAR,
            Modality.TABULAR_REGRESSION,
        ),
        access=Access.LABEL.value,
        parent=True,
    )
    tags: ClassVar[tuple[str, ...]] = ("accuracy", "regression_testing")
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec(
            name="accuracy_change",
            title="Change of accuracy",
            unit="difference",
            direction=Direction.HIGHER,
            formula=f"accuracy of this version − accuracy of its parent on the same examples; {PAIRED}",
            reference=f"{NEWCOMBE}; clusters: {MILLER}",
            plain="Compared with its parent the model is right {value} more often (less, where negative).",
        ),
        MetricSpec(
            name="accuracy_change_in_group",
            title="Change of accuracy in a group",
            unit="difference",
            direction=Direction.HIGHER,
            formula=f"as the change of accuracy, over the examples of one group; {PAIRED}",
            reference=NEWCOMBE,
            plain="In this group the model is right {value} more often than its parent (less, where negative).",
            sliced=True,
        ),
        _flip(
            "newly_wrong",
            "Newly wrong",
            "examples that the parent had right and this version has wrong / examples",
            Direction.LOWER,
            "{value} of the examples were right before and are wrong now.",
        ),
        _flip(
            "newly_right",
            "Newly right",
            "examples that the parent had wrong and this version has right / examples",
            Direction.HIGHER,
            "{value} of the examples were wrong before and are right now.",
        ),
        _flip(
            "answers_changed",
            "Answers changed",
            "examples with another most probable class than the parent's / examples",
            Direction.CONTEXT,
            "{value} of the examples get another answer than before.",
        ),
        MetricSpec(
            name="mcnemar_p",
            title="McNemar's p",
            unit="probability",
            direction=Direction.CONTEXT,
            formula="exact two-sided p that newly wrong and newly right are equally likely; independent rows only",
            reference="McNemar 1947, Psychometrika 12:153",
            plain="If neither version were better, a difference this large would arise with probability {value}.",
        ),
        _score(
            "log_loss_change",
            "Change of log loss",
            "−ln p(true class), p clipped at 2.2e-16",
            "The surprise at the true answer changed by {value} nats on average; below 0 is better.",
        ),
        _score(
            "brier_change",
            "Change of Brier score",
            "Σ_k (p_k − [truth = k])²",
            "The squared distance of the probabilities from the truth changed by {value}; below 0 is better.",
        ),
        _score(
            "absolute_error_change",
            "Change of absolute error",
            "|prediction − truth|",
            "Predictions miss the truth by {value} more than the parent's on average; below 0 is better.",
        ),
    )

    def plan(self, data_rows: int, params: VersionParams) -> Plan:
        return one_pass(data_rows)

    def run_shard(
        self, model: Any, data: Dataset, params: VersionParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations import predicting, scoring

        if data.modality is Modality.TABULAR_REGRESSION:
            return predicting.predict_shard(model, data, ctx, scoring.all_rows(data, shard))
        return scoring.score_shard(model, data, ctx, scoring.all_rows(data, shard))

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: VersionParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations import charts
        from evaluations.quality import version_numbers, version_pairs

        if data.modality is Modality.TABULAR_REGRESSION:
            numbers = version_numbers.collect(states, data, ctx)
            found = version_numbers.measure(numbers, data, params)
            shown = [("all examples", m) for m in found if m.name == "absolute_error_change"]
            return ctx.result(
                self,
                params,
                metrics=found,
                charts=charts.changes(
                    "absolute_error_change", "Change of absolute error", shown, "absolute_error_change", ".3g"
                ),
                coverage=numbers.coverage(),
            )
        pair = version_pairs.collect(states, data, ctx)
        metrics = version_pairs.measure(pair, data, params)
        overall = next(m for m in metrics if m.name == "accuracy_change")
        groups = [(m.slice, m) for m in metrics if m.name == "accuracy_change_in_group"]
        return ctx.result(
            self,
            params,
            metrics=metrics,
            charts=charts.changes(
                "accuracy_change",
                "Change of accuracy",
                [("all examples", overall), *groups],
                "accuracy_change",
            ),
            coverage=pair.coverage(),
            examples=version_pairs.examples(pair, data),
            warnings=version_pairs.warnings(pair),
        )


EVALUATION = VersionChange()
