"""The half of attacks on texts that holds the model: searches, scores what they found again, explains some of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from evaluations.engine.fingerprint import check_stopped
from evaluations.models.protocol import Remote, Scores
from evaluations.robustness import attack_explained
from evaluations.robustness.attack_explained import Told, explain
from evaluations.robustness.attack_limits import REDUCTION
from evaluations.robustness.attack_outcomes import SHOWN, sample, schema_of, shown_search, unfit
from evaluations.robustness.attack_specs import Search, searches
from evaluations.robustness.attacking import attack_texts
from evaluations.robustness.recipes import ADJUSTED, RECIPES
from evaluations.robustness.remembered import remembered
from evaluations.scoring import probs_column, with_labels
from evaluations.spec import Access, EvaluationError, Shard, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.models.protocol import Classifier
    from evaluations.robustness.attack_specs import AttackParams

log = logging.getLogger(__name__)


@dataclass
class Tries:
    """What one search found, per row of the shard. No queries: it was not tried, or broke off."""

    texts: list[str | None]
    again: Scores
    queries: list[int | None]

    def columns(self, key: str) -> dict[str, pa.Array]:
        return {
            f"{key}_text": pa.array(self.texts, pa.string()),
            f"{key}_probs": probs_column(self.again.probs, self.again.errors | ~self.again.seen),
            f"{key}_queries": pa.array(self.queries, pa.int64()),
        }


def attack_shard(
    model: Classifier,
    data: Dataset,
    params: AttackParams,
    recipes: Sequence[str],
    ctx: Context,
    shard: Shard,
) -> ShardState:
    """Records: original probabilities; per search the text found (else null), its probabilities, queries; some heat."""
    truth = data.class_indices(model.labels)
    rows = sample(data, params, ctx)[shard.start : shard.stop]
    texts = [str(text) for text in data.inputs(rows, None)]
    before = ctx.predictions(model, data, rows)
    right = ~before.errors & (np.argmax(np.nan_to_num(before.probs), axis=1) == truth[rows])
    tried = np.array([i for i in np.flatnonzero(right) if not unfit(texts[i], params)], dtype=np.int64)
    wanted, asked = searches(recipes), remembered(model)
    found = {}
    for number, search in enumerate(wanted):
        found[search] = _search(model, asked, search, texts, truth[rows], data.ids[rows], tried, ctx)
        ctx.progress(len(rows) * (number + 1) // len(wanted), len(rows), f"attacking: {search.told}")
    nothing: list[Told] = [(None, None)] * len(rows)
    given = _explained(model, texts, truth[rows], found, ctx) if params.explain else nothing
    columns = {"probs": probs_column(before.probs, before.errors)}
    for search, tries in found.items():
        columns |= tries.columns(search.key)
    columns |= attack_explained.columns(given)
    table = pa.table({"example_id": pa.array(data.ids[rows].tolist(), pa.string()), **columns})
    assert table.schema.equals(pa.schema({"example_id": pa.string(), **schema_of(wanted)}))
    broken = sum(tries.queries[i] is None for tries in found.values() for i in tried)
    counters = {"errors": int(before.errors.sum()) + broken, "truncated": model.usage.truncated}
    return ShardState(with_labels(table, model.labels, Access.PROBS in model.access), counters)


def _search(
    model: Classifier,
    asked: Classifier,
    search: Search,
    texts: list[str],
    truth: NDArray[np.int64],
    ids: NDArray[np.str_],
    tried: NDArray[np.int64],
    ctx: Context,
) -> Tries:
    tries = Tries([None] * len(texts), Scores.blank(len(texts), len(model.labels)), [None] * len(texts))
    build = (ADJUSTED if search.adjusted else RECIPES)[search.recipe]
    answers = attack_texts(
        asked,
        build,
        [texts[i] for i in tried],
        [int(truth[i]) for i in tried],
        [ctx.rng(str(ids[i])) for i in tried],
        ctx.stop_if_cancelled,
    )
    for position, got in answers:
        i = int(tried[position])
        if isinstance(got, EvaluationError):
            raise got
        if isinstance(got, Exception):  # a text that breaks the attack counts as an error row
            log.warning("%s failed on %s: %s: %s", search.told, ids[i], type(got).__name__, got)
            continue
        if got.skipped:  # now wrong on the unchanged text: nothing was withstood
            log.warning("%s: %s is answered otherwise than before", search.told, ids[i])
            continue
        tries.queries[i] = got.queries
        if got.text is not None:
            tries.texts[i] = got.text
            tries.again.put(np.array([i]), _asked_anew(model, got.text))
    return tries


def _asked_anew(model: Classifier, text: str) -> Scores:
    """The answer to a text that an attack has found, not as remembered: of a service that wavers a search finds, among
    hundreds of answers, one that was wrong by chance."""
    if not isinstance(model, Remote):
        return model.predict_proba([text])
    before, model.question = model.question, "robustness.text:found"
    try:
        scores = model.predict_proba([text])
    finally:
        model.question = before
    check_stopped(model)
    return scores


def _explained(
    model: Classifier,
    texts: list[str],
    truth: NDArray[np.int64],
    found: dict[Search, Tries],
    ctx: Context,
) -> list[Told]:
    """Of the shard's first successes: which ones are shown is known when all shards are."""
    given: list[Told] = [(None, None)] * len(texts)
    left = SHOWN
    for i, text in enumerate(texts):
        answers = {
            search: int(np.argmax(tries.again.probs[i]))
            for search, tries in found.items()
            if search.recipe != REDUCTION and tries.again.seen[i] and not tries.again.errors[i]
        }
        search = shown_search([s for s, answer in answers.items() if answer != truth[i]])
        if search is None or not left:
            continue
        ctx.stop_if_cancelled()
        changed = found[search].texts[i]
        assert changed is not None  # it was scored
        given[i] = explain(model, text, int(truth[i])), explain(model, changed, answers[search])
        left -= 1
    return given
