"""quality.selective_conformal: what confidence is good for: declining to answer, and sets that hold the truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

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

GEIFMAN = "Geifman, Uziel & El-Yaniv 2019, arXiv 1805.08206"
INFLUENCE = "Wilson interval at the effective n of its influence function"
SETS = (
    "Vovk, Gammerman & Shafer 2005; LAC: Sadinle, Lei & Wasserman 2019, arXiv 1609.00451; "
    "APS: Romano, Sesia & Candès 2020, arXiv 2006.02544"
)


class SelectiveParams(ScoredParams):
    coverages: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        default=(0.5, 0.8, 0.9, 1.0),
        min_length=1,
        max_length=20,
        title="Shares answered",
        description="Risk is reported where the model answers only its most confident share of the examples.",
    )
    score: Literal["lac", "aps"] = Field(
        default="lac",
        title="Conformal score",
        description="lac: 1 − probability of the class; aps: probability of the classes down to it, randomised.",
    )
    alpha: float = Field(
        default=0.1,
        gt=0,
        lt=1,
        title="Share left out",
        description="Sets are made to hold the truth in all but this share of the cases.",
    )


class SelectiveConformal:
    """Risk when only confident answers are given; coverage and size of split conformal prediction sets."""

    name: ClassVar[str] = "quality.selective_conformal"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Selective prediction and conformal sets"
    question: ClassVar[str] = "Does the model know when it does not know?"
    Params: ClassVar[type[Params]] = SelectiveParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(Modality.TEXT_CLASSIFIER, Modality.IMAGE_CLASSIFIER, Modality.TABULAR),
        access=(Access.LABEL | Access.PROBS).value,
    )
    tags: ClassVar[tuple[str, ...]] = ("uncertainty",)
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec(
            name="aurc",
            title="Area under the risk–coverage curve",
            unit="proportion",
            direction=Direction.LOWER,
            formula="mean over i = 1 … n of the share wrong among the i most confident answers, ties averaged; "
            f"{INFLUENCE}",
            reference=GEIFMAN,
            plain="Answering only its most confident share, the model is wrong {value} of the time, averaged over "
            "all shares.",
        ),
        MetricSpec(
            name="e_aurc",
            title="Excess over the best possible ordering",
            unit="difference",
            direction=Direction.LOWER,
            formula="AURC − (1/n)·Σ_i max(0, i − (n − e))/i with e wrong answers of n; " + INFLUENCE,
            reference=GEIFMAN,
            plain="Had the model been least confident exactly where it is wrong, the area would be {value} smaller.",
        ),
        MetricSpec(
            name="selective_risk",
            title="Risk at a share answered",
            unit="proportion",
            direction=Direction.LOWER,
            formula="share wrong among the ⌈c·n⌉ most confident answers, ties averaged; Wilson interval, clustered "
            "where rows are",
            reference=GEIFMAN,
            plain="Of the answers in its most confident share, {value} were wrong.",
            sliced=True,
        ),
        MetricSpec(
            name="coverage",
            title="Coverage of conformal sets",
            unit="proportion",
            direction=Direction.HIGHER,
            formula="share of test examples whose set {k : s(x, k) ≤ q} holds the truth, q the ⌈(n + 1)(1 − α)⌉-th "
            "smallest score of the n calibration examples; Wilson interval given that calibration",
            reference=SETS,
            plain="The sets of classes that the model offers held the truth in {value} of the cases.",
        ),
        MetricSpec(
            name="coverage_band_low",
            title="Coverage to be expected, lower end",
            unit="proportion",
            direction=Direction.CONTEXT,
            formula="2.5 % quantile of Beta-binomial(n_test, n + 1 − l, l)/n_test, l = ⌊(n + 1)α⌋",
            reference="Vovk 2012, ACML; Angelopoulos & Bates 2021, arXiv 2107.07511, appendix C",
            plain="Sets made correctly cover less than {value} only once in forty times.",
        ),
        MetricSpec(
            name="coverage_band_high",
            title="Coverage to be expected, upper end",
            unit="proportion",
            direction=Direction.CONTEXT,
            formula="97.5 % quantile of Beta-binomial(n_test, n + 1 − l, l)/n_test, l = ⌊(n + 1)α⌋",
            reference="Vovk 2012, ACML; Angelopoulos & Bates 2021, arXiv 2107.07511, appendix C",
            plain="Sets made correctly cover more than {value} only once in forty times, unless scores are tied.",
        ),
        MetricSpec(
            name="class_coverage",
            title="Coverage per class",
            unit="proportion",
            direction=Direction.HIGHER,
            formula="coverage over the test examples of one true class; Wilson interval given the calibration",
            reference="Sadinle, Lei & Wasserman 2019, arXiv 1609.00451",
            plain="Of the examples of this class, {value} had a set that held the truth.",
            sliced=True,
        ),
        MetricSpec(
            name="set_size",
            title="Mean size of the sets",
            unit="count",
            direction=Direction.LOWER,
            formula="mean number of classes in a set; t interval given the calibration",
            reference=SETS,
            plain="A set holds {value} classes on average.",
        ),
    )

    def plan(self, data_rows: int, params: SelectiveParams) -> Plan:
        return one_pass(data_rows)

    def run_shard(
        self, model: Classifier, data: Dataset, params: SelectiveParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations import scoring

        return scoring.score_shard(model, data, ctx, scoring.all_rows(data, shard))

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: SelectiveParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations import charts, scoring
        from evaluations.quality import conformal, selective

        scored = scoring.collect(states, data, ctx)
        calibration, test, judged = conformal.parts(data, scored, ctx.seed)
        chosen = scored.only(judged)
        metrics = selective.measure(chosen, data, params)
        sets = conformal.measure(scored, calibration, test, data, params, ctx.seed)
        plots = charts.risk_coverage(selective.curve(chosen.answered())) if chosen.n else []
        per_class = [(m.slice.removeprefix("class="), m) for m in sets if m.name == "class_coverage"]
        plots += charts.group_bars("class_coverage", "Coverage by true class", per_class)
        return ctx.result(
            self,
            params,
            metrics=metrics + sets,
            charts=plots,
            coverage=scored.coverage(),
            warnings=conformal.warnings(sets, params),
        )


EVALUATION = SelectiveConformal()
