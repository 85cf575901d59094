"""explainability.sanity: whether explanations hang on the model, stay put, and find a cause that is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from evaluations.explainability.methods import OfNetworks, Removal
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

SHARD_EXAMPLES = 25  # some attributions each: what is lost when a run is killed
BASTINGS = "Bastings et al. 2022, arXiv 2111.07367"
HEDSTROM = "Hedström et al. 2024, arXiv 2401.06465"
COPY = (
    "a copy of the model is taught that one of two signs, put at a random place (a token or a grid cell), alone "
    "decides between the first two classes"
)


class SanityParams(ScoredParams):
    examples: int = Field(
        default=120, ge=1, le=10_000, title="Examples", description="How many examples to explain."
    )
    method: OfNetworks = Field(
        default="auto",
        title="Method",
        description="How the attributions are made. Auto: SHAP's partition explainer. Random ones are the yardstick: "
        "they should fail.",
    )
    max_evals: int = Field(
        default=200,
        ge=10,
        le=100_000,
        title="Questions per explanation",
        description="How many combinations of present features SHAP may look at.",
    )
    removal: Removal = "mask"
    networks: int = Field(
        default=8,
        ge=2,
        le=50,
        title="Random networks",
        description="So many networks with weights drawn anew are spread over the examples.",
    )
    repeated: int = Field(
        default=20,
        ge=1,
        le=10_000,
        title="Examples explained repeatedly",
        description="For so many of the examples the explanation is repeated: with other seeds, and nearby.",
    )
    seeds: int = Field(default=5, ge=2, le=20, title="Seeds", description="How many seeds are compared.")
    nearby: int = Field(
        default=5,
        ge=1,
        le=100,
        title="Nearby inputs",
        description="How many inputs that hardly differ are explained for each repeated example.",
    )
    steps: int = Field(
        default=300,
        ge=1,
        le=10_000,
        title="Steps of teaching",
        description="For at most so many batches of 16 a copy is taught the planted shortcut.",
    )
    learning_rate: float = Field(
        default=1e-4,
        gt=0,
        le=1,
        title="Learning rate",
        description="Of the copy that is taught; where it does not learn, ten times that is tried.",
    )
    min_planted: int = Field(
        default=100,
        ge=1,
        le=10_000,
        title="Fewest planted examples",
        description="With fewer examples in which the planted sign decides, nothing is said of it.",
    )
    most_features: int = Field(
        default=512,
        ge=2,
        le=4096,
        title="Most features",
        description="Examples with more tokens are skipped: attributions of them take many queries.",
    )


class Sanity:
    """Explains the model, randomised networks of its architecture and a copy whose reasons are known."""

    name: ClassVar[str] = "explainability.sanity"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Sanity of explanations"
    question: ClassVar[str] = "Do the explanations hang on the model, and do they find a cause that is known?"
    Params: ClassVar[type[Params]] = SanityParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(Modality.TEXT_CLASSIFIER, Modality.IMAGE_CLASSIFIER),
        access=(Access.PROBS | Access.WEIGHTS | Access.GRAD).value,
        roles=(Role.INPUT,),
    )
    tags: ClassVar[tuple[str, ...]] = ("explainability", "transparency")
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec(
            name="emprt",
            title="Rise of complexity in random networks",
            unit="ratio",
            direction=Direction.HIGHER,
            formula="eMPRT: (ΣH(ê) − ΣH(e)) / ΣH(e), H the entropy of the histogram (100 equal bins) of an example's "
            "attributions, e of the model, ê of a network with all weights drawn anew (one of `networks`, by "
            "example), both for the model's answer; pooled over examples, since the mean of single ratios is above 0 "
            "for mere noise; the wider of BCa bootstrap and jackknife over the networks (over the data's clusters "
            "where that is wider)",
            reference=HEDSTROM,
            plain="With all weights drawn anew, explanations are {value} more complex than those of the model. "
            "Around 0 the explanation hardly hangs on the model.",
        ),
        MetricSpec(
            name="emprt_shares",
            title="Rise of complexity, by shares",
            unit="ratio",
            direction=Direction.HIGHER,
            formula="as eMPRT, with H the entropy of the features' shares |φ|/Σ|φ|, which tells explanations of few "
            "features apart where the histogram does not; the same interval",
            reference=f"{HEDSTROM}; Bhatt et al. 2020, arXiv 2005.00631",
            plain="With all weights drawn anew, explanations spread over {value} more of the features, by entropy. "
            "Around 0 the explanation hardly hangs on the model.",
        ),
        MetricSpec(
            name="emprt_risen",
            title="Explanations that grow more complex",
            unit="proportion",
            direction=Direction.HIGHER,
            formula="examples whose features' shares have more entropy in the random network / examples; Wilson "
            "interval, clustered by network. Half of them for mere noise, none for an attribution that ignores the "
            "model",
            reference=f"{HEDSTROM}; Bhatt et al. 2020, arXiv 2005.00631",
            plain="{value} of the explanations grow more complex when all weights are drawn anew.",
        ),
        MetricSpec(
            name="max_sensitivity",
            title="Change under nearby inputs",
            unit="ratio",
            direction=Direction.LOWER,
            formula="Σ max over `nearby` inputs x′ of ‖φ(x′) − φ(x)‖ / Σ ‖φ(x)‖ over the repeated examples, for the "
            "answer to x and with the same seed; x′ is the image with uniform noise of up to 2 % of its range, or the "
            "text with one token, drawn at random, replaced by its nearest neighbour in the model's embedding (by "
            "angle); the wider of BCa bootstrap and jackknife over examples",
            reference="Yeh et al. 2019, arXiv 1901.09392",
            plain="For inputs that hardly differ, the explanation moves by up to {value} of its size.",
        ),
        MetricSpec(
            name="seed_correlation",
            title="Agreement between seeds",
            unit="score",
            direction=Direction.HIGHER,
            formula="mean over pairs of `seeds` seeds of Spearman's ρ between the attributions of an example; mean "
            "over the repeated examples whose attributions vary with every seed, Wilson-type interval of a bounded "
            "mean; 1 by itself where the method draws nothing, and SHAP's partition explainer draws to break ties only",
            reference="Spearman 1904, Am. J. Psychol. 15:72",
            plain="Explained again with another seed, features are ranked with an agreement of {value} (1: the same).",
        ),
        MetricSpec(
            name="shortcut_precision",
            title="Planted shortcut found",
            unit="proportion",
            direction=Direction.HIGHER,
            formula=f"precision@k for the k = 1 planted feature: {COPY}; examples in which the sign has the highest "
            "attribution for the copy's answer, alone / examples in which the sign decides (the copy follows it, and "
            "follows the other sign in the same place); Wilson interval, clustered where rows are",
            reference=BASTINGS,
            plain="A planted cause that alone decides the answer is named first by {value} of the explanations.",
        ),
        MetricSpec(
            name="shortcut_untaught",
            title="Planted sign named without teaching",
            unit="proportion",
            direction=Direction.CONTEXT,
            formula="the same examples explained for the registered model, which was never taught the sign: examples "
            "in which it has the highest attribution / those examples; Wilson interval",
            reference=BASTINGS,
            plain="For the model itself, to which the sign means nothing, {value} of the explanations name it first.",
        ),
        MetricSpec(
            name="shortcut_chance",
            title="Planted sign named by chance",
            unit="proportion",
            direction=Direction.CONTEXT,
            formula="mean over those examples of 1 / features; the number itself, so without an interval",
            reference=BASTINGS,
            plain="A guess would name the planted cause first in {value} of the examples.",
        ),
        MetricSpec(
            name="shortcut_learnt",
            title="Shortcut learnt",
            unit="proportion",
            direction=Direction.CONTEXT,
            formula="examples in which the taught copy follows the sign, and the other sign in the same place / "
            "examples; Wilson interval. Below .9 nothing is said of the shortcut",
            reference=BASTINGS,
            plain="The taught copy follows the planted sign in {value} of the examples.",
        ),
        MetricSpec(
            name="shortcut_without",
            title="Right without the sign",
            unit="proportion",
            direction=Direction.CONTEXT,
            formula="examples in which the taught copy answers the sign's class although the sign is masked / "
            "examples; Wilson interval. About ½ where nothing else tells it",
            reference=BASTINGS,
            plain="With the planted sign masked, the taught copy is right in {value} of the examples; a coin is in "
            "half of them.",
        ),
    )

    def plan(self, data_rows: int, params: SanityParams) -> Plan:
        from evaluations.stats import smallest_detectable_effect

        n = min(params.examples, data_rows)
        again = min(n, params.repeated) * (params.seeds - 1 + params.nearby)
        return Plan(
            shards=shards(n, SHARD_EXAMPLES),
            expected_queries=(4 * n + again) * params.max_evals,
            smallest_detectable_effect=smallest_detectable_effect(n),
        )

    def run_shard(
        self, model: Any, data: Dataset, params: SanityParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations.explainability import sanity_asking

        return sanity_asking.ask_shard(model, data, params, ctx, shard)

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: SanityParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations.explainability import sanity_scores

        found = sanity_scores.collect(states, data, params, ctx)
        metrics = sanity_scores.measure(found, params, ctx)
        return ctx.result(
            self,
            params,
            metrics=metrics,
            charts=sanity_scores.drawn(found, metrics),
            examples=sanity_scores.examples(found),
            warnings=sanity_scores.warnings(found, params, metrics),
            coverage=found.coverage(),
        )


EVALUATION = Sanity()
