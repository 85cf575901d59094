"""The half of robustness.text_behaviour that judges: which texts failed which test, the rates, examples to show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from evaluations import charts, records, stats
from evaluations.records import not_estimable, too_many_errors
from evaluations.robustness.behaviours import BEHAVIOURS
from evaluations.robustness.changed_words import changed_words
from evaluations.robustness.text_behaviour_answers import favourable_of, sample, tests, texts_of
from evaluations.scoring import GRADED, labels_of, read_probs
from evaluations.spec import Chart, Coverage, Example, Metric, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.robustness.text_behaviour import TextBehaviourParams

PROBS = pa.list_(pa.float64())
SHOWN, SHOWN_CHARACTERS = 3, 2000  # examples of each test
EXPECTED = {
    "stay": "the same answer",
    "not_rise": "the favourable class no more likely",
    "not_fall": "the favourable class no less likely",
}
NO_FAVOURABLE = (
    "No favourable class is named, so no direction is right. Name it in the parameters or the data set."
)


@dataclass(frozen=True)
class Tested:
    """One test on n texts. `texts` is None where it has nothing to change."""

    name: str
    texts: list[str | None]
    probs: NDArray[np.float64]  # (n, K) of the changed text
    known: NDArray[np.bool_]  # both texts were answered
    failed: NDArray[np.bool_]  # only meaningful where known

    @property
    def applies(self) -> NDArray[np.bool_]:
        return np.array([text is not None for text in self.texts], dtype=bool)


@dataclass(frozen=True)
class Found:
    """n sampled texts, ascending by example id, and what became of each test."""

    ids: list[str]
    labels: tuple[str, ...]
    texts: list[str]
    probs: NDArray[np.float64]
    answered: NDArray[np.bool_]
    flipped: NDArray[np.bool_]  # between two askings of the text itself
    twice: NDArray[np.bool_]  # it was answered both times
    tested: list[Tested]
    favourable: int | None
    graded: bool
    clusters: NDArray[np.str_] | None

    @property
    def n(self) -> int:
        return len(self.ids)

    def coverage(self) -> Coverage:
        """Failed: no answer to the text or to one of its changes. Skipped: nothing in it to change."""
        missing = ~self.answered
        applies: NDArray[np.bool_] = np.zeros(self.n, dtype=bool)
        for one in self.tested:
            missing |= one.applies & ~one.known
            applies |= one.applies
        failed, skipped = int(missing.sum()), int((~missing & ~applies).sum())
        return Coverage(attempted=self.n, scored=self.n - failed - skipped, failed=failed, skipped=skipped)


def collect(states: Sequence[ShardState], data: Dataset, params: TextBehaviourParams, ctx: Context) -> Found:
    """The changes made again from the data, and the failures decided here, from the probabilities alone."""
    labels = labels_of(states, ctx)
    favourable = favourable_of(data, params, labels)
    names, rows = tests(params, favourable), sample(data, params, ctx)
    table = records.join(states, dict.fromkeys(("probs", "again", *names), PROBS), data, rows)
    rows = records.rows_by_id(data, rows)
    probs, errors = read_probs(table.column("probs"), len(labels))
    again, lost = read_probs(table.column("again"), len(labels))
    tested = []
    for name in names:
        after, unanswered = read_probs(table.column(name), len(labels))
        texts = texts_of(name, data, rows, ctx)
        known = ~errors & ~unanswered & np.array([text is not None for text in texts], dtype=bool)
        failed = failures(BEHAVIOURS[name].must, probs, after, favourable, params.margin)
        tested.append(Tested(name, texts, after, known, failed & known))
    return Found(
        ids=table.column("example_id").to_pylist(),
        labels=labels,
        texts=[data.texts[i] for i in rows],
        probs=probs,
        answered=~errors,
        flipped=failures("stay", probs, again, None, 0.0),
        twice=~errors & ~lost,
        tested=tested,
        favourable=favourable,
        graded=all(GRADED not in (state.records.schema.metadata or {}) for state in states),
        clusters=None if data.clusters is None else data.clusters[rows],
    )


def failures(
    must: str,
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    favourable: int | None,
    margin: float,
) -> NDArray[np.bool_]:
    """(n,) whether the answer did what it must not. One-hot rows, of a model without probabilities, move by 0 or 1."""
    if must == "stay" or favourable is None:
        answers = [np.argmax(np.nan_to_num(probs), axis=1) for probs in (before, after)]
        return np.asarray(answers[0] != answers[1])
    risen = np.nan_to_num(after[:, favourable] - before[:, favourable])
    return np.asarray((risen if must == "not_rise" else -risen) > margin)


# --- rates ---------------------------------------------------------------------------------------------


def measure(found: Found, params: TextBehaviourParams) -> list[Metric]:
    """Every metric of robustness.text_behaviour."""
    families = {"invariance_failure_rate": params.invariance, "directional_failure_rate": params.directional}
    metrics = []
    for name, members in families.items():
        held = [one for one in found.tested if one.name in members]
        reason = "No such test was asked for." if not members else "" if held else NO_FAVOURABLE
        metrics.append(not_estimable(name, found.n, reason) if reason else _any(name, held, found, params))
    for one in found.tested:
        metrics.append(
            _rate("failure_rate", one.failed, one.known, one.applies, found, params, f"test={one.name}")
        )
    every: NDArray[np.bool_] = np.ones(found.n, dtype=bool)
    metrics.append(_rate("unchanged_flip_rate", found.flipped, found.twice, every, found, params, "all"))
    return metrics


def _any(name: str, held: Sequence[Tested], found: Found, params: TextBehaviourParams) -> Metric:
    """Texts that failed at least one of several tests. An answer that is missing hides none that is a failure."""
    failed = np.any([one.failed for one in held], axis=0)
    applies = np.any([one.applies for one in held], axis=0)
    missing = np.any([one.applies & ~one.known for one in held], axis=0)
    return _rate(name, failed, failed | ~missing, applies, found, params, "all")


def _rate(
    name: str,
    failed: NDArray[np.bool_],
    known: NDArray[np.bool_],
    applies: NDArray[np.bool_],
    found: Found,
    params: TextBehaviourParams,
    where: str,
) -> Metric:
    n = int(applies.sum())
    if not n:
        reason = f"None of the {found.n} texts has anything that this would change."
        return not_estimable(name, 0, reason, where)
    reason = too_many_errors(int((applies & ~known).sum()), n, params.max_error_rate)
    if reason:
        return not_estimable(name, n, reason, where)
    clusters = None if found.clusters is None else found.clusters[applies]
    rate = stats.proportion(failed[applies], clusters, known[applies])
    return Metric(
        name=name,
        value=rate.value,
        interval=rate.interval,
        n=n,
        n_effective=rate.n_effective,
        slice=where,
    )


def title_of(test: str) -> str:
    return test.replace("_", " ").capitalize()


def plots(metrics: Sequence[Metric], params: TextBehaviourParams) -> list[Chart]:
    """Bars of each family's tests, under the rate of texts that failed any of them."""
    by_place = {(m.name, m.slice): m for m in metrics}
    found = []
    for family, title, members in (
        ("invariance_failure_rate", "Answers changed by something harmless", params.invariance),
        ("directional_failure_rate", "Answers moved the wrong way", params.directional),
    ):
        bars = [("Any of them", by_place[family, "all"])]
        bars += [
            (title_of(test), by_place["failure_rate", f"test={test}"])
            for test in members
            if ("failure_rate", f"test={test}") in by_place
        ]
        found += charts.group_bars(family, title, bars, limit=family, what="Test")
    return found


def warnings(found: Found, metrics: Sequence[Metric], ctx: Context) -> list[str]:
    """What a reader of the rates must know."""
    said = []
    if not ctx.request.model.languages:
        said.append("The model's language is not registered; the changes are made for English.")
    if not found.graded and found.favourable is not None:
        said.append(
            "The model gives no probabilities: a directional test fails where the answer itself turns."
        )
    flips = next(m for m in metrics if m.name == "unchanged_flip_rate")
    if flips.value:
        said.append(
            f"The model is not repeatable: asked the same text again it changed {flips.value:.1%} of its answers. "
            "The other rates contain that."
        )
    return said


def examples(found: Found) -> list[Example]:
    """The first failures of each test by id, with the words that changed."""
    shown = []
    for one in found.tested:
        for i in np.flatnonzero(one.failed)[:SHOWN]:
            before, after = found.texts[i][:SHOWN_CHARACTERS], str(one.texts[i])[:SHOWN_CHARACTERS]
            was, now = found.probs[i], one.probs[i]
            must = BEHAVIOURS[one.name].must
            facts: dict[str, str | float | int] = {
                "test": title_of(one.name),
                "expected": EXPECTED[must],
                "answer_before": found.labels[int(was.argmax())],
                "answer_after": found.labels[int(now.argmax())],
            }
            if found.graded:
                sides = {"probability_before": was, "probability_after": now}
                of = found.favourable if must != "stay" else None  # else of the answer itself
                facts |= {k: round(float(p.max() if of is None else p[of]), 4) for k, p in sides.items()}
            shown.append(
                Example(
                    id=found.ids[i],
                    kind="behaviour_failure",
                    before=before,
                    after=after,
                    changed=tuple(changed_words(before, after)),
                    facts=facts,
                )
            )
    return shown
