"""The model that an audited one is compared with where that bears on privacy, pinned like everything else."""

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models

from auditor.core.migrations_ops import frozen_columns

DROP = "DROP TRIGGER audits_audit_frozen_columns ON audits_audit; DROP TRIGGER audits_audit_rows_stay ON audits_audit"
PINNED = [
    "model_version_id",
    "dataset_version_id",
    "seed",
    "digest",
    "ordinal",
    "requested_by_id",
    "created_at",
    "judge_version_id",
]


class Migration(migrations.Migration):
    dependencies: ClassVar = [("audits", "0006_attacks"), ("registry", "0003_endpoints")]
    operations: ClassVar = [
        migrations.AddField(
            "audit",
            "reference_version",
            models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="registry.modelversion",
            ),
        ),
        migrations.RunSQL(DROP, frozen_columns("audits_audit", PINNED).sql),
        frozen_columns("audits_audit", [*PINNED, "reference_version_id"]),
    ]
