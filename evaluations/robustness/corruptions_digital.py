"""Noise, and what cameras and files do: light, contrast, bent pictures, pixels, JPEG. (height, width, 3) in 0 to 1."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray


def gaussian_noise(x: NDArray[np.float64], deviation: float, rng: np.random.Generator) -> NDArray[np.float64]:
    return x + rng.normal(0, deviation, x.shape)


def shot_noise(x: NDArray[np.float64], photons: float, rng: np.random.Generator) -> NDArray[np.float64]:
    return rng.poisson(x * photons) / photons


def impulse_noise(x: NDArray[np.float64], share: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Values, not whole pixels, become black or white."""
    hit, white = rng.random(x.shape) < share, rng.random(x.shape) < 0.5
    return np.where(hit, white.astype(np.float64), x)


def brightness(x: NDArray[np.float64], more: float) -> NDArray[np.float64]:
    """The value of HSV raised: hue and saturation stay where all channels grow alike; black turns grey."""
    value = x.max(axis=2, keepdims=True)
    raised = np.minimum(1, value + more)
    return np.where(value > 0, x * raised / np.where(value > 0, value, 1), raised)


def contrast(x: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    mean = x.mean(axis=(0, 1), keepdims=True)
    return np.asarray((x - mean) * share + mean)


def elastic(
    x: NDArray[np.float64], constants: tuple[float, float, float], side: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """A random affine map that moves three points, then small smooth shifts; `side` is what the shares are of."""
    amplitude, smoothness, shift = (side * share for share in constants)
    height, width = x.shape[:2]
    middle, reach = np.array([width // 2, height // 2]), max(1, min(height, width) // 3)
    points = middle + reach * np.array([[1, 1], [1, -1], [-1, -1]])
    moved = points + rng.uniform(-shift, shift, points.shape)
    # where each point of the new picture comes from: old = new @ matrix + offset
    matrix, offset = _affine(moved, points)
    bent = np.stack(
        [
            ndimage.affine_transform(x[..., c], matrix.T[::-1, ::-1], offset[::-1], order=1, mode="mirror")
            for c in range(x.shape[2])
        ],
        axis=2,
    )
    fields = [
        ndimage.gaussian_filter(rng.uniform(-1, 1, (height, width)), smoothness, mode="reflect", truncate=3.0)
        * amplitude
        for _ in range(2)
    ]
    at = [np.arange(height)[:, None] + fields[1], np.arange(width)[None, :] + fields[0]]
    return np.stack(
        [ndimage.map_coordinates(bent[..., c], at, order=1, mode="reflect") for c in range(x.shape[2])],
        axis=2,
    )


def _affine(
    old: NDArray[np.float64], new: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(2, 2) and (2,) with new = old @ matrix + offset for three points; the identity where they lie on a line."""
    extended = np.column_stack([old, np.ones(3)])
    if abs(np.linalg.det(extended)) < 1e-9:
        return np.eye(2), np.zeros(2)
    solved = np.linalg.solve(extended, new)
    return solved[:2], solved[2]


def pixelate(pixels: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    picture = Image.fromarray(pixels)
    smaller = picture.resize((max(1, int(width * share)), max(1, int(height * share))), Image.Resampling.BOX)
    return np.asarray(smaller.resize((width, height), Image.Resampling.BOX))


def jpeg(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))
