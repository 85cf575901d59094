"""Fills the template of a REST request with rows, and reads probabilities, labels or numbers out of the reply."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Row = Any  # a text, or a row's values by column


class Unreadable(Exception):
    """The reply is not what the mapping says; the message says what is there instead."""


def json_rows(rows: Any) -> list[Row]:
    """Texts as they are, images as {"b64": …}, the rows of a frame as objects of plain values."""
    if hasattr(rows, "to_dict"):
        return [{str(k): _plain(v) for k, v in row.items()} for row in rows.to_dict(orient="records")]
    return [{"b64": base64.b64encode(row).decode()} if isinstance(row, bytes) else str(row) for row in rows]


def fill(template: Any, rows: Sequence[Row], columns: Sequence[str]) -> Any:
    """The body of one request, as `endpoints.RestMapping` says."""
    if template == "$rows":
        return list(rows)
    if template == "$columns":
        return list(columns)
    if isinstance(template, dict):
        if set(template) == {"$each"}:
            return [_one(template["$each"], row, columns) for row in rows]
        return {key: fill(value, rows, columns) for key, value in template.items()}
    if isinstance(template, list):
        return [fill(value, rows, columns) for value in template]
    return template


def _one(template: Any, row: Row, columns: Sequence[str]) -> Any:
    if template == "$row":
        return row
    if template == "$values":
        return [row[column] for column in columns] if isinstance(row, dict) else [row]
    if isinstance(template, str) and template.startswith("$row.") and isinstance(row, dict):
        return row.get(template.removeprefix("$row."))
    if isinstance(template, dict):
        return {key: _one(value, row, columns) for key, value in template.items()}
    if isinstance(template, list):
        return [_one(value, row, columns) for value in template]
    return template


def entries(reply: Any, way: str, rows: int, width: int = 1) -> list[Any]:
    """The list at `way` ("outputs.0.data"), one entry per row. Raises Unreadable.

    A flat list of rows·width numbers is cut into rows.
    """
    found = reply
    for step in way.split(".") if way else []:
        try:
            found = found[int(step)] if isinstance(found, list) else found[step]
        except (KeyError, IndexError, TypeError, ValueError):
            raise Unreadable(f"the reply has no {way!r} ({step!r} is not there)") from None
    if not isinstance(found, list):
        raise Unreadable(f"{way or 'the reply'} holds {_kind(found)}, not a list with one entry per input")
    if width > 1 and len(found) == rows * width and all(isinstance(x, int | float) for x in found):
        return [found[i * width : (i + 1) * width] for i in range(rows)]
    if len(found) != rows:
        raise Unreadable(f"{way or 'the reply'} has {len(found)} entries for {rows} inputs")
    return found


def probabilities(found: Sequence[Any], labels: Sequence[str]) -> NDArray[np.float64]:
    """(n, K); a row that is none of the shapes is NaN."""
    probs = np.full((len(found), len(labels)), np.nan)
    for i, entry in enumerate(found):
        probs[i] = _probabilities(entry, labels)
    return probs


def _probabilities(entry: Any, labels: Sequence[str]) -> list[float]:
    none = [math.nan] * len(labels)
    if isinstance(entry, list) and entry and all(isinstance(one, dict) for one in entry):
        entry = {one.get("label"): one.get("score") for one in entry}
    if isinstance(entry, dict):
        if set(map(str, entry)) != set(labels):
            return none
        entry = [{str(k): v for k, v in entry.items()}[label] for label in labels]
    if isinstance(entry, list) and len(entry) == 1:
        entry = entry[0]
    if len(labels) == 2 and (second := _number(entry)) is not None:
        return [1 - second, second]
    if not isinstance(entry, list) or len(entry) != len(labels):
        return none
    values = [_number(value) for value in entry]
    return none if None in values else [v for v in values if v is not None]


def chosen(found: Sequence[Any], labels: Sequence[str]) -> NDArray[np.float64]:
    """(n, K) one-hot rows; NaN where the label is none of `labels`."""
    probs = np.full((len(found), len(labels)), np.nan)
    for i, entry in enumerate(found):
        if isinstance(entry, list) and len(entry) == 1:
            entry = entry[0]
        if isinstance(entry, float) and entry.is_integer():
            entry = int(entry)
        if not isinstance(entry, dict | list) and str(entry) in labels:
            probs[i] = np.eye(len(labels))[list(labels).index(str(entry))]
    return probs


def numbers(found: Sequence[Any]) -> NDArray[np.float64]:
    """(n,); NaN where an entry is no finite number."""
    values = [_number(entry[0] if isinstance(entry, list) and len(entry) == 1 else entry) for entry in found]
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _plain(value: Any) -> Any:
    """A value that JSON has; what is missing is null."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, datetime | date):
        return None if str(value) == "NaT" else value.isoformat()
    return value if isinstance(value, bool | int | float | str) else str(value)


def _kind(value: Any) -> str:
    return "an object" if isinstance(value, dict) else "nothing" if value is None else f"{str(value)[:60]!r}"
