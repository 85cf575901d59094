"""quality.data: what is wrong with the data set itself, before anything is said about the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

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

LEE = "Lee et al. 2022, ACL, arXiv 2107.06499"
KAPOOR = "Kapoor & Narayanan 2023, Patterns 4:100804"
NORTHCUTT = "Northcutt, Jiang & Chuang 2021, JAIR 70, arXiv 1911.00068"
RABANSER = "Rabanser, Günnemann & Lipton 2019, NeurIPS, arXiv 1810.11953"
ALIKE = (
    "80 % of the runs of three words shared, in lower case and without punctuation; numbers to four digits"
)
COUNTED = "a count over the whole data set, so without an interval"
COMPARED = "split train (else the largest) against split test (else all others but ood)"


def _share(
    name: str, title: str, formula: str, reference: str, plain: str, sliced: bool = False
) -> MetricSpec:
    return MetricSpec(
        name=name,
        title=title,
        unit="proportion",
        direction=Direction.LOWER,
        formula=f"{formula}; {COUNTED}",
        reference=reference,
        plain=plain,
        sliced=sliced,
    )


class DataQuality:
    """Duplicates, leakage between splits, gaps, doubtful labels, drift. Only the labels take the model's answers."""

    name: ClassVar[str] = "quality.data"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Data quality"
    question: ClassVar[str] = "Can the data set carry what is concluded from it?"
    Params: ClassVar[type[Params]] = ScoredParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=tuple(m for m in Modality if m is not Modality.RECOMMENDER),
        access=Access(0).value,
        roles=(Role.INPUT,),
    )
    tags: ClassVar[tuple[str, ...]] = ("data_governance", "data_quality")
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        _share(
            "duplicates",
            "Exact duplicates",
            "(rows − distinct inputs)/rows",
            LEE,
            "{value} of the rows repeat the input of another row.",
        ),
        _share(
            "near_duplicates",
            "Near duplicates",
            f"(rows − distinct inputs)/rows, where inputs are taken as one if alike: {ALIKE}",
            LEE,
            "{value} of the rows repeat the input of another row, give or take a few words or digits.",
        ),
        _share(
            "conflicting_labels",
            "Conflicting labels",
            "rows whose exact input also occurs with another label / rows",
            NORTHCUTT,
            "{value} of the rows have an input that another row labels differently.",
        ),
        _share(
            "leakage",
            "Leakage from the training split",
            "rows of other splits whose exact input is in the split train / rows of other splits",
            KAPOOR,
            "{value} of the rows that should be new were in the training split.",
        ),
        _share(
            "near_leakage",
            "Near leakage from the training split",
            f"rows of other splits whose input is in the split train or alike ({ALIKE}) / rows of other splits",
            KAPOOR,
            "{value} of the rows that should be new were in the training split, give or take a few words or digits.",
        ),
        _share(
            "cluster_leakage",
            "Clusters on both sides",
            "rows of other splits whose cluster (person, passage) also is in the split train / rows of other splits",
            KAPOOR,
            "{value} of the rows that should be new come from somebody, or something, in the training split.",
        ),
        _share(
            "missing",
            "Missing values",
            "empty cells / cells of the input and sensitive columns",
            "Little & Rubin 2019, Statistical Analysis with Missing Data, 3rd ed.",
            "{value} of the values are missing.",
        ),
        _share(
            "missing_in_column",
            "Missing values in a column",
            "empty cells / cells of the column",
            "Little & Rubin 2019, Statistical Analysis with Missing Data, 3rd ed.",
            "{value} of the values in this column are missing.",
            sliced=True,
        ),
        MetricSpec(
            name="label_noise",
            title="Doubtful labels (estimate)",
            unit="proportion",
            direction=Direction.LOWER,
            formula="confident learning: off-diagonal share of the joint of given and confident class, thresholds the "
            "mean p_j of the rows labelled j; probabilities of this model on rows outside train; bootstrap over cells "
            "with the thresholds as they are",
            reference=NORTHCUTT,
            plain="By the model's own judgement about {value} of the labels are wrong. It is an estimate.",
        ),
        MetricSpec(
            name="psi",
            title="Population stability index",
            unit="score",
            direction=Direction.LOWER,
            formula=f"Σ (a_i − b_i)·ln(a_i/b_i) over tenths of the first split, or levels, half a row added to each; "
            f"{COMPARED}; biased upward, so without an interval: see the p value",
            reference="Siddiqi 2006, Credit Risk Scorecards; Yurdakul 2018, Western Michigan University",
            plain="This column differs between the splits by {value}; below .1 is usually called stable.",
            sliced=True,
        ),
        MetricSpec(
            name="drift_p",
            title="Drift: adjusted p",
            unit="probability",
            direction=Direction.CONTEXT,
            formula=f"two-sample Kolmogorov–Smirnov test (χ² for levels), {COMPARED}, adjusted by Holm over the "
            "columns",
            reference=RABANSER,
            plain="If the splits were alike, a difference as large in any column would arise with probability {value}.",
            sliced=True,
        ),
        MetricSpec(
            name="drift_auc",
            title="Drift: how well the splits can be told apart",
            unit="probability",
            direction=Direction.LOWER,
            formula=f"AUC of a classifier of the split from the inputs, five-fold; {COMPARED}; Newcombe's interval",
            reference=f"Lopez-Paz & Oquab 2017, ICLR, arXiv 1610.06545; {RABANSER}",
            plain="A row of one split and one of the other can be told apart with probability {value}; .5 is guessing.",
        ),
    )

    def plan(self, data_rows: int, params: ScoredParams) -> Plan:
        return one_pass(data_rows)

    def run_shard(
        self, model: Any, data: Dataset, params: ScoredParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations.quality import data_labels

        return data_labels.score_shard(model, data, ctx, shard)

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: ScoredParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations import charts
        from evaluations.quality import data_drift, data_labels, data_rows

        labels = data_labels.collect(states, data, ctx, params)
        metrics = [
            *data_rows.measure(data),
            data_labels.measure(labels, data, ctx),
            *data_drift.measure(data, ctx.seed),
        ]
        shown = [m for m in metrics if m.name in data_rows.SHOWN]
        titles = {spec.name: spec.title for spec in self.metrics}
        return ctx.result(
            self,
            params,
            metrics=metrics,
            charts=charts.shares(
                "findings",
                "Share of the rows",
                [(titles[m.name], m.value) for m in shown if m.value is not None],
            ),
            coverage=labels.coverage,
            examples=[*data_rows.examples(data), *data_labels.examples(labels, data)],
            warnings=data_labels.warnings(labels, data),
        )


EVALUATION = DataQuality()
