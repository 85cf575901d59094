"""What is known of an audit's model and data before anything runs."""

from __future__ import annotations

from auditor.policies.document import Facts
from auditor.registry.models import DatasetVersion, ModelVersion
from evaluations.spec import Modality, ModelFormat, Role


def facts_of(model_version: ModelVersion, dataset_version: DatasetVersion) -> Facts:
    """What the rules of a policy may ask of a model and its data."""
    roles = {column: Role(role) for column, role in dataset_version.roles.items()}
    return Facts(
        modality=Modality(model_version.model.modality),
        roles=frozenset(roles.values()),
        sensitive_columns=tuple(sorted(c for c, r in roles.items() if r is Role.SENSITIVE)),
        parent=model_version.parent_id is not None,
        format=ModelFormat(model_version.format),
    )
