"""Between prepared pixels and the image they show: values from 0 to 1 at the network's input resolution.

A perturbation is measured in the image, not after normalisation, where each channel has a scale of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations.spec import EvaluationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.models.images import Preparation

CLOSE = 1e-4  # of a prepared value, where it is read off constant images


@dataclass(frozen=True)
class Units:
    """Prepared pixels = scale · units + shift, per channel (channels, 1, 1)."""

    scale: NDArray[np.float32]
    shift: NDArray[np.float32]

    def of_pixels(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """The image (…, channels, height, width) that prepared pixels show."""
        shown: NDArray[np.float32] = np.clip((pixels - self.shift) / self.scale, 0, 1)
        return shown

    def to_pixels(self, units: Any) -> Any:
        """Prepared pixels of an image in units: an array, or a tensor through which gradients flow."""
        if isinstance(units, np.ndarray):
            return units * self.scale + self.shift
        import torch

        scale, shift = (torch.from_numpy(held).to(units) for held in (self.scale, self.shift))
        return units * scale + shift


def units_of(prepare: Preparation) -> Units:
    """Read off what the preparation makes of plain black, white and coloured images.

    So it holds however a processor names its settings. Raises `image_units` where what comes out is no fixed
    scale and shift of each channel: borders, reordered or mixed colours, contrast that depends on the image.
    """
    black, white, mixed = (
        ((0, 0, 0), (255, 255, 255), (10, 90, 200)) if prepare.mode == "RGB" else (0, 255, 90)
    )
    shift = _plain(prepare, black)
    scale = _plain(prepare, white) - shift
    expected = shift + scale * (np.array(mixed, dtype=np.float32).reshape(-1, 1, 1) / 255)
    flat = all(np.ptp(image, axis=(1, 2)).max() <= CLOSE for image in (shift, scale))
    corner = (slice(None), slice(0, 1), slice(0, 1))
    if (
        not flat
        or len(shift) != len(prepare.mode)
        or not (scale[corner] > CLOSE).all()
        or not np.allclose(_plain(prepare, mixed), expected, rtol=0, atol=CLOSE * float(np.abs(scale).max()))
    ):
        raise EvaluationError(
            "image_units",
            "The preparation of images does more than resize, crop, scale and shift each colour, so that a change of "
            "the pixels cannot be stated in the image's own values. Register the model with a "
            "preprocessor_config.json without padding and without reordered colours.",
            skipped=True,
        )
    return Units(scale[corner].astype(np.float32), shift[corner].astype(np.float32))


def _plain(prepare: Preparation, colour: Any) -> NDArray[np.float32]:
    """What the preparation makes of an image of one colour."""
    from PIL import Image

    return prepare.of_picture(Image.new(prepare.mode, (64, 48), colour))
