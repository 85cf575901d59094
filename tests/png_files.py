"""Small PNG files, honest and hostile, made chunk by chunk."""

from __future__ import annotations

import base64
import struct
import zlib

MAGIC = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def head(width: int = 2, height: int = 2, depth: int = 8, colour: int = 2, rest: bytes = b"\0\0\0") -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBB", width, height, depth, colour) + rest)


def pixels(width: int = 2, height: int = 2, value: int = 128) -> bytes:
    return chunk(b"IDAT", zlib.compress((b"\0" + bytes([value]) * 3 * width) * height))


END = chunk(b"IEND", b"")


def png(width: int = 2, height: int = 2, value: int = 128) -> bytes:
    """A whole grey picture."""
    return MAGIC + head(width, height) + pixels(width, height, value) + END


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()
