"""Exposure of planted secrets by how often they were inserted; passages found by how often the model goes on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from evaluations.charts.base import ACCENT, INK, layered, limit_of
from evaluations.spec import Chart

UNEXPOSED = 1 / math.log(2)  # mean exposure of a secret whose rank is uniform
SHOWN = 400  # points and rows
NEVER = -1.0  # where controls stand on an axis of log2 of repetitions


class Exposed(NamedTuple):
    """One canary, as a row of the table."""

    id: str
    repetitions: int
    space_bits: float
    compared: int
    hits: int
    exposure: float
    low: float
    high: float


def exposure_by_repetitions(canaries: Sequence[Exposed]) -> list[Chart]:
    """One point per canary with its own 95 % interval; controls on the left, the mean of unexposed secrets dashed."""
    if not canaries:
        return []
    shown = sorted(canaries, key=lambda c: (-c.exposure, c.id))[:SHOWN]
    shown.sort(key=lambda c: (c.repetitions, c.id))
    values = [
        {
            "place": round(math.log2(c.repetitions), 4) if c.repetitions else NEVER,
            "exposure": round(c.exposure, 3),
            "low": round(c.low, 3),
            "high": round(c.high, 3),
        }
        for c in shown
    ]
    x = {
        "field": "place",
        "type": "quantitative",
        "title": "Times in the training data",
        "scale": {"domain": [NEVER - 0.3, max(1.0, *(v["place"] for v in values)) + 0.3], "nice": False},
        "axis": {
            "values": list(range(int(NEVER), math.ceil(max(v["place"] for v in values)) + 1)),
            "labelExpr": "datum.value < 0 ? 'never' : format(pow(2, datum.value), ',')",
        },
    }
    y = {"field": "exposure", "type": "quantitative", "title": "Exposure in bits"}
    layers: list[dict[str, Any]] = [
        {
            "data": {"values": [{"exposure": round(UNEXPOSED, 3)}]},
            "mark": {"type": "rule", "color": INK, "strokeDash": [4, 4], "opacity": 0.5},
            "encoding": {"y": y},
        },
        {
            "mark": {"type": "rule", "color": ACCENT, "strokeWidth": 2, "opacity": 0.35},
            "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 50, "opacity": 0.8, "color": ACCENT},
            "encoding": {"x": x, "y": y},
        },
    ]
    top = max(canaries, key=lambda c: c.exposure)
    never = [c.exposure for c in canaries if not c.repetitions]
    alt = (
        f"Exposure of {len(canaries)} planted secrets: at most {top.exposure:.1f} bits, of one inserted "
        f"{top.repetitions:,} times. "
        + (f"Secrets never inserted have {sum(never) / len(never):.1f} bits on average. " if never else "")
        + f"The dashed line is the mean of secrets that are not memorised, {UNEXPOSED:.2f} bits."
        + (f" The {SHOWN} most exposed are shown." if len(canaries) > SHOWN else "")
    )
    return [
        Chart(
            name="exposure_by_repetitions",
            title="Exposure by repetitions",
            alt=alt,
            spec=layered(layers, values, height=280, **limit_of("exposure", "y")),
            columns=(
                "Canary",
                "Repetitions",
                "Possible secrets (bits)",
                "Compared",
                "At least as likely",
                "Exposure",
                "Low",
                "High",
            ),
            rows=tuple(tuple(c) for c in shown),
        )
    ]


def found_by_continuations(
    curves: Sequence[tuple[bool, float, Sequence[tuple[int, float]]]],
) -> list[Chart]:
    """Share of passages that n continuations give away; `curves` are (trained on, probability, (n, share) …)."""
    if not curves:
        return []
    values: list[dict[str, Any]] = [
        {"continuations": n, "share": round(share, 4), "which": _name(member), "probability": f"{p:g}"}
        for member, p, points in curves
        for n, share in points
    ]
    most = max(v["continuations"] for v in values)
    powers = [10**k for k in range(math.ceil(math.log10(max(1, most))) + 1)]
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "line", "strokeWidth": 2},
            "encoding": {
                "x": {
                    "field": "continuations",
                    "type": "quantitative",
                    "scale": {"type": "log"},
                    "title": "Continuations of one passage",
                    "axis": {"values": powers, "format": ","},
                },
                "y": {
                    "field": "share",
                    "type": "quantitative",
                    "title": "Passages found",
                    "scale": {"domain": [0, 1]},
                    "axis": {"format": "%"},
                },
                "color": {
                    "field": "which",
                    "type": "nominal",
                    "title": "Passages",
                    "scale": {"domain": [_name(True), _name(False)], "range": [ACCENT, "#9a9a9a"]},
                    "legend": {"orient": "bottom", "columns": 1},
                },
                "strokeDash": {
                    "field": "probability",
                    "type": "nominal",
                    "title": "Probability",
                    "legend": {"orient": "bottom", "columns": 1},
                },
            },
        }
    ]
    ends = [f"{points[-1][1]:.1%} of those {_name(m)} with probability {p:g}" for m, p, points in curves]
    alt = (
        "Passages that at least one of n continuations repeats word for word, against n. At "
        f"{curves[0][2][-1][0]:,} continuations: {', '.join(ends)}."
    )
    return [
        Chart(
            name="found_by_continuations",
            title="Passages found by number of continuations",
            alt=alt,
            spec=layered(layers, values, height=260),
            columns=("Passages", "Probability", "Continuations", "Share found"),
            rows=tuple((_name(m), p, n, share) for m, p, points in curves for n, share in points),
        )
    ]


def _name(member: bool) -> str:
    return "trained on" if member else "not trained on"
