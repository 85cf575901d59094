"""Keeps what is known of an upload that intake refused: what was announced, by whom, and why. Not its files."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta

from django.db.models import QuerySet
from django.utils import timezone

from auditor.core.access import Principal, visible
from auditor.registry import staging
from auditor.registry.models import Model, Upload
from evaluations.intake import pickle_scan
from evaluations.intake.inspection import Refused

LIFETIME = timedelta(days=90)
MAX_KEPT = 100  # per team, the newest


def keep(upload: Upload, digest: str, refused: Refused) -> None:
    """Note why the upload was refused, with what its pickles would have done, and delete its files."""
    scanned = pickle_scan.scan_refused(staging.folder(upload.pk), refused.reasons)
    now = timezone.now()
    upload.state = Upload.State.QUARANTINED
    upload.digest, upload.refused_at, upload.expires_at = digest, now, now + LIFETIME
    upload.refusal = {
        "reasons": [asdict(reason) for reason in refused.reasons],
        "notes": [asdict(note) for note in refused.notes],
        "pickles": [finding.record() for finding in scanned],
    }
    upload.save()
    staging.remove(upload.pk)
    kept = Upload.objects.filter(team=upload.team_id, state=Upload.State.QUARANTINED).order_by("-pk")
    Upload.objects.filter(pk__in=[row.pk for row in kept[MAX_KEPT:]]).delete()


def of_model(principal: Principal, model: Model) -> QuerySet[Upload]:
    """The quarantined uploads of a model, newest first."""
    return (
        visible(principal, Upload)
        .filter(kind=Upload.Kind.MODEL, target=model.pk, state=Upload.State.QUARANTINED)
        .select_related("created_by")
        .order_by("-refused_at")
    )
