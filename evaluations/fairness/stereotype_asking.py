"""Asks a language model how likely the texts of a bank of stereotypes are: causal ones and masked ones."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from evaluations import records
from evaluations.fairness.stereotype_banks import (
    BLANK,
    Bank,
    asked_rows,
    bank_of,
    differing,
    resolutions,
)
from evaluations.likelihoods import LEAST
from evaluations.spec import EvaluationError, Modality, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.models.protocol import LanguageModel, Likelihood

SCHEMA = pa.schema({"scores": pa.list_(pa.float64())})
COLUMNS = {"scores": SCHEMA.field("scores").type}


def write_shard(model: Any, data: Dataset, ctx: Context, shard: Any) -> ShardState:
    """The scores of each row's texts; null where one has none."""
    bank = bank_of(data)
    rows = asked_rows(data, bank)
    rows = rows[(rows >= shard.start) & (rows < shard.stop)]
    if data.modality is Modality.MASKED_LM and not getattr(model.tokenizer, "is_fast", False):
        raise EvaluationError(
            "tokenizer_slow",
            "The tokenizer does not say where in a text its tokens are. Save the model with a fast tokenizer "
            "(tokenizer.json).",
            skipped=True,
        )
    of_row = _masked if data.modality is Modality.MASKED_LM else _causal

    def ask(positions: NDArray[np.int64]) -> pa.Table:
        found = of_row(model, data, bank, rows[positions])
        return pa.table([pa.array(found, COLUMNS["scores"])], schema=SCHEMA)

    table = ctx.answers(model, "stereotype", data.ids[rows], ask, "scoring", SCHEMA)
    column = table.column("scores").combine_chunks()
    return ShardState(records.table_of(data, rows, {"scores": column}), {"errors": column.null_count})


def _total(one: Likelihood | None) -> float | None:
    return None if one is None or not one.logprob >= LEAST else one.logprob


def _mean(one: Likelihood | None) -> float | None:
    return None if one is None or one.tokens < 1 or not one.logprob >= LEAST else one.logprob / one.tokens


def _whole(found: Sequence[float | None]) -> list[float] | None:
    """The scores of one row, where all are there."""
    known = [one for one in found if one is not None]
    return known if len(known) == len(found) else None


def _by_row(flat: Sequence[float | None], each: int) -> list[list[float] | None]:
    return [_whole(flat[i : i + each]) for i in range(0, len(flat), each)]


# --- causal models ---------------------------------------------------------------------------------------------


def _causal(
    model: LanguageModel, data: Dataset, bank: Bank, rows: NDArray[np.int64]
) -> list[list[float] | None]:
    choices = [data.choices[i] for i in rows]
    if bank is Bank.CROWS_PAIRS:
        texts = [text for held in choices for text in held]
        return _by_row([_total(one) for one in model.rolling_loglikelihoods(texts)], 2)
    if bank is Bank.WINO_BIAS:
        pairs = [pair for held in choices for pair in resolutions(held)]
        return _by_row([_total(one) for one in model.loglikelihoods(pairs)], 4)
    whole = [BLANK in data.texts[i] for i in rows]
    alone = [text for held, one in zip(choices, whole, strict=True) if one for text in held]
    after = [
        (_ended(data.texts[i]), f" {text}")
        for i, held, one in zip(rows, choices, whole, strict=True)
        if not one
        for text in held
    ]
    sentences = iter(_by_row([_mean(one) for one in model.rolling_loglikelihoods(alone)] if alone else [], 3))
    followers = iter(_by_row([_mean(one) for one in model.loglikelihoods(after)] if after else [], 3))
    return [next(sentences) if one else next(followers) for one in whole]


def _ended(context: str) -> str:
    """With a full stop where no sign ends it, as the official StereoSet script has it."""
    context = context.rstrip()
    return context if context.endswith((".", "!", "?")) else f"{context}."


# --- masked models -----------------------------------------------------------------------------------------------


def _masked(model: Any, data: Dataset, bank: Bank, rows: NDArray[np.int64]) -> list[list[float] | None]:
    texts: list[str] = []
    scored: list[list[int]] = []
    for i in rows:
        choices = data.choices[i]
        if bank is Bank.CROWS_PAIRS:
            texts += choices
            scored += shared_tokens(model.tokenizer, *choices)
            continue
        if bank is Bank.WINO_BIAS:
            choices = tuple(f"{read}{goes_on}." for read, goes_on in resolutions(choices))
            spans = [span for k in (0, 2) for span in differing(choices[k : k + 2])]
        else:
            spans = differing(choices)
        texts += choices
        scored += [
            tokens_within(model.tokenizer, text, *span) for text, span in zip(choices, spans, strict=True)
        ]
    found = model.pseudo_loglikelihoods(texts, scored)
    how = _mean if bank is Bank.STEREOSET else _total
    each = {Bank.CROWS_PAIRS: 2, Bank.STEREOSET: 3, Bank.WINO_BIAS: 4}[bank]
    return _by_row([how(one) for one in found], each)


def shared_tokens(tokenizer: Any, first: str, second: str) -> list[list[int]]:
    """Positions, special tokens not counted, of the tokens that both texts have in the same order.

    By difflib over token ids with the special ones among them, as the official CrowS-Pairs script does.
    """
    ids, places = zip(*(_tokens(tokenizer, text)[:2] for text in (first, second)), strict=True)
    found: list[list[int]] = [[], []]
    for kind, a, b, c, d in difflib.SequenceMatcher(None, *ids).get_opcodes():
        if kind == "equal":
            for side, (start, stop) in enumerate(((a, b), (c, d))):
                found[side] += [place for place in places[side][start:stop] if place >= 0]
    return found


def tokens_within(tokenizer: Any, text: str, start: int, stop: int) -> list[int]:
    """Positions, special tokens not counted, of the tokens that hold a character of text[start:stop]."""
    _, places, offsets = _tokens(tokenizer, text)
    return [
        place
        for place, (a, b) in zip(places, offsets, strict=True)
        if place >= 0 and a < stop and start < b and a < b
    ]


def _tokens(tokenizer: Any, text: str) -> tuple[list[int], list[int], list[tuple[int, int]]]:
    """Ids, positions that count no special token (−1 for those) and characters of the tokens of a text."""
    encoded = tokenizer(text, return_special_tokens_mask=True, return_offsets_mapping=True, verbose=False)
    special = np.asarray(encoded["special_tokens_mask"]) != 0
    places = np.where(special, -1, np.cumsum(~special) - 1)
    return list(encoded["input_ids"]), places.tolist(), [tuple(span) for span in encoded["offset_mapping"]]
