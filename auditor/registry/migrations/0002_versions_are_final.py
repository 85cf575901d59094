"""Versions are immutable: the database refuses to change or delete them."""

from typing import ClassVar

from django.db import migrations

from auditor.core.migrations_ops import append_only


class Migration(migrations.Migration):
    dependencies: ClassVar = [("registry", "0001_initial")]
    operations: ClassVar = [append_only("registry_modelversion"), append_only("registry_datasetversion")]
