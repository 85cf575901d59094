"""Showing examples of evaluated data to a person: who may see them, and that it happened."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.db import transaction

from auditor.core import store
from auditor.core.access import Principal, require
from auditor.core.errors import DomainError, forbidden, not_found
from auditor.reports.models import Exposure, ReportCard
from evaluations.spec import Example


def may_show(principal: Principal, card: ReportCard) -> str:
    """Empty where this person may see examples of the card's runs, else why not."""
    team: str = card.audit.model_version.model.team_id
    if not principal.is_person:
        return "Examples are shown to signed-in people only, never to a token."
    if card.audit.dataset_version.held_out and (
        principal.user_id == card.submitter_id
        or (principal.may("submit", team) and not principal.may("review", team))
    ):
        return "These rows are held out: whoever submits models does not see them, so that nobody can train on them."
    return ""


@transaction.atomic
def show_examples(*, principal: Principal, card: ReportCard, run: Mapping[str, Any]) -> list[Example]:
    """The stored examples of one of the card's runs; that they were shown, and to whom, is recorded."""
    require(principal, "read", card.audit.model_version.model.team_id)
    if refusal := may_show(principal, card):
        raise forbidden(refusal)
    artifact = next((a for a in run["artifacts"] if a["kind"] == "examples"), None)
    if artifact is None:
        raise not_found("set of examples", run["item"])
    try:
        examples = [Example.model_validate(e) for e in json.loads(store.get(artifact["sha256"]))]
    except ValueError as error:
        raise DomainError(
            "artifact_damaged", "The stored examples cannot be read. Run the audit again.", status=410
        ) from error
    Exposure.objects.create(
        card=card, run_id=run["id"], viewer_id=principal.user_id, artifact_sha256=artifact["sha256"]
    )
    return examples
