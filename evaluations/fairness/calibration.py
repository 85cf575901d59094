"""fairness.calibration: whether the model's probabilities mean the same for every group of people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from evaluations.fairness.group import GroupParams, favourable
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
    Shard,
    ShardState,
)

if TYPE_CHECKING:
    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.models.protocol import Classifier

KUMAR = "Kumar, Liang & Ma 2019, arXiv 1909.10155"
CHOULDECHOVA = "Chouldechova 2017, arXiv 1703.00056"
NULL = "permutation of the groups among the favourable answers, 9,999 draws; independent rows only"


def _gap(end: str, title: str, unit: str, formula: str, reference: str, plain: str) -> MetricSpec:
    return MetricSpec(
        name=f"ppv_gap{end}",
        title=f"Precision gap{title}",
        unit="probability" if unit == "probability" else "difference",
        direction=Direction.CONTEXT if end == "_p" else Direction.LOWER,
        formula=formula,
        reference=reference,
        plain=plain,
        sliced=True,
    )


class GroupCalibration:
    """Calibration error and precision per group, without the bias that small groups have. Needs probabilities."""

    name: ClassVar[str] = "fairness.calibration"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Calibration by group"
    question: ClassVar[str] = "Does a stated probability mean the same for every group of people?"
    Params: ClassVar[type[Params]] = GroupParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(Modality.TEXT_CLASSIFIER, Modality.TABULAR, Modality.IMAGE_CLASSIFIER),
        access=(Access.LABEL | Access.PROBS).value,
        roles=(Role.INPUT, Role.TARGET, Role.SENSITIVE),
    )
    tags: ClassVar[tuple[str, ...]] = ("fairness", "calibration", "non_discrimination")
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec(
            name="ece_debiased",
            title="Calibration error without its bias",
            unit="probability",
            direction=Direction.LOWER,
            formula="2·ECE − Σ_b (n_b/n)·E|N(gap_b, right_b(1 − right_b)/n_b)| within the group, at least 0; the "
            "interval inverts the law of ECE, its variance that of clusters where rows come in them",
            reference=KUMAR,
            plain="In this group confidence and share of right answers differ by {value}, beyond what chance shows.",
            sliced=True,
        ),
        MetricSpec(
            name="worst_ece_debiased",
            title="Calibration error of the worst group",
            unit="probability",
            direction=Direction.LOWER,
            formula="largest calibration error without its bias over the groups; intervals simultaneous by Bonferroni",
            reference=KUMAR,
            plain="In the group that fares worst, confidence and share of right answers differ by {value}.",
            sliced=True,
        ),
        MetricSpec(
            name="calibration_bias",
            title="Mean overstatement",
            unit="difference",
            direction=Direction.CONTEXT,
            formula="mean of p(favourable) − [truth favourable] within the group; t interval, clustered where rows are",
            reference="Cox 1958, Biometrika 45:562 (calibration in the large)",
            plain="For this group the model states the favourable answer's probability {value} too high on average.",
            sliced=True,
        ),
        MetricSpec(
            name="ppv",
            title="Precision",
            unit="proportion",
            direction=Direction.HIGHER,
            formula="people whose true label is favourable / people who got the favourable answer; Wilson interval, at "
            "the effective number where rows are clustered",
            reference=CHOULDECHOVA,
            plain="Of those in this group who got the favourable answer, {value} deserved it.",
            sliced=True,
        ),
        _gap(
            "",
            "",
            "difference",
            "largest − smallest precision over the groups; largest over pairs of groups of Newcombe's method 10, "
            "simultaneous by Bonferroni",
            CHOULDECHOVA,
            "A favourable answer is right {value} more often in one group than in another.",
        ),
        _gap(
            "_excess",
            " beyond chance",
            "difference",
            f"gap − mean gap under {NULL}",
            "Good 2005, Permutation, Parametric, and Bootstrap Tests of Hypotheses, 3rd ed.",
            "With groups of these sizes chance alone makes a gap; {value} is what exceeds it.",
        ),
        _gap(
            "_p",
            ": permutation p",
            "probability",
            f"(1 + number of draws with a gap at least as large)/(draws + 1) under {NULL}",
            "Davison & Hinkley 1997, Bootstrap Methods and their Application, §4.2",
            "If group made no difference, a gap this large would arise with probability {value}.",
        ),
    )

    def plan(self, data_rows: int, params: GroupParams) -> Plan:
        return one_pass(data_rows)

    def run_shard(
        self, model: Classifier, data: Dataset, params: GroupParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations import scoring

        favourable(data, model.labels)
        return scoring.score_shard(model, data, ctx, scoring.all_rows(data, shard))

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: GroupParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations import charts, scoring
        from evaluations.fairness import group_calibration, group_rates

        scored = scoring.collect(states, data, ctx)
        wanted = favourable(data, scored.labels)
        metrics, plots, warnings = [], [], []
        for number, (column, groups) in enumerate(
            group_rates.columns(data, pairs=params.intersections), start=1
        ):
            by_group = group_calibration.split(scored, groups[scored.rows])
            found = group_calibration.measure(column, by_group, wanted, params, ctx)
            metrics += found
            warnings += group_calibration.warnings(column, by_group, params)
            for spec in (self.metrics[0], self.metrics[3]):
                shown = [m for m in found if m.name == spec.name and m.slice.startswith(f"{column}=")]
                plots += charts.group_bars(
                    f"{spec.name}_{number}",
                    f"{spec.title} by {column}",
                    [(m.slice[len(column) + 1 :], m) for m in shown],
                )
        return ctx.result(
            self, params, metrics=metrics, charts=plots, coverage=scored.coverage(), warnings=warnings
        )


EVALUATION = GroupCalibration()
