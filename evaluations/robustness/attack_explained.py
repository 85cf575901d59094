"""What the model goes by before and after an attack: what its answer loses without each token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from evaluations.models.protocol import TokenReader
from evaluations.spec import EvaluationError, Heat

if TYPE_CHECKING:
    from evaluations.models.protocol import Classifier

MOST_TOKENS = 200  # of a text that is explained: each costs a query
LONGEST_TOKEN = 1000  # characters, before a record is taken for damaged
COLUMNS: dict[str, pa.DataType] = {
    "tokens_before": pa.list_(pa.string()),
    "heat_before": pa.list_(pa.float64()),
    "tokens_after": pa.list_(pa.string()),
    "heat_after": pa.list_(pa.float64()),
}
Given = tuple[list[str], list[float]]
Told = tuple[Given | None, Given | None]  # before and after


def explain(model: Classifier, text: str, answer: int) -> Given | None:
    """The tokens of a text and what the probability of `answer` loses without each; None where it cannot be told."""
    from evaluations.explainability.attributing import EXPLAINERS
    from evaluations.explainability.games import TextGame

    if not isinstance(model, TokenReader):
        return None
    try:
        game = TextGame(model, text)
    except EvaluationError:  # nothing to put in place of a token
        game = TextGame(model, text, removal="delete")
    if not 1 <= len(game.features) <= MOST_TOKENS:
        return None
    values = EXPLAINERS["occlusion"](game, answer, np.random.default_rng(0)).values  # which draws nothing
    if not np.isfinite(values).all():
        return None
    return list(game.features), [round(float(v), 6) for v in values]


def columns(given: Sequence[Told]) -> dict[str, pa.Array]:
    """Per row what was found before and after."""
    flat: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for pair in given:
        for side, one in zip(("before", "after"), pair, strict=True):
            tokens, values = one or (None, None)
            flat[f"tokens_{side}"].append(tokens)
            flat[f"heat_{side}"].append(values)
    return {name: pa.array(values, COLUMNS[name]) for name, values in flat.items()}


def heat_of(table: pa.Table, row: int, answers: tuple[str, str]) -> tuple[Heat, ...]:
    """What is shown of one record: for the answer before and the one after. Raises `bad_records`."""
    found = []
    for side, answer in zip(("before", "after"), answers, strict=True):
        tokens = table.column(f"tokens_{side}")[row].as_py()
        values = table.column(f"heat_{side}")[row].as_py()
        if tokens is None or values is None:
            continue
        if (
            len(tokens) != len(values)
            or len(tokens) > MOST_TOKENS
            or any(token is None or len(token) > LONGEST_TOKEN for token in tokens)
            or not all(value is not None and -1 - 1e-6 <= value <= 1 + 1e-6 for value in values)
        ):
            raise EvaluationError("bad_records", "An explanation in the records is damaged. Run it again.")
        found.append(Heat(side=side, answer=answer, features=tuple(tokens), values=tuple(values)))
    return tuple(found)
