"""Guesses about canaries: how many are right, by how many are guessed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evaluations.charts.base import ACCENT, INK, layered
from evaluations.spec import Chart

TITLE = "Right guesses about canaries, by how many are guessed"


def guesses(curve: Sequence[tuple[int, int]], counted: int, permitted: float | None) -> list[Chart]:
    """`curve` holds (guesses, right ones), `counted` is the number that was fixed beforehand: it alone decides.

    `permitted` is the share of right guesses that the claimed ε permits. No bound of ε is drawn along the curve: the
    best of many bounds is none.
    """
    if not curve:
        return []
    values = [{"guesses": n, "share": round(right / n, 4)} for n, right in curve]
    (at,) = (v for v in values if v["guesses"] == counted)
    x = {
        "field": "guesses",
        "type": "quantitative",
        "title": "Guesses (exploratory: the marked number decides)",
    }
    y = {
        "field": "share",
        "type": "quantitative",
        "title": "Right guesses",
        "scale": {"domain": [0, 1]},
        "axis": {"format": "%"},
    }
    dashed = {"type": "rule", "color": INK, "strokeDash": [4, 4], "opacity": 0.6}
    layers: list[dict[str, Any]] = [
        {"mark": {"type": "line", "color": ACCENT}, "encoding": {"x": x, "y": y}},
        {
            "data": {"values": [at]},
            "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1, "color": ACCENT},
            "encoding": {"x": x, "y": y},
        },
        {"data": {"values": [at]}, "mark": dashed, "encoding": {"x": x}},
    ]
    alt = (
        f"{TITLE}: of the {counted} guesses that decide {at['share']:.1%} are right; the rest of the curve, up to "
        f"{values[-1]['guesses']} guesses, is exploratory."
    )
    if permitted is not None:
        line = {"values": [{"share": permitted}]}
        layers.append({"data": line, "mark": dashed, "encoding": {"y": y}})
        alt += f" The claimed ε permits {permitted:.1%} on average (horizontal line)."
    return [
        Chart(
            name="guesses",
            title=TITLE,
            alt=alt,
            spec=layered(layers, values, height=260),
            columns=("Guesses", "Right", "Share right", "Decides"),
            rows=tuple((n, right, right / n, "yes" if n == counted else "") for n, right in curve),
        )
    ]
