"""fairness.group: how the model's decisions differ between groups of people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from evaluations.planning import one_pass
from evaluations.prompting import PromptParams
from evaluations.spec import (
    Direction,
    EvaluationError,
    EvaluationResult,
    GenerationSettings,
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

PAIRS = "smallest over pairs of groups of MOVER intervals over Wilson, simultaneous by Bonferroni"
LARGEST = "largest over pairs of groups of Newcombe's method 10, simultaneous by Bonferroni"
HARDT = "Hardt, Price & Srebro 2016, arXiv 1610.02413"
AGARWAL = "Agarwal et al. 2018, arXiv 1803.02453"
NULL = "permutation of the groups (within the true class for TPR and FPR), 9,999 draws; independent rows only"


class GroupParams(ScoredParams):
    suppress_below: int = Field(
        default=10,
        ge=1,
        title="Suppress below",
        description="A rate over fewer people than this is not shown.",
    )
    flag_below: int = Field(
        default=30,
        ge=1,
        title="Flag below",
        description="A rate over fewer people than this is flagged as uncertain.",
    )
    intersections: bool = Field(
        default=False,
        title="Intersections",
        description="Also compare the groups that two sensitive columns make together, such as sex & race.",
    )


class DecisionParams(GroupParams, PromptParams):
    """Also how a language model is asked for its decision; its text must name one label."""

    settings: GenerationSettings = Field(default=GenerationSettings(max_new_tokens=16), title="Generation")


def _rate(name: str, title: str, formula: str, plain: str) -> MetricSpec:
    return MetricSpec(
        name=name,
        title=title,
        unit="proportion",
        direction=Direction.CONTEXT,
        formula=f"{formula}; Wilson interval, at the effective number of people where rows are clustered",
        reference=HARDT,
        plain=plain,
        sliced=True,
    )


def _gap(name: str, title: str, what: str, reference: str) -> tuple[MetricSpec, MetricSpec, MetricSpec]:
    """The raw gap, and beside it what remains after the gap that chance alone produces."""
    return (
        MetricSpec(
            name=name,
            title=title,
            unit="difference",
            direction=Direction.LOWER,
            formula=f"largest − smallest {what} over the groups; {LARGEST}",
            reference=reference,
            plain=f"The {what} differs by {{value}} between the groups that differ most.",
            sliced=True,
        ),
        MetricSpec(
            name=f"{name}_excess",
            title=f"{title} beyond chance",
            unit="difference",
            direction=Direction.LOWER,
            formula=f"gap − mean gap under {NULL}",
            reference="Good 2005, Permutation, Parametric, and Bootstrap Tests of Hypotheses, 3rd ed.",
            plain="With groups of these sizes chance alone makes a gap; {value} is what exceeds it.",
            sliced=True,
        ),
        MetricSpec(
            name=f"{name}_p",
            title=f"{title}: permutation p",
            unit="probability",
            direction=Direction.CONTEXT,
            formula=f"(1 + number of draws with a gap at least as large)/(draws + 1) under {NULL}",
            reference="Davison & Hinkley 1997, Bootstrap Methods and their Application, §4.2",
            plain="If group made no difference, a gap this large would arise with probability {value}.",
            sliced=True,
        ),
    )


class Group:
    """Rates per group of each sensitive column, their ratio and gaps. Truth and groups come from the data set."""

    name: ClassVar[str] = "fairness.group"
    version: ClassVar[str] = "2"
    title: ClassVar[str] = "Group fairness"
    question: ClassVar[str] = "Does the model decide differently for different groups of people?"
    Params: ClassVar[type[Params]] = DecisionParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(
            Modality.TEXT_CLASSIFIER,
            Modality.TABULAR,
            Modality.IMAGE_CLASSIFIER,
            Modality.CAUSAL_LM,
            Modality.SEQ2SEQ,
        ),
        access=0,  # labels, or texts that name them
        roles=(Role.INPUT, Role.TARGET, Role.SENSITIVE),
    )
    tags: ClassVar[tuple[str, ...]] = ("fairness", "non_discrimination")
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        _rate(
            "selection_rate",
            "Selection rate",
            "favourable answers / answers",
            "The model gave the favourable answer to {value} of this group.",
        ),
        _rate(
            "tpr",
            "True positive rate",
            "favourable answers / people whose true label is favourable",
            "Of those in this group who deserved the favourable answer, {value} got it.",
        ),
        _rate(
            "fpr",
            "False positive rate",
            "favourable answers / people whose true label is not favourable",
            "Of those in this group who did not deserve the favourable answer, {value} got it all the same.",
        ),
        _rate(
            "fnr",
            "False negative rate",
            "unfavourable answers / people whose true label is favourable",
            "Of those in this group who deserved the favourable answer, {value} were denied it.",
        ),
        *(
            MetricSpec(
                name=f"{name}_shrunken",
                title=f"{title}, shrunken",
                unit="proportion",
                direction=Direction.CONTEXT,
                formula="(x + M·m)/(n + M), m the mean rate and M a prior size by moments over the groups; "
                "no interval: it steadies a ranking, it decides nothing",
                reference="Kleinman 1973, JASA 68:46",
                plain="Pulled towards the other groups as far as its size leaves doubt, this group's rate is {value}.",
                sliced=True,
            )
            for name, title in (
                ("selection_rate", "Selection rate"),
                ("tpr", "True positive rate"),
                ("fpr", "False positive rate"),
            )
        ),
        MetricSpec(
            name="selection_rate_ratio",
            title="Selection rate ratio",
            unit="ratio",
            direction=Direction.HIGHER,
            formula=f"smallest / largest selection rate over the groups; {PAIRS}",
            reference=f"{AGARWAL}; interval: Donner & Zou 2012, Stat. Methods Med. Res. 21:347",
            plain="The least favoured group gets the favourable answer {value} times as often as the most favoured.",
            sliced=True,
        ),
        *_gap("selection_rate_gap", "Selection rate gap", "selection rate", AGARWAL),
        *_gap("tpr_gap", "True positive rate gap", "true positive rate", HARDT),
        *_gap("fpr_gap", "False positive rate gap", "false positive rate", HARDT),
        MetricSpec(
            name="equalized_odds_difference",
            title="Equalized odds difference",
            unit="difference",
            direction=Direction.LOWER,
            formula=f"larger of TPR gap and FPR gap; {LARGEST}",
            reference=AGARWAL,
            plain="Being right and being wrong about people differs by up to {value} between groups.",
            sliced=True,
        ),
        MetricSpec(
            name="average_odds_difference",
            title="Average odds difference",
            unit="difference",
            direction=Direction.LOWER,
            formula=f"mean of TPR gap and FPR gap; mean of the ends of both, simultaneous: {LARGEST}",
            reference="after Bellamy et al. 2018, arXiv 1810.01943, who average differences with their signs",
            plain="Being right and being wrong about people differs by {value} between groups, on average of the two.",
            sliced=True,
        ),
    )

    def plan(self, data_rows: int, params: DecisionParams) -> Plan:
        return replace(one_pass(data_rows), expected_output_tokens=data_rows * params.settings.max_new_tokens)

    def run_shard(
        self, model: Any, data: Dataset, params: DecisionParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations import scoring, written_labels

        rows = scoring.all_rows(data, shard)
        if data.modality in (Modality.CAUSAL_LM, Modality.SEQ2SEQ):
            labels = written_labels.labels_to_read(data, ctx)
            favourable(data, labels)
            return written_labels.score_shard(model, data, ctx, rows, params, labels)
        favourable(data, model.labels)
        return scoring.score_shard(model, data, ctx, rows)

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: DecisionParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations import charts, scoring
        from evaluations.fairness import group_rates

        scored = scoring.collect(states, data, ctx)
        wanted = favourable(data, scored.labels)
        metrics, plots, warnings = [], [], []
        for number, (column, groups) in enumerate(
            group_rates.columns(data, pairs=params.intersections), start=1
        ):
            table = group_rates.tabulate(scored, groups[scored.rows], wanted)
            metrics += group_rates.measure(column, table, scored, params, ctx)
            warnings += group_rates.warnings(column, table, params)
            shown = [m for m in metrics if m.slice.startswith(f"{column}=")]
            for spec in self.metrics[:3]:
                plots += charts.group_bars(
                    f"{spec.name}_{number}",
                    f"{spec.title} by {column}",
                    [(m.slice[len(column) + 1 :], m) for m in shown if m.name == spec.name],
                    ratio="selection_rate_ratio" if spec.name == "selection_rate" else None,
                )
        return ctx.result(
            self, params, metrics=metrics, charts=plots, coverage=scored.coverage(), warnings=warnings
        )


def favourable(data: Dataset, labels: Sequence[str]) -> int:
    """Index of the favourable label. Raises EvaluationError where it is not declared, or not a class."""
    label = data.ref.favourable_label
    if label is None:
        raise EvaluationError(
            "favourable_label_missing",
            "The data set does not say which label is the favourable one. Declare it: a ratio of .95 seen from one "
            "side can be .50 seen from the other.",
        )
    if label not in labels:
        raise EvaluationError(
            "favourable_label_unknown",
            f"The favourable label {label!r} is not one of the classes {', '.join(map(repr, labels))}. Correct it.",
        )
    return list(labels).index(label)


EVALUATION = Group()
