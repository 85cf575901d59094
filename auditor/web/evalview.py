"""The metrics of one run arranged for reading: over all rows, by slice, and how they are computed. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from auditor.reports import sentences
from evaluations import catalogue
from evaluations.spec import EvaluationError

Json = Mapping[str, Any]
SHOWN_REASONS = 6  # under a table


@dataclass(frozen=True)
class SliceTable:
    """The groups of one column (rows, worst first; the steps of a scale in their order) by metric (columns)."""

    column: str
    metrics: list[Json]  # one of each, for the headings
    rows: list[tuple[str, list[Json | None]]]
    sorted_by: str  # title of the metric that the order follows; "" for the order of a scale
    reasons: list[tuple[str, str]]  # status and reason of what has no value, each once


def overall(run: Json, card: Json) -> list[Json]:
    """The metrics over all rows or over the groups of a column, those that a control or report names first."""
    named = [
        (c["metric"], c["slice"]) for c in [*card["controls"], *card["reported"]] if c["item"] == run["item"]
    ]
    mine = [{**m, "evaluation": run["evaluation"]} for m in run["metrics"] if "=" not in m["slice"]]
    return sorted(mine, key=lambda m: (m["name"], m["slice"]) not in named)


def slice_tables(run: Json) -> list[SliceTable]:
    """One table for each column that has groups. Groups stand worst first by the first metric with a direction.

    Those that an evaluation counts, such as messages, keep their order.
    """
    columns = dict.fromkeys(m["slice"].partition("=")[0] for m in run["metrics"] if "=" in m["slice"])
    return [
        _table(
            column,
            [m for m in run["metrics"] if m["slice"].startswith(f"{column}=")],
            own=column in sentences.OWN_COLUMNS.get(run["evaluation"], {}),
        )
        for column in columns
    ]


def _table(column: str, metrics: list[Json], *, own: bool) -> SliceTable:
    heads = list({m["name"]: m for m in metrics}.values())
    key = next((h for h in heads if h["direction"] != "context"), heads[0])
    cells = {(m["slice"], m["name"]): m for m in metrics}

    def badness(slice_: str) -> tuple[bool, float]:
        value = (cells.get((slice_, key["name"])) or {}).get("value")
        sign = -1.0 if key["direction"] == "lower" else 1.0
        return (value is None, sign * (value or 0.0))

    groups = sorted(dict.fromkeys(m["slice"] for m in metrics), key=badness)
    counted = own and all(_place(group).isdecimal() for group in groups)
    if counted:
        groups.sort(key=lambda group: int(_place(group)))
    rows = [(group.partition("=")[2], [cells.get((group, h["name"])) for h in heads]) for group in groups]
    gone = dict.fromkeys((str(m["status"]), str(m["reason"])) for m in metrics if m["value"] is None)
    by = "" if counted else key.get("title") or key["name"]
    return SliceTable(column, heads, rows, by, list(gone)[:SHOWN_REASONS])


def _place(slice_: str) -> str:
    return slice_.partition("=")[2]


def methods(run: Json, card: Json) -> list[dict[str, str]]:
    """Formula and source of each metric: from the card, else from the catalogue where it is the same version."""
    known = {c["metric"]: c for c in card["controls"] if c["item"] == run["item"] and c.get("formula")}
    found: dict[str, dict[str, str]] = {}
    for metric in run["metrics"]:
        name = metric["name"]
        if name in found:
            continue
        if name in known:
            formula, reference = known[name]["formula"], known[name].get("reference") or ""
        else:
            formula, reference = _catalogued(run, name)
        if formula:
            found[name] = {"title": metric.get("title") or name, "formula": formula, "reference": reference}
    return list(found.values())


def _catalogued(run: Json, name: str) -> tuple[str, str]:
    try:
        if catalogue.get(run["evaluation"]).version != run["evaluation_version"]:
            return "", ""
        spec = catalogue.metric(run["evaluation"], name)
    except EvaluationError:
        return "", ""
    return spec.formula, spec.reference
