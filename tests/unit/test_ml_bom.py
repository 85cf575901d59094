"""The ML-BOM: valid by CycloneDX's own schema, the same bytes each time, every file with its digest."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from auditor.core.canonical import sha256_hex
from auditor.reports import build
from auditor.reports.ml_bom import Subject, ml_bom
from tests.card_examples import facts, hostile_facts

PARENT = {"name": "income", "version": "3.1.0", "digest": f"sha256:{'b' * 64}"}


def subject(card_facts: build.CardFacts | None = None, **changes: Any) -> Subject:
    card = build.build(card_facts or facts())
    whole = Subject(
        model=card["model"],
        digest=sha256_hex(build.canonical(card)),
        issued_at=card["issued_at"],
        software=card["software"],
        licence="Apache-2.0",
        spdx=True,
        parent=PARENT,
        card=card,
    )
    return dataclasses.replace(whole, **changes)


def invalid(document: bytes) -> object:
    return JsonStrictValidator(SchemaVersion.V1_6).validate_str(document.decode())


@pytest.mark.parametrize(
    "about",
    [
        subject(),
        subject(card=None, parent=None, licence="", spdx=False),
        subject(licence="my own terms", spdx=False),
        subject(hostile_facts()),
    ],
    ids=["whole", "bare", "own licence", "hostile texts"],
)
def test_the_document_is_valid_by_the_schema_of_cyclonedx(about: Subject) -> None:
    assert invalid(ml_bom(about)) is None


def test_the_schema_refuses_what_is_wrong() -> None:
    document = json.loads(ml_bom(subject()))
    document["metadata"]["component"]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"][0]["n"] = 1
    assert invalid(json.dumps(document).encode()) is not None


def test_another_process_on_another_day_writes_the_same_bytes() -> None:
    code = (
        "import sys, hashlib; from tests.unit.test_ml_bom import subject, ml_bom; "
        "print(hashlib.sha256(ml_bom(subject())).hexdigest())"
    )
    environment = {"PYTHONHASHSEED": "99", "DJANGO_SETTINGS_MODULE": "auditor.settings", "PATH": "/usr/bin"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.strip() == sha256_hex(ml_bom(subject()))


def test_another_card_has_another_serial_number() -> None:
    one, other = (json.loads(ml_bom(subject(digest=digest * 64))) for digest in "ab")
    assert one["serialNumber"] != other["serialNumber"]


def test_each_file_stands_with_its_digest_and_the_parent_as_ancestor() -> None:
    about = subject()
    model = json.loads(ml_bom(about))["metadata"]["component"]
    assert model["type"] == "machine-learning-model"
    files = {file["name"]: file["hashes"] for file in model["components"]}
    assert files == {f["path"]: [{"alg": "SHA-256", "content": f["sha256"]}] for f in about.model["files"]}
    (ancestor,) = model["pedigree"]["ancestors"]
    assert (ancestor["name"], ancestor["version"]) == ("income", "3.1.0")
    assert model["licenses"] == [{"license": {"id": "Apache-2.0"}}]


def test_what_was_measured_stands_in_the_model_card_and_no_number_is_made_up() -> None:
    about = subject()
    assert about.card is not None
    document = json.loads(ml_bom(about))
    card = document["metadata"]["component"]["modelCard"]
    metrics = card["quantitativeAnalysis"]["performanceMetrics"]
    measured = [c for c in about.card["controls"] if c["value"] is not None]
    assert len(metrics) >= len({(c["item"], c["metric"], c["slice"]) for c in measured})
    first = measured[0]
    assert metrics[0]["type"] == f"{first['evaluation']}.{first['metric']}"
    assert float(metrics[0]["value"]) == first["value"]
    assert float(metrics[0]["confidenceInterval"]["lowerBound"]) == first["ci_low"]
    assert not any(metric["value"] in ("null", "NaN") for metric in metrics)
    (data,) = document["components"]
    assert card["modelParameters"]["datasets"] == [{"ref": data["bom-ref"]}]
    assert data["data"][0]["type"] == "dataset"
    assert {"name": "model-auditor:verdict", "value": about.card["verdict"]} in card["properties"]


def test_a_version_without_a_card_has_no_figures() -> None:
    document = json.loads(ml_bom(subject(card=None)))
    assert "quantitativeAnalysis" not in document["metadata"]["component"]["modelCard"]
    assert "components" not in document or document["components"] == []
