"""The half of robustness.tabular_shift that holds the model: asks about rows as they are, and shifted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from evaluations import predicting, records
from evaluations.data.sampling import stratified_sample
from evaluations.models.protocol import Scores
from evaluations.robustness import tabular_asking
from evaluations.robustness.tabular_shift_changes import MADE, Shifter, applied
from evaluations.robustness.tabular_shift_names import Shift
from evaluations.scoring import PROBS, probs_column, read_probs, with_labels
from evaluations.spec import Modality, Shard, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.robustness.tabular_shift import ShiftParams

CLASSES = {"clean": pa.int64(), "shifted": pa.list_(pa.int64())}  # indices of classes; null: no answer
NUMBERS = {"clean": pa.float64(), "shifted": pa.list_(pa.float64())}
VALUE = pa.schema({"value": pa.float64()})


def sample(data: Dataset, params: ShiftParams, ctx: Context) -> NDArray[np.int64]:
    """The rows that are asked about: seeded, in proportion to the labels, the same in run and merge."""
    strata = data.truth if data.modality is Modality.TABULAR else np.zeros(data.rows, dtype=np.str_)
    return stratified_sample(data.ids, strata, params.examples, ctx.seed)


def ask_shard(model: Any, data: Dataset, params: ShiftParams, ctx: Context, shard: Shard) -> ShardState:
    """Records: the answer to each row as it is, and to each of its shifted versions."""
    rows = sample(data, params, ctx)[shard.start : shard.stop]
    shifter = Shifter(data, ctx)
    if data.modality is Modality.TABULAR:
        data.class_indices(model.labels)  # refuse a label mismatch before the work, not after it
        clean = _classes(ctx.predictions(model, data, rows))
        kinds = CLASSES
    else:
        _ = data.numeric_truth
        clean = predicting.numbers(model, data, ctx, rows).column("value").to_pylist()
        kinds = NUMBERS
    shifted = [_answers(model, data, rows, shift, shifter, ctx) for shift in shifter.possible(params)]
    columns = {
        "clean": pa.array(clean, kinds["clean"]),
        "shifted": pa.array(list(map(list, zip(*shifted, strict=True))), kinds["shifted"]),
    }
    table = records.table_of(data, rows, columns)
    if data.modality is Modality.TABULAR:
        table = with_labels(table, model.labels)
    return ShardState(table)


def _answers(
    model: Any, data: Dataset, rows: NDArray[np.int64], shift: Shift, shifter: Shifter, ctx: Context
) -> list[Any]:
    names = np.array([f"{i}:{shift.name}" for i in data.ids[rows]])
    classes = data.modality is Modality.TABULAR

    def ask(positions: NDArray[np.int64]) -> pa.Table:
        changes = shifter.changes(rows[positions], shift)
        frame = applied(data.frame(rows[positions], model.columns), changes)
        if classes:
            scores = tabular_asking.scores_of(model, frame)
            return pa.table({"probs": probs_column(scores.probs, scores.errors)})
        values = tabular_asking.values_of(model, frame)
        return pa.table({"value": pa.array(values, pa.float64(), from_pandas=True)})

    table = ctx.answers(
        model,
        "shifted",
        names,
        ask,
        f"asking with {shift.name}",
        PROBS if classes else VALUE,
        made=MADE,
        seed=ctx.seed,
    )
    if not classes:
        found: list[Any] = table.column("value").to_pylist()
        return found
    probs, errors = read_probs(table.column("probs"), len(model.labels))
    return _classes(Scores(probs, errors, np.ones(len(rows), bool)))


def _classes(scores: Scores) -> list[int | None]:
    found = np.argmax(np.nan_to_num(scores.probs), axis=1)
    return [None if error else int(answer) for answer, error in zip(found, scores.errors, strict=True)]
