"""Checks that a file is one ONNX ModelProto that points at no other file, by walking its protobuf wire format.

Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx-ml.proto
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from evaluations.intake.formats.fault import Fault
from evaluations.intake.formats.onnx_functions import Calls
from evaluations.intake.formats.onnx_tensor import TensorSize

MAX_BYTES = 2**31 - 1  # protobuf's own limit
MAX_FIELDS = 5_000_000
MAX_DEPTH = 30  # messages within messages: subgraphs of If, Loop and Scan
DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft"}  # operators that come with onnxruntime
# Operators of com.microsoft that read another file, or hand over to Python or to a compiler's cache.
_OPERATORS = {b"EPContext", b"PythonOp", b"PythonOpGrad", b"ATen", b"PyOp"}

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# Sub-messages to look into: message -> {field: its message}. Others hold no tensor.
_INSIDE: dict[str, dict[int, str]] = {
    "Model": {7: "Graph", 8: "Opset", 20: "Training", 25: "Function"},
    "Graph": {1: "Node", 5: "Tensor", 15: "Sparse"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "Sparse", 23: "Sparse"},
    "Sparse": {1: "Tensor", 2: "Tensor"},
    "Function": {7: "Node", 9: "Opset", 11: "Attribute"},
    "Training": {1: "Graph", 2: "Graph"},
    "Opset": {},
    "Tensor": {},
}
# Every field of a ModelProto with its wire type: anything else is not one.
_MODEL = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_DOMAIN = {"Opset": 1, "Node": 7, "Function": 10}  # the field of each that names whose operators they are
# Tree ensembles hold their nodes as millions of unpacked floats (field 7), integers (field 8) and the same few
# strings (field 9) in an attribute.
_NUMBERS = re.compile(
    rb"(?:\x3d[\x00-\xff]{4})++"
    rb"|(?:\x40[\x80-\xff]{0,9}+[\x00-\x7f])++"
    rb"|(?:\x4a(?:\x0aBRANCH_(?:LEQ|GTE|NEQ)|\x09BRANCH_(?:LT|GT|EQ)|\x04LEAF))++"
)


@dataclass
class _Walk:
    data: mmap.mmap
    fields: int = 0
    calls: Calls = field(default_factory=Calls)


def check(data: mmap.mmap) -> None:
    """Raise Fault `onnx` or `onnx_…` unless `data` is a self-contained ONNX model of known operators."""
    if len(data) > MAX_BYTES:
        raise _fault("it is larger than 2 GiB")
    walk = _Walk(data)
    seen: list[int] = []
    for number, wire, value, stop in _fields(walk, 0, len(data)):
        if _MODEL.get(number) != wire:
            raise _fault("it is no ModelProto")
        if number == 1 and not 1 <= value <= 100:
            raise _fault("its version is unknown")
        seen.append(number)
        _enter(walk, "Model", number, wire, value, stop, depth=1)
    if seen.count(1) != 1 or seen.count(7) != 1 or 8 not in seen:
        raise _fault("it has no version, operator set and graph")
    walk.calls.refuse_expansion()


def _enter(walk: _Walk, message: str, within: int, wire: int, start: int, stop: int, depth: int) -> None:
    """Look into the sub-message at [start, stop) where it may hold a tensor."""
    inner = _INSIDE[message].get(within)
    if inner is None or wire != _BYTES:
        return
    if depth > MAX_DEPTH:
        raise _fault("it is nested too deeply")
    sizes = TensorSize(sparse=inner == "Sparse") if inner in ("Tensor", "Sparse") else None
    if inner == "Function":
        walk.calls.begin()
    for number, kind, value, end in _fields(walk, start, stop, numbers=inner == "Attribute"):
        if inner == "Tensor" and (number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0)):
            raise Fault(
                "onnx_external",
                "The model keeps weights in another file. Save it as one file: "
                "onnx.save(onnx.load(path), path, save_as_external_data=False).",
            )
        if sizes is not None:
            sizes.add(walk.data, number, kind, value, end)
        if kind == _BYTES and number == _DOMAIN.get(inner):
            _check_domain(bytes(walk.data[value : min(end, value + 200)]).decode("utf-8", "replace"))
        if inner == "Node" and number == 4 and kind == _BYTES:
            _check_operator(bytes(walk.data[value : min(end, value + 200)]))
            walk.calls.add(bytes(walk.data[value : min(end, value + 200)]))
        if inner == "Function" and number == 1 and kind == _BYTES:
            walk.calls.name(bytes(walk.data[value : min(end, value + 200)]))
        _enter(walk, inner, number, kind, value, end, depth + 1)
    if sizes is not None:
        sizes.refuse_what_is_not_there()
    if inner == "Function":
        walk.calls.end()


def _check_domain(domain: str) -> None:
    if domain not in DOMAINS:
        raise Fault(
            "onnx_domain",
            f"The model uses operators of {domain[:80]!r}, which do not come with onnxruntime. "
            "Export it with standard operators only.",
        )


def _check_operator(name: bytes) -> None:
    if name in _OPERATORS:
        raise Fault(
            "onnx_operator",
            f"The operator {name.decode()} reads other files or runs other code. Export the model without it.",
        )


def _fields(walk: _Walk, at: int, stop: int, numbers: bool = False) -> Iterator[tuple[int, int, int, int]]:
    """Fields of the message at [at, stop): number, wire type, and the value of a varint or the span of bytes."""
    data = walk.data
    while at < stop:
        if numbers and (run := _NUMBERS.match(data, at, stop)):
            at = run.end()
            continue
        walk.fields += 1
        if walk.fields > MAX_FIELDS:
            raise _fault(f"it has more than {MAX_FIELDS} parts")
        tag, at = _varint(data, at, stop)
        if tag >= 2**32:  # a reader in C++ drops the higher bits, and finds another field than is seen here
            raise _fault("it is no protobuf message")
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(data, at, stop)
            yield number, wire, value, at
            continue
        if wire == _BYTES:
            length, at = _varint(data, at, stop)
        elif wire in (_FIXED32, _FIXED64):
            length = 4 if wire == _FIXED32 else 8
        else:
            raise _fault("it is no protobuf message")
        if number == 0 or at + length > stop:
            raise _fault("it is cut off, or no protobuf message")
        yield number, wire, at, at + length
        at += length


def _varint(data: mmap.mmap, at: int, stop: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= stop:
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80 and value < 2**64:
            return value, at
        if byte < 0x80:
            break
    raise _fault("it is cut off, or no protobuf message")


def _fault(what: str) -> Fault:
    return Fault(
        "onnx",
        f"This is not a sound ONNX file: {what}. Export the model again, for example with skl2onnx.to_onnx.",
    )
