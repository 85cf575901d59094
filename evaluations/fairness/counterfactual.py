"""fairness.counterfactual: whether the answer changes with who is spoken of, and with nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from evaluations.planning import shards
from evaluations.prompting import PromptParams
from evaluations.spec import (
    Direction,
    EvaluationResult,
    Frozen,
    GenerationSettings,
    MetricSpec,
    Modality,
    Params,
    Plan,
    Requirements,
    Role,
    Shard,
    ShardState,
)

if TYPE_CHECKING:
    from evaluations.context import Context
    from evaluations.data.dataset import Dataset

SHARD_EXAMPLES = 500
GARG = "Garg et al. 2019, arXiv 1809.10610"
HUANG = "Huang et al. 2020, arXiv 1911.03064"
KUSNER = "Kusner et al. 2017, arXiv 1703.06856"
PRABHAKARAN = "Prabhakaran, Hutchinson & Mitchell 2019, arXiv 1910.04210"
WILSON = (
    "Wilson interval at the effective number of swaps, clustered by row or template (or by the data set's clusters); "
    "no answer counts against and for"
)
UNIT = "Wilson's interval at as many yes/no swaps as have the changes' variance, clustered by row"

Kind = Literal[
    "names", "origins", "pronouns", "religion", "nationality", "orientation", "disability", "age", "race"
]


class Descendant(Frozen):
    """When `protected` becomes `becomes`, the values of `column` are replaced as `values` says."""

    protected: str
    becomes: str
    column: str
    values: dict[str, str]

    @model_validator(mode="after")
    def another_column(self) -> Descendant:
        if self.column == self.protected:
            raise ValueError(f"{self.column[:60]!r} is the protected column itself, and changes anyway.")
        return self


class CounterfactualParams(PromptParams):
    """Also how a language model is asked."""

    examples: int = Field(
        default=2000,
        ge=1,
        le=50_000,
        title="Examples",
        description="How many rows to ask about, drawn at random; of texts first those that hold something to swap.",
    )
    per_row: int = Field(
        default=3,
        ge=1,
        le=50,
        title="Swaps of a row",
        description="At most so many, drawn at random among those that can be made, one of each kind in turn: a column "
        "of many values does not crowd out one of two.",
    )
    swaps: tuple[Kind, ...] = Field(
        default=(
            "names", "origins", "pronouns", "religion", "nationality", "orientation", "disability", "age", "race"
        ),
        min_length=1,
        title="Swaps in texts",
        description="Leave out what may rightly change the answer. A text may be a template: {name}, {religion}, "
        "{nationality}, {orientation}, {disability}, {age} and {race} are filled in.",
    )  # fmt: skip
    columns: tuple[str, ...] = Field(
        default=(),
        title="Protected columns",
        description="Of a table: columns whose value is changed. Empty: every sensitive column.",
    )
    descendants: tuple[Descendant, ...] = Field(
        default=(),
        title="Columns that change with it",
        description="Of a table: when `protected` becomes `becomes`, the values of `column` are replaced as `values` "
        "says, as a husband becomes a wife. Nothing else changes.",
    )
    favourable: str = Field(
        default="",
        max_length=200,
        title="Favourable class",
        description="The answer that is good for people. Empty: the data set's favourable label.",
    )
    outcome: Literal["auto", "label", "refusal"] = Field(
        default="auto",
        title="What a written answer is read for",
        description="The label it names, or whether it refuses. auto: the label where the model or the data set names "
        "classes.",
    )
    suppress_below: int = Field(
        default=10,
        ge=1,
        title="Suppress below",
        description="What fewer swaps than this say is not shown.",
    )
    settings: GenerationSettings = Field(default=GenerationSettings(max_new_tokens=64), title="Generation")

    @field_validator("swaps", "columns")
    @classmethod
    def once_each(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) != len(names):
            raise ValueError("Name each once.")
        return names


def _metric(name: str, title: str, unit: Any, direction: Direction, formula: str, reference: str, plain: str,
            sliced: bool = True) -> MetricSpec:  # fmt: skip
    return MetricSpec(
        name=name,
        title=title,
        unit=unit,
        direction=direction,
        formula=formula,
        reference=reference,
        plain=plain,
        sliced=sliced,
    )


class Counterfactual:
    """Each row asked about as it is, again, and with the person in it exchanged. Needs no true labels."""

    name: ClassVar[str] = "fairness.counterfactual"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Counterfactual fairness"
    question: ClassVar[str] = "Does the answer change when nothing but the group of the person changes?"
    Params: ClassVar[type[Params]] = CounterfactualParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(Modality.TEXT_CLASSIFIER, Modality.CAUSAL_LM, Modality.SEQ2SEQ, Modality.TABULAR),
        access=0,  # labels, or texts
        roles=(Role.INPUT,),
        languages=("en", "zh"),
    )
    tags: ClassVar[tuple[str, ...]] = ("fairness", "non_discrimination", "fair.counterfactual_flip")
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        _metric(
            "flip_rate", "Answers that changed with the group", "proportion", Direction.LOWER,
            f"swaps of all kinds after which the answer (most probable class) is another / swaps; {WILSON}",
            f"{GARG}; {KUSNER}",
            "With another group of person, and nothing else changed, the answer became another in {value} of the "
            "cases.",
            sliced=False,
        ),
        _metric(
            "worst_kind_flip_rate", "Answers that changed, worst kind of swap", "proportion", Direction.LOWER,
            "largest kind_flip_rate (of a table: of a protected column); bounds of the largest true one from "
            "Clopper–Pearson intervals that hold for all kinds at once (Bonferroni), at the effective number of swaps, "
            "clustered; no answer counts against and for, kinds too small to show count in the upper one",
            f"{GARG}; Dunn 1961, JASA 56:52",
            "The kind of swap that matters most changed the answer in {value} of the cases.",
            sliced=False,
        ),
        _metric(
            "mean_abs_change", "Mean change of the probabilities", "probability", Direction.LOWER,
            "mean over swaps of ½·Σ|p(class | changed) − p(class | as it was)|, with two classes |Δp| of either; "
            f"{UNIT}",
            f"{GARG}; {PRABHAKARAN}",
            "With another group of person the model's probabilities moved by {value} on average.",
            sliced=False,
        ),
        _metric(
            "largest_gap", "Largest gap between two groups", "difference", Direction.LOWER,
            "largest over pairs of groups of |mean of p(favourable | row as the one) − p(favourable | same row as the "
            "other)|, both directions together (without probabilities: of favourable answers); bounds of the largest "
            f"true one from intervals that hold for all pairs at once (Bonferroni), pairs too small to show counting "
            f"in the upper one: {UNIT}",
            f"{HUANG}; Dunn 1961, JASA 56:52",
            "For the same rows, the two groups treated most differently get the favourable answer with a probability "
            "that differs by {value}.",
            sliced=False,
        ),
        _metric(
            "kind_flip_rate", "Answers that changed, by kind of swap", "proportion", Direction.LOWER,
            f"as flip_rate, over the swaps of this kind; {WILSON}", GARG,
            "This kind of swap changed the answer in {value} of the cases.",
        ),
        _metric(
            "floor_flip_rate", "Answers that changed without another group", "proportion", Direction.CONTEXT,
            "names and origins: rows whose answer changed with another name of the same group / rows; other kinds: "
            f"with the same row asked again; {WILSON}",
            "Ribeiro et al. 2020, arXiv 2005.04118 (CheckList); Atil et al. 2024, arXiv 2408.04667",
            "A change that is none of the group changed {value} of the answers: the noise floor of this kind of swap.",
        ),
        _metric(
            "excess_flip_rate", "Changed answers beyond the noise floor", "difference", Direction.LOWER,
            "kind_flip_rate − floor_flip_rate over the same swaps; Newcombe's paired interval, clustered by row",
            "Newcombe 1998, Statistics in Medicine 17:2635, method 10",
            "The share of answers that another group changed, less the share that a change of no group did, is "
            "{value}.",
        ),
        _metric(
            "pair_flip_rate", "Answers that changed, by pair of groups", "proportion", Direction.LOWER,
            f"as flip_rate, over the swaps between these two groups, both directions; {WILSON}", GARG,
            "Between these two groups {value} of the answers changed.",
        ),
        _metric(
            "group_change", "Change in favour of a group", "difference", Direction.CONTEXT,
            "mean over swaps to or from this group of p(favourable | row as this group) − p(favourable | same row as "
            f"the other); {UNIT}",
            f"{HUANG}; {PRABHAKARAN}",
            "As this group instead of another, the same row's probability of the favourable answer changes by {value}.",
        ),
        _metric(
            "signed_change", "Change of the favourable probability, by direction", "difference", Direction.CONTEXT,
            f"mean over swaps in this direction of p(favourable | changed) − p(favourable | as it was); {UNIT}",
            f"{KUSNER}; {PRABHAKARAN}",
            "Changed in this direction, the probability of the favourable answer changed by {value}.",
        ),
        _metric(
            "turned_unfavourable", "Decisions turned unfavourable, by direction", "proportion", Direction.LOWER,
            "swaps in this direction that turned the favourable answer into another / swaps in this direction; "
            f"{WILSON}",
            KUSNER,
            "Changed in this direction, {value} of the rows lost the favourable answer.",
        ),
        _metric(
            "length_change", "Change of the answer's length, by direction", "count", Direction.CONTEXT,
            "written answers that are read for refusal: mean over swaps in this direction of words(changed) − words(as "
            "it was); t interval, clustered by row",
            "Miller 2024, arXiv 2411.00640",
            "Changed in this direction, the number of words of the answer changed by {value}.",
        ),
    )  # fmt: skip

    def plan(self, data_rows: int, params: CounterfactualParams) -> Plan:
        from evaluations.stats import smallest_detectable_effect

        n = min(params.examples, data_rows)
        neutral = sum(kind in ("names", "origins") for kind in params.swaps)
        asked = n * (2 + params.per_row + neutral)
        return Plan(
            shards=shards(n, SHARD_EXAMPLES),
            expected_queries=asked,
            expected_output_tokens=asked * params.settings.max_new_tokens,
            smallest_detectable_effect=smallest_detectable_effect(n),
        )

    def run_shard(
        self, model: Any, data: Dataset, params: CounterfactualParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations.fairness import counterfactual_asking

        return counterfactual_asking.ask_shard(model, data, params, ctx, shard)

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: CounterfactualParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations.fairness import counterfactual_plots as plots
        from evaluations.fairness import counterfactual_records, counterfactual_scores

        found = counterfactual_records.collect(states, data, params, ctx)
        metrics = counterfactual_scores.measure(found, params)
        return ctx.result(
            self,
            params,
            metrics=metrics,
            charts=plots.charts_of(metrics),
            examples=plots.examples(found),
            warnings=plots.warnings(found, metrics, params, ctx),
            coverage=found.coverage(),
        )


EVALUATION = Counterfactual()
