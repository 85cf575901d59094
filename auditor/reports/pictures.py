"""Pictures of examples made safe to show: a PNG is rebuilt from its points, or not shown at all. Pure."""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from dataclasses import dataclass

MAGIC = b"\x89PNG\r\n\x1a\n"
MOST_SIDE = 1024
MOST_BYTES = 512 * 1024
CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # by kind of colour: grey, RGB, each with transparency; of 8 bits
FILTERS = 5


@dataclass(frozen=True)
class Png:
    """A PNG of head, points and end, which every reader of PNG can draw."""

    data: bytes
    width: int
    height: int

    @property
    def base64(self) -> str:
        return base64.b64encode(self.data).decode()


def plain_png(text: str) -> Png | None:
    """The picture in base64 `text`, or None where it is damaged, has more than 1,024 points a side, or is no PNG of
    8 bits a channel without palette and interlacing.

    Its points are unpacked, to as many bytes as the head says and no more: one damaged picture would keep a whole
    report from being printed.
    """
    try:
        data = base64.b64decode(text, validate=True)
        return _rebuilt(data) if data.startswith(MAGIC) and len(data) <= MOST_BYTES else None
    except (binascii.Error, ValueError, struct.error, zlib.error):
        return None


def _rebuilt(data: bytes) -> Png | None:
    head, packed, at = b"", b"", len(MAGIC)
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        (check,) = struct.unpack_from(">I", data, at + 8 + length)
        if len(body) != length or zlib.crc32(kind + body) != check:
            return None
        if (not head) != (kind == b"IHDR"):  # the head comes first, and once
            return None
        if kind == b"IEND":
            return _checked(head, packed)
        if kind == b"IHDR":
            head = body
        elif kind == b"IDAT":
            packed += body
        at += 12 + length
    return None


def _checked(head: bytes, packed: bytes) -> Png | None:
    width, height, depth, colour, packing, filtering, interlace = struct.unpack(">IIBBBBB", head)
    if not (1 <= width <= MOST_SIDE and 1 <= height <= MOST_SIDE and colour in CHANNELS):
        return None
    if (depth, packing, filtering, interlace) != (8, 0, 0, 0):
        return None
    line = 1 + width * CHANNELS[colour]
    stream = zlib.decompressobj()
    points = stream.decompress(packed, line * height + 1)
    if len(points) != line * height or not stream.eof or stream.unused_data:
        return None
    if max(points[::line]) >= FILTERS:
        return None
    parts = (_chunk(b"IHDR", head), _chunk(b"IDAT", packed), _chunk(b"IEND", b""))
    return Png(MAGIC + b"".join(parts), width, height)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
