"""Checks a skops file: a zip of one schema and plain numpy arrays, whose types all come from a fixed list."""

from __future__ import annotations

import ast
import math
import re
import stat
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO

from evaluations.intake.formats import zip_directory
from evaluations.intake.formats.fault import Fault
from evaluations.intake.formats.json_text import parse

SCHEMA = "schema.json"
MAX_MEMBERS = 20_000
MAX_SCHEMA = 64 * 2**20
MAX_UNPACKED = 4 * 2**30
MAX_RATIO = 200  # unpacked to packed; arrays of zeros reach about 1,000 and are not a model

_LOCAL = 30  # bytes of a local header before the name
_SLACK = 64  # bytes: the extra field of a local header (large files), a data descriptor

_ARRAY = re.compile(r"[A-Za-z0-9_-]{1,80}\.npy")
# Where arrays, sparse tables, splines, distributions and estimators live.
_MODULES = re.compile(
    r"numpy(\.(ma(\.core)?|dtypes|matrixlib\.defmatrix|random(\.[a-z_]\w*)?))?"
    r"|scipy\.(sparse|interpolate|stats|special|spatial)(\.\w+)*"
    r"|sklearn(\.\w+)*"
)
# What numpy itself lends: kinds of arrays and numbers. It has functions that read and write files, too.
_NUMPY = re.compile(
    r"ndarray|dtype|matrix|generic|void|bool_?|(str|bytes|object)_|(u?int|float|complex)\d{0,3}|u?int[pc]|[us]?byte"
    r"|u?(short|long|longlong)|half|single|double|c?longdouble|c(single|double)|datetime64|timedelta64|inf|nan"
)
_BUILTINS = {
    *("str", "int", "float", "bool", "complex", "bytes", "NoneType", "type", "slice", "range"),
    *("dict", "list", "tuple", "set", "frozenset"),
}
# How skops may build an object. Calls of functions, methods, operators and partials are not among them.
_LOADERS = {
    *("JsonNode", "DictNode", "DefaultDictNode", "ListNode", "SetNode", "TupleNode", "SliceNode", "TypeNode"),
    *("ObjectNode", "NdArrayNode", "MaskedArrayNode", "DTypeNode", "RandomStateNode", "RandomGeneratorNode"),
    *("TreeNode", "LossNode", "CachedNode"),
}
# The packages above hold doors to files, processes and other modules, too.
_CLOSED = re.compile(
    r"(^|\.)(_?testing|tests|conftest|_?externals|datasets|_build_utils|_joblib|parallel|estimator_checks|show_versions"
    r"|_show_versions|memmap|_mocking|_plot|inspection)(\.|$)"
)


def check(file: BinaryIO) -> None:
    """Raise Fault `skops…`, `archive_…` or `ratio` unless `file` is a skops file of permitted types.

    Reads every member.
    """
    if not zip_directory.is_small(file):
        raise _fault(f"it has more than {MAX_MEMBERS} parts")
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            _check_members(members)
            _check_places(members, archive)
            for member in members:
                with archive.open(member) as content:
                    if member.filename == SCHEMA:
                        _check_types(parse(content.read(), "The skops schema"))
                    else:
                        _check_array(content, member)
    # zipfile raises NotImplementedError on a compression it lacks and RuntimeError on an encrypted member
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError, ValueError) as error:
        raise _fault(f"it cannot be read ({str(error)[:100]})") from error


def _check_members(members: list[zipfile.ZipInfo]) -> None:
    names = [member.filename for member in members]
    if len(names) > MAX_MEMBERS:
        raise _fault(f"it has more than {MAX_MEMBERS} parts")
    if len({name.casefold() for name in names}) != len(names):
        raise _fault("two of its parts have the same name")
    for member in members:
        # What zipfile read may be cut at a NUL; orig_filename is what the archive says.
        name = member.orig_filename
        if name.endswith((".pkl", ".pickle")) or "data.pkl" in name:
            raise Fault(
                "pickle",
                "This is a PyTorch or pickle archive, which can run code. Save it with skops.io.dump.",
            )
        if name.startswith(("/", "\\")) or ":" in name or ".." in re.split(r"[/\\]", name):
            raise Fault(
                "archive_path",
                f"The archive holds {name[:80]!r}, which would be unpacked outside of its folder. Save it again: "
                "skops.io.dump(model, path).",
            )
        if name != SCHEMA and not _ARRAY.fullmatch(name):
            raise _fault(f"it holds {name[:80]!r}; only {SCHEMA} and .npy arrays are accepted")
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise Fault(
                "archive_link",
                f"{name!r} in the archive is a link or a device. Save it again: skops.io.dump(model, path).",
            )
        if member.flag_bits & 0x1:
            raise _fault(f"{name!r} is encrypted")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _fault(f"{name!r} is packed in an unusual way")
        if member.file_size > MAX_RATIO * max(member.compress_size, 1) + 4096:
            raise Fault(
                "ratio",
                f"{name!r} unpacks to more than {MAX_RATIO} times its size. Save the model uncompressed.",
            )
        if name == SCHEMA and member.file_size > MAX_SCHEMA:
            raise _fault(f"its schema is larger than {MAX_SCHEMA // 2**20} MB")
    if sum(member.file_size for member in members) > MAX_UNPACKED:
        raise Fault(
            "ratio", f"The parts unpack to more than {MAX_UNPACKED // 2**30} GiB. Use a smaller model."
        )
    if SCHEMA not in names:
        raise _fault(f"it holds no {SCHEMA}")


def _check_places(members: list[zipfile.ZipInfo], archive: zipfile.ZipFile) -> None:
    """Parts that share their bytes unpack to far more than they take, and bytes of no part hide what they like."""
    end = 0
    for member in sorted(members, key=lambda member: member.header_offset):
        if member.header_offset < end:
            raise Fault(
                "archive_overlap",
                f"{member.filename!r} shares its bytes with another part. Save it again: skops.io.dump(model, path).",
            )
        if member.header_offset > end + _SLACK:
            raise _fault(f"bytes before {member.filename!r} belong to no part")
        end = member.header_offset + _LOCAL + len(member.orig_filename.encode()) + member.compress_size
    if archive.start_dir > end + _SLACK or archive.comment:
        raise _fault("it holds bytes that belong to no part")


def _check_array(content: Any, member: zipfile.ZipInfo) -> None:
    """A .npy member: a header whose dtype holds no Python objects, and exactly the data that it announces."""
    head = content.read(8)
    if head[:6] != b"\x93NUMPY" or head[6] not in (1, 2, 3):
        raise _fault(f"{member.filename!r} is no numpy array")
    width = 2 if head[6] == 1 else 4
    length = int.from_bytes(content.read(width), "little")
    if length > 2**16:
        raise _fault(f"{member.filename!r} has an oversized header")
    try:
        header = ast.literal_eval(content.read(length).decode("utf-8"))
        descr, shape = header["descr"], header["shape"]
        expected = _item_size(descr) * math.prod(shape)
        sound = set(header) == {"descr", "fortran_order", "shape"} and all(
            type(n) is int and n >= 0 for n in shape
        )
    except (SyntaxError, ValueError, LookupError, TypeError, RecursionError, MemoryError) as error:
        raise _fault(f"{member.filename!r} has a damaged header") from error
    found = 0
    while chunk := content.read(2**20):
        found += len(chunk)
    if not sound or found != expected:
        raise _fault(f"{member.filename!r} does not hold the data that its header announces")


def _item_size(descr: Any) -> int:
    """Bytes per item of a numpy dtype description; ValueError for Python objects and anything unusual."""
    if isinstance(descr, str):
        found = re.fullmatch(r"[<>|=]?([biufcSUVmM])(\d{1,9})(\[\w{1,12}\])?", descr)
        if not found:
            raise ValueError(descr)
        return int(found[2]) * (4 if found[1] == "U" else 1)
    if isinstance(descr, list):
        return sum(_item_size(field[1]) * (math.prod(field[2]) if len(field) > 2 else 1) for field in descr)
    raise ValueError("unknown dtype")


def _check_types(schema: Any) -> None:
    if (
        not isinstance(schema, dict)
        or "__loader__" not in schema
        or not isinstance(schema.get("protocol"), int)
    ):
        raise _fault("its schema does not describe an object")
    for node in _nodes(schema):
        loader, module, name = (node.get(key) for key in ("__loader__", "__module__", "__class__"))
        if not _permitted(loader, module, name):
            raise Fault(
                "skops_type",
                f"The file holds {f'{module}.{name}'[:120]!r} ({str(loader)[:40]}), which is not on the list of "
                "types that are loaded. Use a scikit-learn pipeline without functions of your own, or export to ONNX.",
            )
        file = node.get("file")
        if file is not None and not (isinstance(file, str) and _ARRAY.fullmatch(file)):
            raise _fault(f"its schema points at {str(file)[:80]!r}")


def _permitted(loader: Any, module: Any, name: Any) -> bool:
    if not all(isinstance(text, str) for text in (loader, module, name)) or loader not in _LOADERS:
        return False
    if module == "builtins":
        return name in _BUILTINS
    if not _MODULES.fullmatch(module) or _CLOSED.search(f"{module}.{name}"):
        return False
    return module != "numpy" or _NUMPY.fullmatch(name) is not None


def _nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Every object of the schema that tells skops to build something."""
    pending = [schema]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            if "__loader__" in item:
                yield item
            pending += item.values()
        elif isinstance(item, list):
            pending += item


def _fault(what: str) -> Fault:
    return Fault(
        "skops", f"This is not a sound skops file: {what}. Save it again: skops.io.dump(model, path)."
    )
