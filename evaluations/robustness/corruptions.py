"""Fifteen common corruptions of a picture at five severities, in pictures of any size."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from evaluations.models.images import opened
from evaluations.robustness import corruptions_blur as blurs
from evaluations.robustness import corruptions_digital as digital
from evaluations.robustness import corruptions_weather as weather
from evaluations.robustness.corruptions_constants import ELASTIC_SIDE, LARGE, SMALL, SMALL_SIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Corruption = Callable[[NDArray[np.float64], Any, np.random.Generator], NDArray[np.float64]]

MADE = "corruptions/1"  # changes when the same draw gives another picture
LARGEST_SHORT = 256  # the authors reduce to this before they crop 224
LARGEST_LONG = 1024

# on (height, width, 3) in 0 to 1; what leaves that range is cut off
FLOATING: dict[str, Corruption] = {
    "gaussian_noise": digital.gaussian_noise,
    "shot_noise": digital.shot_noise,
    "impulse_noise": digital.impulse_noise,
    "defocus_blur": lambda x, c, rng: blurs.defocus(x, c),
    "glass_blur": blurs.glass,
    "motion_blur": lambda x, c, rng: blurs.motion(x, c[0], c[1], float(rng.uniform(-45, 45))),
    "zoom_blur": lambda x, c, rng: blurs.zoom(x, c),
    "snow": weather.snow,
    "frost": weather.frost,
    "fog": weather.fog,
    "brightness": lambda x, c, rng: digital.brightness(x, c),
    "contrast": lambda x, c, rng: digital.contrast(x, c),
}


def corrupt(
    pixels: NDArray[np.uint8], kind: str, severity: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """`pixels` (height, width, 3) with one of KINDS at a severity of 1 to 5, of the same shape.

    Up to 64 px on the short side with the constants of CIFAR-C, above with those of ImageNet-C.
    """
    side = min(pixels.shape[:2])
    table, size = (SMALL, "small") if side <= SMALL_SIDE else (LARGE, "large")
    constants = table[kind][severity - 1]
    if kind == "pixelate":
        return digital.pixelate(pixels, constants)
    if kind == "jpeg":
        return digital.jpeg(pixels, constants)
    x = pixels / 255
    if kind == "elastic":
        found = digital.elastic(x, constants, side * ELASTIC_SIDE[size], rng)
    else:
        found = FLOATING[kind](x, constants, rng)
    return (np.clip(found, 0, 1) * 255).astype(np.uint8)  # cut to whole numbers, as the authors do


def decoded(image: bytes) -> tuple[NDArray[np.uint8], bool] | None:
    """The picture (height, width, 3), upright, and whether it was reduced; None where it cannot be read.

    One larger than 256 px on the short side, or 1,024 on the long one, is reduced to that: severities are in pixels,
    and would mean less and less on larger pictures.
    """
    picture = opened(image, "RGB")
    if picture is None:
        return None
    short, long = sorted(picture.size)
    scale = min(1.0, LARGEST_SHORT / short, LARGEST_LONG / long)
    if scale < 1:
        size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    return np.asarray(picture), scale < 1


def encoded(pixels: NDArray[np.uint8]) -> bytes:
    """As a PNG, which loses nothing."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()
