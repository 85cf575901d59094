"""explainability.attribution: which tokens, columns or places speak for each answer, and whether the sums come out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

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

SHARD_EXAMPLES = 10  # an explanation is some hundred queries: what is lost when a run is killed
LUNDBERG = "Lundberg & Lee 2017, arXiv 1705.07874 (local accuracy)"


class AttributionParams(ScoredParams):
    method: Literal[
        "auto",
        "partition_shap",
        "permutation_shap",
        "tree_shap",
        "linear_shap",
        "integrated_gradients",
        "occlusion",
    ] = Field(
        default="auto",
        title="Method",
        description="How the attributions are made. Auto: SHAP's partition explainer for texts, images and prompts; "
        "for tables its explainer of trees or of linear models where it reads the model, else random permutations.",
    )
    examples: int = Field(
        default=50, ge=1, le=10_000, title="Examples", description="How many examples are explained."
    )
    max_evals: int = Field(
        default=500,
        ge=10,
        le=100_000,
        title="Questions per explanation",
        description="How many combinations of present features SHAP may look at. Permutations take at least twice "
        "the number of features, and trees and linear models none.",
    )
    seeds: int = Field(
        default=5,
        ge=2,
        le=20,
        title="Seeds",
        description="How often an explanation that draws at random is made again, to see whether its order stays.",
    )
    removal: Literal["mask", "delete"] = Field(
        default="mask",
        title="Removal of tokens",
        description="Whether an absent token of a text is replaced by the mask token or left out. Prompts of language "
        "models, which have no mask token, always lose it.",
    )
    background: int = Field(
        default=20,
        ge=1,
        le=100,
        title="Background rows",
        description="How many rows of a table give the values of an absent column.",
    )
    continuation: int = Field(
        default=5,
        ge=1,
        le=64,
        title="Tokens of the continuation",
        description="How many tokens a language model writes, whose probability is explained.",
    )
    most_features: int = Field(
        default=512,
        ge=2,
        le=1024,
        title="Most features",
        description="Examples with more features are skipped.",
    )


class AttributionEvaluation:
    """Explains the predicted class of a seeded sample of examples. What the model process says of itself is checked."""

    name: ClassVar[str] = "explainability.attribution"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Explanations of single answers"
    question: ClassVar[str] = "Which parts of an input speak for the answer, and is the explanation sound?"
    Params: ClassVar[type[Params]] = AttributionParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(
            Modality.TEXT_CLASSIFIER,
            Modality.IMAGE_CLASSIFIER,
            Modality.TABULAR,
            Modality.CAUSAL_LM,
        ),
        access=Access(0).value,
        roles=(Role.INPUT,),
    )
    tags: ClassVar[tuple[str, ...]] = ("explainability", "transparency")
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec(
            name="completeness_gap",
            title="Completeness gap",
            unit="score",
            direction=Direction.LOWER,
            formula="mean over examples of |Σφ − (f(x) − E f)|, E f the output with every feature absent, f the "
            "probability of the predicted class, as the model itself answers (for boosted trees and linear models its "
            "log-odds, of several classes its raw score, known but for what all classes have in common; of those that "
            "round to the model's probability at 1e-6 the nearest); t interval, clustered where rows are",
            reference=LUNDBERG,
            plain="The parts of an explanation miss what they should add up to by {value} on average.",
        ),
        MetricSpec(
            name="largest_gap",
            title="Largest completeness gap",
            unit="score",
            direction=Direction.LOWER,
            formula="max over examples of |Σφ − (f(x) − E f)|",
            reference=LUNDBERG,
            plain="In the worst example the parts of the explanation miss what they should add up to by {value}.",
        ),
        MetricSpec(
            name="convergence_delta",
            title="Convergence delta",
            unit="difference",
            direction=Direction.LOWER,
            formula="mean over examples of |Σφ − (f(x) − f(x′))|, as captum reports it for 50 Gauss–Legendre steps "
            "from the absent input x′, f the probability of the predicted class; t interval, clustered where rows are",
            reference="Sundararajan et al. 2017, arXiv 1703.01365",
            plain="The steps of the integrated gradients miss {value} of the change in probability on average.",
        ),
        MetricSpec(
            name="seed_rank_correlation",
            title="Rank correlation over seeds",
            unit="score",
            direction=Direction.HIGHER,
            formula="mean over examples of the mean Spearman correlation of φ over all pairs of seeds; Wilson's "
            "interval at the number of yes/no examples with the same variance; 1 without interval where the method "
            "draws nothing, and SHAP's partition explainer draws to break ties only",
            reference="Slack et al. 2021, arXiv 2008.05030 (instability over seeds)",
            plain="Explained again with other random draws, the order of the features agrees to {value}.",
        ),
    )

    def plan(self, data_rows: int, params: AttributionParams) -> Plan:
        n = min(params.examples, data_rows)
        return Plan(shards=shards(n, SHARD_EXAMPLES), expected_queries=n * params.max_evals)

    def run_shard(
        self, model: Any, data: Dataset, params: AttributionParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations.explainability import attribution_asking

        return attribution_asking.ask_shard(model, data, params, ctx, shard)

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: AttributionParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations.explainability import attribution_examples, attribution_scores

        found = attribution_scores.collect(states, data, params, ctx)
        return ctx.result(
            self,
            params,
            metrics=attribution_scores.measure(found, params.max_error_rate),
            charts=attribution_examples.drawn(found),
            examples=attribution_examples.examples(found),
            warnings=attribution_scores.warnings(found, params),
            coverage=found.coverage(),
        )


EVALUATION = AttributionEvaluation()
