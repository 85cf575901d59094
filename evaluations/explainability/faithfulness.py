"""explainability.faithfulness: whether what an explanation calls important is what the answer hangs on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from evaluations.explainability.methods import AUTO, OfClassifiers, Removal
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

SHARD_EXAMPLES = 10  # some hundred queries each: what is lost when a run is killed
QUERIES_EACH = 100  # of features left out one by one and of random orders, for the forecast only
QUERIES_BOUNDS = 2000  # of a search for the best and the worst order
ERASER = "DeYoung et al. 2020, ERASER, arXiv 1911.03429"
EDIN = "Edin et al. 2024, arXiv 2408.08137"
REMOVED = (
    "a token is masked or deleted (parameter), a grid cell shows the image's mean colour, a column takes the values "
    "of 20 rows drawn from the data, averaged over"
)
PAIRED = "mean over examples, t interval, clustered where rows are"


class FaithfulnessParams(ScoredParams):
    examples: int = Field(
        default=100, ge=1, le=10_000, title="Examples", description="How many examples to explain."
    )
    method: OfClassifiers = Field(
        default="auto",
        title="Method",
        description=f"How the attributions are made. {AUTO} Random ones are the yardstick: they should show no "
        "excess.",
    )
    max_evals: int = Field(
        default=500,
        ge=10,
        le=100_000,
        title="Questions per explanation",
        description="How many combinations of present features SHAP may look at.",
    )
    removal: Removal = "mask"
    draws: int = Field(
        default=5,
        ge=1,
        le=100,
        title="Random attributions",
        description="How many random attributions each example is compared with.",
    )
    bounded: int = Field(
        default=20,
        ge=0,
        le=10_000,
        title="Examples with bounds",
        description="For how many of the examples the best and the worst order are sought. It takes thousands of "
        "queries each.",
    )
    beam: int = Field(
        default=5,
        ge=1,
        le=100,
        title="Width of the search",
        description="How many orders are followed at once where there are too many features to try all.",
    )
    bounded_features: int = Field(
        default=32,
        ge=2,
        le=512,
        title="Most features with bounds",
        description="For examples with more features the best and the worst order are not sought.",
    )
    most_features: int = Field(
        default=512,
        ge=2,
        le=4096,
        title="Most features",
        description="Examples with more features are skipped: each feature is left out once, which takes a query.",
    )


class Faithfulness:
    """Removes what an attribution calls important, and compares with removing at random on the same example."""

    name: ClassVar[str] = "explainability.faithfulness"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Faithfulness of explanations"
    question: ClassVar[str] = "Does the answer hang on what the explanation calls important?"
    Params: ClassVar[type[Params]] = FaithfulnessParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(Modality.TEXT_CLASSIFIER, Modality.IMAGE_CLASSIFIER, Modality.TABULAR),
        access=(Access.LABEL | Access.PROBS).value,
        roles=(Role.INPUT,),
    )
    tags: ClassVar[tuple[str, ...]] = ("explainability", "transparency")
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec(
            name="comprehensiveness",
            title="Comprehensiveness",
            unit="difference",
            direction=Direction.HIGHER,
            formula="AOPC: mean over k = 1, 5, 10, 20, 50 % of p(y|x) − p(y|x without its max(1, ⌈k·features⌉) highest "
            f"attributions), y the answer to x; {REMOVED}; {PAIRED}",
            reference=ERASER,
            plain="Without what the explanation calls important, the probability of the answer falls by {value}.",
        ),
        MetricSpec(
            name="sufficiency",
            title="Sufficiency",
            unit="difference",
            direction=Direction.LOWER,
            formula="AOPC: mean over k = 1, 5, 10, 20, 50 % of p(y|x) − p(y|the max(1, ⌈k·features⌉) highest "
            f"attributions alone); {PAIRED}",
            reference=ERASER,
            plain="With what the explanation calls important alone, the probability of the answer falls by {value}.",
        ),
        MetricSpec(
            name="excess_comprehensiveness",
            title="Comprehensiveness beyond chance",
            unit="difference",
            direction=Direction.HIGHER,
            formula="comprehensiveness − that of random attributions of the same example (mean of `draws`); "
            f"paired {PAIRED}",
            reference=ERASER,
            plain="Removing what the explanation calls important lowers the answer by {value} more than removing as "
            "much at random.",
        ),
        MetricSpec(
            name="excess_sufficiency",
            title="Sufficiency beyond chance",
            unit="difference",
            direction=Direction.LOWER,
            formula="sufficiency − that of random attributions of the same example (mean of `draws`), below 0 where "
            f"the explanation is better than chance; paired {PAIRED}",
            reference=ERASER,
            plain="Kept alone, what the explanation calls important loses {value} more of the answer than as much "
            "kept at random (below 0: it loses less).",
        ),
        MetricSpec(
            name="naopc",
            title="Normalised area over the curve",
            unit="score",
            direction=Direction.HIGHER,
            formula="(AOPC − low) / (up − low) of the curve with one feature more removed at each point, low and up of "
            "the worst and the best order: exact up to 8 features, else by beam search; mean over the examples for "
            "which they were sought and the order matters; Wilson-type interval of a bounded mean",
            reference=EDIN,
            plain="Between the worst order of removal (0) and the best one (1), the explanation's order stands at "
            "{value}.",
        ),
        MetricSpec(
            name="tau_b",
            title="Agreement with leaving out one by one",
            unit="score",
            direction=Direction.HIGHER,
            formula="Kendall's τ-b between the attributions and what the answer loses without each feature alone (1 "
            "for occlusion, which is the same); examples in which either never varies are left out; mean over "
            "examples, Wilson-type interval of a bounded mean",
            reference="Kendall 1945, Biometrika 33:239; Jain & Wallace 2019, arXiv 1902.10186",
            plain="The explanation ranks features as leaving each out does with an agreement of {value} (1: same "
            "order, 0: unrelated).",
        ),
    )

    def plan(self, data_rows: int, params: FaithfulnessParams) -> Plan:
        from evaluations.stats import smallest_detectable_effect

        n = min(params.examples, data_rows)
        return Plan(
            shards=shards(n, SHARD_EXAMPLES),
            expected_queries=n * (params.max_evals + QUERIES_EACH) + min(n, params.bounded) * QUERIES_BOUNDS,
            smallest_detectable_effect=smallest_detectable_effect(n),
        )

    def run_shard(
        self, model: Any, data: Dataset, params: FaithfulnessParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations.explainability import faithfulness_asking

        return faithfulness_asking.ask_shard(model, data, params, ctx, shard)

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: FaithfulnessParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations import charts
        from evaluations.explainability import faithfulness_scores

        found = faithfulness_scores.collect(states, data, params, ctx)
        return ctx.result(
            self,
            params,
            metrics=faithfulness_scores.measure(found, params.max_error_rate),
            charts=charts.perturbation_curves(faithfulness_scores.curves(found)),
            examples=faithfulness_scores.examples(found),
            warnings=faithfulness_scores.warnings(found, params),
            coverage=found.coverage(),
        )


EVALUATION = Faithfulness()
