"""Models and data sets over the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from auditor.accounts.models import Team, User
from auditor.registry.models import DatasetVersion, Model, ModelVersion


def test_a_model_is_registered_once_and_then_found(api: Any) -> None:
    body = {"name": "risk", "modality": "tabular", "intended_use": "Ranking", "languages": ["en"]}
    first = api.post("models", body)
    assert first.status_code == 201
    assert first["Location"] == "/api/v1/models/risk"
    assert first.json()["team"] == "Credit"
    again = api.post("models", body)
    assert again.status_code == 200
    assert again.json() == first.json()
    assert api.get("models/risk").json()["versions"] == []


def test_a_model_shows_its_versions_with_their_digests(api: Any, income: ModelVersion) -> None:
    versions = api.get("models/income").json()["versions"]
    assert [(v["version"], v["digest"]) for v in versions] == [("1.0", income.digest)]


def test_a_data_set_is_registered_and_shows_its_versions(api: Any, adult: DatasetVersion) -> None:
    made = api.post("datasets", {"name": "census", "licence": "CC BY 4.0"})
    assert made.status_code == 201
    versions = api.get("datasets/adult").json()["versions"]
    assert [(v["version"], v["rows"], v["roles"]["sex"]) for v in versions] == [("1", 1000, "sensitive")]


def test_a_stranger_sees_none_of_it(
    token: Callable[..., Any], stranger: User, income: ModelVersion, adult: Any
) -> None:
    other = token(stranger)
    assert other.get("models").json() == {"items": [], "next_cursor": None}
    assert other.get("models/income").status_code == 404
    assert other.get("datasets/adult").status_code == 404


def test_the_team_is_named_where_there_are_several(api: Any, engineer: User) -> None:
    Team.objects.create(name="Other").memberships.create(user=engineer, role="engineer")
    body = {"name": "risk", "modality": "tabular"}
    assert api.post("models", body).json()["code"] == "team_required"
    assert api.post("models", body | {"team": "Other"}).json()["team"] == "Other"
    assert api.post("models", body | {"name": "b", "team": "Elsewhere"}).status_code == 404


def test_lists_come_in_pages_that_miss_nothing_while_rows_are_added(
    api: Any, engineer: User, team: Team
) -> None:
    def add(name: str) -> None:
        Model.objects.create(name=name, team=team, owner=engineer, modality="tabular")

    for number in range(5):
        add(f"m{number}")
    seen, cursor = [], ""
    while cursor is not None:
        page = api.get(f"models?limit=2&cursor={cursor}").json()
        seen += [model["name"] for model in page["items"]]
        cursor = page["next_cursor"]
        add(f"late{len(seen)}")
    assert sorted(seen) == ["m0", "m1", "m2", "m3", "m4"]


def test_a_made_up_cursor_is_refused(api: Any) -> None:
    for cursor in ("zzz", "%00", "bWRsX0lOVkFMSUQ", "a" * 90):
        assert api.get(f"models?cursor={cursor}").json()["code"] == "invalid_cursor"
