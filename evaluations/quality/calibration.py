"""quality.calibration: whether the probabilities that a classifier states can be taken at their word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

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


INDEPENDENT = (
    "The examples come in clusters: the intervals allow for it; what a perfect model would show supposes that they are "
    "independent."
)


def _ece(name: str, title: str, formula: str, reference: str, plain: str) -> MetricSpec:
    return MetricSpec(
        name=name,
        title=title,
        unit="probability",
        direction=Direction.LOWER,
        formula=formula,
        reference=reference,
        plain=plain,
    )


class Calibration:
    """Confidence (the largest probability) against the share of right answers, in bins of confidence."""

    name: ClassVar[str] = "quality.calibration"
    version: ClassVar[str] = "2"
    title: ClassVar[str] = "Calibration"
    question: ClassVar[str] = "When the model says it is 90 % sure, is it right 90 % of the time?"
    Params: ClassVar[type[Params]] = ScoredParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(Modality.TEXT_CLASSIFIER, Modality.IMAGE_CLASSIFIER, Modality.TABULAR),
        access=(Access.LABEL | Access.PROBS).value,
    )
    tags: ClassVar[tuple[str, ...]] = ("calibration", "uncertainty")
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        _ece(
            "ece",
            "Expected calibration error",
            "Σ_b (n_b/n)·|share right − mean confidence| over 15 equal-width right-closed bins; biased upward, "
            "so without an interval: compare with the null",
            "Naeini, Cooper & Hauskrecht 2015, AAAI; Guo et al. 2017, arXiv 1706.04599",
            "Stated confidence and share of right answers differ by {value} on average, chance included.",
        ),
        _ece(
            "ece_debiased",
            "Calibration error without its bias",
            "2·ECE − Σ_b (n_b/n)·E|N(gap_b, right_b(1 − right_b)/n_b)|, at least 0; the interval inverts the law of "
            "ECE at its least favourable gaps, its variance that of clusters where rows come in them",
            "Kumar, Liang & Ma 2019, arXiv 1909.10155 (L1 form of their released library)",
            "Stated confidence and share of right answers differ by about {value}, beyond what chance alone shows.",
        ),
        _ece(
            "ece_adaptive",
            "Calibration error, equal-count bins",
            "as ECE over 15 bins of equal count, equal confidences kept together",
            "Nixon et al. 2019, arXiv 1904.01685",
            "With as many examples in each bin, confidence and share of right answers differ by {value} on average.",
        ),
        _ece(
            "ece_classwise",
            "Calibration error per class",
            "mean over classes k of ECE of p_k against (truth = k), 15 equal-width right-closed bins",
            "Kull et al. 2019, arXiv 1910.12656",
            "Over all classes, stated probability and frequency differ by {value} on average, chance included.",
        ),
        MetricSpec(
            name="ece_null_mean",
            title="Calibration error of a perfect model",
            unit="probability",
            direction=Direction.CONTEXT,
            formula="exact mean of ECE when right ~ Bernoulli(confidence), on the same confidences",
            reference="Vaicenavicius et al. 2019, arXiv 1902.06977",
            plain="A perfectly calibrated model with these confidences would show {value} on so many examples.",
        ),
        MetricSpec(
            name="ece_null_q95",
            title="Calibration error of a perfect model, 95 % quantile",
            unit="probability",
            direction=Direction.CONTEXT,
            formula="95 % quantile of ECE when right ~ Bernoulli(confidence), 9,999 draws on the same confidences",
            reference="Vaicenavicius et al. 2019, arXiv 1902.06977",
            plain="A perfectly calibrated model would show more than {value} only once in twenty times.",
        ),
        MetricSpec(
            name="brier",
            title="Brier score",
            unit="score",
            direction=Direction.LOWER,
            formula="mean of Σ_k (p_k − [truth = k])², from 0 to 2; interval of a bounded mean, clustered where rows "
            "are; no answer is 2 and 0",
            reference="Brier 1950, Monthly Weather Review 78:1",
            plain="Probabilities miss the truth by {value} in squared distance; 0 is perfect, 2 is certain and wrong.",
        ),
    )

    def plan(self, data_rows: int, params: ScoredParams) -> Plan:
        return one_pass(data_rows)

    def run_shard(
        self, model: Classifier, data: Dataset, params: ScoredParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations import scoring

        return scoring.score_shard(model, data, ctx, scoring.all_rows(data, shard))

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: ScoredParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations import charts, scoring
        from evaluations.quality import calibration_error

        scored = scoring.collect(states, data, ctx)
        bins = calibration_error.reliability(scored.answered())
        return ctx.result(
            self,
            params,
            metrics=calibration_error.measure(scored, params.max_error_rate, ctx),
            charts=charts.reliability(bins),
            coverage=scored.coverage(),
            warnings=[] if scored.clusters is None else [INDEPENDENT],
        )


EVALUATION = Calibration()
