"""What a data set version that the service made itself was made of."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("registry", "0004_kinds_of_model")]
    operations: ClassVar = [
        migrations.AddField("datasetversion", "provenance", models.JSONField(blank=True, default=dict)),
    ]
