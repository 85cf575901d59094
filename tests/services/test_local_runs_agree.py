"""A local run has the seed, and so the numbers, that the service would give to the same audit."""

from __future__ import annotations

import pytest

from auditor.audits import services
from auditor.client import local_run
from auditor.policies.models import PolicyVersion
from auditor.policies.source import BUILTIN
from auditor.registry.models import DatasetVersion, ModelVersion
from evaluations.spec import DataRef, Modality, ModelFormat, ModelRef, Role

pytestmark = pytest.mark.django_db


def test_the_seed_of_a_local_run_is_that_of_the_audit(
    income: ModelVersion, adult: DatasetVersion, release_gate: PolicyVersion
) -> None:
    planned = services.plan(model_version=income, dataset_version=adult, policy_versions=[release_gate])
    model = ModelRef(
        path="/nowhere",
        digest=income.digest,
        modality=Modality(income.model.modality),
        format=ModelFormat(income.format),
    )
    data = DataRef(
        path="/nowhere",
        digest=adult.digest,
        format="parquet",
        roles={column: Role(role) for column, role in adult.roles.items()},
        favourable_label=adult.favourable_label,
    )
    stated = local_run.read_policy(str(BUILTIN / "release-gate.yaml"))
    suite = local_run.suite_of(stated, local_run.facts_of(model, data))
    assert list(suite) == [item.item for item in planned.items]
    assert local_run.seed_for(model, data, suite) == planned.seed
