"""What an audit may spend at endpoints, and what each run spent there."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("audits", "0003_queue")]
    operations: ClassVar = [
        migrations.AddField("audit", "max_requests", models.PositiveBigIntegerField(blank=True, null=True)),
        migrations.AddField("audit", "max_tokens", models.PositiveBigIntegerField(blank=True, null=True)),
        migrations.AddField("audit", "max_cost", models.FloatField(blank=True, null=True)),
        migrations.AddField("audit", "drawn_requests", models.BigIntegerField(default=0)),
        migrations.AddField("audit", "drawn_tokens", models.BigIntegerField(default=0)),
        migrations.AddField("audit", "drawn_cost", models.FloatField(default=0)),
        migrations.AddField("evaluationrun", "spent", models.JSONField(default=dict)),
    ]
