"""What attacks left of a model's accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evaluations.charts.bars import group_bars
from evaluations.charts.base import limit_of
from evaluations.spec import Chart, Metric


def accuracy_by_attack(metrics: Sequence[Metric], titles: Mapping[str, str]) -> list[Chart]:
    """Accuracy before, and after each attack of a cascade, with intervals. A limit on robust_accuracy is drawn."""
    shown = [("Before", m) for m in metrics if m.name == "clean_accuracy"]
    shown += [
        (f"After {titles[m.slice.removeprefix('attack=')]}", m) for m in metrics if m.name == "accuracy_after"
    ]
    limit = limit_of("robust_accuracy", "x")
    return [
        chart.model_copy(
            update={
                "columns": ("Attack", "n", "Accuracy", "Low", "High"),
                "spec": {**chart.spec, **limit},
            }
        )
        for chart in group_bars("accuracy_by_attack", "Accuracy that the attacks left", shown)
    ]
