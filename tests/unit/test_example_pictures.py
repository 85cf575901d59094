"""A picture that came from a sandbox is rebuilt from the chunks that draw, or is not shown."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import Image

from auditor.reports.pictures import plain_png
from tests.png_files import END, MAGIC, chunk, head, pixels, png, text


def test_an_honest_picture_stays_what_it_is() -> None:
    for mode in ("1", "L", "P", "RGB", "RGBA", "I;16"):
        file = io.BytesIO()
        made = Image.new("RGB", (7, 5), (200, 30, 90)) if mode == "P" else Image.new(mode, (7, 5))
        made.convert(mode).save(file, "PNG") if mode == "P" else made.save(file, "PNG")
        shown = plain_png(text(file.getvalue()))
        assert shown is not None
        assert (shown.width, shown.height) == (7, 5)
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
    ],
    ids=lambda data: str(len(data)),
)
def test_what_is_no_plain_picture_is_not_shown(data: bytes) -> None:
    assert plain_png(text(data)) is None


@pytest.mark.parametrize("written", ["no base64!", "ÄÖ", text(png()) + "\n", "\ud800"])
def test_what_is_no_base64_is_not_shown(written: str) -> None:
    assert plain_png(written) is None
