"""The half of robustness.text_char that judges: outcomes against the truth, rates, curve, examples to show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from evaluations import stats
from evaluations.data.sampling import stratified_sample
from evaluations.records import join, not_estimable
from evaluations.robustness.changed_words import changed_words
from evaluations.scoring import labels_of, read_probs
from evaluations.spec import Coverage, EvaluationError, Example, Interval, Metric, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.robustness.text_char import TextCharParams

RECORDS = {
    "probs": pa.list_(pa.float64()),
    "attacked_text": pa.string(),
    "attacked_probs": pa.list_(pa.float64()),
    "queries": pa.int64(),
}
MOST_EDITS = 30  # DeepWordBug's bound on the edit distance
SHOWN = 20  # examples on the result
NAMES = ("original_accuracy", "accuracy_under_attack", "attack_success_rate", "perturbed_words", "queries")


@dataclass(frozen=True)
class Outcomes:
    """Per sampled example, ascending by id. Exactly one of error, skipped, succeeded, failed holds."""

    ids: list[str]
    labels: tuple[str, ...]
    before: list[str]
    after: list[str | None]
    truth: NDArray[np.int64]
    probs: NDArray[np.float64]
    attacked_probs: NDArray[np.float64]
    queries: NDArray[np.int64]
    error: NDArray[np.bool_]
    skipped: NDArray[np.bool_]  # wrong before any change
    succeeded: NDArray[np.bool_]  # changed answer, confirmed by scoring again
    unconfirmed: int

    @property
    def failed(self) -> NDArray[np.bool_]:
        return ~(self.error | self.skipped | self.succeeded)

    @property
    def n(self) -> int:
        return len(self.ids)

    def coverage(self) -> Coverage:
        errors, skipped = int(self.error.sum()), int(self.skipped.sum())
        return Coverage(attempted=self.n, scored=self.n - errors - skipped, failed=errors, skipped=skipped)

    def curve(self) -> list[tuple[int, float, float, float]]:
        """ASR(q): (queries, share of attacks that succeeded within them, Wilson low, high)."""
        attacked = self.succeeded | self.failed
        n = int(attacked.sum())
        if not n:
            return []
        points = []
        for q in sorted({int(q) for q in self.queries[attacked]}):
            wins = int((self.succeeded & (self.queries <= q)).sum())
            interval = stats.wilson(wins, n)
            points.append((q, wins / n, interval.low, interval.high))
        return points


def sample(data: Dataset, params: TextCharParams, ctx: Context) -> NDArray[np.int64]:
    """The rows that are attacked: seeded, in proportion to the labels, the same in run and merge."""
    return stratified_sample(data.ids, data.truth, params.examples, ctx.seed)


def collect(states: Sequence[ShardState], data: Dataset, params: TextCharParams, ctx: Context) -> Outcomes:
    """Outcomes decided here from probabilities and truth, not from what the attack said of itself."""
    rows = sample(data, params, ctx)
    table, labels = join(states, RECORDS, data, rows), labels_of(states, ctx)
    probs, error = read_probs(table.column("probs"), len(labels))
    attacked_probs, unscored = read_probs(table.column("attacked_probs"), len(labels))
    truth = data.class_indices(labels)[rows]
    before = [str(text) for text in data.inputs(rows, None)]
    after = table.column("attacked_text").to_pylist()
    queries = table.column("queries").to_numpy().astype(np.int64)
    for old, new in zip(before, after, strict=True):
        if new is not None and abs(len(new) - len(old)) > MOST_EDITS:
            raise EvaluationError(
                "bad_records", "An attacked text differs by more than the attack can change."
            )
    skipped = ~error & (np.argmax(np.nan_to_num(probs), axis=1) != truth)
    claimed = ~error & ~skipped & np.array([text is not None for text in after])
    changed = ~unscored & (np.argmax(np.nan_to_num(attacked_probs), axis=1) != truth)
    return Outcomes(
        ids=table.column("example_id").to_pylist(),
        labels=labels,
        before=before,
        after=after,
        truth=truth,
        probs=probs,
        attacked_probs=attacked_probs,
        queries=queries,
        error=error,
        skipped=skipped,
        succeeded=claimed & changed,
        unconfirmed=int((claimed & ~changed).sum()),
    )


def measure(outcomes: Outcomes, max_error_rate: float, ctx: Context) -> list[Metric]:
    """Every metric of robustness.text_char."""
    errors, n = int(outcomes.error.sum()), outcomes.n
    if errors / n > max_error_rate or errors == n:
        reason = f"{errors} of {n} examples gave no result, more than the {max_error_rate:.0%} allowed."
        return [not_estimable(name, n, reason) for name in NAMES]
    wins, losses = int(outcomes.succeeded.sum()), int(outcomes.failed.sum())
    found = [
        _rate("original_accuracy", stats.Proportion(wins + losses, n - errors, errors)),
        _rate("accuracy_under_attack", stats.Proportion(losses, n - errors, errors)),
    ]
    if wins + losses == 0:
        reason = "The model was wrong on every sampled example, so there was nothing to attack."
        return found + [not_estimable(name, n, reason) for name in NAMES[2:]]
    found.append(_rate("attack_success_rate", stats.Proportion(wins, wins + losses, errors)))
    attacked = outcomes.succeeded | outcomes.failed
    if wins:
        shares = np.array([share_changed(outcomes, int(i)) for i in np.flatnonzero(outcomes.succeeded)])
        found.append(_mean("perturbed_words", shares, ctx))
    else:
        found.append(not_estimable("perturbed_words", 0, "No attack succeeded."))
    found.append(_mean("queries", outcomes.queries[attacked].astype(np.float64), ctx))
    return found


def warnings(outcomes: Outcomes, params: TextCharParams, ctx: Context) -> list[str]:
    found = []
    if outcomes.n < params.examples:
        found.append(f"The data set has only {outcomes.n} examples; {params.examples} were asked for.")
    if not ctx.request.model.languages:
        found.append("The model's language is not registered; the attack's stopwords are English.")
    if outcomes.unconfirmed:
        found.append(f"{outcomes.unconfirmed} successes did not hold when scored again: counted as failures.")
    return found


def examples(outcomes: Outcomes) -> list[Example]:
    """The first successes by id, with the words that changed."""
    shown = []
    for i in np.flatnonzero(outcomes.succeeded)[:SHOWN]:
        new, was, now = str(outcomes.after[i]), outcomes.probs[i], outcomes.attacked_probs[i]
        shown.append(
            Example(
                id=outcomes.ids[i],
                kind="attack_success",
                before=outcomes.before[i],
                after=new,
                changed=tuple(changed_words(outcomes.before[i], new)),
                facts={
                    "true_label": outcomes.labels[int(outcomes.truth[i])],
                    "answer_before": outcomes.labels[int(was.argmax())],
                    "probability_before": round(float(was.max()), 4),
                    "answer_after": outcomes.labels[int(now.argmax())],
                    "probability_after": round(float(now.max()), 4),
                    "queries": int(outcomes.queries[i]),
                },
            )
        )
    return shown


def share_changed(outcomes: Outcomes, i: int) -> float:
    pairs = changed_words(outcomes.before[i], str(outcomes.after[i]))
    return min(1.0, len({old for old, _ in pairs}) / max(1, len(outcomes.before[i].split())))


def _rate(name: str, part: stats.Proportion) -> Metric:
    return Metric(name=name, value=part.value, interval=part.interval(), n=part.n + part.unknown)


def _mean(name: str, values: NDArray[np.float64], ctx: Context) -> Metric:
    value = float(values.mean())
    interval = None
    if len(values) > 1:
        low, high = stats.bootstrap(values, lambda rows: rows.mean(axis=1), ctx.rng(f"bootstrap:{name}"))
        interval = Interval(low=min(low, value), high=max(high, value), method="percentile_bootstrap")
    return Metric(name=name, value=value, interval=interval, n=len(values))
