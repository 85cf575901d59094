"""Blurs: out of focus, through glass, along a motion, into a zoom. Pictures are (height, width, 3) in 0 to 1."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage, signal

if TYPE_CHECKING:
    from numpy.typing import NDArray


def defocus(x: NDArray[np.float64], constants: tuple[float, float]) -> NDArray[np.float64]:
    """Each point becomes a disk with a soft rim; beyond the border the picture is mirrored."""
    kernel = _disk(*constants)
    reach = len(kernel) // 2
    padded = np.pad(
        x, ((reach, reach), (reach, reach), (0, 0)), mode="reflect" if min(x.shape[:2]) > 1 else "edge"
    )
    return np.asarray(signal.fftconvolve(padded, kernel[..., None], mode="valid", axes=(0, 1)))


def _disk(radius: float, rim: float) -> NDArray[np.float64]:
    reach = 8 if radius <= 8 else math.ceil(radius)
    taps = 1 if radius <= 8 else 2  # the authors smooth the rim with 3 taps, or 5
    along = np.arange(-reach, reach + 1)
    disk = (along[:, None] ** 2 + along[None, :] ** 2 <= radius**2).astype(np.float64)
    disk /= disk.sum()
    smooth = np.exp(-(np.arange(-taps, taps + 1) ** 2) / (2 * rim**2))
    for axis in (0, 1):
        disk = ndimage.correlate1d(disk, smooth / smooth.sum(), axis=axis, mode="mirror")
    return disk


def glass(
    x: NDArray[np.float64], constants: tuple[float, int, int], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Blurred, pixels taken from their surroundings, blurred again.

    The authors mean to swap two pixels, but their assignment through views copies one over the other;
    ImageNet-C was made so, and so is this. Later pixels take from those that were already replaced.
    """
    sigma, reach, rounds = constants
    height, width = x.shape[:2]
    pixels = np.floor(blurred(x, sigma) * 255).reshape(-1, 3)
    source = list(range(height * width))
    down = range(height - reach, reach, -1)
    across = range(width - reach, reach, -1)
    for _ in range(rounds):
        moves = rng.integers(-reach, reach, (len(down), len(across), 2))
        offsets = (moves[..., 1] * width + moves[..., 0]).tolist()
        for row, shifts in zip(down, offsets, strict=True):
            for column, shift in zip(across, shifts, strict=True):
                place = row * width + column
                source[place] = source[place + shift]
    return blurred(pixels[source].reshape(x.shape) / 255, sigma)


def blurred(x: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Gaussian blur of each channel, the border repeated."""
    return np.asarray(ndimage.gaussian_filter(x, (sigma, sigma, 0), mode="nearest", truncate=4.0))


def motion(x: NDArray[np.float64], radius: int, sigma: float, angle: float) -> NDArray[np.float64]:
    """A trail of half a Gaussian at `angle` degrees, as ImageMagick's MotionBlurImage draws it; (h, w, …)."""
    length = 2 * radius + 1
    weights = np.exp(-(np.arange(length) ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    height, width = x.shape[:2]
    found = np.zeros_like(x, dtype=np.float64)
    for i, weight in enumerate(weights):
        down, right = math.ceil(i * sine - 0.5), math.ceil(i * cosine - 0.5)
        rows = np.clip(np.arange(height) + down, 0, height - 1)
        columns = np.clip(np.arange(width) + right, 0, width - 1)
        found += weight * x[rows[:, None], columns[None, :]]
    return found


def zoom(x: NDArray[np.float64], constants: tuple[float, float]) -> NDArray[np.float64]:
    """The mean of the picture and its zooms from 1 up to the largest."""
    largest, step = constants
    factors = np.arange(1, largest, step)
    total = x + sum(magnified(x, float(factor)) for factor in factors)
    return np.asarray(total / (len(factors) + 1))


def magnified(x: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    """The middle of the picture (h, w, …) enlarged to its whole size, linearly interpolated."""
    for axis in (0, 1):
        size = x.shape[axis]
        kept = math.ceil(size / factor)
        start = (size - kept) // 2
        made = max(size, round(kept * factor))
        at = np.linspace(0, kept - 1, made)[(made - size) // 2 :][:size]
        low = np.floor(at).astype(np.int64)
        high = np.minimum(low + 1, kept - 1)
        share = np.expand_dims(at - low, [i for i in range(x.ndim) if i != axis])
        x = (1 - share) * x.take(start + low, axis) + share * x.take(start + high, axis)
    return x
