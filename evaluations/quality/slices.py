"""quality.slices: for which examples the model is worse than for the others."""

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
    ScoredParams,
    Shard,
    ShardState,
)

if TYPE_CHECKING:
    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.models.protocol import Classifier

CHUNG = "Chung et al. 2019, IEEE TKDE, arXiv 1807.06068"
BENJAMINI = "Benjamini & Hochberg 1995, JRSS B 57:289"
HALF = "on the half of the examples that did not serve to find the slice"


class SliceParams(ScoredParams):
    min_rows: int = Field(
        default=30,
        ge=5,
        title="Smallest slice",
        description="A slice needs this many examples in the half that finds it.",
    )
    most: int = Field(
        default=20,
        ge=1,
        le=200,
        title="Slices to confirm",
        description="So many of the most suspicious slices are tested on the other half.",
    )
    pairs: bool = Field(
        default=True,
        title="Pairs of conditions",
        description="Also look for slices where two conditions hold at once.",
    )


class Slices:
    """Slices are found on one half of the examples and confirmed on the other, with a false discovery rate of 5 %."""

    name: ClassVar[str] = "quality.slices"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Worst slices"
    question: ClassVar[str] = "Are there kinds of examples on which the model is much worse than on the rest?"
    Params: ClassVar[type[Params]] = SliceParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(Modality.TEXT_CLASSIFIER, Modality.IMAGE_CLASSIFIER, Modality.TABULAR),
        access=Access.LABEL.value,
    )
    tags: ClassVar[tuple[str, ...]] = ("accuracy", "error_analysis")
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec(
            name="error_rate",
            title="Share wrong",
            unit="proportion",
            direction=Direction.LOWER,
            formula="wrong answers / answers over all examples; Wilson interval, clustered where rows are",
            reference="Wilson 1927, JASA 22:209",
            plain="Over all examples {value} of the answers were wrong.",
        ),
        MetricSpec(
            name="slices_tested",
            title="Slices tested",
            unit="count",
            direction=Direction.CONTEXT,
            formula="slices that looked worse than the rest on one half of the examples, at most the number asked for",
            reference=CHUNG,
            plain="{value} suspicious slices were put to the test on fresh examples.",
        ),
        MetricSpec(
            name="slices_confirmed",
            title="Slices confirmed",
            unit="count",
            direction=Direction.LOWER,
            formula=f"slices whose p adjusted by Benjamini and Hochberg is at most .05 {HALF}",
            reference=BENJAMINI,
            plain="{value} slices are worse than the rest, and stayed so on fresh examples.",
        ),
        MetricSpec(
            name="worst_gap",
            title="Gap of the worst slice",
            unit="difference",
            direction=Direction.LOWER,
            formula=f"largest gap among the confirmed slices, {HALF}; its interval is that of the slice",
            reference=CHUNG,
            plain="In the worst slice the model is wrong {value} more often than elsewhere.",
        ),
        MetricSpec(
            name="slice_error_rate",
            title="Share wrong in a slice",
            unit="proportion",
            direction=Direction.LOWER,
            formula=f"wrong answers / answers in a confirmed slice, {HALF}; Wilson interval at the level that keeps "
            "the share of false statements about chosen slices at 5 %",
            reference="Benjamini & Yekutieli 2005, JASA 100:71",
            plain="In this slice {value} of the answers were wrong.",
            sliced=True,
        ),
        MetricSpec(
            name="slice_gap",
            title="Gap of a slice",
            unit="difference",
            direction=Direction.LOWER,
            formula=f"share wrong in a confirmed slice − share wrong elsewhere, {HALF}; MOVER over Wilson at that "
            "level",
            reference="Newcombe 1998, Statistics in Medicine 17:873, method 10",
            plain="In this slice the model is wrong {value} more often than elsewhere.",
            sliced=True,
        ),
        MetricSpec(
            name="slice_p",
            title="Adjusted p of a slice",
            unit="probability",
            direction=Direction.CONTEXT,
            formula=f"one-sided Fisher test (clustered t test where rows are clustered) {HALF}, adjusted by Benjamini "
            "and Hochberg over all slices tested",
            reference=f"Fisher 1935, The Design of Experiments; {BENJAMINI}",
            plain="Were every such slice declared worse, at most {value} of them would be so by chance.",
            sliced=True,
        ),
    )

    def plan(self, data_rows: int, params: SliceParams) -> Plan:
        return one_pass(data_rows)

    def run_shard(
        self, model: Classifier, data: Dataset, params: SliceParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations import scoring

        return scoring.score_shard(model, data, ctx, scoring.all_rows(data, shard))

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: SliceParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations import charts, scoring
        from evaluations.quality import slice_search

        scored = scoring.collect(states, data, ctx)
        found = slice_search.search(scored, data, params, ctx.seed)
        return ctx.result(
            self,
            params,
            metrics=slice_search.measure(found, scored, data, params),
            charts=charts.group_bars("worst_slices", "Share wrong", slice_search.bars(found, scored)),
            coverage=scored.coverage(),
            examples=slice_search.examples(found, scored, data),
        )


EVALUATION = Slices()
