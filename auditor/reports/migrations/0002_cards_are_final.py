"""A card's content is frozen, reviews are append-only, and both carry the true submitter."""

from typing import ClassVar

from django.db import migrations

from auditor.core.migrations_ops import append_only, composite_foreign_key, frozen_columns


class Migration(migrations.Migration):
    dependencies: ClassVar = [("reports", "0001_initial"), ("audits", "0002_evidence_is_final")]
    operations: ClassVar = [
        composite_foreign_key(
            "reports_reportcard", ["audit_id", "submitter_id"], "audits_audit", ["id", "requested_by_id"]
        ),
        composite_foreign_key(
            "reports_review", ["card_id", "submitter_id"], "reports_reportcard", ["id", "submitter_id"]
        ),
        frozen_columns(
            "reports_reportcard",
            [
                "audit_id",
                "policy_version_id",
                "submitter_id",
                "revision",
                "verdict",
                "canonical",
                "digest",
                "ledger_entry_id",
                "issued_at",
                "valid_until",
            ],
        ),
        append_only("reports_review"),
    ]
