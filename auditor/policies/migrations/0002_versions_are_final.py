"""Published policy versions are immutable: the database refuses to change or delete them."""

from typing import ClassVar

from django.db import migrations

from auditor.core.migrations_ops import append_only


class Migration(migrations.Migration):
    dependencies: ClassVar = [("policies", "0001_initial")]
    operations: ClassVar = [append_only("policies_policyversion")]
