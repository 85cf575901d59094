"""The half of robustness.image_blackbox that judges: outcomes against the truth, rates, curve, images to show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from evaluations import records, stats
from evaluations.data.sampling import stratified_sample
from evaluations.records import not_estimable
from evaluations.robustness import image_explained, image_files
from evaluations.robustness.attacks_file import keep_images
from evaluations.scoring import labels_of, read_probs
from evaluations.spec import Coverage, EvaluationError, Example, Interval, Metric, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.robustness.image_blackbox import ImageBlackBoxParams
    from evaluations.robustness.image_explained import Explained

RECORDS = {
    "probs": pa.list_(pa.float64()),
    "attacked": pa.binary(),
    "attacked_probs": pa.list_(pa.float64()),
    "queries": pa.int64(),
    **image_explained.COLUMNS,
}
NAMES = ("original_accuracy", "robust_accuracy", "attack_success_rate", "queries")


@dataclass(frozen=True)
class Outcomes:
    """Per sampled example, ascending by id. Exactly one of error, wrong, succeeded, withstood holds."""

    ids: list[str]
    labels: tuple[str, ...]
    clusters: NDArray[np.str_] | None
    before: list[NDArray[np.uint8] | None]  # of the successes that are shown
    after: list[NDArray[np.uint8] | None]
    explained: list[Explained | None]  # likewise
    files: list[bytes | None]
    truth: NDArray[np.int64]
    probs: NDArray[np.float64]
    attacked_probs: NDArray[np.float64]
    queries: NDArray[np.int64]
    error: NDArray[np.bool_]
    wrong: NDArray[np.bool_]  # before any change
    succeeded: NDArray[np.bool_]
    unconfirmed: int

    @property
    def n(self) -> int:
        return len(self.ids)

    @property
    def withstood(self) -> NDArray[np.bool_]:
        return ~(self.error | self.wrong | self.succeeded)

    def coverage(self) -> Coverage:
        errors = int(self.error.sum())
        return Coverage(attempted=self.n, scored=self.n - errors, failed=errors)

    def curve(self) -> list[tuple[int, float, float, float]]:
        """ASR(q): (queries, share of attacks that succeeded within them, Wilson low, high)."""
        attacked = self.succeeded | self.withstood
        n = int(attacked.sum())
        points = []
        for q in sorted({int(q) for q in self.queries[attacked]}):
            wins = int((self.succeeded & (self.queries <= q)).sum())
            interval = stats.wilson(wins, n)
            points.append((q, wins / n, interval.low, interval.high))
        return points


def sample(data: Dataset, params: ImageBlackBoxParams, ctx: Context) -> NDArray[np.int64]:
    """The rows that are attacked: seeded, in proportion to the labels, the same in run and merge."""
    return stratified_sample(data.ids, data.truth, params.examples, ctx.seed)


def levels_allowed(params: ImageBlackBoxParams) -> int:
    """The largest change of a value, in whole steps of 1/255."""
    return math.floor(params.epsilon * 255 + 1e-6)


def collect(
    states: Sequence[ShardState], data: Dataset, params: ImageBlackBoxParams, ctx: Context
) -> Outcomes:
    """Outcomes decided here, from probabilities, the truth, and the files held against those of the data set."""
    rows = sample(data, params, ctx)
    table, labels = records.join(states, RECORDS, data, rows), labels_of(states, ctx)
    probs, error = read_probs(table.column("probs"), len(labels))
    attacked_probs, unscored = read_probs(table.column("attacked_probs"), len(labels))
    truth = data.class_indices(labels)[rows]
    files: list[bytes | None] = table.column("attacked").to_pylist()
    queries = table.column("queries").fill_null(0).to_numpy().astype(np.int64)
    if queries.min() < 0 or queries.max() > params.queries:
        raise EvaluationError(
            "bad_records", "A record asked more often than the budget allows. Run it again."
        )
    wrong = ~error & (np.argmax(np.nan_to_num(probs), axis=1) != truth)
    claimed = ~error & ~wrong & np.array([bool(file) for file in files])
    succeeded = claimed & ~unscored & (np.argmax(np.nan_to_num(attacked_probs), axis=1) != truth)
    before: list[NDArray[np.uint8] | None] = [None] * len(rows)
    after: list[NDArray[np.uint8] | None] = [None] * len(rows)
    explained: list[Explained | None] = [None] * len(rows)
    for k, i in enumerate(np.flatnonzero(succeeded)):
        pair = _compared(data.images(rows[i : i + 1])[0], files[i] or b"", levels_allowed(params))
        if k < image_files.SHOWN:
            before[i], after[i] = pair
            explained[i] = image_explained.explained_of(table, int(i))
    return Outcomes(
        ids=table.column("example_id").to_pylist(),
        labels=labels,
        clusters=None if data.clusters is None else data.clusters[rows],
        before=before,
        after=after,
        explained=explained,
        files=files,
        truth=truth,
        probs=probs,
        attacked_probs=attacked_probs,
        queries=queries,
        error=error,
        wrong=wrong,
        succeeded=succeeded,
        unconfirmed=int((claimed & ~succeeded).sum()),
    )


def _compared(original: bytes, attacked: bytes, allowed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Both images. Raises `bad_records` where they differ by more than is allowed."""
    after = image_files.read(attacked)
    before = image_files.levels_of(original, "L" if image_files.is_grey(original) else "RGB")
    if before is None or before.shape != after.shape:
        raise EvaluationError("bad_records", "An attacked image is not of the original's size. Run it again.")
    if np.abs(after.astype(np.int64) - before).max() > allowed:
        raise EvaluationError("bad_records", "An attacked image differs by more than the attack can change.")
    return before, after


def measure(outcomes: Outcomes, max_error_rate: float, ctx: Context) -> list[Metric]:
    """Every metric of robustness.image_blackbox."""
    reason = records.too_many_errors(int(outcomes.error.sum()), outcomes.n, max_error_rate)
    if reason:
        return [not_estimable(name, outcomes.n, reason) for name in NAMES]
    every: NDArray[np.bool_] = np.ones(outcomes.n, dtype=bool)
    found = [
        _rate("original_accuracy", outcomes.succeeded | outcomes.withstood, outcomes, every),
        _rate("robust_accuracy", outcomes.withstood, outcomes, every),
    ]
    attacked = outcomes.succeeded | outcomes.withstood
    if not attacked.any():
        reason = "The model was wrong on every sampled example, so there was nothing to attack."
        return found + [not_estimable(name, outcomes.n, reason) for name in NAMES[2:]]
    found.append(_rate("attack_success_rate", outcomes.succeeded, outcomes, ~outcomes.wrong))
    asked = outcomes.queries[attacked].astype(np.float64)
    value, interval = float(asked.mean()), None
    if len(asked) > 1:
        low, high = stats.bootstrap(asked, lambda rows: rows.mean(axis=1), ctx.rng("bootstrap:queries"))
        interval = Interval(low=min(low, value), high=max(high, value), method="percentile_bootstrap")
    return [*found, Metric(name="queries", value=value, interval=interval, n=len(asked))]


def _rate(name: str, hits: NDArray[np.bool_], outcomes: Outcomes, among: NDArray[np.bool_]) -> Metric:
    clusters = None if outcomes.clusters is None else outcomes.clusters[among]
    found = stats.proportion(hits[among], clusters, ~outcomes.error[among])
    return Metric(
        name=name,
        value=found.value,
        interval=found.interval,
        n=found.n,
        n_effective=found.n_effective if outcomes.clusters is not None else None,
    )


def examples(outcomes: Outcomes) -> list[Example]:
    """The first successes by id: before, after, what changed, and what the model went by."""
    shown = []
    for i in np.flatnonzero(outcomes.succeeded)[: image_files.SHOWN]:
        before, after = outcomes.before[i], outcomes.after[i]
        assert before is not None  # of those shown
        assert after is not None
        shown.append(
            image_files.example(
                outcomes.ids[i],
                before,
                after,
                outcomes.labels,
                int(outcomes.truth[i]),
                outcomes.probs[i],
                outcomes.attacked_probs[i],
                outcomes.explained[i],
                queries=int(outcomes.queries[i]),
            )
        )
    return shown


def keep(outcomes: Outcomes, ctx: Context) -> list[str]:
    """Writes the attacked images, for later versions to withstand. Returns warnings."""
    won = np.flatnonzero(outcomes.succeeded)
    return keep_images(
        ctx,
        original_ids=[outcomes.ids[i] for i in won],
        images=[outcomes.files[i] or b"" for i in won],
        labels=[outcomes.labels[int(outcomes.truth[i])] for i in won],
        recipes=["square_queries"] * len(won),
    )


def warnings(outcomes: Outcomes, params: ImageBlackBoxParams) -> list[str]:
    found = []
    if outcomes.n < params.examples:
        found.append(f"The data set has only {outcomes.n} examples; {params.examples} were asked for.")
    if outcomes.unconfirmed:
        found.append(f"{outcomes.unconfirmed} successes did not hold when asked again: counted as failures.")
    return found
