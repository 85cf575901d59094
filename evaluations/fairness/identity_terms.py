"""fairness.identity_terms: whether naming a group of people misleads a classifier, as of toxic texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, field_validator

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

BORKAN = "Borkan et al. 2019, arXiv 1903.04561"
AREA = (
    "ties half; interval: at each end the wider of Newcombe 2006 (Statistics in Medicine 25:559), method 5, and "
    "Wilson's at the rows that DeLong's variance is worth"
)
TOGETHER = "simultaneous by Bonferroni over all groups and the three areas"


class IdentityParams(ScoredParams):
    positive_label: str = Field(
        default="",
        max_length=200,
        title="Label that is looked for",
        description="The class such as 'toxic'. Empty: every class but the favourable one of the data set.",
    )
    terms: tuple[str, ...] = Field(
        default=(),
        max_length=50,
        title="Identity terms",
        description="Words that name groups, looked for in the texts as whole words: 'gay', or several forms of one "
        "group as 'muslim|muslims|islam'. They are examined beside the sensitive columns.",
    )
    suppress_below: int = Field(
        default=10,
        ge=1,
        title="Suppress below",
        description="An area over fewer texts of either class than this is not shown. It still counts in the lower "
        "end of the worst area.",
    )
    flag_below: int = Field(
        default=30,
        ge=1,
        title="Flag below",
        description="An area over fewer texts of either class than this is flagged as uncertain.",
    )

    @field_validator("terms")
    @classmethod
    def words(cls, terms: tuple[str, ...]) -> tuple[str, ...]:
        forms = [form.strip() for term in terms for form in term.split("|")]
        if not all(forms) or max(map(len, forms), default=0) > 60:
            raise ValueError("An identity term is empty or longer than 60 characters.")
        if max(map(len, terms), default=0) > 1_000:
            raise ValueError("The forms of an identity term come to more than 1,000 characters.")
        first = [term.split("|")[0].strip().casefold() for term in terms]
        if len(set(first)) != len(first):
            raise ValueError("Two identity terms begin with the same word.")
        return terms


def _area(name: str, title: str, formula: str, plain: str) -> MetricSpec:
    return MetricSpec(
        name=name,
        title=title,
        unit="score",
        direction=Direction.HIGHER,
        formula=f"area under the ROC curve of {formula}; {AREA}",
        reference=BORKAN,
        plain=plain,
        sliced=True,
    )


def _gap(name: str, title: str, which: str) -> MetricSpec:
    return MetricSpec(
        name=name,
        title=title,
        unit="difference",
        direction=Direction.CONTEXT,
        formula=f"P(score of a {which} text that names the group > score of another {which} text) − ½, {AREA}; 0 is "
        "equal, above 0 texts that name the group score higher",
        reference=f"{BORKAN} (average equality gap; there with the opposite sign)",
        plain=f"Among {which} texts, naming this group shifts the score by {{value}}: above 0 upwards, below 0 "
        "downwards.",
        sliced=True,
    )


class IdentityTerms:
    """Areas under the ROC curve within, and across the border of, the texts that name each group."""

    name: ClassVar[str] = "fairness.identity_terms"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Bias of identity terms"
    question: ClassVar[str] = "Does naming a group of people mislead the classifier?"
    Params: ClassVar[type[Params]] = IdentityParams
    requires: ClassVar[Requirements] = Requirements(
        modalities=(Modality.TEXT_CLASSIFIER,),
        access=Access.PROBS.value,
        roles=(Role.INPUT, Role.TARGET),  # and sensitive columns, or terms
    )
    tags: ClassVar[tuple[str, ...]] = ("fairness", "non_discrimination", "toxicity")
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec(
            name="worst_auc",
            title="Worst area of any group",
            unit="score",
            direction=Direction.HIGHER,
            formula="smallest of subgroup, BPSN and BNSP area over all groups; smallest of the lower and smallest of "
            f"the upper ends, {TOGETHER}. Areas that are too small to show count in the ends alone, and what "
            "a group named in the texts has no rows for makes the lower end 0",
            reference=BORKAN,
            plain="Where it errs most about a group, the classifier ranks the text that is looked for above another "
            "one {value} of the time.",
        ),
        MetricSpec(
            name="overall_auc",
            title="Area over all texts",
            unit="score",
            direction=Direction.HIGHER,
            formula=f"area under the ROC curve of all texts; {AREA}",
            reference="Hanley & McNeil 1982, Radiology 143:29",
            plain="Over all texts, the one that is looked for scores above another one {value} of the time.",
        ),
        MetricSpec(
            name="bias_score",
            title="Score with generalised means",
            unit="score",
            direction=Direction.CONTEXT,
            formula="¼·overall area + ¼·Σ over the three areas of (mean over groups of area^−5)^(−1/5), over the "
            "groups of which all three are shown; ends: the same of the ends, simultaneous by Bonferroni",
            reference=f"Jigsaw Unintended Bias in Toxicity Classification, Kaggle 2019; areas: {BORKAN}",
            plain="Overall ranking and the worst groups taken together score {value} of 1.",
        ),
        _area(
            "subgroup_auc",
            "Within the group (subgroup AUC)",
            "the texts that name the group",
            "Among texts that name this group, the one that is looked for scores above another one {value} of the "
            "time.",
        ),
        _area(
            "bpsn_auc",
            "False alarms about the group (BPSN AUC)",
            "texts of the group without what is looked for, against texts of others with it (background positive, "
            "subgroup negative)",
            "A harmless text that names this group scores below a text of others that is looked for {value} of the "
            "time; a low value means false alarms about the group.",
        ),
        _area(
            "bnsp_auc",
            "What is overlooked of the group (BNSP AUC)",
            "texts of the group with what is looked for, against texts of others without it (background negative, "
            "subgroup positive)",
            "A text that names this group and is looked for scores above a harmless text of others {value} of the "
            "time; a low value means that what is said of the group is overlooked.",
        ),
        _gap("positive_gap", "Equality gap of what is looked for", "looked-for"),
        _gap("negative_gap", "Equality gap of harmless texts", "harmless"),
    )

    def plan(self, data_rows: int, params: IdentityParams) -> Plan:
        return one_pass(data_rows)

    def run_shard(
        self, model: Classifier, data: Dataset, params: IdentityParams, ctx: Context, shard: Shard
    ) -> ShardState:
        from evaluations import scoring
        from evaluations.fairness import identity_groups

        identity_groups.mentions(data, params.terms)  # refuse before the model is asked, not after it
        identity_groups.looked_for(data, model.labels, params.positive_label)
        return scoring.score_shard(model, data, ctx, scoring.all_rows(data, shard))

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: IdentityParams, ctx: Context
    ) -> EvaluationResult:
        from evaluations import charts, scoring
        from evaluations.fairness import identity_areas, identity_groups

        scored = scoring.collect(states, data, ctx)
        wanted = identity_groups.looked_for(data, scored.labels, params.positive_label)
        groups = identity_groups.mentions(data, params.terms)
        found = identity_areas.areas_of(scored, wanted, groups)
        metrics = identity_areas.measure(found, scored, params)
        return ctx.result(
            self,
            params,
            metrics=metrics,
            charts=charts.identity_areas(
                [(m, spec.title) for m in metrics for spec in self.metrics[3:6] if m.name == spec.name],
                {group.slice: group.name for group in groups},
            ),
            coverage=scored.coverage(),
            warnings=identity_areas.warnings(found, params),
        )


EVALUATION = IdentityTerms()
