"""Whether a language model prefers the published order of a data set, which it can only know by having seen it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evaluations import likelihoods, records, stats
from evaluations.data.columns import text_of
from evaluations.records import not_estimable, too_many_errors
from evaluations.spec import Coverage, EvaluationError, Metric, Role, Shard, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.models.protocol import LanguageModel
    from evaluations.quality.contamination import ContaminationParams

NAMES = ("exchangeability_p", "order_gain")
BETWEEN = "\n\n"  # examples of a block
FEWEST = 5  # blocks: fewer than so many tell nothing


def published(data: Dataset) -> NDArray[np.int64]:
    """Rows outside the training split in the order of their ids, numbers by value: e2 comes before e10."""
    rows = range(data.rows) if data.split is None else np.flatnonzero(data.split != "train").tolist()
    return np.array(
        sorted(rows, key=lambda row: (_natural(str(data.ids[row])), str(data.ids[row]))), dtype=np.int64
    )


def _natural(name: str) -> list[str | int]:
    return [int(part) if k % 2 else part for k, part in enumerate(re.split(r"([0-9]+)", name))]


def blocks(data: Dataset, size: int) -> list[NDArray[np.int64]]:
    """Rows of consecutive examples, `size` in each; a rest of one joins the block before it."""
    order = published(data)
    found = [order[start : start + size] for start in range(0, len(order), size)]
    if len(found) > 1 and len(found[-1]) == 1:
        found[-2:] = [np.concatenate(found[-2:])]
    return [rows for rows in found if len(rows) > 1]


def write_shard(
    model: LanguageModel, data: Dataset, params: ContaminationParams, ctx: Context, shard: Shard
) -> ShardState:
    """ln p of every order of the blocks whose first row is in the shard; the published order comes first."""
    held = [rows for rows in blocks(data, params.block) if shard.start <= rows[0] < shard.stop]
    firsts = np.array([rows[0] for rows in held], dtype=np.int64)
    return likelihoods.of_texts(
        model, data, ctx, firsts, [orders(data, rows, params.shuffles, ctx) for rows in held]
    )


def orders(data: Dataset, rows: NDArray[np.int64], shuffles: int, ctx: Context) -> list[str]:
    """The block's text in the published order, then in `shuffles` random ones."""
    examples = [example_text(data, int(row)) for row in rows]
    rng = ctx.rng(f"order:{data.ids[rows[0]]}")
    drawn = [rng.permutation(len(examples)) for _ in range(shuffles)]
    return [BETWEEN.join(examples), *(BETWEEN.join(examples[i] for i in order) for order in drawn)]


def example_text(data: Dataset, row: int) -> str:
    """Everything of an example that is published with it: passage, input, and the answer where that is one value."""
    parts = [] if data.contexts is None else [data.contexts[row]]
    parts.append(data.texts[row])
    for column in data.ref.columns(Role.TARGET):
        value = data.table.column(column)[row].as_py()
        parts += [] if isinstance(value, list) else [text_of(value) or ""]
    return "\n".join(part for part in parts if part)


@dataclass(frozen=True)
class Orders:
    """ln p of each block (rows, NaN: no answer) in each order (columns, the published one first)."""

    logprobs: NDArray[np.float64]
    sizes: NDArray[np.int64]  # examples of each block

    @property
    def answered(self) -> NDArray[np.float64]:
        return self.logprobs[~np.isnan(self.logprobs[:, 0])]

    def coverage(self) -> Coverage:
        attempted, scored = (
            int(self.sizes.sum()),
            int(self.sizes[~np.isnan(self.logprobs[:, 0])].sum()),
        )
        return Coverage(attempted=attempted, scored=scored, failed=attempted - scored)


def collect(states: Sequence[ShardState], data: Dataset, params: ContaminationParams) -> Orders:
    """What the shards answered, checked."""
    held = blocks(data, params.block)
    if not held:
        raise EvaluationError(
            "too_few_examples",
            "Orders can be compared from two examples on that are not in the training split; there are fewer.",
        )
    size = {int(rows[0]): len(rows) for rows in held}
    firsts = records.rows_by_id(data, np.array(list(size), dtype=np.int64))
    found = likelihoods.collect(states, data, firsts, [1 + params.shuffles] * len(firsts))
    nothing = [np.nan] * (1 + params.shuffles)
    return Orders(
        logprobs=np.array([nothing if one is None else one for one in found], dtype=np.float64),
        sizes=np.array([size[int(row)] for row in firsts], dtype=np.int64),
    )


def gains(read: Orders) -> NDArray[np.float64]:
    """ln p of the published order less the mean of the shuffled ones, per block that was answered."""
    return np.asarray(read.answered[:, 0] - read.answered[:, 1:].mean(axis=1))


def measure(read: Orders, max_error_rate: float, ctx: Context) -> list[Metric]:
    """The p value of the published order, and what it gains."""
    n, count = int(read.sizes.sum()), len(read.logprobs)
    missing = count - len(read.answered)
    reason = too_many_errors(missing, count, max_error_rate).replace("examples", "blocks")
    if not reason and len(read.answered) < FEWEST:
        reason = (
            f"There are {count} blocks of examples; it takes {FEWEST}. Add examples, or make blocks smaller."
        )
    if reason:
        return [not_estimable(name, n, reason) for name in NAMES]
    p = order_p(read.answered, ctx.rng("null:order"))
    gain = gains(read)
    interval = stats.mean_interval(gain)
    return [
        Metric(name="exchangeability_p", value=p, n=n, n_effective=float(len(gain))),
        Metric(
            name="order_gain", value=float(gain.mean()), interval=interval, n=n, n_effective=float(len(gain))
        ),
    ]


def order_p(logprobs: NDArray[np.float64], rng: np.random.Generator, draws: int = stats.DRAWS) -> float:
    """Exact Monte Carlo p value: where no order was learnt, the published one is any of a block's orders."""
    count, kinds = logprobs.shape
    step = max(1, 2_000_000 // count)
    sums = []
    for start in range(0, draws, step):
        picked = rng.integers(0, kinds, (min(step, draws - start), count))
        sums.append(logprobs[np.arange(count), picked].sum(axis=1))
    return stats.permutation_p(float(logprobs[:, 0].sum()), np.concatenate(sums))
