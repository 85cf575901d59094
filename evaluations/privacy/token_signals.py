"""Signals that a language model was trained on a text: its loss, zlib ratio, Min-K% Prob and Min-K%++."""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from evaluations import records
from evaluations.spec import EvaluationError, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.models.protocol import TokenLanguageModel, TokenLogprobs

SHARE = 0.2  # k of Min-K%, as in both papers' main tables
# loss    mean of −ln p over the tokens (Yeom et al. 2018, arXiv 1709.01604)
# zlib    sum of −ln p over the bytes that zlib needs for the text: what the model needs to write it, over what a
#         compressor does that never saw the data (Carlini et al. 2021, arXiv 2012.07805, whose code divides the mean
#         of −ln p, and so counts the length twice)
# min_k   mean of ln p over the k % least probable tokens (Shi et al. 2024, arXiv 2310.16789)
# min_k_pp  the same of (ln p − μ)/σ, μ and σ of ln p under the model's own next-token distribution (Zhang et al.
#         2024, arXiv 2404.02936); null where the model's service does not tell them
SCHEMA = pa.schema(dict.fromkeys(("loss", "zlib", "min_k", "min_k_pp"), pa.float64()))
COLUMNS = {name: SCHEMA.field(name).type for name in SCHEMA.names}
MEMBER_IF_HIGHER = {"loss": -1.0, "zlib": -1.0, "min_k": 1.0, "min_k_pp": 1.0}
LEAST_SD = 1e-6  # nats: below it a spread is rounding, as of a token that is certain
LEAST = -1e15  # of ln p: what is below comes of weights that overflow
# Of what a record may hold. LEAST times more tokens than any model reads, over what a spread is at least.
FAR = 1e30
BOUNDS = {"loss": (0.0, FAR), "zlib": (0.0, FAR), "min_k": (-FAR, 0.0), "min_k_pp": (-FAR, FAR)}


def run(
    model: TokenLanguageModel, data: Dataset, ctx: Context, rows: NDArray[np.int64], share: float = SHARE
) -> ShardState:
    """The signals of each row's text; all are null where the text has no token to predict, or no answer."""
    texts = data.texts

    def ask(positions: NDArray[np.int64]) -> pa.Table:
        asked = [texts[rows[i]] for i in positions]
        told = model.token_logprobs(asked)
        found = [of_tokens(text, tokens, share) for text, tokens in zip(asked, told, strict=True)]
        return pa.Table.from_pylist(found, schema=SCHEMA)

    # The text is part of the id: the same row may be asked about with other words in it.
    ids = np.array([f"{data.ids[i]}:{_digest(texts[i])}" for i in rows], dtype=np.str_)
    table = ctx.answers(model, "token_signals", ids, ask, "scoring", SCHEMA, share=share)
    columns = {name: table.column(name).combine_chunks() for name in COLUMNS}
    return ShardState(records.table_of(data, rows, columns), {"errors": columns["loss"].null_count})


def of_tokens(text: str, tokens: TokenLogprobs | None, share: float = SHARE) -> dict[str, float | None]:
    """The signals of one text. Every number is finite; null is what is not known."""
    nothing: dict[str, float | None] = dict.fromkeys(COLUMNS)
    if tokens is None or not len(tokens.logprobs) or not np.isfinite(tokens.logprobs).all():
        return nothing
    logprobs = np.minimum(tokens.logprobs, 0.0)
    if logprobs.min() < LEAST:
        return nothing
    total = -float(logprobs.sum())
    return {
        "loss": total / len(logprobs),
        "zlib": total / compressed_bytes(text),
        "min_k": _lowest(logprobs, share),
        "min_k_pp": _lowest(standardised(tokens), share) if tokens.means is not None else None,
    }


def standardised(tokens: TokenLogprobs) -> NDArray[np.float64]:
    """(ln p − μ)/σ of each token. A token where the model knows no other is at its mean: 0."""
    assert tokens.means is not None  # the caller's condition
    assert tokens.sds is not None
    scores: NDArray[np.float64] = (tokens.logprobs - tokens.means) / np.maximum(tokens.sds, LEAST_SD)
    return scores


def compressed_bytes(text: str) -> int:
    """Bytes that zlib needs for a text: at least 8, which an empty one takes."""
    return len(zlib.compress(text.encode("utf-8", "surrogatepass")))


def _lowest(values: NDArray[np.float64], share: float) -> float:
    """The mean of the lowest `share` of the values, of one of them at least."""
    count = max(1, math.floor(len(values) * share))
    return float(np.partition(values, count - 1)[:count].mean())


def collect(
    states: Sequence[ShardState], data: Dataset, rows: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """The raw signals of `rows`, ascending by example id as `rows_by_id` has them; NaN where there is none.

    A row without an answer has none of them. One whose model tells no spread has no min_k_pp alone. Multiplied by
    `MEMBER_IF_HIGHER` each is higher where the text is more likely to have been trained on: see `member_scores`.
    Raises `bad_records` for what no honest run writes.
    """
    table = records.join(states, COLUMNS, data, rows)
    found: dict[str, NDArray[np.float64]] = {}
    for name in COLUMNS:
        column = table.column(name).combine_chunks()
        values = column.to_numpy(zero_copy_only=False).astype(np.float64)
        if not np.isfinite(values[column.is_valid().to_numpy(zero_copy_only=False)]).all():
            raise _bad()
        found[name] = values
    _check(found)
    return found


def member_scores(signals: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """What `collect` found, each turned so that higher is more member-like."""
    return {name: MEMBER_IF_HIGHER[name] * values for name, values in signals.items()}


def _check(signals: dict[str, NDArray[np.float64]]) -> None:
    """Raises `bad_records` where a value is out of bounds, or is there without the others of its row."""
    answered = ~np.isnan(signals["loss"])
    for name, values in signals.items():
        known = ~np.isnan(values)
        alone = (known & ~answered).any() or (name != "min_k_pp" and (answered & ~known).any())
        low, high = BOUNDS[name]
        if alone or ((values[known] < low) | (values[known] > high)).any():
            raise _bad()


def _bad() -> EvaluationError:
    return EvaluationError(
        "bad_records", "A record holds values that are no signals of a text's probability. Run it again."
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
