"""quality.ood: whether the model is less sure of examples from elsewhere."""

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
    Role,
    ScoredParams,
    Shard,
    ShardState,
)

if TYPE_CHECKING:
    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.models.protocol import Classifier

HENDRYCKS = "Hendrycks & Gimpel 2017, arXiv 1610.02136"
LIU = "Liu et al. 2020, arXiv 2010.03759"
AUC = "P(s of an own example above s of a foreign one) + ½ P(equal); Newcombe's interval, clustered where rows are"
FPR = (
    "share of foreign examples with s ≥ t, t the largest value that 95 % of the own examples reach; ends from the "
    "order-statistic bounds of t (97.5 %) and Wilson (97.5 %) together"
)
SCORES = {
    "": ("confidence", "s the largest probability", HENDRYCKS),
    "_entropy": ("entropy", "s the negative entropy Σ_k p_k·ln p_k", HENDRYCKS),
    "_energy": ("energy", "s = ln Σ_k exp(logit_k)", LIU),
}


class OodParams(ScoredParams):
    energy: bool = Field(
        default=False,
        title="Energy score",
        description="Also judge by the logits, where the model gives them. Asks it once more.",
    )


def _metrics(end: str) -> tuple[MetricSpec, MetricSpec]:
    what, score, reference = SCORES[end]
    return (
        MetricSpec(
            name=f"auroc{end}",
            title=f"Detection by {what}: area under the ROC curve",
            unit="probability",
            direction=Direction.HIGHER,
            formula=f"{AUC}; {score}",
            reference=f"{reference}; interval: Newcombe 2006, Statistics in Medicine 25:559",
            plain=f"By its {what} the model tells an own example from a foreign one with probability {{value}}.",
        ),
        MetricSpec(
            name=f"fpr95{end}",
            title=f"Detection by {what}: foreign examples accepted",
            unit="proportion",
            direction=Direction.LOWER,
            formula=f"{FPR}; {score}",
            reference=f"{reference}; Liang, Li & Srikant 2018, arXiv 1706.02690",
            plain="Set to accept 95 % of its own examples, the model also accepts {value} of the foreign ones.",
        ),
    )


class OutOfDistribution:
    """The split named ood against the rest: can they be told apart by how sure the model is?"""

    name: ClassVar[str] = "quality.ood"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Foreign inputs"
    question: ClassVar[str] = "Does the model notice inputs of a kind it was not made for?"
    Params: ClassVar[type[Params]] = OodParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(Modality.TEXT_CLASSIFIER, Modality.IMAGE_CLASSIFIER, Modality.TABULAR),
        access=(Access.LABEL | Access.PROBS).value,
        roles=(Role.INPUT, Role.SPLIT),
    )
    tags: ClassVar[tuple[str, ...]] = ("uncertainty", "robustness")
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        *_metrics(""),
        MetricSpec(
            name="aupr",
            title="Detection by confidence: average precision",
            unit="proportion",
            direction=Direction.HIGHER,
            formula="Σ (R_i − R_{i−1})·P_i with the foreign examples as hits, least sure first; depends on their "
            "share; Wilson interval at their number",
            reference=HENDRYCKS,
            plain="Going through the examples from the least sure, {value} are foreign on average above each find.",
        ),
        *_metrics("_entropy"),
        *_metrics("_energy"),
    )

    def plan(self, data_rows: int, params: OodParams) -> Plan:
        plan = one_pass(data_rows)
        return Plan(
            shards=plan.shards,
            expected_queries=plan.expected_queries * (2 if params.energy else 1),
            smallest_detectable_effect=plan.smallest_detectable_effect,
        )

    def run_shard(
        self, model: Classifier, data: Dataset, params: OodParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations.quality import ood_scores

        return ood_scores.score_shard(model, data, ctx, shard, params)

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: OodParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations import charts
        from evaluations.quality import ood_scores

        rows = ood_scores.collect(states, data, ctx)
        own, foreign = ood_scores.confidences(rows)
        return ctx.result(
            self,
            params,
            metrics=ood_scores.measure(rows, params),
            charts=charts.distributions(
                "confidence",
                "Confidence of own and foreign examples",
                "Confidence",
                {"own": own, "foreign": foreign},
            ),
            coverage=rows.coverage(),
        )


EVALUATION = OutOfDistribution()
