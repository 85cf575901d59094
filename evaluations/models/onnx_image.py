"""Image classifiers exported to ONNX beside config.json and preprocessor_config.json, int8 ones included."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy import special

from evaluations.models import hf_folder, images
from evaluations.models.loader import agreed_labels
from evaluations.models.onnx_session import Logits, open_session
from evaluations.models.protocol import Scores, Usage
from evaluations.models.text_hf import refuse_other_heads
from evaluations.spec import Access, Modality, ModelRef

if TYPE_CHECKING:
    from numpy.typing import NDArray


class OnnxImageClassifier:
    """An image classifier in ONNX. `labels` are config.id2label, in output order."""

    modality: ClassVar[Modality] = Modality.IMAGE_CLASSIFIER
    adapter: ClassVar[str] = "onnx_image/1"
    access: ClassVar[Access] = Access.LABEL | Access.PROBS | Access.LOGITS
    columns: tuple[str, ...] | None = None
    device = "cpu"

    def __init__(self, forward: Logits, prepare: images.Preparation, labels: tuple[str, ...]) -> None:
        self.forward = forward
        self.prepare = prepare
        self.labels = labels
        self.pixels = next(iter(forward.inputs))
        self.usage = Usage()

    def predict_proba(self, rows: Sequence[bytes]) -> Scores:
        self.usage.queries += len(rows)
        scores = Scores.checked(np.full((len(rows), len(self.labels)), np.nan))
        for held, pixels in images.batches(self.prepare, rows):
            logits = self.forward({self.pixels: pixels}).astype(np.float64)
            scores.put(np.asarray(held), Scores.checked(special.softmax(logits, axis=1)))
        return scores

    def probs_of_pixels(self, pixels: NDArray[np.float32]) -> NDArray[np.float64]:
        self.usage.queries += len(pixels)
        logits = self.forward({self.pixels: np.asarray(pixels, dtype=np.float32)}).astype(np.float64)
        return Scores.checked(special.softmax(logits, axis=1)).probs


def load(folder: Path, ref: ModelRef) -> OnnxImageClassifier:
    """The classifier in the folder's one .onnx file, with its configuration and preparation beside it."""
    raw = hf_folder.config_of(folder)
    config = hf_folder.settings_of(folder)
    refuse_other_heads(config.num_labels, raw.get("problem_type"))
    forward = Logits(open_session(folder), rank=2)
    prepare = images.preparation_of(folder, getattr(config, "num_channels", 3))
    own = hf_folder.own_labels(config)
    return OnnxImageClassifier(forward, prepare, agreed_labels(ref, own, forward.outputs or len(own)))
