"""Hugging Face image classifiers, transformers and convolutional networks alike."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from evaluations.models import hf_folder, image_units, images
from evaluations.models.loader import agreed_labels
from evaluations.models.protocol import Scores, Usage
from evaluations.models.text_hf import refuse_other_heads
from evaluations.spec import Access, Modality, ModelRef

if TYPE_CHECKING:
    from numpy.typing import NDArray


class HuggingFaceImageClassifier:
    """An image classifier. `prepare` turns a file's bytes into pixels, `network` turns pixels into logits."""

    modality: ClassVar[Modality] = Modality.IMAGE_CLASSIFIER
    adapter: ClassVar[str] = "image_hf/1"
    access: ClassVar[Access] = (
        Access.LABEL | Access.PROBS | Access.LOGITS | Access.EMBED | Access.GRAD | Access.WEIGHTS
    )
    columns: tuple[str, ...] | None = None

    def __init__(
        self, network: Any, prepare: images.Preparation, labels: tuple[str, ...], device: str
    ) -> None:
        self.network = network
        self.prepare = prepare
        self.labels = labels
        self.device = device
        self.usage = Usage()

    def logits(self, pixels: Any) -> Any:
        """Raw outputs (n, K), a float32 CPU tensor, of prepared pixels (n, channels, height, width)."""
        import torch

        with torch.inference_mode():
            batch = torch.from_numpy(np.ascontiguousarray(pixels)).to(self.device)
            return self.network(pixel_values=batch).logits.float().cpu()

    @cached_property
    def units(self) -> image_units.Units:
        """How prepared pixels follow from the image. Raises `image_units` where that cannot be expressed."""
        return image_units.units_of(self.prepare)

    def logits_of_units(self, units: Any) -> Any:
        """Raw outputs (n, K) of images with values from 0 to 1, a tensor on the device; gradients flow to `units`."""
        self.usage.queries += len(units)
        return self.network(pixel_values=self.units.to_pixels(units)).logits.float()

    def predict_proba(self, rows: Sequence[bytes]) -> Scores:
        import torch

        self.usage.queries += len(rows)
        scores = Scores.checked(np.full((len(rows), len(self.labels)), np.nan))
        for held, pixels in images.batches(self.prepare, rows):
            probs = torch.softmax(self.logits(pixels).double(), dim=1)
            scores.put(np.asarray(held), Scores.checked(np.asarray(probs)))
        return scores

    def probs_of_pixels(self, pixels: NDArray[np.float32]) -> NDArray[np.float64]:
        import torch

        self.usage.queries += len(pixels)
        return Scores.checked(np.asarray(torch.softmax(self.logits(pixels).double(), dim=1))).probs


def load(folder: Path, ref: ModelRef) -> HuggingFaceImageClassifier:
    """The classifier in a Hugging Face folder. Raises EvaluationError where it is not one, or is incomplete."""
    config = hf_folder.config_of(folder)
    network = hf_folder.network_of(
        folder, "AutoModelForImageClassification", "Push the fine-tuned classifier, not the bare backbone."
    )
    refuse_other_heads(network.config.num_labels, config.get("problem_type"))
    network.requires_grad_(False)  # nothing is trained: gradients go to the image alone
    prepare = images.preparation_of(folder, getattr(network.config, "num_channels", 3))
    own = hf_folder.own_labels(network.config)
    return HuggingFaceImageClassifier(network, prepare, agreed_labels(ref, own, len(own)), hf_folder.device())
