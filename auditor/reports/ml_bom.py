"""A model version, and its report card where there is one, as a CycloneDX 1.6 ML-BOM. Pure; the same bytes always."""

from __future__ import annotations

import json
import uuid
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType, Pedigree
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output.json import JsonV1Dot6

MEDIA_TYPE = "application/vnd.cyclonedx+json; version=1.6"
_SERIALS = uuid.UUID("6f4a0f0e-2f0f-5d0b-9a59-3a1c0d3a7f10")  # namespace of the serial numbers
_OURS = "model-auditor:"


@dataclass(frozen=True)
class Subject:
    """What the document is about. `model` is as in a report card; times are RFC 3339.

    `licence` is the name that the files give, `spdx` whether that is an identifier of SPDX; `parent` has name,
    version and digest. `digest` is that of what the document is made from: the card's, or the model version's.
    """

    model: dict[str, Any]
    digest: str
    issued_at: str
    software: dict[str, str]
    licence: str = ""
    spdx: bool = False
    parent: dict[str, str] | None = None
    card: dict[str, Any] | None = None


def ml_bom(subject: Subject) -> bytes:
    """The document as indented JSON with sorted keys. Its serial number and time are those of what it is made from."""
    model, card = subject.model, subject.card
    root = Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=f"model:{model['digest']}",
        name=model["name"],
        version=model["version"],
        description=model["description"] or None,
        licenses=_licences(subject.licence, subject.spdx),
        pedigree=Pedigree(ancestors=[_parent(subject.parent)]) if subject.parent else None,
        components=[_file(file) for file in model["files"]],
        properties=_properties(_model_properties(model)),
    )
    bom = Bom(
        serial_number=uuid.uuid5(_SERIALS, f"{subject.digest} {subject.software['version']}"),
        metadata=BomMetaData(
            timestamp=datetime.fromisoformat(subject.issued_at),
            component=root,
            tools=ToolRepository(components=[_software(subject.software)]),
        ),
        components=[_data(card["data"])] if card else [],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the model depends on no component: it is data alone
        document = json.loads(JsonV1Dot6(bom).output_as_string())
    # the library knows neither model cards nor the kind of data
    document["metadata"]["component"]["modelCard"] = _model_card(subject)
    if card:
        (component,) = document["components"]
        component["data"] = [{"type": "dataset", "name": card["data"]["name"]}]
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def _software(software: dict[str, str]) -> Component:
    return Component(type=ComponentType.APPLICATION, name=software["name"], version=software["version"])


def _file(file: dict[str, Any]) -> Component:
    return Component(
        type=ComponentType.FILE,
        bom_ref=f"file:{file['path']}",
        name=file["path"],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=file["sha256"])],
        properties=_properties([("size", file["size"])]),
    )


def _parent(parent: dict[str, str]) -> Component:
    return Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=f"parent:{parent['digest']}",
        name=parent["name"],
        version=parent["version"],
        properties=_properties([("digest", parent["digest"])]),
    )


def _data(data: dict[str, Any]) -> Component:
    """The data set that the model was audited on; its digest is that of its one file."""
    return Component(
        type=ComponentType.DATA,
        bom_ref=f"data:{data['digest']}",
        name=data["name"],
        version=data["version"],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=data["digest"].removeprefix("sha256:"))],
        licenses=_licences(data["licence"], False),
        properties=_properties([("rows", data["rows"]), ("source", data["source"])]),
    )


def _licences(name: str, spdx: bool) -> list[DisjunctiveLicense]:
    if not name:
        return []
    return [DisjunctiveLicense(id=name) if spdx else DisjunctiveLicense(name=name)]


def _model_properties(model: dict[str, Any]) -> list[tuple[str, Any]]:
    provenance = [
        (f"provenance:{key}", value)
        for key, value in model["provenance"].items()
        if isinstance(value, str | int | float)
    ]
    return [
        *((key, model[key]) for key in ("digest", "format", "modality", "risk_tier", "team", "submitted_by")),
        ("languages", " ".join(model["languages"])),
        *provenance,
    ]


def _properties(facts: Iterable[tuple[str, Any]]) -> list[Property]:
    return [Property(name=_OURS + name, value=str(value)) for name, value in facts if value not in ("", None)]


# --- the model card ---------------------------------------------------------------------------------


def _model_card(subject: Subject) -> dict[str, Any]:
    model, card = subject.model, subject.card
    parameters: dict[str, Any] = {"task": model["modality"]}
    found: dict[str, Any] = {"modelParameters": parameters}
    stated = {"useCases": model["intended_use"], "technicalLimitations": model["out_of_scope_use"]}
    if any(stated.values()):
        found["considerations"] = {key: [text] for key, text in stated.items() if text}
    if card is None:
        return found
    parameters["datasets"] = [{"ref": f"data:{card['data']['digest']}"}]
    found["quantitativeAnalysis"] = {"performanceMetrics": _metrics(card)}
    policy = card["policy"]
    about = [
        ("card", card["id"]),
        ("card-digest", f"sha256:{subject.digest}"),
        ("verdict", card["verdict"]),
        ("policy", f"{policy['name']}@{policy['number']}"),
        ("valid-until", card["valid_until"]),
    ]
    found["properties"] = [{"name": _OURS + name, "value": value} for name, value in about]
    return found


def _metrics(card: dict[str, Any]) -> list[dict[str, Any]]:
    """What the card's controls and reports measured, each metric and slice once. What has no number is left out."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for measured in (*card["controls"], *card["reported"]):
        if measured["value"] is None:
            continue
        metric: dict[str, Any] = {
            "type": f"{measured['evaluation']}.{measured['metric']}",
            "value": _number(measured["value"]),
        }
        if measured["slice"] != "all":
            metric["slice"] = measured["slice"]
        if measured["ci_low"] is not None:
            low, high = _number(measured["ci_low"]), _number(measured["ci_high"])
            metric["confidenceInterval"] = {"lowerBound": low, "upperBound": high}
        found.setdefault((measured["item"], measured["metric"], measured["slice"]), metric)
    return list(found.values())


def _number(value: float) -> str:
    return json.dumps(value)
