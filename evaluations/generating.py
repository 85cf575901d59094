"""Texts that a model writes: asked for once, handed over as records, read back with what became of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from evaluations import records
from evaluations.prompting import PromptParams, prompt_of
from evaluations.spec import Coverage, EvaluationError, Modality, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.models.protocol import Generation

COLUMNS = {"text": pa.list_(pa.string()), "status": pa.list_(pa.string()), "cut": pa.list_(pa.bool_())}
SPAN = pa.schema({"text": pa.string(), "score": pa.float64()})
STATUSES = ("ok", "error", "blocked")
PATTERN_SECONDS = 1.0  # for one text


@dataclass(frozen=True)
class Answers:
    """What the model wrote, ascending by example id: n rows of S texts each."""

    rows: NDArray[np.int64]  # row numbers in the data set
    texts: list[list[str]]  # as written; "" where there is none
    status: NDArray[np.str_]  # (n, S), of STATUSES
    cut: NDArray[np.bool_]  # (n, S): ended at the limit of tokens
    parsed: list[list[str | None]]  # the answer within each text; None where there is none

    @property
    def n(self) -> int:
        return len(self.rows)

    @cached_property
    def answered(self) -> NDArray[np.bool_]:
        """(n, S): a text came back, whatever it says."""
        return np.asarray(self.status == "ok")

    @cached_property
    def unparsed(self) -> NDArray[np.bool_]:
        """(n, S): a text came back and holds no answer."""
        missing = np.array([[p is None for p in row] for row in self.parsed], bool).reshape(self.status.shape)
        return missing & self.answered

    @property
    def errors(self) -> int:
        """Rows with a text that failed."""
        return int((self.status == "error").any(axis=1).sum())

    def coverage(self) -> Coverage:
        failed = (self.status == "error").any(axis=1)
        blocked = (self.status == "blocked").any(axis=1) & ~failed
        return Coverage(
            attempted=self.n,
            scored=int((~failed & ~blocked).sum()),
            failed=int(failed.sum()),
            blocked=int(blocked.sum()),
        )


def prompts(
    data: Dataset, rows: NDArray[np.int64], template: str, texts: Sequence[str] | None = None
) -> list[str]:
    """The prompt of each row, with its input or with the one of `texts` in its place."""
    if "{context}" in template and data.contexts is None:
        raise EvaluationError(
            "context_missing",
            "The prompt asks for {context}, and no column has the role 'context'. Give one the role, or take "
            "{context} out of the prompt.",
        )
    contexts = data.contexts
    inputs = [data.texts[i] for i in rows] if texts is None else texts
    return [
        prompt_of(template, text, contexts[i] if contexts else None)
        for i, text in zip(rows, inputs, strict=True)
    ]


def write_shard(
    model: Any,
    data: Dataset,
    params: PromptParams,
    ctx: Context,
    rows: NDArray[np.int64],
    samples: int = 1,
    unanswerable: bool = False,
) -> ShardState:
    """Lets the model write `samples` texts per row, or find one answer in its passage."""
    if data.modality is Modality.EXTRACTIVE_QA:
        drawn = [_spans(model, data, ctx, rows, samples, unanswerable)]
    else:
        asked = prompts(data, rows, params.prompt)
        drawn = [ctx.generations(model, data.ids[rows], asked, params.settings, k) for k in range(samples)]
    return ShardState(records.table_of(data, rows, columns_of(drawn)), _counts(drawn))


def columns_of(drawn: Sequence[Sequence[Generation]]) -> dict[str, pa.Array]:
    """S draws of n texts as columns of n lists."""
    by_row = list(zip(*drawn, strict=True))
    return {
        "text": pa.array(
            [[g.text if g.status == "ok" else None for g in row] for row in by_row], COLUMNS["text"]
        ),
        "status": pa.array([[g.status for g in row] for row in by_row], COLUMNS["status"]),
        "cut": pa.array([[g.cut for g in row] for row in by_row], COLUMNS["cut"]),
    }


def collect(states: Sequence[ShardState], data: Dataset, params: PromptParams, samples: int = 1) -> Answers:
    """The records of all rows of the data set, checked, with the answer within each text."""
    every: NDArray[np.int64] = np.arange(data.rows)
    table = records.join(states, COLUMNS, data, every)
    return read(table, records.rows_by_id(data, every), params, samples)


def read(table: pa.Table, rows: NDArray[np.int64], params: PromptParams, samples: int) -> Answers:
    """A table with COLUMNS. Raises `bad_records` for what no honest run writes."""
    texts, status, cut = (table.column(name).to_pylist() for name in COLUMNS)
    for written, said, ended in zip(texts, status, cut, strict=True):
        if any(part is None or len(part) != samples for part in (written, said, ended)) or not all(
            s in STATUSES and (t is not None) is (s == "ok") and c is not None
            for t, s, c in zip(written, said, ended, strict=True)
        ):
            raise EvaluationError("bad_records", "A record holds no valid texts. Run the evaluation again.")
    find = finder(params)
    return Answers(
        rows=rows,
        texts=[[text or "" for text in row] for row in texts],
        status=np.array(status, dtype=np.str_).reshape(len(rows), samples),
        cut=np.array(cut, dtype=bool).reshape(len(rows), samples),
        parsed=[[None if text is None else find(text) for text in row] for row in texts],
    )


def finder(params: PromptParams) -> Callable[[str], str | None]:
    """A function from a text to the answer within it, or None."""
    if not params.answer_pattern:
        return lambda text: text
    search = searcher(params.answer_pattern)

    def find(text: str) -> str | None:
        found = search(text)
        if not found:
            return None
        match = found[0 if params.answer_take == "first" else -1]
        group = match.group(1 if match.re.groups else 0)
        return None if group is None else str(group).strip()

    return find


def searcher(pattern: str) -> Callable[[str], list[Any]]:
    """A function from a text to all matches of a regular expression, with a limit of time: the texts are not ours."""
    import regex  # unlike re it takes a time limit

    compiled = regex.compile(pattern)

    def search(text: str) -> list[Any]:
        try:
            return list(compiled.finditer(text, timeout=PATTERN_SECONDS))
        except TimeoutError as error:
            raise EvaluationError(
                "pattern_slow",
                f"The pattern {pattern[:80]!r} takes more than a second on one text. Write it without nested "
                "repetition.",
            ) from error

    return search


def _spans(
    model: Any, data: Dataset, ctx: Context, rows: NDArray[np.int64], samples: int, unanswerable: bool
) -> list[Generation]:
    from evaluations.models.protocol import Generation

    contexts = data.contexts
    if contexts is None:
        raise EvaluationError(
            "context_missing",
            "This model finds answers in a passage, and no column has the role 'context'. Give one the role.",
        )
    if samples != 1:
        raise EvaluationError(
            "one_answer",
            "This model gives the same answer each time. Set the number of texts per example to 1.",
        )

    def ask(positions: NDArray[np.int64]) -> pa.Table:
        where = rows[positions]
        found = model.answer([data.texts[i] for i in where], [contexts[i] for i in where], unanswerable)
        return pa.table([[s and s.text for s in found], [s and s.score for s in found]], schema=SPAN)

    table = ctx.answers(model, "span", data.ids[rows], ask, "answering", SPAN, unanswerable=unanswerable)
    return [
        Generation(text) if text is not None else Generation("", "error", "The model gave no answer.")
        for text in table.column("text").to_pylist()
    ]


def _counts(drawn: Sequence[Sequence[Generation]]) -> dict[str, int]:
    return {status: sum(g.status == status for texts in drawn for g in texts) for status in STATUSES[1:]}
