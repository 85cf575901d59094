"""Asks the model: how likely each secret and its candidates are, and how it goes on after the start of a text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from evaluations import likelihoods, records
from evaluations.privacy import exposure
from evaluations.privacy.memorisation_rows import Canary, Passage, Rows, rows_of
from evaluations.spec import Access, GenerationSettings, Shard, ShardState

if TYPE_CHECKING:
    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.models.protocol import Generation, LanguageModel
    from evaluations.privacy.memorisation import MemorisationParams

COLUMNS = {
    "secret": pa.list_(
        pa.float64()
    ),  # ln p of the secret, then of each candidate; null: no answer, or not asked
    "suffix": pa.float64(),  # ln p of how a passage goes on
    "text": pa.string(),  # how the model goes on
    "status": pa.string(),  # of that text; null: not asked
    "cut": pa.bool_(),
}
PAIRS = 4096  # candidates asked for at once: what a cancel waits for
HELD = 200_000  # candidates in memory, of which a secret that is not memorised takes few
LONGEST_ROUND = 2048  # candidates of one canary at once
TOKENS_PER_WORD = (
    6  # room for what the model writes; a text that it does not suffice for is neither right nor wrong
)
MORE_TOKENS = 8
MOST_TOKENS = 2048


def ask_shard(
    model: LanguageModel, data: Dataset, params: MemorisationParams, ctx: Context, shard: Shard
) -> ShardState:
    """One record per row. A model without log-probabilities is asked for texts alone."""
    rows = records.all_rows(data, shard)
    found = rows_of(data, params, rows)
    tells = bool(model.access & Access.LOGPROBS)
    secrets = ask_secrets(model, data, params, ctx, compared(found)) if tells else {}
    suffixes = _ask_suffixes(model, data, ctx, cut(found)) if tells else {}
    texts = _ask_texts(model, data, params, ctx, found)
    written = [texts.get(row) for row in rows.tolist()]
    columns: dict[str, list[Any]] = {
        "secret": [secrets.get(row) for row in rows.tolist()],
        "suffix": [suffixes.get(row) for row in rows.tolist()],
        "text": [g.text if g and g.status == "ok" else None for g in written],
        "status": [g and g.status for g in written],
        "cut": [g and g.cut for g in written],
    }
    table = records.table_of(data, rows, {n: pa.array(columns[n], kind) for n, kind in COLUMNS.items()})
    return ShardState(table, {"without_logprobs": int(not tells)})


def compared(rows: Rows) -> list[Canary]:
    """The canaries whose secret is compared with candidates."""
    return [canary for canary in rows.canaries if canary.space is not None]


def stated(rows: Rows) -> list[Canary]:
    """The canaries whose secret the model may state: those inserted, whatever they were drawn from."""
    return [canary for canary in rows.canaries if canary.repetitions and canary.secret.strip()]


def cut(rows: Rows) -> list[Passage]:
    """The passages that are long enough."""
    return [passage for passage in rows.passages if passage.suffix]


# --- likelihoods --------------------------------------------------------------------------------


def ask_secrets(
    model: LanguageModel,
    data: Dataset,
    params: MemorisationParams,
    ctx: Context,
    canaries: Sequence[Canary],
) -> dict[int, list[float] | None]:
    """ln p of each secret after its prefix, then of its candidates, as many as `exposure.end_of` says. By row."""
    found: dict[int, list[float] | None] = {}
    together = max(1, min(PAIRS // exposure.FIRST, HELD // params.candidates))
    for group in _groups(canaries, together):
        found |= _ask_together(model, data, params, ctx, group)
    return found


def _ask_together(
    model: LanguageModel,
    data: Dataset,
    params: MemorisationParams,
    ctx: Context,
    canaries: Sequence[Canary],
) -> dict[int, list[float] | None]:
    most = params.candidates
    drawn = {c.row: _strings(c, most, ctx) for c in canaries}
    found: dict[int, list[float] | None] = {}
    pending, done = list(canaries), 0
    while pending:
        size = min(max(done, exposure.FIRST), LONGEST_ROUND, most - done)
        begin, done = done + bool(done), done + size  # the secret itself is asked first
        for group in _groups(pending, max(1, PAIRS // size)):
            rows = np.array([c.row for c in group], dtype=np.int64)
            asked = [[(c.prefix, text) for text in drawn[c.row][begin : done + 1]] for c in group]
            answers = (
                likelihoods.of_pairs(model, data, ctx, rows, asked).records.column("logprob").to_pylist()
            )
            for canary, more in zip(group, answers, strict=True):
                known = found.get(canary.row, [])
                found[canary.row] = None if known is None or more is None else known + more
        pending = [c for c in pending if not _ended(c, found, ctx, most)]
    return found


def _ended(canary: Canary, found: dict[int, list[float] | None], ctx: Context, most: int) -> bool:
    """Whether a canary needs no more candidates; those beyond the end are dropped."""
    known = found[canary.row]
    if known is None:
        return True
    own, others = known[0], np.array(known[1:])
    end = exposure.end_of(exposure.beaten(own, others, canary.id, ctx, most), most)
    if end is not None:
        found[canary.row] = known[: end + 1]
    return end is not None


def _strings(canary: Canary, most: int, ctx: Context) -> list[str]:
    assert canary.space is not None  # `compared` leaves out the others
    return [canary.secret, *canary.space.draw(most, ctx.rng(f"{canary.id}:candidates"))]


def _groups(canaries: Sequence[Canary], size: int) -> Iterator[Sequence[Canary]]:
    for start in range(0, len(canaries), size):
        yield canaries[start : start + size]


def _ask_suffixes(
    model: LanguageModel, data: Dataset, ctx: Context, passages: Sequence[Passage]
) -> dict[int, float | None]:
    rows = np.array([p.row for p in passages], dtype=np.int64)
    if not len(rows):
        return {}
    table = likelihoods.of_pairs(model, data, ctx, rows, [[(p.prefix, p.suffix)] for p in passages]).records
    answers = table.column("logprob").to_pylist()
    return {p.row: None if a is None else a[0] for p, a in zip(passages, answers, strict=True)}


# --- texts --------------------------------------------------------------------------------------


def _ask_texts(
    model: LanguageModel, data: Dataset, params: MemorisationParams, ctx: Context, found: Rows
) -> dict[int, Generation]:
    """How the model goes on, greedily, after the start of each passage and before each secret. By row."""
    whole = rows_of(
        data, params, np.arange(data.rows, dtype=np.int64)
    )  # the room must not depend on the shard
    longest = max((len(c.secret.encode("utf-8", "surrogatepass")) for c in stated(whole)), default=0)
    asked: tuple[tuple[Sequence[Canary | Passage], int], ...] = (
        (stated(found), longest + MORE_TOKENS),
        (cut(found), params.suffix_words * TOKENS_PER_WORD + MORE_TOKENS),
    )
    written: dict[int, Generation] = {}
    for held, room in asked:
        if held:
            made = ctx.generations(
                model,
                data.ids[[one.row for one in held]],
                [one.prefix.rstrip() for one in held],  # what follows begins with the space
                GenerationSettings(max_new_tokens=min(room, MOST_TOKENS)),
            )
            written |= {one.row: text for one, text in zip(held, made, strict=True)}
    return written
