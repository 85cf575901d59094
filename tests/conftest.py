"""The cast that every test shares: an engineer, a reviewer, a regulator, an administrator and a stranger."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.db.backends.postgresql.operations import DatabaseOperations
from django.test import override_settings
from hypothesis import settings as hypothesis_settings

from auditor.accounts.models import Membership, Role, Team, User
from auditor.accounts.services import principal_of
from auditor.core.access import Principal
from auditor.policies.models import PolicyVersion
from auditor.policies.services import ensure_builtin
from auditor.registry.models import Dataset, DatasetVersion, Model, ModelVersion

PASSWORD = "correct horse battery staple"

# The same examples every time, however slow the machine; --hypothesis-profile=default looks for new ones.
hypothesis_settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis_settings.load_profile("repeatable")


@pytest.fixture(autouse=True, scope="session")
def quick_passwords() -> Iterator[None]:
    """A slow hash guards people's passwords; the cast has one that everybody knows."""
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield


@pytest.fixture(scope="session")
def static_files() -> None:
    """Pages name their static files by digest, so these are collected once."""
    call_command("collectstatic", interactive=False, verbosity=0)


@pytest.fixture
def team(db: None) -> Team:
    return Team.objects.create(name="Credit")


def member(username: str, team: Team, role: Role) -> User:
    user = User.objects.create_user(username, password=PASSWORD, first_name=username.capitalize())
    Membership.objects.create(user=user, team=team, role=role)
    return user


@pytest.fixture
def engineer(team: Team) -> User:
    return member("erin", team, Role.ENGINEER)


@pytest.fixture
def reviewer(team: Team) -> User:
    return member("ruth", team, Role.REVIEWER)


@pytest.fixture
def regulator(team: Team) -> User:
    return member("rex", team, Role.REGULATOR)


@pytest.fixture
def administrator(team: Team) -> User:
    return member("ada", team, Role.ADMIN)


@pytest.fixture
def stranger(db: None) -> User:
    return member("sam", Team.objects.create(name="Elsewhere"), Role.ADMIN)


@pytest.fixture
def as_engineer(engineer: User) -> Principal:
    return principal_of(engineer)


@pytest.fixture
def as_reviewer(reviewer: User) -> Principal:
    return principal_of(reviewer)


@pytest.fixture
def as_stranger(stranger: User) -> Principal:
    return principal_of(stranger)


@pytest.fixture(autouse=True, scope="session")
def flush_past_triggers() -> None:
    """Emptying the tables between tests with real transactions is the one TRUNCATE that append-only tables allow."""
    original = DatabaseOperations.execute_sql_flush

    def flush(self: DatabaseOperations, sql_list: list[str]) -> None:
        original(self, ["SET LOCAL session_replication_role = replica", *sql_list])

    DatabaseOperations.execute_sql_flush = flush


@pytest.fixture
def income(engineer: User, team: Team) -> ModelVersion:
    """A tabular model version, as a row alone: no file lies behind it."""
    model = Model.objects.create(
        name="income", team=team, owner=engineer, modality="tabular", intended_use="Demo."
    )
    return ModelVersion.objects.create(
        model=model,
        version="1.0",
        digest="sha256:" + "a" * 64,
        format="skops",
        files=[{"path": "model.skops", "size": 10, "sha256": "b" * 64}],
        size=10,
        submitted_by=engineer,
    )


@pytest.fixture
def adult(engineer: User, team: Team) -> DatasetVersion:
    """A data set version with two sensitive columns, as a row alone."""
    return DatasetVersion.objects.create(
        dataset=Dataset.objects.create(name="adult", team=team, licence="CC BY 4.0"),
        version="1",
        digest="sha256:" + "c" * 64,
        format="csv",
        size=10,
        rows=1000,
        roles={"age": "input", "sex": "sensitive", "race": "sensitive", "income": "target"},
        favourable_label=">50K",
        submitted_by=engineer,
    )


@pytest.fixture
def release_gate(db: None) -> PolicyVersion:
    return {v.policy.name: v for v in ensure_builtin()}["release-gate"]
