"""Pictures of attributions: an image as the network sees it, small, and the cells of a grid laid over it in colour."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from evaluations.spec import Picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHOWN_SIDE = 160  # pixels of a picture
FOR, AGAINST = (30, 90, 200), (230, 120, 20)  # blue speaks for the answer, orange against it, as on the pages
STRONGEST = 0.65  # how much of the picture the largest value hides


def seen(pixels: NDArray[np.float32]) -> tuple[bytes, tuple[int, int]]:
    """Prepared pixels (channels, height, width) as bytes of a small RGB picture, and its height and width."""
    from PIL import Image

    low, high = float(pixels.min()), float(pixels.max())
    levels = ((pixels - low) * (255 / max(high - low, 1e-12))).astype(np.uint8)
    shown = np.moveaxis(levels if len(levels) == 3 else np.repeat(levels[:1], 3, axis=0), 0, 2)
    picture = Image.fromarray(np.ascontiguousarray(shown))
    picture.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
    return picture.tobytes(), (picture.height, picture.width)


def levels_of(held: bytes, height: int, width: int) -> NDArray[np.uint8]:
    """(height, width, 3) of the bytes that `seen` gave."""
    return np.frombuffer(held, dtype=np.uint8).reshape(height, width, 3)


def heated(
    levels: NDArray[np.uint8], grid: tuple[int, int], values: NDArray[np.float64], largest: float
) -> NDArray[np.uint8]:
    """`levels` with each cell's value in colour, as strong as it is large beside `largest`."""
    (rows, columns), (height, width) = grid, levels.shape[:2]
    down: NDArray[np.int64] = np.arange(height) * rows // height
    across: NDArray[np.int64] = np.arange(width) * columns // width
    by_pixel = values.reshape(rows, columns)[down[:, None], across[None, :]]
    share = (STRONGEST * np.abs(by_pixel) / max(largest, 1e-12))[:, :, None]
    colour = np.where(by_pixel[:, :, None] > 0, np.array(FOR), np.array(AGAINST))
    return np.rint(levels * (1 - share) + colour * share).astype(np.uint8)


def said(answer: str, features: Sequence[str], values: NDArray[np.float64]) -> str:
    """What the colours mean, and the place that speaks most for the answer, in words."""
    top = features[int(np.argmax(values))]
    return f"Blue places speak for {answer}, orange ones against it; most for it: {top}"


def png(levels: NDArray[np.uint8], title: str, alt: str) -> Picture:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(levels)).save(file, "PNG", optimize=True)
    return Picture(title=title, alt=alt, png=base64.b64encode(file.getvalue()).decode())
