"""Snow, frost and fog. Pictures are (height, width, 3) in 0 to 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from evaluations.robustness import corruptions_blur as blurs

if TYPE_CHECKING:
    from numpy.typing import NDArray

GREY = np.array([0.299, 0.587, 0.114])
# of crops of 224 px of the five photographs that the authors draw from: mean colour, how far crops differ in
# brightness (half the width of a uniform law with that deviation), deviation within a crop
ICE_COLOUR = np.array([0.582, 0.654, 0.699])
ICE_BRIGHTNESS = 0.26
ICE_SPREAD = 0.094


def snow(
    x: NDArray[np.float64], constants: tuple[float, ...], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Flakes with a trail, falling in two opposite directions over a whitened picture."""
    mean, deviation, factor, threshold, radius, sigma, kept = constants
    layer = blurs.magnified(rng.normal(mean, deviation, x.shape[:2]), factor)
    layer = np.floor(np.clip(np.where(layer < threshold, 0, layer), 0, 1) * 255)
    layer = np.rint(blurs.motion(layer, int(radius), sigma, float(rng.uniform(-135, -45)))) / 255
    white = kept * x + (1 - kept) * np.maximum(x, (x @ GREY)[..., None] * 1.5 + 0.5)
    return np.asarray(white + (layer + np.rot90(layer, k=2))[..., None])


def frost(
    x: NDArray[np.float64], constants: tuple[float, float], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Ice over the picture. The authors lay over photographs of frost; this ice is drawn, see `ice`."""
    picture, ice_share = constants
    return picture * x + ice_share * ice(x.shape[0], x.shape[1], rng)


def ice(height: int, width: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(height, width, 3): veins of ice, from ridges of noise at several scales.

    Its mean colour and its spread are those of the authors' photographs; their shapes are not.
    """
    ridges = np.zeros((height, width))
    for octave in range(5):
        cells = 3 * 2**octave
        coarse = rng.random((cells + 1, cells + 1))
        down, across = np.linspace(0, cells, height), np.linspace(0, cells, width)
        places = np.broadcast_arrays(down[:, None], across[None, :])
        smooth = ndimage.map_coordinates(coarse, places, order=1)
        ridges += (1 - np.abs(2 * smooth - 1)) ** 2 / 1.6**octave
    spread = float(ridges.std())
    veins = (ridges - ridges.mean()) / (spread if spread > 0 else 1.0)
    colour = ICE_COLOUR + rng.uniform(-ICE_BRIGHTNESS, ICE_BRIGHTNESS)
    return np.asarray(np.clip(colour + ICE_SPREAD * veins[..., None], 0, 1))


def fog(
    x: NDArray[np.float64], constants: tuple[float, float], rng: np.random.Generator
) -> NDArray[np.float64]:
    """A cloud over the picture, which keeps its own brightest value."""
    thickness, decay = constants
    height, width = x.shape[:2]
    side = 1 << (max(height, width, 2) - 1).bit_length()
    brightest = float(x.max())
    cloudy = x + thickness * plasma(side, decay, rng)[:height, :width, None]
    return np.asarray(cloudy * brightest / (brightest + thickness))


def plasma(side: int, decay: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Diamond-square heights (side, side) in 0 to 1, endless at its edges; `side` is a power of two.

    As the authors' plasma_fractal: what is added to a mean is uniform in ± wobble², wobble = 100 at the coarsest
    step and divided by `decay` at each finer one.
    """
    heights = np.zeros((side, side))
    step, wobble = side, 100.0

    def near(total: NDArray[np.float64]) -> NDArray[np.float64]:
        return total / 4 + wobble * rng.uniform(-wobble, wobble, total.shape)

    while step >= 2:
        half = step // 2
        corners = heights[::step, ::step]
        rows = corners + np.roll(corners, -1, axis=0)
        heights[half::step, half::step] = near(rows + np.roll(rows, -1, axis=1))
        middles = heights[half::step, half::step]
        above = middles + np.roll(middles, 1, axis=0)
        beside = corners + np.roll(corners, -1, axis=1)
        heights[::step, half::step] = near(above + beside)
        left = middles + np.roll(middles, 1, axis=1)
        over = corners + np.roll(corners, -1, axis=0)
        heights[half::step, ::step] = near(left + over)
        step, wobble = half, wobble / decay
    heights -= heights.min()
    highest = float(heights.max())
    return heights / highest if highest > 0 else heights
