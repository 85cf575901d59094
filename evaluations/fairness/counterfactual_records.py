"""The records of fairness.counterfactual read back: the swaps made again from the data, answers checked beside them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations import records
from evaluations.fairness import counterfactual_asking as asking
from evaluations.fairness.counterfactual_columns import Flipper
from evaluations.fairness.counterfactual_swaps import PLACES, Balance, Sizes, measured, versions
from evaluations.scoring import GRADED, labels_of, read_probs
from evaluations.spec import Coverage, EvaluationError, Modality, Role, ShardState

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.fairness.counterfactual import CounterfactualParams

MOST_TOKENS, MOST_WORDS = 10**6, 10**7


@dataclass(frozen=True)
class Found:
    """n rows, ascending by example id, and S swaps of them, a row's together."""

    ids: list[str]
    labels: tuple[str, ...]
    favourable: int | None
    graded: bool  # the model states probabilities
    refused: bool  # its texts are read for refusal
    balanced: str  # "tokens", "letters", or "" of a table
    left_out: list[str]  # sensitive columns that the model does not take
    clusters: NDArray[np.str_]  # (n,)
    base: NDArray[np.float64]  # (n, K); NaN where errors
    again: NDArray[np.float64]
    swaps: list[Any]  # (S,) of Swap or Flip
    row: NDArray[np.int64]  # (S,) which row
    after: NDArray[np.float64]  # (S, K)
    words: NDArray[np.float64]  # (S,) change of the answer's length; NaN where not counted
    shown: Callable[[int], tuple[str, str]]  # the texts before and after swap s

    @property
    def n(self) -> int:
        return len(self.ids)

    @cached_property
    def known(self) -> NDArray[np.bool_]:
        """(S,) the row and the changed row were answered."""
        return ~np.isnan(self.base[self.row]).any(axis=1) & ~np.isnan(self.after).any(axis=1)

    @cached_property
    def flipped(self) -> NDArray[np.bool_]:
        return self.known & (best(self.base)[self.row] != best(self.after))

    @cached_property
    def unsteady(self) -> NDArray[np.bool_]:
        """(n,) the same row, asked again, was answered otherwise."""
        return self.twice & (best(self.base) != best(self.again))

    @cached_property
    def twice(self) -> NDArray[np.bool_]:
        return ~np.isnan(self.base).any(axis=1) & ~np.isnan(self.again).any(axis=1)

    @cached_property
    def moved(self) -> NDArray[np.float64]:
        """(S,) half the sum of |change of each probability|; NaN where not known."""
        return np.asarray(np.clip(np.abs(self.after - self.base[self.row]).sum(axis=1) / 2, 0, 1))

    @cached_property
    def gained(self) -> NDArray[np.float64]:
        """(S,) change of the favourable class's probability; NaN where not known."""
        k = self.favourable or 0
        return np.asarray(np.clip(self.after[:, k] - self.base[self.row, k], -1, 1))

    def column(self, name: str) -> NDArray[np.str_]:
        """(S,) of kind, source or target."""
        return np.array([getattr(swap, name) for swap in self.swaps], dtype=np.str_)

    @cached_property
    def neutral(self) -> NDArray[np.bool_]:
        return np.array([swap.neutral for swap in self.swaps], dtype=bool)

    def coverage(self) -> Coverage:
        """Failed: no answer to the row, asked once or twice, or to a swap of it. Skipped: nothing in it to swap."""
        has: NDArray[np.bool_] = np.zeros(self.n, dtype=bool)
        has[self.row] = True
        missing = has & ~self.twice
        missing[self.row[~self.known]] = True
        failed, skipped = int(missing.sum()), int((~has).sum())
        return Coverage(attempted=self.n, scored=self.n - failed - skipped, failed=failed, skipped=skipped)


def best(probs: NDArray[np.float64]) -> NDArray[np.int64]:
    """Most probable class; only meaningful where there is an answer."""
    return np.argmax(np.nan_to_num(probs), axis=1)


def collect(states: Sequence[ShardState], data: Dataset, params: CounterfactualParams, ctx: Context) -> Found:
    """Every shard's answers, one for each swap that the data, the seed and the words' sizes make."""
    rows = asking.sample(data, params, ctx)
    table = records.join(states, asking.COLUMNS, data, rows)
    rows = records.rows_by_id(data, rows)
    made = _made_with(states, data)
    writes = data.modality in (Modality.CAUSAL_LM, Modality.SEQ2SEQ)
    refused = writes and not asking.reads_labels(data, params, ctx)
    labels = asking.labels_to_read(data, params, ctx) if writes else labels_of(states, ctx)
    swaps: list[Sequence[Any]]
    shown: Callable[[int], tuple[str, str]]
    left_out: list[str] = []
    if data.modality is Modality.TABULAR:
        flipper = Flipper(data, params, tuple(made))
        left_out = flipper.left_out()
        swaps = [flipper.flips(int(row), ctx) for row in rows]
        flat = [swap for held in swaps for swap in held]

        def shown(s: int) -> tuple[str, str]:
            return flipper.shown(int(rows[row[s]]), flat[s])
    else:
        balance = Balance(None if made is None else made)
        found = [
            versions(data.texts[i], str(data.ids[i]), params.swaps, params.per_row, balance, ctx)
            for i in rows
        ]
        swaps = [one.swaps for one in found]
        flat = [swap for held in swaps for swap in held]

        def shown(s: int) -> tuple[str, str]:
            return found[row[s]].text, flat[s].text

    row: NDArray[np.int64] = np.repeat(np.arange(len(rows)), [len(held) for held in swaps])
    return Found(
        ids=table.column("example_id").to_pylist(),
        labels=labels,
        favourable=asking.favourable_of(data, params, labels, refused),
        graded=not writes and all(GRADED not in (s.records.schema.metadata or {}) for s in states),
        refused=refused,
        balanced="" if data.modality is Modality.TABULAR else "letters" if made is None else "tokens",
        left_out=left_out,
        clusters=_clusters(data, rows),
        base=read_probs(table.column("base"), len(labels))[0],
        again=read_probs(table.column("again"), len(labels))[0],
        swaps=flat,
        row=row,
        after=_after(table.column("swapped"), [len(held) for held in swaps], len(labels)),
        words=_words(table.column("words"), [len(held) for held in swaps], refused),
        shown=shown,
    )


def _clusters(data: Dataset, rows: NDArray[np.int64]) -> NDArray[np.str_]:
    """Whose answers depend on each other: what the data set says, else rows of one template, else each row's own."""
    if data.clusters is not None:
        return data.clusters[rows]
    if data.modality is Modality.TABULAR:
        return data.ids[rows]
    said = [(i, data.texts[i]) for i in rows]
    return np.array(
        [f"template:{t}" if PLACES.search(t) else f"row:{data.ids[i]}" for i, t in said], dtype=np.str_
    )


def _after(column: pa.ChunkedArray, counts: Sequence[int], classes: int) -> NDArray[np.float64]:
    import pyarrow as pa

    held = column.combine_chunks()
    if held.null_count or held.value_lengths().to_pylist() != list(counts):
        raise EvaluationError(
            "bad_records", "A record answers other swaps than the data makes. Run it again."
        )
    return read_probs(pa.chunked_array([held.flatten()]), classes)[0]


def _words(column: pa.ChunkedArray, counts: Sequence[int], refused: bool) -> NDArray[np.float64]:
    """Differences of lengths from the first of each row."""
    found: list[float] = []
    for held, count in zip(column.to_pylist(), counts, strict=True):
        expected = count + 1 if refused and count else 0
        if held is None or len(held) != expected or not all(w is None or 0 <= w <= MOST_WORDS for w in held):
            raise EvaluationError("bad_records", "A record holds lengths that are none. Run it again.")
        numbers = [np.nan if w is None else float(w) for w in held]
        found += [w - numbers[0] for w in numbers[1:]] if expected else [np.nan] * count
    return np.array(found, dtype=np.float64)


def _made_with(states: Sequence[ShardState], data: Dataset) -> Any:
    """The columns that the model asks for, or the sizes of words (None: letters are counted), as all shards say."""
    said = {(state.records.schema.metadata or {}).get(asking.MADE, b"") for state in states}
    bad = EvaluationError(
        "bad_records", "The shards do not agree on what the swaps were made with. Run it again."
    )
    try:
        (only,) = said
        made = json.loads(only)
        if data.modality is Modality.TABULAR:
            held = {*data.ref.columns(Role.INPUT), *data.ref.columns(Role.SENSITIVE)}
            if not all(name in held for name in made["reads"]):
                raise bad
            return tuple(made["reads"])
        return _sizes(made["sizes"])
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise bad from error


def _sizes(held: Any) -> Sizes | None:
    if held is None:
        return None
    sizes = {str(word): (int(size[0]), int(size[1])) for word, size in held.items()}
    if set(sizes) != set(measured()) or not all(
        0 <= k <= MOST_TOKENS for size in sizes.values() for k in size
    ):
        raise ValueError("sizes of other words")
    return sizes
