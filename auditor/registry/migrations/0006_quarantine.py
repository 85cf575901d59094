"""Uploads of models that intake refused stay visible, with the reasons."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("registry", "0005_provenance")]
    operations: ClassVar = [
        migrations.AddField(
            "upload",
            "state",
            models.CharField(
                choices=[("receiving", "Under way"), ("quarantined", "Quarantined")],
                default="receiving",
                max_length=12,
            ),
        ),
        migrations.AddField("upload", "digest", models.CharField(blank=True, default="", max_length=71)),
        migrations.AddField("upload", "refused_at", models.DateTimeField(blank=True, null=True)),
        migrations.AddField("upload", "refusal", models.JSONField(blank=True, default=dict)),
    ]
