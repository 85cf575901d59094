"""Attributions as bars: how much features weigh over many examples, and for or against one answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evaluations.charts.base import ACCENT, layered
from evaluations.spec import Chart

AGAINST = "#b3512f"


def mean_sizes(title: str, unit: str, found: Sequence[tuple[str, int, float]]) -> list[Chart]:
    """(feature, examples that it occurs in, mean |φ|), the largest first."""
    return _bars(
        "mean_attributions",
        title,
        f"Mean size in {unit}",
        [(name, value) for name, _, value in found],
        f"{title}: most of all {found[0][0]} with {found[0][2]:.3g} in {unit}, {len(found)} shown.",
        ("Feature", "Occurrences", "Mean size"),
        tuple(found),
    )


def signed_values(title: str, unit: str, found: Sequence[tuple[str, float]]) -> list[Chart]:
    """(feature, φ), the largest in size first."""
    return _bars(
        "one_attribution",
        title,
        f"Speaks for the answer, in {unit}",
        found,
        f"{title}: {found[0][0]} weighs most, {found[0][1]:+.3g} in {unit}; {len(found)} features shown.",
        ("Feature", "Value"),
        tuple(found),
    )


def _bars(
    name: str,
    title: str,
    axis: str,
    found: Sequence[tuple[str, float]],
    alt: str,
    columns: tuple[str, ...],
    rows: tuple[tuple[str | float | int | None, ...], ...],
) -> list[Chart]:
    names = [feature.strip() or "(space)" for feature, _ in found]
    values = [
        # a word that stands there twice has two bars
        {"feature": f"{name} ({names[:i].count(name) + 1})" if names[:i].count(name) else name}
        | {"value": float(f"{value:.6g}")}
        for i, (name, (_, value)) in enumerate(zip(names, found, strict=True))
    ]
    layers: list[dict[str, Any]] = [
        {
            "mark": {"type": "bar", "height": 12},
            "encoding": {
                "y": {"field": "feature", "type": "nominal", "title": None, "sort": None},
                "x": {"field": "value", "type": "quantitative", "title": axis},
                "color": {
                    "condition": {"test": "datum.value < 0", "value": AGAINST},
                    "value": ACCENT,
                },
            },
        }
    ]
    spec = layered(layers, values, height={"step": 20})
    return [Chart(name=name, title=title, alt=alt, spec=spec, columns=columns, rows=rows)]
