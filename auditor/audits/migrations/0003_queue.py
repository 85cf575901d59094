"""The message queue of the embedded default: pgmq's SQL schema, where it is not there yet."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import migrations


def install_pgmq(apps: Any, schema_editor: Any) -> None:
    if settings.BROKER_URL:  # an external broker is used
        return
    from pgmq.install import get_embedded_install_sql

    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT to_regnamespace('pgmq') IS NULL")
        if cursor.fetchone()[0]:
            cursor.execute(get_embedded_install_sql())


class Migration(migrations.Migration):
    dependencies: ClassVar = [("audits", "0002_evidence_is_final")]
    operations: ClassVar = [migrations.RunPython(install_pgmq, migrations.RunPython.noop)]
