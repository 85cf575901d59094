"""quality.repeatability: stand-ins whose changes are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from evaluations import catalogue, stats
from evaluations.models.protocol import Predictions, Usage
from evaluations.quality import repeats
from evaluations.spec import Access, EvaluationResult, Metric, Modality, Role
from tests.evaluations import make, seq

REPEAT = catalogue.get("quality.repeatability")
INPUTS = {"id": Role.ID, "x": Role.INPUT, "z": Role.INPUT}


class Moody:
    """Says yes with probability .6, but `flips` of the rows get .4 and `lapses` nothing, from the second time on."""

    def __init__(self, flips: int, lapses: int = 0) -> None:
        self.flips, self.lapses = flips, lapses
        self.seen: dict[float, int] = {}

    def __call__(self, rows: pd.DataFrame) -> np.ndarray:
        p = np.full(len(rows), 0.6)
        for i, x in enumerate(rows.x):
            time = self.seen[x] = self.seen.get(x, -1) + 1
            if time and x < self.flips:
                p[i] = 0.4
            if time and self.flips <= x < self.flips + self.lapses:
                p[i] = np.nan
        return np.column_stack([1 - p, p])


def numbered(n: int) -> pd.DataFrame:
    return pd.DataFrame({"id": [f"e{i:03d}" for i in range(n)], "x": np.arange(n, dtype=float), "z": 0.0})


def measured(model: Any, folder: Path, table: pd.DataFrame | None = None, **params: Any) -> EvaluationResult:
    ref = make.data_ref(numbered(200) if table is None else table, folder, INPUTS)
    return make.evaluate(REPEAT, model, make.request(REPEAT.name, ref, **params), folder)


def at(result: EvaluationResult, name: str) -> Metric:
    (found,) = (m for m in result.metrics if m.name == name)
    return found


def test_changed_answers_and_lapses_are_counted(tmp_path: Path) -> None:
    result = measured(make.Answering(Moody(flips=10, lapses=40)), tmp_path, max_error_rate=0)
    assert at(result, "flip_rate").value == pytest.approx(10 / 160)
    assert at(result, "lapse_rate").value == pytest.approx(40 / 200)
    assert at(result, "max_change").value == pytest.approx(0.2)
    assert at(result, "mean_change").value == pytest.approx(0.2 * 10 / 160)
    interval = at(result, "flip_rate").interval
    assert interval is not None
    assert interval.low == pytest.approx(stats.wilson(10, 200).low)  # a lapse is no change in the lower end
    assert interval.high == pytest.approx(stats.wilson(50, 200).high)  # and one in the upper
    assert result.coverage.failed == 40
    assert [e.id for e in result.examples] == [f"e{i:03d}" for i in range(10)]


def test_every_input_is_asked_anew_each_time_and_the_first_time_is_shared(tmp_path: Path) -> None:
    model = make.Answering(make.logistic)
    measured(model, tmp_path, make.frame(50), repeats=4)
    assert model.usage.queries == 200


def test_answers_that_depend_on_their_neighbours_are_found(tmp_path: Path) -> None:
    def by_place(rows: pd.DataFrame) -> np.ndarray:
        p = np.where(np.arange(len(rows)) < 20, 0.7, 0.3)
        return np.column_stack([1 - p, p])

    assert at(measured(make.Answering(by_place), tmp_path), "flip_rate").value > 0.1  # type: ignore[operator]


def test_a_model_that_names_classes_alone_has_no_probabilities_to_move(tmp_path: Path) -> None:
    moody = Moody(flips=10)
    model = make.Answering(lambda rows: (moody(rows) > 0.5).astype(float))
    model.access = Access.LABEL
    result = measured(model, tmp_path)
    assert at(result, "flip_rate").value == pytest.approx(10 / 200)
    assert at(result, "max_change").value is None


class Noisy:
    """A regressor that answers x, and x times (1 + 1e-9) or (1 + 1e-3) the second time."""

    modality: ClassVar[Modality] = Modality.TABULAR_REGRESSION
    adapter: ClassVar[str] = "stand_in/1"
    access: ClassVar[Access] = Access.LABEL
    columns: tuple[str, ...] | None = ("x",)
    device = "cpu"

    def __init__(self) -> None:
        self.usage, self.times = Usage(), -1

    def predict(self, rows: pd.DataFrame) -> Predictions:
        self.times += 1
        noise = np.where(rows.x < 50, 1e-3, 1e-9) * self.times
        return Predictions(rows.x.to_numpy() * (1 + noise), np.zeros(len(rows), bool))


def test_numbers_that_move_are_found(tmp_path: Path) -> None:
    ref = make.data_ref(numbered(100), tmp_path, {**INPUTS, "z": Role.TARGET})
    model_ref = make.STAND_IN.model_copy(update={"modality": Modality.TABULAR_REGRESSION})
    result = make.evaluate(REPEAT, Noisy(), make.request(REPEAT.name, ref, model_ref), tmp_path)
    assert at(result, "flip_rate").value == pytest.approx(49 / 100)  # 0 stays 0
    assert at(result, "max_change").value == pytest.approx(0.049)


def test_texts_are_compared_word_for_word(tmp_path: Path) -> None:
    table = seq.questions(30)
    ref = make.data_ref(table, tmp_path, seq.ROLES)

    def write(prompt: str, seed: int) -> str:
        return f"{prompt[:5]} {seed % 2 if 'box 3' in prompt else 0}"

    asked = make.request(REPEAT.name, ref, seq.WRITER, repeats=6)
    result = make.evaluate(REPEAT, seq.Writing(write), asked, tmp_path)
    flipped = {e.id for e in result.examples}
    assert flipped
    assert flipped <= {"q0003"}
    assert at(result, "flip_rate").value == pytest.approx(1 / 30)
    assert at(result, "max_change").value is None
    assert all(e.before != e.after for e in result.examples)


def test_lapses_may_have_moved_by_nothing_or_by_all_there_is(tmp_path: Path) -> None:
    result = measured(make.Answering(Moody(flips=0, lapses=40)), tmp_path)
    found = at(result, "mean_change")
    assert found.value == 0
    assert found.interval is not None
    assert found.interval.low == 0
    assert found.interval.high == pytest.approx(stats.wilson(40, 200).high)


def test_few_inputs_that_never_moved_do_not_prove_that_none_does(tmp_path: Path) -> None:
    interval = at(measured(make.Answering(Moody(flips=0)), tmp_path, numbered(10)), "mean_change").interval
    assert interval is not None
    assert interval.high == pytest.approx(stats.wilson(0, 10).high)


def test_numbers_that_never_moved_have_no_interval_of_no_width(tmp_path: Path) -> None:
    ref = make.data_ref(numbered(3), tmp_path, {**INPUTS, "z": Role.TARGET})
    model_ref = make.STAND_IN.model_copy(update={"modality": Modality.TABULAR_REGRESSION})
    still = type(
        "Still", (Noisy,), {"predict": lambda self, rows: Predictions(rows.x.to_numpy(), np.zeros(3, bool))}
    )
    result = make.evaluate(REPEAT, still(), make.request(REPEAT.name, ref, model_ref), tmp_path)
    assert at(result, "mean_change").value == 0
    assert at(result, "mean_change").interval is None


def test_records_whose_probabilities_move_by_a_little_more_than_all_there_is_are_measured() -> None:
    answered, change = np.ones((20, 2), bool), np.tile([0.0, 1.01], (20, 1))
    found = repeats.Repeats(np.arange(20), answered, change > 0, change, None, None, bounded=True)
    (metric,) = (m for m in repeats.measure(found, REPEAT.Params()) if m.name == "mean_change")  # type: ignore[arg-type]
    assert metric.value == pytest.approx(1.01)
    assert metric.interval is not None
    assert metric.interval.high == metric.value
