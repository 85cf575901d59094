"""Checks a safetensors file by its published layout, without loading a tensor.

https://github.com/huggingface/safetensors#format : 8 bytes of little-endian header length, a JSON
header, then the tensors' bytes without gaps or overlaps.
"""

from __future__ import annotations

import math
from typing import Any, BinaryIO

from evaluations.intake.formats.fault import Fault
from evaluations.intake.formats.json_text import parse

MAX_HEADER = 100 * 2**20
MAX_TENSORS = 100_000  # of one file; the largest models have as many in all of their shards
_BYTES = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 1),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 2),
    **dict.fromkeys(("I32", "U32", "F32"), 4),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 8),
}
_SAVE = "Save it again: model.save_pretrained(folder, safe_serialization=True)."


def check(file: BinaryIO, size: int) -> frozenset[str]:
    """The names of the tensors. `file` is at its beginning and holds `size` bytes.

    Raises Fault `safetensors_header`, `_overlap`, `_gap`, `_dtype`, `_bounds` or `safetensors`.
    """
    length = int.from_bytes(file.read(8), "little")
    if length > MAX_HEADER:
        raise _fault(f"its header is larger than {MAX_HEADER // 2**20} MB", "header")
    if size < 10 or length < 2 or length > size - 8:
        raise _fault("its header is cut off", "header")
    raw = file.read(length)
    if len(raw) != length or not raw.startswith(b"{"):
        raise _fault("its header is no JSON object", "header")
    if raw.count(b"{") > MAX_TENSORS + 2:  # before any is built: each takes a kilobyte of memory
        raise _fault(f"its header describes more than {MAX_TENSORS:,} tensors", "header")
    try:
        header = parse(raw, "The safetensors header")
    except Fault as fault:
        raise _fault(f"its header cannot be read: {fault.message.split('. ')[0]}", "header") from fault
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise _fault("its metadata is not a table of texts")
    if not header:
        raise _fault("it holds no tensors")
    end = 0
    for name, (begin, stop) in sorted(
        ((n, _span(n, t)) for n, t in header.items()), key=lambda pair: pair[1]
    ):
        if begin < end:
            raise _fault(f"tensor {name[:80]!r} overlaps another", "overlap")
        if begin > end:
            raise _fault(f"tensor {name[:80]!r} leaves a gap before it", "gap")
        end = stop
    held = size - 8 - length
    if end > held:
        raise _fault(f"its tensors take {end} bytes, but the file holds {held}", "bounds")
    if end < held:
        raise _fault(f"{held - end} bytes after its tensors belong to none", "gap")
    return frozenset(header)


def _span(name: str, tensor: Any) -> tuple[int, int]:
    """Begin and end of a tensor in the data, once its dtype and shape are known to fill it exactly."""
    if not isinstance(tensor, dict) or set(tensor) != {"dtype", "shape", "data_offsets"}:
        raise _fault(f"tensor {name[:80]!r} is not described by dtype, shape and data_offsets")
    shape, offsets = tensor["shape"], tensor["data_offsets"]
    width = _BYTES.get(tensor["dtype"]) if isinstance(tensor["dtype"], str) else None
    if width is None:
        raise _fault(f"tensor {name[:80]!r} has an unknown dtype {str(tensor['dtype'])[:20]!r}", "dtype")
    if not _naturals(shape) or len(shape) > 16 or not _naturals(offsets) or len(offsets) != 2:
        raise _fault(f"tensor {name[:80]!r} has an impossible shape or place", "bounds")
    begin, stop = offsets
    if stop - begin != width * math.prod(shape):
        raise _fault(f"tensor {name[:80]!r} does not fill its place", "bounds")
    return begin, stop


def _naturals(value: Any) -> bool:
    return isinstance(value, list) and all(type(v) is int and 0 <= v < 2**63 for v in value)


def _fault(what: str, kind: str = "") -> Fault:
    code = f"safetensors_{kind}" if kind else "safetensors"
    return Fault(code, f"This is not a sound safetensors file: {what}. {_SAVE}")
