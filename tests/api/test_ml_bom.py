"""The ML-BOM over the API and on pages: valid, stable, with the licence of the stored files, for those who may see."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from django.test import Client
from django.urls import reverse

from auditor.accounts.models import Team, User
from auditor.core import store
from auditor.policies.models import PolicyVersion
from auditor.registry.models import ModelVersion
from auditor.reports.models import ReportCard
from tests.factories import a_model, a_version, adult_data, audited, failing


@pytest.fixture
def version(engineer: User, team: Team) -> ModelVersion:
    """A version with a parent, whose stored README names its licence."""
    model = a_model(team, engineer)
    made = a_version(model, "3.2.0")
    made = ModelVersion.objects.create(
        model=model,
        version="3.2.1",
        digest=f"sha256:{'c' * 64}",
        format="skops",
        size=10,
        files=[
            {"path": "README.md", "size": 26, "sha256": "d" * 64},
            {"path": "model.skops", "size": 10, "sha256": "e" * 64},
        ],
        labels=[],
        provenance={},
        parent=made,
        submitted_by=engineer,
    )
    folder = store.model_folder(made.digest)
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    return made


@pytest.fixture
def card(engineer: User, team: Team, release_gate: PolicyVersion, version: ModelVersion) -> ReportCard:
    return audited(version, adult_data(team, engineer), [release_gate], failing())[0]


def valid(content: bytes) -> dict[str, Any]:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(content.decode()) is None
    found: dict[str, Any] = json.loads(content)
    return found


def test_a_version_is_exported_with_files_licence_and_parent(api: Any, version: ModelVersion) -> None:
    answer = api.get("models/income/versions/3.2.1/ml-bom")
    assert answer["Content-Type"].startswith("application/vnd.cyclonedx+json")
    model = valid(answer.content)["metadata"]["component"]
    assert [file["name"] for file in model["components"]] == ["README.md", "model.skops"]
    assert model["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    assert model["pedigree"]["ancestors"][0]["version"] == "3.2.0"
    assert api.get("models/income/versions/3.2.1/ml-bom").content == answer.content


def test_a_card_adds_what_was_measured_and_the_data(api: Any, card: ReportCard) -> None:
    answer = api.get(f"cards/{card.pk}/ml-bom")
    found = valid(answer.content)
    assert found["components"][0]["name"] == "adult"
    metrics = found["metadata"]["component"]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert "quality.classification.balanced_accuracy" in {metric["type"] for metric in metrics}
    assert api.get(f"cards/{card.pk}/ml-bom").content == answer.content


def test_a_version_that_is_not_there_and_one_that_may_not_be_seen_look_alike(
    api: Any, version: ModelVersion
) -> None:
    assert api.get("models/income/versions/9.9.9/ml-bom").status_code == 404
    other = Team.objects.create(name="Another")
    type(version.model).objects.filter(pk=version.model_id).update(team=other)
    assert api.get("models/income/versions/3.2.1/ml-bom").status_code == 404


@pytest.mark.usefixtures("static_files")
def test_a_person_downloads_the_same_bytes(api: Any, engineer: User, card: ReportCard) -> None:
    browser = Client()
    browser.force_login(engineer)
    pages = {
        reverse("card_ml_bom", args=[card.pk]): (f"cards/{card.pk}/ml-bom", "card_detail", [card.pk]),
        reverse("model_ml_bom", args=["income", "3.2.1"]): (
            "models/income/versions/3.2.1/ml-bom",
            "model_detail",
            ["income"],
        ),
    }
    for address, (path, page, arguments) in pages.items():
        answer = browser.get(address)
        assert answer.content == api.get(path).content
        assert "attachment" in answer["Content-Disposition"]
        assert address in browser.get(reverse(page, args=arguments)).content.decode()
