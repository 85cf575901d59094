"""quality.classification: how often a classifier is right, overall and per class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from evaluations.engine.stop_early import StopEarly
from evaluations.planning import one_pass, sequential_pass
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


class ClassificationParams(ScoredParams):
    """Errors, and whether the run may stop before every example was asked."""

    stop_early: StopEarly | None = Field(
        default=None,
        title="Stop early",
        description="Ask in a random order and stop once accuracy is settled against this limit. "
        "The other metrics then have no interval.",
    )


class Classification:
    """Truth against the most probable class. No answer: wrong in the lower bound, right in the upper."""

    name: ClassVar[str] = "quality.classification"
    version: ClassVar[str] = "2"
    title: ClassVar[str] = "Classification quality"
    question: ClassVar[str] = "How often is the model right, and is it right for every class?"
    Params: ClassVar[type[Params]] = ClassificationParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(Modality.TEXT_CLASSIFIER, Modality.IMAGE_CLASSIFIER, Modality.TABULAR),
        access=Access.LABEL.value,
    )
    tags: ClassVar[tuple[str, ...]] = ("accuracy",)
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec(
            name="accuracy",
            title="Accuracy",
            unit="proportion",
            direction=Direction.HIGHER,
            formula="right answers / answers; Wilson interval, or a uniform-mixture confidence sequence where the "
            "run may stop early",
            reference="Wilson 1927, JASA 22:209; sequence: Robbins 1970, Ann. Math. Stat. 41:1397",
            plain="The model gave the right answer for {value} of the examples.",
        ),
        MetricSpec(
            name="balanced_accuracy",
            title="Balanced accuracy",
            unit="proportion",
            direction=Direction.HIGHER,
            formula="mean over classes of right answers / examples of the class; MOVER interval over Wilson",
            reference="Brodersen et al. 2010, ICPR; interval: Zou & Donner 2008, Statistics in Medicine 27:1693",
            plain="With every class counting the same, the model was right for {value} of the examples.",
        ),
        MetricSpec(
            name="macro_f1",
            title="Macro F1",
            unit="score",
            direction=Direction.HIGHER,
            formula="mean over classes of 2·TP/(2·TP + FP + FN); bootstrap over confusion cells",
            reference="Opitz & Burst 2019, arXiv 1911.03347",
            plain="Finding each class without false alarms scored {value}, averaged over the classes.",
        ),
        MetricSpec(
            name="mcc",
            title="Matthews correlation",
            unit="score",
            direction=Direction.HIGHER,
            formula="correlation of truth and answer, K classes; bootstrap over confusion cells",
            reference="Gorodkin 2004, Comput. Biol. Chem. 28:367",
            plain="Answers and truth correlate at {value}, where 0 is guessing and 1 is always right.",
        ),
        MetricSpec(
            name="auroc",
            title="Area under the ROC curve",
            unit="probability",
            direction=Direction.HIGHER,
            formula="P(positive scored above negative) + ½ P(equal); several classes: mean of one against rest",
            reference="Hanley & McNeil 1982, Radiology 143:29; interval: Newcombe 2006, Statistics in Medicine 25:559",
            plain="The model ranks a random member of a class above a random non-member with probability {value}.",
        ),
        MetricSpec(
            name="average_precision",
            title="Average precision",
            unit="proportion",
            direction=Direction.HIGHER,
            formula="Σ (R_i − R_{i−1})·P_i for the last class; several classes: mean of one against rest; "
            "Wilson interval at the number of positives",
            reference="Boyd, Eng & Page 2013, ECML PKDD",
            plain="Going down the model's ranking, on average {value} of the examples above each hit are hits.",
        ),
        MetricSpec(
            name="log_loss",
            title="Log loss",
            unit="nats",
            direction=Direction.LOWER,
            formula="mean of −ln p(true class), p clipped at 2.2e-16; t interval",
            reference="Good 1952, JRSS B 14:107",
            plain="The model's surprise at the true answer was {value} nats on average; 0 is certain and right.",
        ),
    )

    def plan(self, data_rows: int, params: ClassificationParams) -> Plan:
        return sequential_pass(data_rows) if params.stop_early else one_pass(data_rows)

    def run_shard(
        self, model: Classifier, data: Dataset, params: ClassificationParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations import scoring
        from evaluations.engine import sequential

        if params.stop_early is None:
            rows = scoring.all_rows(data, shard)
        else:
            rows = sequential.rows_to_ask(
                params.stop_early,
                params.max_error_rate,
                data,
                ctx,
                shard,
                lambda asked: scoring.outcomes(model, data, ctx, asked),
            )
        return scoring.score_shard(model, data, ctx, rows)

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: ClassificationParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations import charts, scoring
        from evaluations.engine import sequential
        from evaluations.quality import classification_scores

        asked = sequential.asked_rows(states, data, ctx) if params.stop_early else None
        scored = scoring.collect(states, data, ctx, asked)
        clusters = None if data.clusters is None else data.clusters[scored.rows]
        metrics = classification_scores.measure(scored, params.max_error_rate, ctx, clusters)
        warnings = classification_scores.warnings(scored, clusters)
        if params.stop_early and asked is not None:
            outcomes = scored.outcomes_of(asked)
            sequential.check_stop(params.stop_early, outcomes, data.rows, params.max_error_rate)
            metrics = sequential.only(metrics, "accuracy", outcomes)
            warnings.append(sequential.said("accuracy", len(asked), data.rows))
        answered = scored.answered()
        return ctx.result(
            self,
            params,
            metrics=metrics,
            charts=charts.confusion(answered.truth, answered.predicted, scored.labels) if answered.n else [],
            coverage=scored.coverage(),
            warnings=warnings,
        )


EVALUATION = Classification()
