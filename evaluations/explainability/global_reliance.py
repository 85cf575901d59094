"""explainability.global: what the model leans on over many examples: tokens, columns, places."""

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

SHARD_EXAMPLES = 50
QUERIES_EACH = 20  # of an example, without its attribution; for the forecast only
SELECTED = (
    "intervals of the R features shown of m stand at 1 − .05·R/m, since the largest are shown (Benjamini & Yekutieli "
    "2005, JASA 100:71)"
)


class GlobalParams(ScoredParams):
    examples: int = Field(
        default=500,
        ge=1,
        le=100_000,
        title="Examples",
        description="In how many examples tokens are masked, or columns shuffled.",
    )
    explained: int = Field(
        default=100,
        ge=1,
        le=10_000,
        title="Examples explained",
        description="How many of them are explained.",
    )
    method: OfClassifiers = Field(
        default="auto", title="Method", description=f"How the attributions are made. {AUTO}"
    )
    max_evals: int = Field(
        default=500,
        ge=10,
        le=100_000,
        title="Questions per explanation",
        description="How many combinations of present features SHAP may look at.",
    )
    removal: Removal = "mask"
    repeats: int = Field(
        default=5,
        ge=1,
        le=100,
        title="Shuffles",
        description="How often each column of a table is shuffled across the rows.",
    )
    least: int = Field(
        default=5,
        ge=5,
        le=1000,
        title="Fewest occurrences",
        description="Features found in fewer examples, or tokens in fewer different texts, are not shown: they could "
        "name someone.",
    )
    top: int = Field(
        default=20, ge=1, le=100, title="Features shown", description="So many are shown, the largest first."
    )
    most_features: int = Field(
        default=512,
        ge=2,
        le=4096,
        title="Most features",
        description="Examples with more features are skipped: each takes a query.",
    )


class GlobalReliance:
    """Means over many examples, never a verdict: whether a reliance is right only people can say."""

    name: ClassVar[str] = "explainability.global"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "What the model leans on"
    question: ClassVar[str] = "Which words, columns or places do the answers hang on, over all examples?"
    Params: ClassVar[type[Params]] = GlobalParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(Modality.TEXT_CLASSIFIER, Modality.IMAGE_CLASSIFIER, Modality.TABULAR),
        access=(Access.LABEL | Access.PROBS).value,
        roles=(Role.INPUT,),
    )
    tags: ClassVar[tuple[str, ...]] = ("explainability", "transparency")
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec(
            name="mean_attribution",
            title="Mean size of the attribution",
            unit="difference",
            direction=Direction.CONTEXT,
            formula="mean over explained examples that hold the feature of |φ|, for a token summed over its places in "
            f"the example; t interval, clustered where rows are; {SELECTED}",
            reference="Lundberg et al. 2020, Nat. Mach. Intell. 2:56",
            plain="Where it occurs, this feature moves the answer by {value} on average (in probability; in log-odds "
            "where a warning says so).",
            sliced=True,
        ),
        MetricSpec(
            name="masking_drop",
            title="Fall when the token is masked",
            unit="difference",
            direction=Direction.CONTEXT,
            formula="mean over examples that hold the token of p(y|x) − p(y|x with the token removed wherever it "
            "stands), y the answer to x; t interval, clustered where rows are; of the tokens whose fall differs from "
            f"0 by Benjamini and Hochberg at 5 %; {SELECTED}",
            reference="Li et al. 2016, arXiv 1612.08220; Benjamini & Hochberg 1995, JRSS B 57:289",
            plain="Without this token the probability of the answer falls by {value} on average.",
            sliced=True,
        ),
        MetricSpec(
            name="permutation_importance",
            title="Accuracy lost when the column is shuffled",
            unit="difference",
            direction=Direction.CONTEXT,
            formula="accuracy − accuracy with the column's values shuffled across the rows, mean of `repeats` "
            f"shuffles; paired by row, t interval, clustered where rows are; {SELECTED}",
            reference="Breiman 2001, Mach. Learn. 45:5",
            plain="With this column shuffled, the model is right {value} less often.",
            sliced=True,
        ),
    )

    def plan(self, data_rows: int, params: GlobalParams) -> Plan:
        from evaluations.stats import smallest_detectable_effect

        n = min(params.examples, data_rows)
        return Plan(
            shards=shards(n, SHARD_EXAMPLES),
            expected_queries=n * QUERIES_EACH + min(n, params.explained) * params.max_evals,
            smallest_detectable_effect=smallest_detectable_effect(n),
        )

    def run_shard(
        self, model: Any, data: Dataset, params: GlobalParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations.explainability import global_asking

        return global_asking.ask_shard(model, data, params, ctx, shard)

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: GlobalParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations.explainability import global_scores

        found = global_scores.collect(states, data, params, ctx)
        reliance = global_scores.reliance(found, params)
        return ctx.result(
            self,
            params,
            metrics=global_scores.metrics(reliance),
            charts=global_scores.drawn(found, reliance),
            warnings=global_scores.warnings(found, params),
            coverage=found.coverage(),
        )


EVALUATION = GlobalReliance()
