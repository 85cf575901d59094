"""Encoded image files to what a network reads: decoded, turned upright, prepared as preprocessor_config.json says."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations.models import hf_folder
from evaluations.spec import EvaluationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
MOST_PIXELS = 64 * 2**20  # of one image: a few kilobytes can unpack to gigabytes
MOST_STRETCHED = 100  # long to short side: what is resized to a short side grows as much on the long one
BATCH_VALUES = 32 * 3 * 224 * 224  # numbers per forward pass


def opened(image: bytes, mode: str) -> Any:
    """The picture, upright; None for what is no image, is damaged, or is larger or longer than any that is meant."""
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(image), formats=FORMATS) as file:
            short, long = sorted((file.width, file.height))
            if short * long > MOST_PIXELS or long > MOST_STRETCHED * max(1, short):
                return None
            return ImageOps.exif_transpose(file).convert(mode)
    except (OSError, ValueError, SyntaxError, EOFError, TypeError, Image.DecompressionBombError):
        return None  # what Pillow raises on damaged files


class Preparation:
    """Bytes to arrays (channels, height, width), as transformers prepares them with Pillow alone."""

    def __init__(self, processor: Any, channels: int) -> None:
        self.processor = processor
        self.mode = "L" if channels == 1 else "RGB"

    def __call__(self, image: bytes) -> NDArray[np.float32] | None:
        """None for what is no image, is damaged, or is larger or longer than any image that is meant."""
        upright = opened(image, self.mode)
        if upright is None:
            return None
        try:
            return self.of_picture(upright)
        except ValueError:  # this image does not fit the preparation; `preparation_of` saw that another does
            return None

    def of_picture(self, picture: Any) -> NDArray[np.float32]:
        pixels = self.processor(picture, return_tensors="np")["pixel_values"][0]
        return np.asarray(pixels, dtype=np.float32)


def preparation_of(folder: Path, channels: int) -> Preparation:
    """From preprocessor_config.json, with transformers' Pillow backend: torchvision is not needed."""
    import transformers
    from PIL import Image

    hf_folder.quiet()
    if not any((folder / name).is_file() for name in ("preprocessor_config.json", "processor_config.json")):
        raise EvaluationError(
            "model_files",
            "The folder has no preprocessor_config.json, which says how images are resized and scaled. "
            "Save it beside the model: processor.save_pretrained(folder).",
        )
    try:
        processor = transformers.AutoImageProcessor.from_pretrained(
            folder, backend="pil", local_files_only=True, trust_remote_code=False
        )
    except hf_folder.UNREADABLE as error:
        raise hf_folder.unreadable(error, "preprocessor_config.json") from error
    prepare = Preparation(processor, channels)
    try:
        prepare.of_picture(Image.new(prepare.mode, (64, 48)))
    except hf_folder.UNREADABLE as error:
        raise hf_folder.unreadable(error, "a preprocessor_config.json that fits the network") from error
    return prepare


def batches(prepare: Preparation, images: Sequence[bytes]) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
    """(rows, pixels (b, channels, height, width)) for every image that can be read, each prepared alone.

    Images that the preparation leaves with different sizes come in different batches.
    """
    waiting: dict[tuple[int, ...], list[tuple[int, NDArray[np.float32]]]] = {}
    for row, image in enumerate(images):
        pixels = prepare(image)
        if pixels is None:
            continue
        held = waiting.setdefault(pixels.shape, [])
        held.append((row, pixels))
        if len(held) * pixels.size >= BATCH_VALUES:
            yield _stacked(waiting.pop(pixels.shape))
    for held in waiting.values():
        yield _stacked(held)


def _stacked(held: list[tuple[int, NDArray[np.float32]]]) -> tuple[list[int], NDArray[np.float32]]:
    return [row for row, _ in held], np.stack([pixels for _, pixels in held])
