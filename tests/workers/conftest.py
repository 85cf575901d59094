"""A small real model with its data, registered, so that runs can really be carried out."""

from __future__ import annotations

import csv
import hashlib
import io
from pathlib import Path

import pytest

from auditor.accounts.models import Team, User
from auditor.audits import services
from auditor.audits.models import Audit
from auditor.core import store
from auditor.core.access import Principal
from auditor.core.canonical import files_digest
from auditor.policies.models import PolicyVersion
from auditor.registry.models import Dataset, DatasetVersion, Model, ModelVersion

ROWS = 600
ROLES = {"age": "input", "hours": "input", "sex": "sensitive", "income": "target"}


@pytest.fixture(scope="session")
def small_table() -> bytes:
    """Six hundred people whose income depends on age and hours, and on sex a little."""
    import numpy

    rng = numpy.random.default_rng(7)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(ROLES)
    for _ in range(ROWS):
        age, hours, sex = rng.normal(), rng.normal(), rng.choice(["Female", "Male"])
        rich = age + hours + 0.5 * (sex == "Male") + 0.3 * rng.normal() > 0.25
        writer.writerow([f"{age:.6f}", f"{hours:.6f}", sex, ">50K" if rich else "<=50K"])
    return text.getvalue().encode()


@pytest.fixture(scope="session")
def small_model(small_table: bytes) -> bytes:
    """A logistic regression on those data, as a skops file."""
    import pandas
    import skops.io
    from sklearn.linear_model import LogisticRegression

    table = pandas.read_csv(io.BytesIO(small_table))
    fitted = LogisticRegression().fit(table[["age", "hours"]], table["income"])
    return bytes(skops.io.dumps(fitted))


def put_model(
    team: Team, owner: User, name: str, file: str, content: bytes, labels: list[str]
) -> ModelVersion:
    files = [{"path": file, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}]
    digest = files_digest(files)
    folder = store.model_folder(digest)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(content)
    return ModelVersion.objects.create(
        model=Model.objects.create(name=name, team=team, owner=owner, modality="tabular"),
        version="1",
        digest=digest,
        format=Path(file).suffix[1:],
        files=files,
        size=len(content),
        labels=labels,
        submitted_by=owner,
    )


def put_table(
    team: Team, owner: User, name: str, content: bytes, roles: dict[str, str], egress: tuple[str, ...] = ()
) -> DatasetVersion:
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    file = store.dataset_file(digest, "csv")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return DatasetVersion.objects.create(
        dataset=Dataset.objects.create(name=name, team=team),
        version="1",
        digest=digest,
        format="csv",
        size=len(content),
        rows=content.count(b"\n") - 1,
        roles=roles,
        favourable_label=">50K",
        egress=list(egress),
        submitted_by=owner,
    )


@pytest.fixture
def small_version(team: Team, engineer: User, small_model: bytes) -> ModelVersion:
    return put_model(team, engineer, "small", "model.skops", small_model, [])


@pytest.fixture
def small_data(team: Team, engineer: User, small_table: bytes) -> DatasetVersion:
    return put_table(team, engineer, "people", small_table, ROLES)


@pytest.fixture
def small_audit(
    as_engineer: Principal,
    small_version: ModelVersion,
    small_data: DatasetVersion,
    release_gate: PolicyVersion,
) -> Audit:
    return services.submit(
        principal=as_engineer,
        model_version=small_version,
        dataset_version=small_data,
        policy_versions=[release_gate],
    )
