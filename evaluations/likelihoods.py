"""Log-likelihoods of a language model as records: asked through the score store, read back as hostile."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from evaluations import records
from evaluations.spec import EvaluationError, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.models.protocol import LanguageModel, Likelihood

SCHEMA = pa.schema({"logprob": pa.list_(pa.float64()), "greedy": pa.list_(pa.bool_())})
COLUMNS = {"logprob": SCHEMA.field("logprob").type}
WITH_GREEDY = {name: SCHEMA.field(name).type for name in SCHEMA.names}
MOST = 1e-3  # of a log-likelihood: a little above 0 by rounding
LEAST = -1e15  # what is below comes of weights that overflow, and sums of it are no finite numbers


def of_pairs(
    model: LanguageModel,
    data: Dataset,
    ctx: Context,
    rows: NDArray[np.int64],
    asked: Sequence[Sequence[tuple[str, str]]],
    *,
    greedy: bool = False,
    sample: int = 0,
) -> ShardState:
    """ln p(continuation | context) of several pairs per row; null where one of them has no answer.

    With `greedy`, also whether each token was the most probable one: the columns are WITH_GREEDY. `sample` numbers
    repeated questions: each is asked anew.
    """
    return _asked(model, data, ctx, rows, asked, "likelihoods", model.loglikelihoods, greedy, sample)


def of_texts(
    model: LanguageModel,
    data: Dataset,
    ctx: Context,
    rows: NDArray[np.int64],
    asked: Sequence[Sequence[str]],
    *,
    greedy: bool = False,
) -> ShardState:
    """ln p(text) of several texts per row; null where one of them has no answer."""
    return _asked(model, data, ctx, rows, asked, "rolling_likelihoods", model.rolling_loglikelihoods, greedy)


def _asked(
    model: LanguageModel,
    data: Dataset,
    ctx: Context,
    rows: NDArray[np.int64],
    asked: Sequence[Sequence[Any]],
    kind: str,
    question: Callable[[Sequence[Any]], list[Likelihood | None]],
    greedy: bool,
    sample: int = 0,
) -> ShardState:
    def ask(positions: NDArray[np.int64]) -> pa.Table:
        found = iter(question([request for i in positions for request in asked[i]]))
        by_row = [[next(found) for _ in asked[i]] for i in positions]
        whole = [None if any(map(_is_none, held)) else [one for one in held if one] for held in by_row]
        logprobs = [None if held is None else [one.logprob for one in held] for held in whole]
        firsts = [None if held is None else [one.greedy for one in held] for held in whole]
        given = zip((logprobs, firsts), SCHEMA, strict=True)
        return pa.table([pa.array(values, field.type) for values, field in given], schema=SCHEMA)

    # What is asked is part of the id, so that other prompts of the same row are other questions.
    ids = np.array([f"{data.ids[i]}:{_digest(held)}" for i, held in zip(rows, asked, strict=True)])
    again = {"sample": sample} if sample else {}
    table = ctx.answers(model, kind, ids, ask, "scoring", SCHEMA, **again)
    columns = {name: table.column(name).combine_chunks() for name in (WITH_GREEDY if greedy else COLUMNS)}
    return ShardState(records.table_of(data, rows, columns), {"errors": columns["logprob"].null_count})


def _digest(requests: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(requests).encode()).hexdigest()[:32]


def _is_none(one: Likelihood | None) -> bool:
    return one is None or not one.logprob >= LEAST  # NaN too


def _is_logprob(value: float | None) -> bool:
    return value is not None and LEAST <= value <= MOST


def collect_with_greedy(
    states: Sequence[ShardState], data: Dataset, rows: NDArray[np.int64], counts: Sequence[int]
) -> tuple[list[list[float] | None], list[list[bool] | None]]:
    """As `collect`, and whether each token of the text was the most probable one."""
    table = records.join(states, WITH_GREEDY, data, rows)
    found, firsts = (table.column(name).to_pylist() for name in SCHEMA.names)
    for held, first, count in zip(found, firsts, counts, strict=True):
        if (held is None) != (first is None) or (
            first is not None and (len(first) != count or None in first)
        ):
            raise _bad()
    return checked(found, counts), firsts


def collect(
    states: Sequence[ShardState], data: Dataset, rows: NDArray[np.int64], counts: Sequence[int]
) -> list[list[float] | None]:
    """The log-likelihoods of each of `rows`, ascending by example id as `rows_by_id` has them; None: no answer.

    `counts` says how many each must hold, in the same order. Raises `bad_records` for what no honest run writes.
    """
    return checked(records.join(states, COLUMNS, data, rows).column("logprob").to_pylist(), counts)


def checked(found: list[Any], counts: Sequence[int]) -> list[list[float] | None]:
    """Lists read back, each of as many log-likelihoods as `counts` says, or None. Raises `bad_records` else."""
    for held, count in zip(found, counts, strict=True):
        if held is not None and (len(held) != count or not all(map(_is_logprob, held))):
            raise _bad()
    return found


def _bad() -> EvaluationError:
    return EvaluationError(
        "bad_records", "A record holds values that are no log-likelihoods of what was asked. Run it again."
    )
