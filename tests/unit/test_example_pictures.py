"""A picture that came from a sandbox is rebuilt from its points, or is not shown."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from auditor.reports.pictures import plain_png
from tests.png_files import END, MAGIC, chunk, head, pixels, png, text


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_an_honest_picture_stays_what_it_is(mode: str) -> None:
    file = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 255, (40, 70, len(Image.new(mode, (1, 1)).getbands())))
    Image.frombytes(mode, (70, 40), noise.astype(np.uint8).tobytes()).save(file, "PNG")
    shown = plain_png(text(file.getvalue()))
    assert shown is not None
    assert (shown.width, shown.height) == (70, 40)
    before, after = Image.open(file), Image.open(io.BytesIO(shown.data))
    assert (before.mode, before.tobytes()) == (after.mode, after.tobytes())


def test_what_does_not_draw_is_left_out() -> None:
    told = chunk(b"tEXt", b"Comment\0<script>") + chunk(b"iCCP", b"x\0\0bomb") + chunk(b"acTL", bytes(8))
    shown = plain_png(text(MAGIC + head() + told + pixels() + chunk(b"eXIf", b"MM") + END + b"<html>"))
    assert shown is not None
    assert shown.data == png()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a" + bytes(40),
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        png()[:-4],
        png()[: len(MAGIC)],
        MAGIC + pixels() + END,
        MAGIC + head() + head() + pixels() + END,
        MAGIC + head() + pixels(),
        MAGIC + head(1025, 1) + pixels() + END,
        MAGIC + head(1, 2**31) + pixels() + END,
        MAGIC + head(0, 1) + pixels() + END,
        MAGIC + head(depth=3) + pixels() + END,
        MAGIC + head(colour=5) + pixels() + END,
        MAGIC + head(rest=b"\1\0\0") + pixels() + END,
        MAGIC + chunk(b"IHDR", b"short") + END,
        MAGIC + struct.pack(">I", 2**32 - 1) + b"IHDR",
        png()[:-1] + b"x",
        MAGIC + head() + chunk(b"IDAT", bytes(600 * 1024)) + END,
        MAGIC + head() + END,
        MAGIC + head() + chunk(b"IDAT", b"garbage") + END,
        MAGIC + head(9, 9) + pixels() + END,
        MAGIC + head() + chunk(b"IDAT", zlib.compress(b"\x05" * 14)) + END,
        MAGIC + head() + chunk(b"IDAT", zlib.compress(bytes(14)) + b"more") + END,
        MAGIC + head() + chunk(b"IDAT", zlib.compress(bytes(14))[:-4]) + END,
        MAGIC + head(1, 1) + chunk(b"IDAT", zlib.compress(bytes(10**8))) + END,
        MAGIC + head(colour=3) + pixels() + END,
        MAGIC + head(depth=16) + pixels() + END,
    ],
    ids=lambda data: str(len(data)),
)
def test_what_is_no_plain_picture_is_not_shown(data: bytes) -> None:
    assert plain_png(text(data)) is None


@pytest.mark.parametrize("written", ["no base64!", "ÄÖ", text(png()) + "\n", "\ud800"])
def test_what_is_no_base64_is_not_shown(written: str) -> None:
    assert plain_png(written) is None
