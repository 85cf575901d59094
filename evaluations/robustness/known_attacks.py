"""robustness.known_attacks: whether a classifier withstands the attacks that misled earlier versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

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

WANG = (
    "a fixed set of attacks: Wang et al. 2021 (AdvGLUE), arXiv 2111.02840; interval: Wilson 1927, JASA 22:209"
)


class KnownAttacks:
    """Each kept attack is asked once, as it is. Nothing new is searched for: that is what the attacks are for."""

    name: ClassVar[str] = "robustness.known_attacks"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Known attacks"
    question: ClassVar[str] = "Does the model withstand the attacks that misled earlier versions?"
    Params: ClassVar[type[Params]] = ScoredParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(Modality.TEXT_CLASSIFIER, Modality.IMAGE_CLASSIFIER, Modality.TABULAR),
        access=Access.LABEL.value,
        roles=(Role.INPUT, Role.TARGET, Role.CLUSTER),  # the original that an attack was made of
    )
    tags: ClassVar[tuple[str, ...]] = ("robustness", "adversarial", "regression suite")
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec(
            name="withstood",
            title="Known attacks withstood",
            unit="proportion",
            direction=Direction.HIGHER,
            formula="attacks answered rightly / attacks answered; Wilson interval at the effective number of "
            "originals",
            reference=WANG,
            plain="The model answered {value} of the known attacks rightly.",
        ),
        MetricSpec(
            name="withstood_by_recipe",
            title="Known attacks withstood",
            unit="proportion",
            direction=Direction.HIGHER,
            formula="as withstood, over the attacks that one recipe made",
            reference=WANG,
            plain="Of the known attacks that this recipe made, the model answered {value} rightly.",
            sliced=True,
        ),
    )

    def plan(self, data_rows: int, params: ScoredParams) -> Plan:
        return one_pass(data_rows)

    def run_shard(
        self, model: Classifier, data: Dataset, params: ScoredParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations import scoring

        return scoring.score_shard(model, data, ctx, scoring.all_rows(data, shard))

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: ScoredParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations import charts, scoring
        from evaluations.robustness import known_attacks_scores

        scored = scoring.collect(states, data, ctx)
        metrics = known_attacks_scores.measure(scored, data, params.max_error_rate)
        by_recipe = [(m.slice.partition("=")[2], m) for m in metrics if m.name == "withstood_by_recipe"]
        return ctx.result(
            self,
            params,
            metrics=metrics,
            charts=charts.group_bars("withstood_by_recipe", "Known attacks withstood by recipe", by_recipe),
            examples=known_attacks_scores.examples(scored, data),
            coverage=scored.coverage(),
            warnings=known_attacks_scores.warnings(scored, data),
        )


EVALUATION = KnownAttacks()
