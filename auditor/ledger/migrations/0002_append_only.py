"""The ledger is append-only: the database refuses anything else."""

from typing import ClassVar

from django.db import migrations

from auditor.core.migrations_ops import append_only


class Migration(migrations.Migration):
    dependencies: ClassVar = [("ledger", "0001_initial")]
    operations: ClassVar = [append_only("ledger_ledgerentry"), append_only("ledger_checkpoint")]
