"""What became of attacks on texts, decided from the records' probabilities and the truth. Never holds the model."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa

from evaluations.data.sampling import stratified_sample
from evaluations.records import join, rows_by_id
from evaluations.robustness import attack_explained
from evaluations.robustness.attack_bounds import possible
from evaluations.robustness.attack_limits import REDUCTION, SERVES_BOTH
from evaluations.robustness.attack_specs import LETTERS_A_WORD, Search, searches
from evaluations.scoring import GRADED, labels_of, read_probs
from evaluations.spec import Coverage, EvaluationError, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.robustness.attack_specs import AttackParams

SHOWN = 20  # examples on the result
SATURATED = (
    1e-6  # so near 1 single precision, in which searches compare probabilities, loses what a change does
)


@dataclass(frozen=True)
class Tally:
    """Per sampled example, ascending by id: what one search, or several together, came to."""

    won: NDArray[np.bool_]  # the answer changed, confirmed by scoring again
    unknown: NDArray[np.bool_]  # it broke off, or the changed text got no answer


@dataclass(frozen=True)
class Tried(Tally):
    """One search. `texts` are what it found, `probs` (n, K) what the model answered to them, NaN where nothing."""

    texts: list[str | None]
    probs: NDArray[np.float64]
    queries: NDArray[np.float64]  # NaN where it was not tried or broke off
    unconfirmed: int  # successes that did not hold


@dataclass(frozen=True)
class Outcomes:
    """Per sampled example that is fit to be attacked, ascending by id; n of them, K classes."""

    ids: list[str]
    labels: tuple[str, ...]
    texts: list[str]
    truth: NDArray[np.int64]
    probs: NDArray[np.float64]
    silent: NDArray[np.bool_]  # no answer to the unchanged text
    clusters: NDArray[np.str_] | None
    tried: dict[Search, Tried]
    records: pa.Table  # of the same rows, for what is only shown
    too_long: int  # examples left out
    other_script: int  # the same
    graded: bool  # whether the model states probabilities
    sure: NDArray[np.bool_]  # right, with a probability so near 1 that a search sees nothing move

    @property
    def n(self) -> int:
        return len(self.ids)

    @property
    def left_out(self) -> int:
        return self.too_long + self.other_script

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """Right before any change: what is attacked."""
        return ~self.silent & (np.argmax(np.nan_to_num(self.probs), axis=1) == self.truth)

    @cached_property
    def recipes(self) -> list[str]:
        """The attacks among the recipes, in order."""
        return [search.recipe for search in self.tried if not search.adjusted and search.recipe != REDUCTION]

    def search(self, recipe: str, adjusted: bool) -> Tried:
        """What a recipe found under its own or the adjusted constraints, which may be the same."""
        return self.tried[Search(recipe, adjusted and recipe not in SERVES_BOTH)]

    def together(self, adjusted: bool) -> Tally:
        """An example is won where any recipe won it; what is unknown of one is settled where another won."""
        tallies = [self.search(recipe, adjusted) for recipe in self.recipes]
        won = np.any([t.won for t in tallies], axis=0)
        return Tally(won, np.any([t.unknown for t in tallies], axis=0) & ~won)

    def coverage(self) -> Coverage:
        """Skipped: left out, or wrong before any change."""
        unknown = self.silent.copy()
        for tally in self.tried.values():
            unknown |= tally.unknown
        wrong = int((~self.right & ~self.silent).sum())
        failed = int(unknown.sum())
        return Coverage(
            attempted=self.n + self.left_out,
            scored=self.n - wrong - failed,
            failed=failed,
            skipped=wrong + self.left_out,
        )

    def successes(self) -> list[tuple[int, Search]]:
        """Every confirmed success: (example, search), by example."""
        wins = [search for search in self.tried if search.recipe != REDUCTION]
        return [(i, search) for i in range(self.n) for search in wins if self.tried[search].won[i]]


def sample(data: Dataset, params: AttackParams, ctx: Context) -> NDArray[np.int64]:
    """The rows that are attacked: seeded, in proportion to the labels, the same in run and merge."""
    return stratified_sample(data.ids, data.truth, params.examples, ctx.seed)


def unfit(text: str, params: AttackParams) -> Literal["", "long", "script"]:
    """Why a text is left out: longer than the parameters allow, or written mostly in letters that are not Latin."""
    if len(text) > LETTERS_A_WORD * params.max_words or len(text.split()) > params.max_words:
        return "long"
    letters = [c for c in text if c.isalpha()]
    latin = sum(c.isascii() or unicodedata.name(c, "").startswith("LATIN") for c in letters)
    return "script" if 2 * latin < len(letters) else ""


def shown_search(wins: Sequence[Search]) -> Search | None:
    """Which of an example's successes is shown: the first under adjusted constraints, else the first."""
    return next(iter(sorted(wins, key=lambda search: not search.adjusted)), None)


def schema_of(wanted: Sequence[Search]) -> dict[str, pa.DataType]:
    """The columns of the records."""
    columns: dict[str, pa.DataType] = {"probs": pa.list_(pa.float64())}
    for search in wanted:
        columns |= {
            f"{search.key}_text": pa.string(),
            f"{search.key}_probs": pa.list_(pa.float64()),
            f"{search.key}_queries": pa.int64(),
        }
    return {**columns, **attack_explained.COLUMNS}


def collect(
    states: Sequence[ShardState], data: Dataset, params: AttackParams, recipes: Sequence[str], ctx: Context
) -> Outcomes:
    """Outcomes decided here from probabilities and truth, not from what the attack said of itself."""
    rows, wanted = sample(data, params, ctx), searches(recipes)
    table, labels = join(states, schema_of(wanted), data, rows), labels_of(states, ctx)
    rows = rows_by_id(data, rows)
    texts = [str(text) for text in data.inputs(rows, None)]
    why = [unfit(text, params) for text in texts]
    kept = np.array([i for i, reason in enumerate(why) if not reason], dtype=np.int64)
    table, rows, texts = table.take(pa.array(kept)), rows[kept], [texts[i] for i in kept]
    probs, silent = read_probs(table.column("probs"), len(labels))
    truth = data.class_indices(labels)[rows]
    right = ~silent & (np.argmax(np.nan_to_num(probs), axis=1) == truth)
    graded = all(GRADED not in (s.records.schema.metadata or {}) for s in states)
    sure = right & graded & (np.nan_to_num(probs).max(axis=1, initial=0.0) >= 1 - SATURATED)
    return Outcomes(
        ids=table.column("example_id").to_pylist(),
        labels=labels,
        texts=texts,
        truth=truth,
        probs=probs,
        silent=silent,
        clusters=None if data.clusters is None else data.clusters[rows],
        tried={search: _tried(table, search, texts, right, truth, len(labels), sure) for search in wanted},
        records=table,
        too_long=why.count("long"),
        other_script=why.count("script"),
        graded=graded,
        sure=sure,
    )


def _tried(
    table: pa.Table,
    search: Search,
    texts: list[str],
    right: NDArray[np.bool_],
    truth: NDArray[np.int64],
    classes: int,
    blind: NDArray[np.bool_],
) -> Tried:
    """`blind` marks answers so sure that the search could not tell what brings it nearer: not winning says nothing."""
    changed = table.column(f"{search.key}_text").to_pylist()
    probs, unscored = read_probs(table.column(f"{search.key}_probs"), classes)
    queries = np.array(
        [np.nan if q is None else float(q) for q in table.column(f"{search.key}_queries").to_pylist()]
    )
    if any(
        new is not None and not possible(search.recipe, old, new)
        for old, new in zip(texts, changed, strict=True)
    ):
        raise EvaluationError("bad_records", "A text is not what its attack can have made. Run it again.")
    if (queries < 0).any():
        raise EvaluationError("bad_records", "An attack states fewer than no queries. Run it again.")
    if any(new is not None and np.isnan(q) for new, q in zip(changed, queries, strict=True)):
        raise EvaluationError("bad_records", "An attack found a text without asking. Run it again.")
    claimed = right & np.array([text is not None for text in changed], dtype=bool)
    other = np.argmax(np.nan_to_num(probs), axis=1) != truth
    holds = ~other if search.recipe == REDUCTION else other
    won = claimed & ~unscored & holds
    return Tried(
        won=won,
        unknown=right
        & ~won
        & (np.isnan(queries) | (claimed & unscored) | (blind & (search.recipe != REDUCTION))),
        texts=changed,
        probs=probs,
        queries=np.where(right, queries, np.nan),
        unconfirmed=int((claimed & ~unscored & ~holds).sum()),
    )
