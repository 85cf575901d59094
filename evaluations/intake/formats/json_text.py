"""Reads JSON that a stranger wrote: sizes are bounded before anything is built from it."""

from __future__ import annotations

import json
from typing import Any

from evaluations.intake.formats.fault import Fault

MAX_BYTES = 64 * 2**20  # the largest tokenizer.json in wide use is about 35 MB
# Bounds on the number of Python objects: a 50 MB file of "[],[],…" would otherwise take gigabytes.
MAX_CONTAINERS = 2_000_000
MAX_ITEMS = 5_000_000
MAX_DIGITS = 20  # of a whole number, with its sign: 64 bits
UNLIMITED = str(int(1e30))  # what transformers writes as the length of a tokenizer that has no limit


class _Repeated(Exception):
    pass


class _TooLong(Exception):
    pass


def parse(data: bytes, what: str) -> Any:
    """The value in `data`. Raises Fault `json` for what is no JSON, `json_…` for what is not built from it."""
    if data.count(b"[") + data.count(b"{") > MAX_CONTAINERS or data.count(b",") > MAX_ITEMS:
        raise Fault("json_large", f"{what} holds too many values. Save the model again with its own library.")
    try:
        return json.loads(
            data.decode("utf-8"), object_pairs_hook=_object, parse_constant=_constant, parse_int=_whole
        )
    except RecursionError:
        raise Fault(
            "json_deep", f"{what} is nested too deeply. Save it again with its own library."
        ) from None
    except _Repeated:  # readers differ on which one counts
        raise Fault(
            "json_repeated", f"{what} holds a key twice in one object. Save it again with its own library."
        ) from None
    except _TooLong:
        raise Fault(
            "json_number",
            f"{what} holds a whole number of more than 64 bits. Save it again with its own library.",
        ) from None
    except ValueError as error:  # JSONDecodeError, UnicodeDecodeError
        raise Fault(
            "json", f"{what} is not valid JSON ({str(error)[:120]}). Save it again with its own library."
        ) from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _Repeated
    return value


def _whole(text: str) -> int:
    if len(text) > MAX_DIGITS and text != UNLIMITED:
        raise _TooLong
    return int(text)


def _constant(name: str) -> float:
    return float(name)  # tokenizers write Infinity
