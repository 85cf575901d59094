"""What is shown of attributions: heat over tokens, columns and pictures, and the features that weigh most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evaluations import charts
from evaluations.explainability import overlay
from evaluations.explainability.attribution_asking import SHOWN
from evaluations.spec import Chart, Example, Heat, Modality, Picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.explainability.attribution_scores import Found

SHOWN_TEXT = 2000  # characters
TOP = 15  # features in a chart
LEAST = 5  # texts that a token must occur in to be named in a chart


def examples(found: Found) -> list[Example]:
    """The first explained examples by id."""
    shown = []
    for i in np.flatnonzero(found.scored)[:SHOWN]:
        values = found.values[i].mean(axis=0)
        shown.append(
            Example(
                id=found.ids[i],
                kind="attribution",
                before=found.texts[i][:SHOWN_TEXT] if found.texts else "",
                heat=(
                    Heat(
                        answer=found.answers[i],
                        features=tuple(found.features[i]),
                        values=tuple(float(f"{value:.6g}") for value in values),
                        text=found.texts is not None,
                    ),
                ),
                pictures=pictures(found, int(i), values),
                facts={
                    "answer": found.answers[i],
                    "probability": round(float(found.probability[i]), 4),
                    "method": found.method,
                    "with_nothing_present": round(float(found.start[i][0]), 4),
                    "with_everything_present": round(float(found.end[i][0]), 4),
                },
            )
        )
    return shown


def pictures(found: Found, i: int, values: NDArray[np.float64]) -> tuple[Picture, ...]:
    """The picture as the network sees it, and with what speaks for and against its answer in colour."""
    held = found.pictures[i]
    if not held:
        return ()
    rows, columns, height, width = found.grids[i]
    levels = overlay.levels_of(held, height, width)
    heated = overlay.heated(levels, (rows, columns), values, float(np.abs(values).max()))
    return (
        overlay.png(levels, "Seen", "The picture as the network sees it, its levels stretched"),
        overlay.png(heated, "Attribution", overlay.said(found.answers[i], found.features[i], values)),
    )


def drawn(found: Found) -> list[Chart]:
    """Mean |φ| of the features that weigh most over the examples, and the signed values of the first example.

    Charts stand on the card, where everybody reads them, and examples are shown to some alone: of texts there is no
    single one in a chart, and no token that only a few of them hold. No id is in a chart, since ids may name people.
    """
    if not found.scored.any():
        return []
    sizes: dict[str, list[float]] = {}
    holders: dict[str, set[str]] = {}  # texts, not rows: one that comes five times is one
    for i in np.flatnonzero(found.scored):
        for name, value in zip(found.features[i], np.abs(found.values[i]).mean(axis=0), strict=True):
            sizes.setdefault(name, []).append(float(value))
            holders.setdefault(name, set()).add(found.texts[i] if found.texts else found.ids[i])
    text = found.texts is not None
    sizes = {name: values for name, values in sizes.items() if not text or len(holders[name]) >= LEAST}
    ranked = sorted(sizes.items(), key=lambda item: (-float(np.mean(item[1])), item[0]))[:TOP]
    mean = [(name, len(values), float(np.mean(values))) for name, values in ranked]
    first = int(np.flatnonzero(found.scored)[0])
    signed = zip(found.features[first], found.values[first].mean(axis=0).tolist(), strict=True)
    most = sorted(signed, key=lambda item: (-abs(item[1]), item[0]))[:TOP]
    kind = {Modality.TABULAR: "columns", Modality.IMAGE_CLASSIFIER: "places"}.get(found.modality, "tokens")
    one = [] if text else charts.signed_values("One answer explained", found.unit, most)
    return [*(charts.mean_sizes(f"What weighs most: {kind}", found.unit, mean) if mean else []), *one]
