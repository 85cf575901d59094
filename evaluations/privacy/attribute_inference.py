"""privacy.attribute_inference: whether the model helps to guess a sensitive attribute that the other columns do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

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

VALUES = 3  # questions per row in a forecast: of most attributes two values or a few are tried
JAYARAMAN = "Jayaraman & Evans 2022, CCS, arXiv 2209.01292"
MEHNAZ = "Mehnaz et al. 2022, USENIX Security, arXiv 2201.09370"
NEWCOMBE = "Newcombe 1998, Statistics in Medicine 17:2635, method 10"
MOVER = "Zou & Donner 2008, Statistics in Medicine 27:1693"
GUESS = (
    "gradient-boosted trees, balanced over the values, fitted on one half of the rows and tried on the other, and the "
    "other way round; the interval counts half of the rows, since the two halves err together"
)


class AttributeParams(ScoredParams):
    examples: int = Field(
        default=4000,
        ge=40,
        le=100_000,
        title="Examples",
        description="How many rows are used. Where the model takes the attribute, each is asked once per value.",
    )


class AttributeInference:
    """Two adversaries know all other columns and the true label. The second asks the model too: how far is it ahead?"""

    name: ClassVar[str] = "privacy.attribute_inference"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Inference of sensitive attributes"
    question: ClassVar[str] = (
        "Does the model help to guess a sensitive attribute beyond what the other columns tell anyway?"
    )
    Params: ClassVar[type[Params]] = AttributeParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(Modality.TABULAR, Modality.IMAGE_CLASSIFIER),
        access=Access.LABEL.value,
        roles=(Role.INPUT, Role.TARGET, Role.SENSITIVE),
    )
    tags: ClassVar[tuple[str, ...]] = ("priv.attribute_inference",)
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec(
            name="worst_advantage",
            title="Advantage over imputation, largest",
            unit="difference",
            direction=Direction.LOWER,
            formula="largest advantage of all sensitive columns; bounds of the largest true one, whichever it is, from "
            "intervals that hold for all columns at once (Bonferroni)",
            reference=f"{JAYARAMAN}; Dunn 1961, JASA 56:52",
            plain="For the attribute that it betrays most, the model changes the share of right guesses by {value}.",
        ),
        MetricSpec(
            name="attribute_advantage",
            title="Advantage over imputation",
            unit="difference",
            direction=Direction.LOWER,
            formula="balanced accuracy of the attack − of the imputation on the same rows = mean over the attribute's "
            f"values of value_advantage; both are {GUESS}. MOVER over Newcombe's paired intervals",
            reference=f"{JAYARAMAN}; {MOVER}",
            plain="With the model's help, the share of right guesses of this attribute changes by {value}.",
            sliced=True,
        ),
        MetricSpec(
            name="value_advantage",
            title="Advantage on people with this value",
            unit="difference",
            direction=Direction.LOWER,
            formula="of the rows with this value, the share that the attack guesses right − the share that the "
            "imputation does; Newcombe's paired interval, clustered where rows are",
            reference=NEWCOMBE,
            plain="Of those with this value, the share guessed right changes by {value} with the model's help.",
            sliced=True,
        ),
        MetricSpec(
            name="attack_accuracy",
            title="Guessed right with the model's help",
            unit="proportion",
            direction=Direction.LOWER,
            formula="balanced accuracy of guesses from the other columns, the true label and the model: its confidence "
            "in the true label once for each value of the attribute where the model takes it, else its answer. "
            f"By {GUESS}; MOVER over Wilson bounds",
            reference=f"Fredrikson, Jha & Ristenpart 2015, CCS, doi 10.1145/2810103.2813677; {MEHNAZ}",
            plain="Averaged over its values, {value} of the guesses are right with the model's help.",
            sliced=True,
        ),
        MetricSpec(
            name="imputation_accuracy",
            title="Guessed right without the model",
            unit="proportion",
            direction=Direction.CONTEXT,
            formula=f"balanced accuracy of guesses from the other columns and the true label alone. By {GUESS}; MOVER "
            "over Wilson bounds",
            reference=JAYARAMAN,
            plain="Averaged over its values, {value} of the guesses are right without the model.",
            sliced=True,
        ),
        MetricSpec(
            name="member_excess",
            title="Advantage on rows of the training",
            unit="difference",
            direction=Direction.LOWER,
            formula="advantage on rows the model was trained on − on rows it was not: what it remembers, apart from "
            "what it learnt of people in general; MOVER of both intervals",
            reference=JAYARAMAN,
            plain="What the model's help adds for people in the training data, less what it adds for others, is "
            "{value}.",
            sliced=True,
        ),
    )

    def plan(self, data_rows: int, params: AttributeParams) -> Plan:
        from evaluations.stats import smallest_detectable_effect

        n = min(params.examples, data_rows)
        return Plan(
            shards=shards(n),
            expected_queries=n * VALUES,
            smallest_detectable_effect=smallest_detectable_effect(n),
        )

    def run_shard(
        self, model: Any, data: Dataset, params: AttributeParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations.privacy import attribute_asking

        return attribute_asking.ask_shard(model, data, params, ctx, shard)

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: AttributeParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations import charts
        from evaluations.privacy import attribute_asking, attribute_scores

        answers = attribute_asking.collect(states, data, params, ctx)
        metrics = attribute_scores.measure(answers, data, params, ctx)
        bars = [
            (f"{m.slice}, on average" if m.name == "attribute_advantage" else m.slice, m)
            for m in metrics
            if m.name in ("attribute_advantage", "value_advantage")
        ]
        return ctx.result(
            self,
            params,
            metrics=metrics,
            charts=charts.changes("advantages", "Advantage over imputation", bars, limit="worst_advantage"),
            coverage=answers.coverage(),
            warnings=attribute_scores.warnings(answers, data, params, ctx),
        )


EVALUATION = AttributeInference()
