"""Successful attacks are kept beside a run. No column changes."""

from typing import ClassVar

from django.db import migrations, models

KINDS = [
    ("chart", "Chart"),
    ("chart_svg", "Chart, drawn"),
    ("examples", "Examples"),
    ("records", "Records"),
    ("attacks", "Attacks"),
]


class Migration(migrations.Migration):
    dependencies: ClassVar = [("audits", "0005_judge")]
    operations: ClassVar = [
        migrations.AlterField("artifact", "kind", models.CharField(max_length=16, choices=KINDS)),
    ]
