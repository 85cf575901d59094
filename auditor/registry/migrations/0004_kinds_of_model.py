"""More kinds of model, and more formats of their files. No column changes."""

from typing import ClassVar

from django.db import migrations, models

MODALITIES = (
    *("text_classifier", "token_classifier", "masked_lm", "causal_lm", "seq2seq", "extractive_qa"),
    *("image_classifier", "tabular", "tabular_regression", "recommender"),
)
FORMATS = ("safetensors", "onnx", "skops", "xgboost", "lightgbm", "endpoint")


def _one_of(names: tuple[str, ...], longest: int) -> models.CharField:
    return models.CharField(max_length=longest, choices=[(name, name) for name in names])


class Migration(migrations.Migration):
    dependencies: ClassVar = [("registry", "0003_endpoints")]
    operations: ClassVar = [
        migrations.AlterField("model", "modality", _one_of(MODALITIES, 32)),
        migrations.AlterField("modelversion", "format", _one_of(FORMATS, 16)),
    ]
