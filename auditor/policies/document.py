"""The policy document: what a YAML file may say, validated against the catalogue of evaluations."""

from __future__ import annotations

import difflib
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from auditor.policies.rules import Outcome
from evaluations import catalogue
from evaluations.spec import EvaluationError, MetricSpec, Modality, ModelFormat, Role

Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,59}$")]


class Part(BaseModel):
    """Base of the document's parts: immutable, and a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Facts(Part):
    """What is known of a model and its data before anything runs."""

    modality: Modality
    roles: frozenset[Role]
    sensitive_columns: tuple[str, ...] = ()
    parent: bool = False  # the version names one that it is compared with
    format: ModelFormat | None = None  # of the version's files


class AppliesWhen(Part):
    """When a demand concerns a model at all. Empty = always. Decided by the policy, never by the submitter."""

    modality: tuple[Modality, ...] = ()
    roles: tuple[Role, ...] = ()
    without: tuple[Role, ...] = ()  # only data with no column of these roles: made for another question
    parent: bool = False  # only versions that name a parent
    format: tuple[ModelFormat, ...] = ()  # only such files: gradients need weights, for instance

    def holds(self, facts: Facts) -> bool:
        return (
            (not self.modality or facts.modality in self.modality)
            and set(self.roles) <= facts.roles
            and not set(self.without) & facts.roles
            and (facts.parent or not self.parent)
            and (not self.format or facts.format in self.format)
        )


class SuiteItem(Part):
    """One evaluation to run, with its parameters."""

    item: Slug
    evaluation: str
    params: dict[str, Any] = {}
    applies_when: AppliesWhen = AppliesWhen()


class Measured(Part):
    """A metric of a suite item, on which slices."""

    item: str
    metric: str
    slices: Literal["all", "each_sensitive_column"] = "all"

    def slice_names(self, facts: Facts) -> tuple[str, ...]:
        return ("all",) if self.slices == "all" else facts.sensitive_columns


class Control(Measured):
    """One demand: a metric must keep a limit, on a confidence bound unless `decide_by: point` is chosen."""

    id: Annotated[str, Field(pattern=r"^[A-Z]{2,6}-\d{2,3}$")]
    title: Annotated[str, Field(min_length=3, max_length=120)]
    area: Literal[
        "quality", "fairness", "robustness", "explainability", "privacy", "safety", "security", "efficiency"
    ]
    comparison: Literal[">=", "<="]
    limit: float
    decide_by: Literal["interval", "point"] = "interval"
    # "if_failed": a fail counts, and what is open does not, as of a claim that can be refuted and never confirmed
    required: bool | Literal["if_failed"] = True
    severity: Literal["low", "medium", "high", "critical"] = "high"
    min_n: Annotated[int, Field(ge=1)] = 1
    applies_when: AppliesWhen = AppliesWhen()
    rationale: str = ""

    def decides(self, outcome: Outcome) -> bool:
        """Whether this outcome has a say in the verdict."""
        return outcome is Outcome.FAIL if self.required == "if_failed" else self.required


class Report(Measured):
    """A metric that is measured and printed without a limit."""

    area: str
    applies_when: AppliesWhen = AppliesWhen()


class PolicyDocument(Part):
    """A whole policy. Every name in it exists: an unknown evaluation, metric or parameter is refused."""

    schema_: Literal["policy/1"] = Field(alias="schema")
    name: Slug
    title: Annotated[str, Field(min_length=3, max_length=120)]
    description: str = ""
    valid_days: Annotated[int, Field(ge=1, le=1095)] = 180
    suite: Annotated[tuple[SuiteItem, ...], Field(min_length=1)]
    controls: Annotated[tuple[Control, ...], Field(min_length=1)]
    report: tuple[Report, ...] = ()

    @field_validator("suite")
    @classmethod
    def known_evaluations(cls, suite: tuple[SuiteItem, ...]) -> tuple[SuiteItem, ...]:
        repeated(["suite item " + s.item for s in suite])
        for entry in suite:
            try:
                evaluation = catalogue.get(entry.evaluation)
            except EvaluationError as error:
                raise ValueError(error.message) from error
            try:
                evaluation.Params.model_validate(entry.params)
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(str(part) for part in first["loc"])
                raise ValueError(
                    f"parameter {where or 'set'} of {entry.item} ({entry.evaluation}): {first['msg']}"
                ) from error
        return suite

    @model_validator(mode="after")
    def known_metrics(self) -> Self:
        repeated(["control " + c.id for c in self.controls])
        for measured in (*self.controls, *self.report):
            spec = self.metric_spec(measured)
            if spec.sliced != (measured.slices != "all"):
                wanted = "each_sensitive_column" if spec.sliced else "all"
                raise ValueError(f"metric {measured.metric} needs `slices: {wanted}`")
            if isinstance(measured, Control):
                never_passed_by_a_bound(measured, spec)
        return self

    def suite_item(self, name: str) -> SuiteItem:
        for entry in self.suite:
            if entry.item == name:
                return entry
        raise ValueError(
            f"there is no suite item {name!r}; there are {', '.join(s.item for s in self.suite)}"
        )

    def metric_spec(self, measured: Measured) -> MetricSpec:
        evaluation = catalogue.get(self.suite_item(measured.item).evaluation)
        names = [m.name for m in evaluation.metrics]
        for spec in evaluation.metrics:
            if spec.name == measured.metric:
                return spec
        near = difflib.get_close_matches(measured.metric, names, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"It has {', '.join(names)}."
        raise ValueError(f"{evaluation.name} has no metric {measured.metric!r}. {hint}")


def never_passed_by_a_bound(control: Control, spec: MetricSpec) -> None:
    """Refuses a demand that is met by what can speak against a claim and never for it."""
    if spec.one_sided:
        raise ValueError(
            f"control {control.id} would pass by {spec.name}, which can speak against a claim alone: demand another "
            "metric, and print this one under `report`"
        )
    if spec.unit != "refutation":
        return
    if control.decide_by == "point" or control.comparison != "<=" or not 0 <= control.limit < 1:
        raise ValueError(
            f"control {control.id} would pass a claim that is merely not refuted, which is no proof: write "
            '`comparison: "<="` and `limit: 0`, and leave `decide_by: point` out'
        )


def repeated(names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name} is defined twice")
