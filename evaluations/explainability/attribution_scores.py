"""The half of explainability.attribution that judges: sums that come out, orders that stay, all of it checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

import numpy as np

from evaluations.explainability import playing
from evaluations.explainability.attributing import Unit
from evaluations.explainability.attribution_asking import DRAWN, RECORDS, SHOWN_ANSWER
from evaluations.explainability.listed import (
    LARGEST,
    lengths_are,
    mean_correlation,
    mean_within,
    names,
    numbers,
)
from evaluations.explainability.overlay import SHOWN_SIDE
from evaluations.records import join, not_estimable, rows_by_id, too_many_errors
from evaluations.scoring import labels_of, read_probs
from evaluations.spec import Coverage, EvaluationError, Metric, Modality, ShardState

if TYPE_CHECKING:
    from typing import Any

    import pyarrow as pa
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.explainability.attribution import AttributionParams

NAMES = ("completeness_gap", "largest_gap", "convergence_delta", "seed_rank_correlation")
AUTO = ("partition_shap", "tree_shap", "linear_shap", "permutation_shap")  # what it may stand for
CLOSE = 0.05  # between two answers to the same input: one as a text or image, one as its features
NO_SUCH = EvaluationError("bad_records", "A record explains what was not asked for. Run it again.")


@dataclass(frozen=True)
class Found:
    """n examples, ascending by id. Exactly one of error, skipped, scored holds."""

    modality: Modality
    ids: list[str]
    texts: list[str] | None
    answers: list[str]
    probability: NDArray[np.float64]  # (n,) of the explained answer; NaN without one
    method: str  # "" where nothing was explained
    unit: str
    features: list[list[str]]
    values: list[NDArray[np.float64]]  # (seeds, F) each; (0, 0) where not scored
    start: list[NDArray[np.float64]]  # (seeds,) each
    end: list[NDArray[np.float64]]
    delta: NDArray[np.float64]  # (n,) NaN where there is none
    grids: list[tuple[int, ...]]
    pictures: list[bytes | None]
    error: NDArray[np.bool_]
    skipped: NDArray[np.bool_]
    clusters: NDArray[np.str_] | None

    @property
    def scored(self) -> NDArray[np.bool_]:
        return ~(self.error | self.skipped)

    def coverage(self) -> Coverage:
        errors, skipped, n = int(self.error.sum()), int(self.skipped.sum()), len(self.ids)
        return Coverage(attempted=n, scored=n - errors - skipped, failed=errors, skipped=skipped)


def collect(states: Sequence[ShardState], data: Dataset, params: AttributionParams, ctx: Context) -> Found:
    """The records, checked. The explained class is the one that is predicted."""
    drawn = playing.sample(data, params.examples, ctx)
    table, rows = join(states, RECORDS, data, drawn), rows_by_id(data, drawn)
    said = [None if a is None else str(a)[:SHOWN_ANSWER] for a in table.column("answer").to_pylist()]
    error = np.array([answer is None for answer in said])
    features = names(table.column("features"))
    total = np.array([len(held) for held in features], dtype=np.int64)
    skipped = ~error & ((total < 1) | (total > params.most_features))
    scored = ~(error | skipped)
    method, unit = _only("method", table, scored), _only("unit", table, scored)
    asked = AUTO if params.method == "auto" else (params.method,)
    if scored.any() and (method not in asked or unit not in get_args(Unit)):
        raise NO_SUCH
    seeds = params.seeds if method in DRAWN else 1
    flat = numbers(table.column("values"), -LARGEST, LARGEST)
    start, end = (numbers(table.column(name), -LARGEST, LARGEST) for name in ("start", "end"))
    if unit == "probability":
        start, end = numbers(table.column("start")), numbers(table.column("end"))
    delta = numbers(table.column("delta"), -LARGEST, LARGEST)
    lengths_are(flat, np.where(scored, total * seeds, 0))
    lengths_are(start, np.where(scored, seeds, 0))
    lengths_are(end, np.where(scored, seeds, 0))
    lengths_are(delta, np.where(scored & (method == "integrated_gradients"), 1, 0))
    probability = np.array([float(e[0]) if len(e) else np.nan for e in end])
    if data.modality is not Modality.CAUSAL_LM:
        probability = _predicted(states, table, said, ctx)
        if unit == "probability" and any(
            abs(float(end[i][0]) - probability[i]) > CLOSE for i in np.flatnonzero(scored)
        ):
            raise EvaluationError(
                "bad_records", "An explained answer is not the model's answer. Run it again."
            )
    texts = data.texts if data.modality in (Modality.TEXT_CLASSIFIER, Modality.CAUSAL_LM) else None
    pictures = [None if p is None else bytes(p) for p in table.column("picture").to_pylist()]
    return Found(
        modality=data.modality,
        ids=[str(i) for i in data.ids[rows]],
        texts=None if texts is None else [texts[row] for row in rows],
        answers=[answer or "" for answer in said],
        probability=probability,
        method=method,
        unit=unit,
        features=features,
        values=[v.reshape(seeds, -1) if s else np.empty((0, 0)) for v, s in zip(flat, scored, strict=True)],
        start=start,
        end=end,
        delta=np.array([float(d[0]) if len(d) else np.nan for d in delta]),
        grids=_grids(table, total, pictures, scored, data.modality),
        pictures=pictures,
        error=error,
        skipped=skipped,
        clusters=None if data.clusters is None else data.clusters[rows],
    )


def _only(name: str, table: pa.Table, scored: NDArray[np.bool_]) -> str:
    """What all scored records say alike."""
    held = {str(v) for v, s in zip(table.column(name).to_pylist(), scored, strict=True) if s}
    if len(held) > 1:
        raise NO_SUCH
    return held.pop() if held else ""


def _predicted(
    states: Sequence[ShardState], table: pa.Table, said: list[str | None], ctx: Context
) -> NDArray[np.float64]:
    """The probability of the predicted class; it must be the one that is explained."""
    labels = labels_of(states, ctx)
    probs, unanswered = read_probs(table.column("probs"), len(labels))
    for answer, row, none in zip(said, probs, unanswered, strict=True):
        if answer is not None and (none or labels[int(row.argmax())][:SHOWN_ANSWER] != answer):
            raise NO_SUCH
    return np.where(unanswered, np.nan, np.nan_to_num(probs).max(axis=1))


def _grids(
    table: pa.Table,
    total: NDArray[np.int64],
    pictures: list[bytes | None],
    scored: NDArray[np.bool_],
    modality: Modality,
) -> list[tuple[int, ...]]:
    """Rows and columns of cells, height and width of the picture (0 where there is none); () for what is no image."""
    found = []
    image = modality is Modality.IMAGE_CLASSIFIER
    for held, features, picture, known in zip(
        table.column("grid").to_pylist(), total, pictures, scored, strict=True
    ):
        grid = tuple(-1 if v is None else int(v) for v in held or ())
        fits = not grid and picture is None
        if known and image:
            fits = (
                len(grid) == 4
                and min(grid) >= 0
                and max(grid) <= max(SHOWN_SIDE, int(features))
                and grid[0] * grid[1] == features
                and max(grid[2:]) <= SHOWN_SIDE
                and len(picture or b"") == 3 * grid[2] * grid[3]
            )
        if not fits:
            raise EvaluationError("bad_records", "A record's picture is not what it says. Run it again.")
        found.append(grid)
    return found


def measure(found: Found, max_error_rate: float) -> list[Metric]:
    """Every metric of explainability.attribution."""
    n = len(found.ids)
    reason = too_many_errors(int(found.error.sum()), n, max_error_rate)
    if not reason and not found.scored.any():
        reason = "No example has a feature to explain, or all have too many."
    if reason:
        return [not_estimable(name, n, reason) for name in NAMES]
    gaps = np.array(
        [
            float(np.abs(v.sum(axis=1) - (end - start)).max()) if len(v) else np.nan
            for v, start, end in zip(found.values, found.start, found.end, strict=True)
        ]
    )
    return [
        _mean("completeness_gap", gaps, found),
        Metric(name="largest_gap", value=float(np.nanmax(gaps)), n=int(found.scored.sum())),
        _mean("convergence_delta", np.abs(found.delta), found)
        if found.method == "integrated_gradients"
        else not_estimable("convergence_delta", n, "Only integrated gradients have a convergence delta."),
        _stability(found),
    ]


def _mean(name: str, values: NDArray[np.float64], found: Found) -> Metric:
    """An example without an answer counts as 0 in the lower end, in the upper one as the largest seen, at least 1."""
    counted = ~found.skipped
    clusters = None if found.clusters is None else found.clusters[counted]
    value, interval = mean_within(values[counted], 0.0, max(1.0, float(np.nanmax(values))), clusters)
    return Metric(name=name, value=value, interval=interval, n=int(counted.sum()))


def _stability(found: Found) -> Metric:
    name, n = "seed_rank_correlation", int(found.scored.sum())
    if found.method not in DRAWN:
        return Metric(name=name, value=1.0, n=n)
    agreed = np.array([rank_agreement(values) for values in found.values])
    counted = ~found.skipped & (found.error | ~np.isnan(agreed))
    if not (counted & ~found.error).any():
        return not_estimable(name, n, "In no example did the attributions of several features vary.")
    return mean_correlation(
        name, agreed[counted], None if found.clusters is None else found.clusters[counted]
    )


def rank_agreement(values: NDArray[np.float64]) -> float:
    """Mean Spearman correlation over pairs of the (seeds, F) attributions; NaN where one of them never varies."""
    from scipy.stats import rankdata

    if len(values) < 2 or (np.ptp(values, axis=1) == 0).any():
        return float("nan")
    between: Any = np.corrcoef(rankdata(values, axis=1))
    return float(between[np.triu_indices(len(values), 1)].mean())


def warnings(found: Found, params: AttributionParams) -> list[str]:
    said = []
    if found.method:
        said.append(f"Explained by {found.method}; values are in {found.unit} of the answer.")
    if found.method and found.method not in DRAWN:
        said.append(
            f"{found.method} draws nothing at random: its rank correlation over seeds is 1 by itself."
        )
    if found.method == "permutation_shap" and params.method == "auto":
        said.append(
            "SHAP's explainers of trees and linear models do not read this model, or its pipeline mixes columns: "
            "random permutations were used."
        )
    if len(found.ids) < params.examples:
        said.append(f"The data set has only {len(found.ids)} examples; {params.examples} were asked for.")
    if found.skipped.any():
        said.append(
            f"{int(found.skipped.sum())} examples have no feature or more than {params.most_features} and were skipped."
        )
    return said
