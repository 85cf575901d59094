"""Evidence is append-only, and what an audit pinned at submission stays."""

from typing import ClassVar

from django.db import migrations

from auditor.core.migrations_ops import append_only, frozen_columns


class Migration(migrations.Migration):
    dependencies: ClassVar = [("audits", "0001_initial")]
    operations: ClassVar = [
        append_only("audits_metric"),
        append_only("audits_artifact"),
        append_only("audits_controlresult"),
        frozen_columns(
            "audits_audit",
            [
                "model_version_id",
                "dataset_version_id",
                "seed",
                "digest",
                "ordinal",
                "requested_by_id",
                "created_at",
            ],
        ),
        frozen_columns(
            "audits_evaluationrun",
            ["audit_id", "item", "evaluation", "evaluation_version", "params", "attempt"],
        ),
    ]
