"""What was found in the files of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evaluations.charts.base import ACCENT, layered
from evaluations.spec import Chart


def findings_by_kind(
    kinds: Sequence[tuple[str, int]], rows: Sequence[tuple[str, str, str, str]]
) -> list[Chart]:
    """One bar a kind of finding; the table has a row for each finding."""
    values = [{"kind": kind, "files": files} for kind, files in kinds]
    most = max(1, *(files for _, files in kinds))
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "bar", "color": ACCENT, "height": 14},
            "encoding": {
                "y": {"field": "kind", "type": "nominal", "title": None, "sort": None},
                "x": {
                    "field": "files",
                    "type": "quantitative",
                    "title": "Files",
                    "scale": {"domain": [0, most]},
                    "axis": {"values": list(range(0, most + 1, -(-most // 6))), "format": "d"},
                },
            },
        }
    ]
    found = [f"{kind.lower()} {files}" for kind, files in kinds if files]
    return [
        Chart(
            name="findings",
            title="What was found in the files",
            alt=f"Files by what was found in them: {', '.join(found)}."
            if found
            else "Nothing was found in any file.",
            spec=layered(layers, values, height={"step": 24}),
            columns=("Finding", "Code", "File", "What it is"),
            rows=tuple(rows),
        )
    ]
