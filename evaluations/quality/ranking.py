"""quality.ranking: whether a recommender shows people what they want, and whose items it shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

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
    from evaluations.models.protocol import Recommender


class RankingParams(ScoredParams):
    """How far down the list people look, and what is ranked."""

    k: int = Field(default=10, ge=1, le=1000, title="List length", description="Items shown to each person.")
    candidates: Literal["all", "listed"] = Field(
        default="all",
        title="What is ranked",
        description="All items that the model knows, or only those that the data list for the person. Ranking a "
        "sample of items changes which model wins (Krichene & Rendle 2020), so 'all' is the default.",
    )


_USERS = "mean over users with a relevant item; Wilson-type interval over users"


class Ranking:
    """Top-k lists against graded relevance. One row of data is one person, one item and how relevant it is."""

    name: ClassVar[str] = "quality.ranking"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Ranking quality"
    question: ClassVar[str] = (
        "Do people find what they want near the top, and do all kinds of items get seen?"
    )
    Params: ClassVar[type[Params]] = RankingParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(Modality.RECOMMENDER,),
        access=Access.LABEL.value,
        roles=(Role.USER, Role.ITEM, Role.TARGET),
    )
    tags: ClassVar[tuple[str, ...]] = ("accuracy", "exposure")
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec(
            name="ndcg",
            title="NDCG@k",
            unit="score",
            direction=Direction.HIGHER,
            formula=f"Σ_j rel_j/log₂(j + 1) over the first k, divided by that of the best order; {_USERS}; "
            "items with equal scores in random order",
            reference="Järvelin & Kekäläinen 2002, ACM TOIS 20:422",
            plain="The lists are worth {value} of what the best possible lists would be worth.",
        ),
        MetricSpec(
            name="mrr",
            title="Mean reciprocal rank",
            unit="score",
            direction=Direction.HIGHER,
            formula=f"1 / rank of the first relevant item, 0 where none is among the first k; {_USERS}",
            reference="Voorhees 1999, TREC-8",
            plain="One divided by the place of the first relevant item is {value} on average.",
        ),
        MetricSpec(
            name="recall",
            title="Recall@k",
            unit="proportion",
            direction=Direction.HIGHER,
            formula=f"relevant items among the first k / relevant items; {_USERS}",
            reference="Manning, Raghavan & Schütze 2008, Introduction to Information Retrieval, §8.3",
            plain="On average {value} of the items that a person wants are in the list.",
        ),
        MetricSpec(
            name="exposure_share",
            title="Share of exposure of a group of items",
            unit="proportion",
            direction=Direction.CONTEXT,
            formula="Σ 1/log₂(j + 1) over the places j ≤ k of the group's items / that over all places; mean over "
            "users; Wilson-type interval",
            reference="Singh & Joachims 2018, arXiv 1802.07281",
            plain="Items of this group get {value} of the attention that the lists have to give.",
            sliced=True,
        ),
        MetricSpec(
            name="exposure_ratio",
            title="Exposure by merit, lowest over highest group",
            unit="ratio",
            direction=Direction.HIGHER,
            formula="min over pairs of groups of (exposure_a/relevance_a)/(exposure_b/relevance_b), relevance = the "
            "group's share of all relevance in the data, taken as known; simultaneous Wilson-type intervals",
            reference="Singh & Joachims 2018, arXiv 1802.07281, disparate treatment",
            plain="For the same relevance, the least shown group of items gets {value} of what the most shown gets.",
            sliced=True,
        ),
    )

    def plan(self, data_rows: int, params: RankingParams) -> Plan:
        return Plan(shards=shards(data_rows), expected_queries=data_rows)

    def run_shard(
        self, model: Recommender, data: Dataset, params: RankingParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations.quality import ranking_lists

        return ranking_lists.ask_shard(model, data, params, ctx, shard)

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: RankingParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations import charts
        from evaluations.quality import ranking_lists, ranking_scores

        lists = ranking_lists.collect(states, data, params)
        metrics = ranking_scores.measure(lists, data, params)
        return ctx.result(
            self,
            params,
            metrics=metrics,
            charts=[
                *charts.by_place(
                    "relevance_by_place", "Relevance by place in the list", ranking_scores.by_place(lists)
                ),
                *(
                    chart
                    for column in data.ref.columns(Role.SENSITIVE)
                    for chart in charts.group_bars(
                        f"exposure_by_{column}",
                        f"Share of exposure by {column}",
                        [
                            (m.slice.partition("=")[2], m)
                            for m in metrics
                            if m.name == "exposure_share" and m.slice.startswith(f"{column}=")
                        ],
                    )
                ),
            ],
            coverage=lists.coverage(),
            warnings=ranking_scores.warnings(lists),
        )


EVALUATION = Ranking()
