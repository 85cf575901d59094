"""Images of an attack as files: written as PNG, read back without trust, and shown before, after and apart."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations.models.images import FORMATS, opened
from evaluations.robustness import image_explained
from evaluations.spec import EvaluationError, Example, Picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.robustness.image_explained import Explained

MOST_BYTES = 32 * 2**20  # of one image in memory
SHOWN_SIDE = 160  # pixels: what a page shows
MOST_AMPLIFIED = 64
GREY = ("1", "L", "LA", "I", "I;16", "F")
SHOWN = 8  # examples on a result


def written(levels: NDArray[np.uint8]) -> bytes:
    """The PNG file of an image (channels, height, width), of 1 or 3 channels."""
    file = io.BytesIO()
    _picture(levels).save(file, "PNG", compress_level=1)
    return file.getvalue()


def read(file: bytes, shape: tuple[int, ...] | None = None) -> NDArray[np.uint8]:
    """The image (channels, height, width) in a PNG file of a run. Raises `bad_records` for anything else."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(file), formats=("PNG",)) as held:
            if held.mode not in ("L", "RGB") or held.width * held.height * 3 > MOST_BYTES:
                raise ValueError("another kind of image")
            levels = np.array(held, dtype=np.uint8)
    except (OSError, ValueError, SyntaxError, EOFError, TypeError, Image.DecompressionBombError) as error:
        raise _bad() from error
    levels = levels[None] if levels.ndim == 2 else np.moveaxis(levels, -1, 0)
    if shape is not None and levels.shape != shape:
        raise _bad()
    return levels


def example(
    id: str,
    before: NDArray[np.uint8],
    after: NDArray[np.uint8],
    labels: Sequence[str],
    truth: int,
    was: NDArray[np.float64],
    now: NDArray[np.float64],
    explained: Explained | None,
    **facts: str | float,
) -> Example:
    """A successful attack to show: images (channels, height, width) and probabilities (K,), before and after."""
    return Example(
        id=id,
        kind="image_attack",
        pictures=pictures(before, after)
        + (() if explained is None else image_explained.pictures(explained, labels[truth])),
        facts={
            "true_label": labels[truth],
            "answer_before": labels[int(was.argmax())],
            "probability_before": round(float(was.max()), 4),
            "answer_after": labels[int(now.argmax())],
            "probability_after": round(float(now.max()), 4),
            **facts,
        },
    )


def is_grey(file: bytes) -> bool:
    """Whether a file is an image without colours."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(file), formats=FORMATS) as held:
            return held.mode in GREY
    except (OSError, ValueError, SyntaxError, EOFError, TypeError, Image.DecompressionBombError):
        return False


def levels_of(file: bytes, mode: str) -> NDArray[np.uint8] | None:
    """The image (channels, height, width) in a file of a data set, or None where it cannot be read or is too large."""
    picture = opened(file, mode)
    if picture is None or picture.width * picture.height * 3 > MOST_BYTES:
        return None
    levels = np.array(picture, dtype=np.uint8)
    return levels[None] if levels.ndim == 2 else np.moveaxis(levels, -1, 0)


def pictures(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> tuple[Picture, ...]:
    """Both images, and their difference amplified around grey until it can be seen."""
    delta = after.astype(np.int64) - before
    largest = int(np.abs(delta).max(initial=0))
    times = max(1, min(MOST_AMPLIFIED, 127 // max(1, largest)))
    apart = np.clip(128 + times * delta, 0, 255).astype(np.uint8)
    return (
        _shown(before, "Before", "The image before the attack"),
        _shown(after, "After", "The image after the attack"),
        _shown(
            apart,
            f"Difference, {times} times amplified",
            f"What the attack changed, {times} times amplified around grey; at most {largest} of 255 in any value",
        ),
    )


def _shown(levels: NDArray[np.uint8], title: str, alt: str) -> Picture:
    picture = _picture(levels)
    picture.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return Picture(title=title, alt=alt, png=base64.b64encode(file.getvalue()).decode())


def _picture(levels: NDArray[np.uint8]) -> Any:
    from PIL import Image

    return Image.fromarray(
        levels[0] if len(levels) == 1 else np.ascontiguousarray(np.moveaxis(levels, 0, -1))
    )


def _bad() -> EvaluationError:
    return EvaluationError("bad_records", "A record holds no image of the expected kind. Run it again.")
