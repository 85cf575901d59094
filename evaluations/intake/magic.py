"""What the first bytes of a file say it is, and what hides at its end. Pure; file names are never believed."""

from __future__ import annotations

from enum import StrEnum

HEAD = 64  # bytes that `sniff` wants


class Content(StrEnum):
    """What a file holds, as far as its first bytes tell."""

    PICKLE = "pickle"
    ZIP = "zip"
    PARQUET = "parquet"
    SAFETENSORS = "safetensors"
    EXECUTABLE = "executable"
    SCRIPT = "script"
    COMPRESSED = "compressed"
    HDF5 = "hdf5"
    NUMPY = "numpy"
    LIGHTGBM = "lightgbm"
    UNKNOWN = "unknown"


_PREFIXES: tuple[tuple[bytes, Content], ...] = (
    *((bytes([0x80, protocol]), Content.PICKLE) for protocol in range(2, 6)),
    (b"PK\x03\x04", Content.ZIP),
    (b"PK\x05\x06", Content.ZIP),
    (b"PAR1", Content.PARQUET),
    (b"\x7fELF", Content.EXECUTABLE),
    (b"MZ", Content.EXECUTABLE),
    (b"\xfe\xed\xfa\xce", Content.EXECUTABLE),
    (b"\xfe\xed\xfa\xcf", Content.EXECUTABLE),
    (b"\xce\xfa\xed\xfe", Content.EXECUTABLE),
    (b"\xcf\xfa\xed\xfe", Content.EXECUTABLE),
    (b"\xca\xfe\xba\xbe", Content.EXECUTABLE),
    (b"#!", Content.SCRIPT),
    (b"\x1f\x8b", Content.COMPRESSED),
    (b"BZh", Content.COMPRESSED),
    (b"\xfd7zXZ\x00", Content.COMPRESSED),
    (b"\x28\xb5\x2f\xfd", Content.COMPRESSED),
    (b"7z\xbc\xaf\x27\x1c", Content.COMPRESSED),
    (b"\x04\x22\x4d\x18", Content.COMPRESSED),
    (b"Rar!", Content.COMPRESSED),
    (b"\x78\x9c", Content.COMPRESSED),  # zlib, as joblib packs pickles
    (b"\x78\xda", Content.COMPRESSED),
    (b"\x78\x01", Content.COMPRESSED),
    (b"\x89HDF\r\n\x1a\n", Content.HDF5),
    (b"\x93NUMPY", Content.NUMPY),
    (b"tree\nversion=", Content.LIGHTGBM),
)


def sniff(head: bytes) -> Content:
    """The kind of content that begins with `head` (HEAD bytes, fewer for a short file)."""
    # safetensors: a little-endian length, then a JSON object. Looked for first: a header of 640 bytes begins
    # as a pickle does, and no pickle goes on with zeros.
    if len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**32:
        return Content.SAFETENSORS
    for prefix, content in _PREFIXES:
        if head.startswith(prefix):
            return content
    return Content.UNKNOWN


_ZIP_END = b"PK\x05\x06"
TAIL = 22 + 2**16  # bytes: a zip archive is found by its last record, with a comment of up to 64 KiB


def ends_as_zip(tail: bytes) -> bool:
    """Whether a file that ends with `tail` (TAIL bytes) is a zip archive for those who look for one at the end."""
    at = tail.rfind(_ZIP_END)
    while at >= 0:
        record = tail[at : at + 22]
        if len(record) == 22 and at + 22 + int.from_bytes(record[20:22], "little") == len(tail):
            return True
        at = tail.rfind(_ZIP_END, 0, at)
    return False
