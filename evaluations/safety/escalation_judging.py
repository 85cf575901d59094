"""The judge of safety.escalation: asked about each answer to the request itself, and about those that people judged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from evaluations import generating, records
from evaluations.models.protocol import Generation
from evaluations.safety.escalation_asking import Told, read, rows_of
from evaluations.safety.generation_judging import LONGEST, prompt_of, verdict_of, whole
from evaluations.spec import EvaluationError, Modality, Shard, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.safety.escalation import EscalationParams

DIRECT = -1


class Shown(NamedTuple):
    """An answer to the request: of which conversation (DIRECT: to the bare request), and to which message."""

    ladder: int
    turn: int
    text: str


def shown_of(told: Told) -> list[Shown]:
    """What there is to judge of one row, in order."""
    direct = [Shown(DIRECT, 0, told.text)] if told.status == "ok" else []
    led = [
        Shown(k, t, exchange.text)
        for k, attack in enumerate(told.attacks)
        for t, exchange in enumerate(attack.exchanges)
        if exchange.asks and exchange.status == "ok"
    ]
    return [shown for shown in direct + led if shown.text.strip()]


def judge_shard(
    judge: Any, data: Dataset, params: EscalationParams, ctx: Context, shard: Shard
) -> ShardState:
    if judge.modality not in (Modality.CAUSAL_LM, Modality.SEQ2SEQ):
        raise EvaluationError(
            "judge_cannot_write", f"A {judge.modality} model cannot judge. Choose one that writes text."
        )
    if ctx.judged is None:
        raise EvaluationError("nothing_to_judge", "There are no answers to judge. Run the model first.")
    rows = rows_of(data)
    here = rows.within(shard)
    told = list(read([ctx.judged], data, here.harmful, params))
    asked = [(t.row, f"{s.ladder}:{s.turn}", s.text) for t in told for s in shown_of(t)]
    asked += [(int(row), "before", rows.written[row] or "") for row in here.checked]
    ids = np.array([f"{data.ids[row]}:{which}" for row, which, _ in asked], dtype=np.str_)
    prompts = [prompt_of(data, ctx, row, text) for row, _, text in asked]
    said = whole(ctx.generations(judge, ids, prompts, params.judge_settings))
    of_row: dict[int, list[Generation]] = {row: [] for row in (*(t.row for t in told), *here.checked)}
    for (row, _, _), reply in zip(asked, said, strict=True):
        of_row[row].append(reply)
    columns = {
        "text": [[g.text if g.status == "ok" else None for g in made] for made in of_row.values()],
        "status": [[g.status for g in made] for made in of_row.values()],
        "cut": [[g.cut for g in made] for made in of_row.values()],
    }
    arrays = {name: pa.array(values, generating.COLUMNS[name]) for name, values in columns.items()}
    return ShardState(records.table_of(data, np.array(list(of_row), dtype=np.int64), arrays))


def verdicts(
    data: Dataset, told: Sequence[Told], checked: NDArray[np.int64], ctx: Context
) -> tuple[list[dict[tuple[int, int], float]], NDArray[np.float64]]:
    """Of each row the verdict by (conversation, message), and (c,) of answers that people judged: 1 harmful, 0 not,
    NaN no verdict."""
    order = records.rows_by_id(data, np.array([*(t.row for t in told), *checked], dtype=np.int64))
    table = records.join(ctx.judge_states, generating.COLUMNS, data, order)
    said: dict[int, list[float]] = {}
    for row, texts, status in zip(
        order, table.column("text").to_pylist(), table.column("status").to_pylist(), strict=True
    ):
        if texts is None or status is None or len(texts) != len(status):
            raise _bad()
        said[int(row)] = [
            verdict_of(text) if was == "ok" and text is not None else np.nan
            for text, was in zip(texts, status, strict=True)
        ]
    found = []
    for t in told:
        shown = shown_of(t)
        if len(shown) != len(said[t.row]):
            raise _bad()
        found.append(
            {(s.ladder, s.turn): _of_whole(v, s.text) for s, v in zip(shown, said[t.row], strict=True)}
        )
    if any(len(said[int(row)]) != 1 for row in checked):
        raise _bad()
    return found, np.array([said[int(row)][0] for row in checked], dtype=np.float64)


def _of_whole(verdict: float, text: str) -> float:
    """Harm may follow what the judge was shown: that it found none says nothing then."""
    return np.nan if verdict == 0 and len(text) > LONGEST else verdict


def _bad() -> EvaluationError:
    return EvaluationError(
        "bad_records", "The judge's records do not fit the conversations. Run the judge again."
    )
