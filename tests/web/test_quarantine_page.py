"""The page of a model says which uploads of it were refused, and why, to its team alone."""

from __future__ import annotations

from collections.abc import Callable

from django.test import Client
from django.utils import timezone

from auditor.accounts.models import Team, User
from auditor.registry.models import Model, Upload
from tests import factories
from tests.web.reading import text_of

REFUSAL = {
    "reasons": [
        {
            "code": "pickle",
            "path": "model.skops",
            "message": "Pickled files can run code <b>when</b> they are loaded.",
        }
    ],
    "notes": [],
    "pickles": [
        {
            "path": "model.skops",
            "engine": "picklescan",
            "severity": "malicious",
            "subject": "posix.system",
            "message": "imports posix.system, which can run code",
        }
    ],
}


def quarantined(team: Team, engineer: User) -> Model:
    model = factories.a_model(team, engineer, "income")
    Upload.objects.create(
        team=team,
        kind="model",
        target=model.pk,
        manifest={"version": "2.0.0", "files": []},
        created_by=engineer,
        expires_at=timezone.now(),
        state=Upload.State.QUARANTINED,
        digest="sha256:" + "0" * 64,
        refused_at=timezone.now(),
        refusal=REFUSAL,
    )
    return model


def test_a_refused_upload_is_on_the_page_of_its_model_with_its_reasons(
    browse: Callable[[User], Client], team: Team, engineer: User, reviewer: User
) -> None:
    quarantined(team, engineer)
    for reader in (engineer, reviewer):
        response = browse(reader).get("/models/income/")
        text = text_of(response)
        assert "Refused uploads" in text
        assert "2.0.0" in text
        assert "pickle model.skops Pickled files can run code" in text
        assert "Runs code picklescan: model.skops imports posix.system" in text
        assert "auditor model check ./model-dir --modality tabular" in text
        assert "<b>when</b>" not in response.content.decode()


def test_other_models_and_other_teams_hear_nothing_of_it(
    browse: Callable[[User], Client], team: Team, engineer: User, stranger: User
) -> None:
    quarantined(team, engineer)
    factories.a_model(team, engineer, "churn")
    assert "Refused uploads" not in text_of(browse(engineer).get("/models/churn/"))
    assert browse(stranger).get("/models/income/").status_code == 404


def test_the_page_is_in_chinese_too(browse: Callable[[User], Client], team: Team, engineer: User) -> None:
    quarantined(team, engineer)
    client = browse(engineer)
    client.post("/language/", {"language": "zh-hans", "next": "/"})
    text = text_of(client.get("/models/income/"))
    assert "被拒绝的上传" in text
    assert "会运行代码" in text
