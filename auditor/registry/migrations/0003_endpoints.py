"""Secrets of endpoints, and who may be shown the rows of a data set (nobody, for those that are there)."""

from typing import ClassVar

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("registry", "0002_versions_are_final"),
    ]
    operations: ClassVar = [
        migrations.AddField("datasetversion", "egress", models.JSONField(blank=True, default=list)),
        migrations.CreateModel(
            name="EndpointCredential",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("origin", models.CharField(max_length=300)),
                ("header", models.CharField(max_length=60)),
                ("sealed", models.TextField()),
                ("set_at", models.DateTimeField()),
                (
                    "model",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="credential",
                        to="registry.model",
                    ),
                ),
                (
                    "set_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={"verbose_name": "endpoint credential"},
        ),
    ]
