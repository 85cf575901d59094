"""Finds versions by the names that people and pipelines use."""

from __future__ import annotations

from typing import TypeVar

from auditor.core.access import Principal, visible
from auditor.core.errors import not_found
from auditor.registry.models import DatasetVersion, ModelVersion

V = TypeVar("V", ModelVersion, DatasetVersion)


def by_reference(principal: Principal, kind: type[V], reference: str) -> V:
    """The version that `income@3.2.0` names, or the newest one for `income`. Raises `not_found`."""
    parent = "model" if kind is ModelVersion else "dataset"
    name, _, version = reference.partition("@")
    rows = visible(principal, kind).filter(**{f"{parent}__name": name}).select_related(f"{parent}__team")
    if version:
        rows = rows.filter(version=version)
    found = rows.order_by("-created_at", "-pk").first()
    if found is None:
        raise not_found(str(kind._meta.verbose_name), reference[:120])
    return found
