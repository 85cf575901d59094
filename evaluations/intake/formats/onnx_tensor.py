"""Holds the shape that a tensor of an ONNX model declares against the bytes that are there."""

from __future__ import annotations

import math
import mmap

from evaluations.intake.formats.fault import Fault

MAX_SPARSE = 2**28  # numbers of a sparse tensor, once it is dense
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# TensorProto.DataType -> bits of one number in raw_data; strings have none
_BITS = {
    **dict.fromkeys((2, 3, 9, 17, 18, 19, 20, 24), 8),
    **dict.fromkeys((4, 5, 10, 16), 16),
    **dict.fromkeys((1, 6, 12), 32),
    **dict.fromkeys((7, 11, 13, 14), 64),
    15: 128,
    **dict.fromkeys((21, 22, 23), 4),
    **dict.fromkeys((25, 26), 2),
}
_DIMS, _TYPE, _RAW = 1, 2, 9
_LISTS = {4, 5, 6, 7, 10, 11}  # float_data, int32_data, string_data, int64_data, double_data, uint64_data
_SPARSE_DIMS = 3
MAX_DIMS = 64


class TensorSize:
    """What one TensorProto, or SparseTensorProto, says of its size, field by field."""

    def __init__(self, sparse: bool) -> None:
        self._sparse = sparse
        self._dims: list[int] = []
        self._type = 0
        self._raw: int | None = None
        self._listed = 0  # bytes in lists of numbers

    def add(self, data: mmap.mmap, number: int, kind: int, value: int, end: int) -> None:
        """Take one field: its number, wire type, and its value (varints) or where it lies."""
        if number == (_SPARSE_DIMS if self._sparse else _DIMS):
            self._dims += [value] if kind == _VARINT else _varints(data, value, end)
            if len(self._dims) > MAX_DIMS:
                raise _fault(f"has more than {MAX_DIMS} dimensions")
        elif self._sparse:
            return
        elif number == _TYPE and kind == _VARINT:
            self._type = value
        elif number == _RAW and kind == _BYTES:
            self._raw = end - value
        elif number in _LISTS:
            self._listed += 16 if kind in (_VARINT, _FIXED32, _FIXED64) else max(1, end - value)

    def refuse_what_is_not_there(self) -> None:
        """Raise Fault `onnx_tensor` where the shape declares other than what the file holds."""
        if any(dim >= 2**63 for dim in self._dims):
            raise _fault("has a negative dimension")
        numbers = math.prod(self._dims)
        if self._sparse:
            if numbers > MAX_SPARSE:
                raise _fault(f"becomes more than {MAX_SPARSE:,} numbers when it is unpacked")
        elif self._raw is not None and self._type in _BITS:
            if (numbers * _BITS[self._type] + 7) // 8 != self._raw:
                raise _fault(f"declares {numbers:,} numbers, and its data have {self._raw:,} bytes")
        elif numbers > 4 * self._listed:  # the densest list holds four numbers to a byte
            raise _fault(f"declares {numbers:,} numbers, and holds fewer")


def _varints(data: mmap.mmap, at: int, end: int) -> list[int]:
    if end - at > 10 * MAX_DIMS:
        raise _fault(f"has more than {MAX_DIMS} dimensions")
    found, value, shift = [], 0, 0
    for byte in data[at:end]:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            found.append(value)
            value, shift = 0, 0
    return found


def _fault(what: str) -> Fault:
    return Fault("onnx_tensor", f"A tensor of the model {what}. Export the model again.")
