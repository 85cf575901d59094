"""Answers are asked once, kept on the disk, and what a model left there is never trusted to be answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from evaluations.context import Context
from evaluations.data import dataset
from evaluations.engine.score_store import ScoreStore, key_of
from evaluations.spec import EvaluationError
from tests.evaluations import make

SCHEMA = pa.schema({"score": pa.float64()})


class Asked:
    """Answers i with i/10 and keeps what it was asked; nothing for the ids in `silent`."""

    def __init__(self, ids: np.ndarray, silent: tuple[str, ...] = ()) -> None:
        self.ids, self.silent = ids, silent
        self.asked: list[str] = []

    def __call__(self, positions: np.ndarray) -> pa.Table:
        names = [str(i) for i in self.ids[positions]]
        self.asked += names
        scores = [None if n in self.silent else int(n) / 10 for n in names]
        return pa.table({"score": pa.array(scores, pa.float64())})


def some(*numbers: int) -> np.ndarray:
    return np.array([str(n) for n in numbers])


def answers(store: ScoreStore, ask: Asked, **how: object) -> list[float | None]:
    return list(store.answers("key", ask.ids, ask, **how).column("score").to_pylist())  # type: ignore[arg-type]


def test_what_is_known_is_not_asked_again_whatever_the_order() -> None:
    store = ScoreStore()
    assert answers(store, Asked(some(4, 1, 3))) == [0.4, 0.1, 0.3]
    again = Asked(some(3, 2, 4, 1, 5))
    assert answers(store, again, chunk=1) == [0.3, 0.2, 0.4, 0.1, 0.5]
    assert again.asked == ["2", "5"]
    backwards = Asked(some(5, 4, 3, 2, 1))
    assert answers(store, backwards) == [0.5, 0.4, 0.3, 0.2, 0.1]
    assert backwards.asked == []


def test_a_later_run_reads_the_answers_and_asks_the_silent_rows_again(tmp_path: Path) -> None:
    first = ScoreStore(tmp_path / "a")
    assert answers(first, Asked(some(1, 2, 3), silent=("2",))) == [0.1, None, 0.3]
    first.flush()
    later = Asked(some(2, 3, 1))
    assert answers(ScoreStore(tmp_path / "b", tmp_path / "a"), later) == [0.2, 0.3, 0.1]
    assert later.asked == ["2"]


@pytest.mark.parametrize("schema", [SCHEMA, None])
@pytest.mark.parametrize(
    "left",
    [
        pa.table({"example_id": ["1", "2"], "score": ["0.1", "0.2"]}),
        pa.table({"example_id": ["1", "2"], "score": pa.array([{"a": 1}, {"a": 2}])}),
        pa.table({"example_id": [1, 2], "score": [0.5, 0.5]}),
        pa.table({"example_id": ["1", None], "score": [0.5, 0.5]}),
        pa.table({"score": [0.5, 0.5]}),
        pa.table({"example_id": ["1", "2"], "score": [0.5, 0.5], "more": [1, 2]}),
    ],
    ids=["texts", "structs", "numbers as ids", "null id", "no ids", "more columns"],
)
def test_files_that_are_no_answers_are_passed_over(
    left: pa.Table, schema: pa.Schema | None, tmp_path: Path
) -> None:
    pa.parquet.write_table(left, tmp_path / "key-bad.parquet")
    (tmp_path / "key-cut.parquet").write_bytes(b"PAR1 and no more")
    (tmp_path / "key-link.parquet").symlink_to("/etc/passwd")
    ask = Asked(some(1, 2, 3))
    assert answers(ScoreStore(earlier=tmp_path), ask, schema=schema) == [0.1, 0.2, 0.3]
    assert set(ask.asked) == {"1", "2", "3"}


def test_good_files_are_used_beside_bad_ones(tmp_path: Path) -> None:
    pa.parquet.write_table(pa.table({"example_id": ["1"], "score": ["no"]}), tmp_path / "key-0.parquet")
    pa.parquet.write_table(pa.table({"example_id": ["2"], "score": [0.7]}), tmp_path / "key-1.parquet")
    ask = Asked(some(1, 2))
    assert answers(ScoreStore(earlier=tmp_path), ask, schema=SCHEMA) == [0.1, 0.7]
    assert ask.asked == ["1"]


def test_the_key_names_what_decides_an_answer(tmp_path: Path) -> None:
    ref = make.data_ref(make.frame(5), tmp_path)
    asked = make.request("quality.calibration", ref)
    model = make.Answering(make.logistic)
    key = key_of(asked, model, "probs")
    assert key_of(asked.model_copy(update={"run_id": "another", "seed": 1}), model, "probs") == key
    other = asked.model_copy(update={"model": asked.model.model_copy(update={"digest": "another"})})
    assert key_of(other, model, "probs") != key
    assert key_of(asked, model, "probs", sample=1) != key
    assert key_of(asked, model, "text") != key


def test_a_repeated_question_is_asked_anew_and_forged_probabilities_are_refused(tmp_path: Path) -> None:
    ref = make.data_ref(make.frame(8), tmp_path)
    data = dataset.read(ref, make.STAND_IN.modality)
    asked, model = make.request("quality.calibration", ref), make.Answering(make.logistic)
    rows = np.arange(8)
    ctx = Context(asked, tmp_path)
    once, twice = ctx.predictions(model, data, rows), ctx.predictions(model, data, rows[::-1], sample=1)
    assert np.array_equal(once.probs, twice.probs[::-1])
    assert model.usage.queries == 16
    assert ctx.predictions(model, data, rows[:3]).probs.shape == (3, 2)
    assert model.usage.queries == 16

    forged = pa.table({"example_id": data.ids.tolist(), "probs": [[0.9, 0.9]] * 8})
    pa.parquet.write_table(forged, tmp_path / f"{key_of(asked, model, 'probs')}-f.parquet")
    with pytest.raises(EvaluationError, match="no probabilities"):
        Context(asked, tmp_path, store=ScoreStore(earlier=tmp_path)).predictions(model, data, rows)
