"""Pictures of examples made safe to show: a PNG is rebuilt from the parts that draw, or not shown at all. Pure."""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from dataclasses import dataclass

MAGIC = b"\x89PNG\r\n\x1a\n"
MOST_SIDE = 1024
MOST_BYTES = 512 * 1024
DRAWING = (b"PLTE", b"tRNS", b"IDAT")  # between the head and the end; all else is left out
COLOURS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}  # kind: depths


@dataclass(frozen=True)
class Png:
    """A PNG of its critical chunks and its transparency alone."""

    data: bytes
    width: int
    height: int

    @property
    def base64(self) -> str:
        return base64.b64encode(self.data).decode()


def plain_png(text: str) -> Png | None:
    """The picture in base64 `text`, or None where it is no PNG, is damaged or has more than 1,024 points a side.

    What is packed is not unpacked here: how much that can be, the head says, which is checked.
    """
    try:
        data = base64.b64decode(text, validate=True)
        return _rebuilt(data) if data.startswith(MAGIC) and len(data) <= MOST_BYTES else None
    except (binascii.Error, ValueError, struct.error):
        return None


def _rebuilt(data: bytes) -> Png | None:
    at, kept, size = len(MAGIC), [MAGIC], None
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        (check,) = struct.unpack_from(">I", data, at + 8 + length)
        if len(body) != length or zlib.crc32(kind + body) != check:
            return None
        if (size is None) != (kind == b"IHDR"):  # the head comes first, and once
            return None
        if kind == b"IHDR":
            size = _size(body)
            if size is None:
                return None
        if kind in (b"IHDR", b"IEND", *DRAWING):
            kept.append(data[at : at + 12 + length])
        if kind == b"IEND":
            return Png(b"".join(kept), *size) if size else None
        at += 12 + length
    return None


def _size(head: bytes) -> tuple[int, int] | None:
    width, height, depth, colour, packing, filtering, interlace = struct.unpack(">IIBBBBB", head)
    fits = 1 <= width <= MOST_SIDE and 1 <= height <= MOST_SIDE and depth in COLOURS.get(colour, ())
    return (width, height) if fits and (packing, filtering) == (0, 0) and interlace in (0, 1) else None
