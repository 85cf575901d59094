"""Forms of the pages. Choices hold only what the person may see."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import Max, Q
from django.utils.translation import gettext_lazy as _

from auditor.audits.models import Audit
from auditor.core.access import Principal, visible
from auditor.policies.models import Policy
from auditor.registry.models import DatasetVersion, Model, ModelVersion
from evaluations import catalogue


class AuditForm(forms.Form):
    """A model version, the data to measure it on, and the policies to hold it against."""

    version = forms.ChoiceField(label=_("Model version"))
    dataset = forms.ChoiceField(label=_("Data set"))
    policies = forms.MultipleChoiceField(label=_("Policies"), widget=forms.CheckboxSelectMultiple)
    judge = forms.ChoiceField(
        label=_("Judge of answers"),
        help_text=_("Another model, which judges what this one writes. Few evaluations ask for one."),
        required=False,
    )
    reference = forms.ChoiceField(
        label=_("Reference model"),
        help_text=_(
            "A model of the same kind that was not trained on the data. Privacy evaluations compare with it."
        ),
        required=False,
    )


def audit_form(
    who: Principal, *, model: Model | None = None, data: Any = None, chosen: str = ""
) -> AuditForm:
    """The form with the choices of this person, the newest first; within one model where it is given."""
    form = AuditForm(data)
    others = visible(who, ModelVersion).select_related("model").order_by("-created_at")
    versions = others if model is None else others.filter(model=model)
    named = [("", _("none")), *((str(v.pk), str(v)) for v in others[:200])]
    judges = others.filter(model__modality__in=_judging())
    form.fields["judge"].choices = [("", _("none")), *((str(v.pk), str(v)) for v in judges[:200])]  # type: ignore[attr-defined]  # a ChoiceField
    form.fields["reference"].choices = named  # type: ignore[attr-defined]  # a ChoiceField
    datasets = visible(who, DatasetVersion).select_related("dataset").order_by("-created_at")[:200]
    policies = (
        Policy.objects.filter(Q(team__isnull=True) | Q(team__in=list(who.roles)))
        .annotate(newest=Max("versions__number"))
        .filter(newest__isnull=False)
        .order_by("name")
    )
    form.fields["version"].choices = [(str(v.pk), str(v)) for v in versions[:200]]  # type: ignore[attr-defined]  # a ChoiceField
    form.fields["dataset"].choices = [(str(d.pk), f"{d} · n = {d.rows:,}") for d in datasets]  # type: ignore[attr-defined]  # a ChoiceField
    names = [(p.name, f"{p.title} · {p.name} v{p.newest}") for p in policies]
    form.fields["policies"].choices = names  # type: ignore[attr-defined]  # a ChoiceField
    last = (
        visible(who, Audit).filter(model_version__model=model).order_by("-created_at").first()
        if model
        else None
    )
    form.initial = {
        "version": chosen,
        "dataset": last.dataset_version_id if last else None,  # what this model was last measured on
        "policies": [names[0][0]] if len(names) == 1 else [],
    }
    return form


def _judging() -> set[str]:
    """Kinds of models that some evaluation takes as its judge."""
    asking = [e.requires for e in catalogue.all() if e.requires.judge]
    return {kind.value for needs in asking for kind in (*needs.modalities, *needs.judges)}
