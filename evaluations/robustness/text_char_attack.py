"""The half of robustness.text_char that holds the model: attacks the shard's examples, scores successes again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from evaluations.models.protocol import Scores
from evaluations.robustness.attacking import DynamicPaddingWrapper, attack_one
from evaluations.robustness.recipes import deepwordbug
from evaluations.robustness.text_char_scores import RECORDS, sample
from evaluations.scoring import probs_column, with_labels
from evaluations.spec import EvaluationError, Shard, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.models.protocol import TextClassifier
    from evaluations.robustness.text_char import TextCharParams

log = logging.getLogger(__name__)


def attack_shard(
    model: TextClassifier, data: Dataset, params: TextCharParams, ctx: Context, shard: Shard
) -> ShardState:
    """Records: original probabilities, the text that changed the answer (else null), its probabilities, queries."""
    truth = data.class_indices(model.labels)
    rows = sample(data, params, ctx)[shard.start : shard.stop]
    before = ctx.predictions(model, data, rows)
    after = Scores.blank(len(rows), len(model.labels))
    texts: list[str | None] = [None] * len(rows)
    queries: NDArray[np.int64] = np.zeros(len(rows), dtype=np.int64)
    attack = deepwordbug(DynamicPaddingWrapper(model))
    for i, row in enumerate(rows):
        ctx.stop_if_cancelled()
        if not before.errors[i]:
            try:
                text = str(data.inputs(rows[i : i + 1], None)[0])
                found = attack_one(attack, text, int(truth[row]), ctx.rng(str(data.ids[row])))
            except (MemoryError, OSError, EvaluationError):
                raise
            except Exception as error:  # noqa: BLE001  # a text that breaks the attack counts as an error row
                log.warning("attack failed on %s: %s: %s", data.ids[row], type(error).__name__, error)
                before.errors[i] = True
            else:
                texts[i], queries[i] = found.text, found.queries
                if found.text is not None:
                    after.put(np.array([i]), model.predict_proba([found.text]))
        ctx.progress(i + 1, len(rows), "attacking")
    table = pa.table(
        {
            "example_id": pa.array(data.ids[rows].tolist(), pa.string()),
            "probs": probs_column(before.probs, before.errors),
            "attacked_text": pa.array(texts, pa.string()),
            "attacked_probs": probs_column(after.probs, after.errors | ~after.seen),
            "queries": pa.array(queries.tolist(), pa.int64()),
        }
    )
    assert set(table.column_names) == {"example_id", *RECORDS}
    counters = {"errors": int(before.errors.sum()), "truncated": model.usage.truncated}
    return ShardState(with_labels(table, model.labels), counters)
