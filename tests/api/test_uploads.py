"""A version is made over the API: announced, sent in pieces, completed."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIRequest

from auditor.accounts.models import User
from auditor.core.canonical import files_digest
from auditor.registry.models import ModelVersion, Upload
from tests.model_files import skops_bytes

DATA = skops_bytes()


def announced(files: dict[str, bytes], **more: Any) -> dict[str, Any]:
    entries = [{"path": p, "size": len(d), "sha256": hashlib.sha256(d).hexdigest()} for p, d in files.items()]
    return {"kind": "model", "name": "risk", "manifest": {"version": "1.0", "files": entries, **more}}


@pytest.fixture
def upload(api: Any) -> str:
    api.post("models", {"name": "risk", "modality": "tabular"})
    made = api.post("uploads", announced({"model.skops": DATA}))
    assert made.status_code == 201
    assert made["Location"] == f"/api/v1/uploads/{made.json()['id']}"
    return f"uploads/{made.json()['id']}"


def test_a_model_is_sent_in_pieces_and_becomes_a_version(api: Any, upload: str) -> None:
    half = len(DATA) // 2
    first = api.put(f"{upload}/files/model.skops", DATA[:half], Upload_Offset="0")
    assert (first.status_code, first["Upload-Offset"]) == (204, str(half))
    assert api.get(upload).json()["received"] == {"model.skops": half}
    api.put(f"{upload}/files/model.skops", DATA[half:], Upload_Offset=str(half))
    done = api.post(f"{upload}/complete")
    assert done.status_code == 201
    assert done["Location"] == "/api/v1/models/risk"
    entry = {"path": "model.skops", "sha256": hashlib.sha256(DATA).hexdigest()}
    assert done.json()["digest"] == files_digest([entry])
    assert api.get(upload).status_code == 404


def test_a_wrong_offset_says_where_to_go_on(api: Any, upload: str) -> None:
    api.put(f"{upload}/files/model.skops", DATA[:10], Upload_Offset="0")
    wrong = api.put(f"{upload}/files/model.skops", DATA, Upload_Offset="0")
    assert (wrong.status_code, wrong.json()["code"], wrong["Upload-Offset"]) == (409, "wrong_offset", "10")


@pytest.mark.parametrize("offset", ["", "-1", "ten"])
def test_an_offset_that_is_no_number_is_refused(api: Any, upload: str, offset: str) -> None:
    response = api.put(f"{upload}/files/model.skops", DATA, Upload_Offset=offset)
    assert response.status_code == 422
    assert "Upload-Offset" in response.json()["errors"][0]["pointer"]


def test_paths_in_folders_and_paths_out_of_them(api: Any, upload: str) -> None:
    made = api.post(
        "uploads", announced({"docs/README.md": b"hello", "model.skops": DATA}) | {"name": "risk"}
    )
    other = f"uploads/{made.json()['id']}"
    assert api.put(f"{other}/files/docs/README.md", b"hello", Upload_Offset="0").status_code == 204
    for path in ("../x", "%2e%2e/x", "docs", "docs/other"):
        assert api.put(f"{upload}/files/{path}", b"x", Upload_Offset="0").status_code == 404


def test_the_body_is_never_read_whole(api: Any, upload: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def whole(self: WSGIRequest) -> bytes:
        raise AssertionError("the body was read into memory")

    monkeypatch.setattr(WSGIRequest, "body", property(whole))
    assert api.put(f"{upload}/files/model.skops", DATA, Upload_Offset="0").status_code == 204


def test_a_refused_model_says_why_and_leaves_no_version(api: Any) -> None:
    api.post("models", {"name": "risk", "modality": "tabular"})
    bad = pickle.dumps([])
    upload = f"uploads/{api.post('uploads', announced({'model.pkl': bad})).json()['id']}"
    api.put(f"{upload}/files/model.pkl", bad, Upload_Offset="0")
    response = api.post(f"{upload}/complete")
    assert (response.status_code, response.json()["code"]) == (422, "refused")
    assert response.json()["errors"][0]["pointer"] == "/manifest/files/0"
    assert "skops.io.dump" in response.json()["detail"]
    assert not ModelVersion.objects.exists()
    kept = api.get(upload).json()
    assert (kept["state"], kept["version"], kept["received"]) == ("quarantined", "1.0", {"model.pkl": 0})
    assert [(r["code"], r["path"]) for r in kept["refusal"]["reasons"]] == [("pickle", "model.pkl")]
    assert {one["engine"] for one in kept["refusal"]["pickles"]} >= {"picklescan", "fickling"}
    digest = files_digest([{"path": "model.pkl", "sha256": hashlib.sha256(bad).hexdigest()}])
    assert kept["refusal"]["digest"] == digest
    again = api.put(f"{upload}/files/model.pkl", bad, Upload_Offset="0")
    assert (again.status_code, again.json()["code"]) == (410, "upload_quarantined")
    assert api.post(f"{upload}/complete").status_code == 410


def test_quarantined_uploads_are_listed_for_the_team_alone(
    api: Any, token: Callable[..., Any], stranger: User, upload: str
) -> None:
    bad = pickle.dumps([])
    refused = f"uploads/{api.post('uploads', announced({'model.pkl': bad})).json()['id']}"
    api.put(f"{refused}/files/model.pkl", bad, Upload_Offset="0")
    api.post(f"{refused}/complete")
    both = api.get("uploads").json()["items"]
    assert [f"uploads/{one['id']}" for one in both] == [refused, upload]
    for query, expected in (("state=quarantined", [refused]), ("state=receiving&model=risk", [upload])):
        assert [f"uploads/{one['id']}" for one in api.get(f"uploads?{query}").json()["items"]] == expected
    assert api.get("uploads?state=lost").status_code == 422
    assert api.get("uploads?model=other").status_code == 404
    other = token(stranger)
    assert other.get("uploads").json()["items"] == []
    assert other.get(refused).status_code == 404
    assert api.send("DELETE", refused).status_code == 204
    assert api.get("uploads?state=quarantined").json()["items"] == []


def test_a_refusal_with_a_key_is_kept_once_and_is_told_again(api: Any) -> None:
    api.post("models", {"name": "risk", "modality": "tabular"})
    bad = pickle.dumps([])
    upload = f"uploads/{api.post('uploads', announced({'model.pkl': bad})).json()['id']}"
    api.put(f"{upload}/files/model.pkl", bad, Upload_Offset="0")
    first, again = (api.post(f"{upload}/complete", Idempotency_Key="k1") for _ in range(2))
    assert first.status_code == again.status_code == 422
    assert first.content == again.content
    assert Upload.objects.get().state == Upload.State.QUARANTINED


def test_an_upload_can_be_dropped(api: Any, upload: str) -> None:
    assert api.send("DELETE", upload).status_code == 204
    assert api.get(upload).status_code == 404


def test_a_stranger_cannot_see_or_touch_an_upload(
    token: Callable[..., Any], stranger: User, upload: str
) -> None:
    other = token(stranger)
    assert other.get(upload).status_code == 404
    assert other.put(f"{upload}/files/model.skops", b"x", Upload_Offset="0").status_code == 404
    assert other.post(f"{upload}/complete").status_code == 404
    assert other.send("DELETE", upload).status_code == 404
