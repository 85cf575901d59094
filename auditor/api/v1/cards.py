"""Report cards: the published result, its proof, its PDF, and whether a model may pass."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from django.http import HttpResponse
from ninja import Router, Schema
from pydantic import Field

from auditor.api.auth import Caller
from auditor.api.etags import conditional
from auditor.core.access import fetch
from auditor.core.canonical import canonical_json
from auditor.reports import services
from auditor.reports.gate import gate
from auditor.reports.ml_bom import MEDIA_TYPE
from auditor.reports.models import ReportCard

router = Router(tags=["Report cards"])


class GateCard(Schema):
    """The report card that decides."""

    id: str
    policy: str
    verdict: str
    status: str


class GateOut(Schema):
    """Whether the model of this digest may be deployed, and why."""

    digest: str
    require: str
    open: bool
    reason: str
    card: GateCard | None


@router.get(
    "/cards/{card_id}",
    response=dict[str, Any],
    summary="A report card, as the canonical JSON that its digest is over",
    operation_id="get_card",
)
def card(request: Caller, card_id: str) -> HttpResponse:
    found = fetch(request.auth, ReportCard, pk=card_id)
    response = HttpResponse(found.canonical.encode(), content_type="application/json")
    return conditional(request, f'"{found.digest}"', response)


@router.get(
    "/cards/{card_id}/bundle",
    response=dict[str, Any],
    summary="The card with its proof, for `auditor verify`",
    operation_id="get_card_bundle",
)
def bundle(request: Caller, card_id: str) -> HttpResponse:
    content = services.bundle(fetch(request.auth, ReportCard, pk=card_id))
    return HttpResponse(canonical_json(content), content_type="application/json")


@router.get(
    "/cards/{card_id}/pdf",
    summary="The signed PDF",
    operation_id="get_card_pdf",
    openapi_extra={
        "responses": {
            200: {
                "description": "OK",
                "content": {"application/pdf": {"schema": {"type": "string", "format": "binary"}}},
            }
        }
    },
)
def pdf(request: Caller, card_id: str) -> HttpResponse:
    found = fetch(request.auth, ReportCard, pk=card_id)
    response = HttpResponse(services.pdf(found), content_type="application/pdf")
    response["Content-Disposition"] = f'attachment; filename="report-{found.pk}.pdf"'
    return response


@router.get(
    "/cards/{card_id}/ml-bom",
    summary="The model and what was measured of it as a CycloneDX 1.6 ML-BOM",
    operation_id="get_card_ml_bom",
    openapi_extra={
        "responses": {
            200: {
                "description": "OK",
                "content": {"application/vnd.cyclonedx+json": {"schema": {"type": "object"}}},
            }
        }
    },
)
def ml_bom(request: Caller, card_id: str) -> HttpResponse:
    found = fetch(request.auth, ReportCard, pk=card_id)
    return HttpResponse(services.ml_bom(found), content_type=MEDIA_TYPE)


@router.get("/gate", response=GateOut, summary="May this model be deployed?", operation_id="get_gate")
def may_pass(
    request: Caller,
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")],
    require: Literal["approved", "issued"] = "approved",
    policy: str = "",
) -> GateOut:
    """`digest` is that of the model version. Without `policy`, every policy it was audited under counts."""
    answer = gate(request.auth, digest=digest, require=require, policy=policy)
    decisive = answer.card
    return GateOut(
        digest=digest,
        require=require,
        open=answer.open,
        reason=answer.reason,
        card=None
        if decisive is None
        else GateCard(
            id=decisive.pk,
            policy=f"{decisive.policy_version.policy.name}@{decisive.policy_version.number}",
            verdict=decisive.verdict,
            status=decisive.status,
        ),
    )
