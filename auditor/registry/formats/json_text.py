"""Reads JSON that a stranger wrote: sizes are bounded before anything is built from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from auditor.registry.formats.fault import Fault

MAX_BYTES = 64 * 2**20  # the largest tokenizer.json in wide use is about 35 MB
# Bounds on the number of Python objects: a 50 MB file of "[],[],…" would otherwise take gigabytes.
MAX_CONTAINERS = 2_000_000
MAX_ITEMS = 5_000_000


class _Repeated(ValueError):
    pass


def parse(data: bytes, what: str) -> Any:
    """The value in `data`. Raises Fault `json` for what is no JSON, holds a key twice, or is too large to build."""
    if data.count(b"[") + data.count(b"{") > MAX_CONTAINERS or data.count(b",") > MAX_ITEMS:
        raise Fault("json_large", f"{what} holds too many values. Save the model again with its own library.")
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_object, parse_constant=_constant)
    except RecursionError:
        raise Fault("json", f"{what} is nested too deeply. Save it again with its own library.") from None
    except ValueError as error:  # JSONDecodeError, UnicodeDecodeError, a number too long, a repeated key
        raise Fault(
            "json", f"{what} is not valid JSON ({str(error)[:120]}). Save it again with its own library."
        ) from error


def read(file: BinaryIO, size: int) -> Any:
    """The value in a file of `size` bytes."""
    if size > MAX_BYTES:
        raise Fault("json_large", f"JSON files have at most {MAX_BYTES // 2**20} MB. Leave this one out.")
    return parse(file.read(), "The file")


def refuse_code(value: Any) -> None:
    """Raise Fault `auto_map` where a configuration asks for code of its own, at any depth."""
    for key in _keys(value):
        if key == "auto_map":
            raise Fault(
                "auto_map",
                "The configuration asks to load code of its own (auto_map). Use a model class that comes with "
                "transformers, and remove auto_map from the file.",
            )


def _keys(value: Any) -> Iterator[str]:
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            yield from item
            pending += item.values()
        elif isinstance(item, list):
            pending += item


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):  # readers differ on which one counts
        raise _Repeated("a key occurs twice in one object")
    return value


def _constant(name: str) -> float:
    return float(name)  # tokenizers write Infinity
