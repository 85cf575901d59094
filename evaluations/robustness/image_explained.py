"""What an image model goes by before and after an attack: what the right answer loses without each part of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from evaluations.explainability import overlay
from evaluations.spec import EvaluationError, Picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.models.protocol import ImageNetwork

SIDE = 7  # cells along a side of the grid
QUERIES = 2 * (SIDE * SIDE + 2)  # of an attack that is explained
COLUMNS: dict[str, pa.DataType] = {
    "grid": pa.list_(
        pa.int64()
    ),  # rows and columns of cells, height and width of the pictures; null: not explained
    "seen_before": pa.binary(),
    "heat_before": pa.list_(pa.float64()),
    "seen_after": pa.binary(),
    "heat_after": pa.list_(pa.float64()),
}


@dataclass(frozen=True)
class Explained:
    """Of one attack: both pictures as the network sees them, and what each cell does for the right answer."""

    grid: tuple[int, int, int, int]
    seen: tuple[bytes, bytes]
    heat: tuple[NDArray[np.float64], NDArray[np.float64]]


def explain(
    model: ImageNetwork, before: NDArray[np.float32], after: NDArray[np.float32], answer: int
) -> Explained | None:
    """By leaving out each cell of prepared pixels (channels, height, width). None where an answer is missing."""
    from evaluations.explainability.attributing import EXPLAINERS
    from evaluations.explainability.games import ImageGame

    if before.shape != after.shape:
        return None
    games = [ImageGame(model, pixels, SIDE) for pixels in (before, after)]
    drawing_nothing = np.random.default_rng(0)
    heat = [EXPLAINERS["occlusion"](game, answer, drawing_nothing).values for game in games]
    if not np.isfinite(heat).all():
        return None
    (was, size), (now, _size) = (overlay.seen(pixels) for pixels in (before, after))
    return Explained((*games[0].grid, *size), (was, now), (heat[0], heat[1]))


def columns(explained: Sequence[Explained | None]) -> dict[str, pa.Array]:
    """A row per example."""
    flat: dict[str, list[Any]] = {
        "grid": [one and list(one.grid) for one in explained],
        "seen_before": [one and one.seen[0] for one in explained],
        "heat_before": [one and one.heat[0].tolist() for one in explained],
        "seen_after": [one and one.seen[1] for one in explained],
        "heat_after": [one and one.heat[1].tolist() for one in explained],
    }
    return {name: pa.array(values, COLUMNS[name]) for name, values in flat.items()}


def explained_of(table: pa.Table, row: int) -> Explained | None:
    """What a record holds. Raises `bad_records` for what `explain` does not give."""
    grid, *held = (table.column(name)[row].as_py() for name in COLUMNS)
    if grid is None and not any(held):
        return None
    before, heat_before, after, heat_after = held
    if (
        not _is_grid(grid)
        or any(len(seen or b"") != 3 * grid[2] * grid[3] for seen in (before, after))
        or not all(_is_heat(heat, grid[0] * grid[1]) for heat in (heat_before, heat_after))
    ):
        raise EvaluationError("bad_records", "An explanation in the records is damaged. Run it again.")
    return Explained(tuple(grid), (before, after), (np.array(heat_before), np.array(heat_after)))


def _is_grid(held: list[int | None] | None) -> bool:
    most = (SIDE, SIDE, overlay.SHOWN_SIDE, overlay.SHOWN_SIDE)
    return len(held or ()) == len(most) and all(
        size is not None and 1 <= size <= limit for size, limit in zip(held or (), most, strict=True)
    )


def _is_heat(held: list[float | None] | None, cells: int) -> bool:
    """A value for each cell: a difference of two probabilities."""
    return len(held or ()) == cells and all(
        value is not None and -1 - 1e-6 <= value <= 1 + 1e-6 for value in held or ()
    )


def pictures(explained: Explained, answer: str) -> tuple[Picture, ...]:
    """Both attributions for the right answer, their colours on one scale."""
    rows, columns, height, width = explained.grid
    features = [f"row {i + 1}, column {j + 1}" for i in range(rows) for j in range(columns)]
    largest = float(np.abs(explained.heat).max())
    shown = []
    for side, seen, heat in zip(("before", "after"), explained.seen, explained.heat, strict=True):
        levels = overlay.levels_of(seen, height, width)
        shown.append(
            overlay.png(
                overlay.heated(levels, (rows, columns), heat, largest),
                f"Attribution {side}",
                f"What the right answer rests on {side} the attack. {overlay.said(answer, features, heat)}",
            )
        )
    return tuple(shown)
