"""Faulty tables: what changes in them, closed forms of what that costs, models that refuse them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats as scipy_stats

from evaluations import catalogue, stats
from evaluations.context import Context
from evaluations.data import dataset
from evaluations.models.tabular import score_rows
from evaluations.robustness.tabular_shift_changes import Shifter, misspelt
from evaluations.robustness.tabular_shift_names import Shift
from evaluations.spec import EvaluationError, EvaluationResult, MetricStatus, Modality, Role, ShardState
from tests.evaluations import kinds, make

SHIFT: Any = catalogue.get("robustness.tabular_shift")


def _roles(table: pd.DataFrame) -> dict[str, Role]:
    return {c: Role.INPUT for c in table.columns if c not in ("label", "id")} | {
        "label": Role.TARGET,
        "id": Role.ID,
    }


def _shifter(table: pd.DataFrame, folder: Path, seed: int = 7) -> Shifter:
    ref = make.data_ref(table, folder, _roles(table))
    data = dataset.read(ref, Modality.TABULAR)
    return Shifter(data, Context(make.request(SHIFT.name, ref, seed=seed), folder))


def _run(model: Any, table: pd.DataFrame, folder: Path, **params: Any) -> EvaluationResult:
    ref = make.data_ref(table, folder, _roles(table))
    asked = make.request(SHIFT.name, ref, **{"examples": len(table), **params})
    return make.evaluate(SHIFT, model, asked, folder)


def _only(kind: str, *amounts: float) -> dict[str, Any]:
    return {"missing": [], "noise": [], "units": [], "typos": []} | {kind: list(amounts)}


def _named(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(id=[f"r{i:05d}" for i in range(len(table))])


def _threshold(rows: pd.DataFrame) -> np.ndarray:
    """yes where x is above 0; no where it is missing"""
    yes = (rows.x.fillna(-1) > 0).to_numpy(float)
    return np.column_stack([1 - yes, yes])


# --- what changes -----------------------------------------------------------------------------------------


def _mixed(n: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return _named(
        pd.DataFrame(
            {
                "x": rng.normal(2, 3, n),
                "count": rng.integers(0, 50, n).astype(np.int16),
                "single": rng.normal(0, 1, n).astype(np.float32),
                "job": rng.choice(["clerk", "nurse", "a", "пекарь 🎬"], n),
                "owner": rng.random(n) < 0.5,
                "gaps": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)),
                "label": rng.choice(["no", "yes"], n),
            }
        )
    )


def test_the_stated_share_goes_missing_and_more_of_the_same_at_a_larger_share(tmp_path: Path) -> None:
    table = _mixed()
    shifter = _shifter(table, tmp_path)
    rows = np.arange(len(table))
    few, many = (shifter.changes(rows, Shift("missing", share)) for share in (0.1, 0.3))
    assert list(few) == ["x", "count", "single", "job", "owner", "gaps"]
    for name in few:
        present = table[name].notna().to_numpy()
        assert not (few[name].here & ~many[name].here).any()
        assert not (many[name].here & ~present).any()
        for share, found in ((0.1, few), (0.3, many)):
            expected = share * present.sum()
            assert abs(found[name].here.sum() - expected) < 4 * np.sqrt(expected)


def test_noise_has_the_stated_deviation_and_leaves_whole_numbers_whole(tmp_path: Path) -> None:
    table = _mixed(4000)
    changes = _shifter(table, tmp_path).changes(np.arange(len(table)), Shift("noise", 0.5))
    assert list(changes) == ["x", "count", "single", "gaps"]
    apart = changes["x"].values.astype(float) - table.x
    assert apart.std() == pytest.approx(0.5 * table.x.std(ddof=0), rel=0.05)
    assert apart.mean() == pytest.approx(0, abs=0.1)
    assert not changes["gaps"].here[table.gaps.isna()].any()
    assert all(isinstance(value, int) for value in changes["count"].values)


def test_a_wrong_unit_hits_one_number_of_each_row(tmp_path: Path) -> None:
    table = _mixed()
    shifter, rows = _shifter(table, tmp_path), np.arange(len(table))
    large, small = (shifter.changes(rows, Shift("units", factor)) for factor in (1000.0, 0.001))
    hits = np.sum([change.here for change in large.values()], axis=0)
    assert (hits == 1).all()
    for name, change in large.items():
        assert (change.here == small[name].here).all()
        old = table[name].to_numpy(float)[change.here]
        assert change.values[change.here].astype(float) == pytest.approx(1000 * old)
        assert small[name].values[change.here].astype(float) == pytest.approx(old / 1000)
        assert 50 < change.here.sum() < 150  # 400 rows, four columns of numbers
    assert large["count"].values.max() > np.iinfo(np.int16).max


@pytest.mark.parametrize(
    ("text", "way", "place", "expected"),
    [
        ("nurse", 0.1, 0.5, "nurrse"),
        ("nurse", 0.5, 0.5, "nuse"),
        ("nurse", 0.9, 0.5, "nusre"),
        ("nurse", 0.9, 0.99, "nures"),
        ("a", 0.9, 0.5, "aa"),
        ("", 0.5, 0.5, ""),
        ("🎬é", 0.9, 0.0, "é🎬"),
    ],
)
def test_a_typo_doubles_drops_or_swaps_a_letter(text: str, way: float, place: float, expected: str) -> None:
    assert misspelt(text, way, place) == expected


def test_frames_have_the_same_types_however_the_rows_are_cut(tmp_path: Path) -> None:
    table = _mixed(60)

    def run(cuts: list[int] | None) -> list[pd.DataFrame]:
        frames: list[pd.DataFrame] = []

        def answer(rows: pd.DataFrame) -> np.ndarray:
            frames.append(rows)
            return np.tile((0.5, 0.5), (len(rows), 1))

        model = make.Answering(answer)
        model.columns = None
        ref = make.data_ref(table, tmp_path, _roles(table))
        make.evaluate(SHIFT, model, make.request(SHIFT.name, ref, examples=60), tmp_path, cuts=cuts)
        return frames

    whole, cut = run(None), run([1, 20])
    assert len(cut) == 3 * len(whole)
    per = len(whole)
    for k, frame in enumerate(whole):
        pieces = [cut[k + shard * per] for shard in range(3)]
        assert all(piece.dtypes.equals(frame.dtypes) for piece in pieces)
        pd.testing.assert_frame_equal(pd.concat(pieces, ignore_index=True), frame.reset_index(drop=True))


# --- what it costs ----------------------------------------------------------------------------------------


def test_noise_turns_a_threshold_model_as_often_as_the_normal_law_says(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=3000)
    table = _named(pd.DataFrame({"x": x, "z": 0.0, "label": np.where(x > 0, "yes", "no")}))
    result = _run(make.Answering(_threshold), table, tmp_path, **_only("noise", 0.1, 0.3))
    got = {(m.name, m.slice): m for m in result.metrics}
    for times in (0.1, 0.3):
        flips = scipy_stats.norm.cdf(-np.abs(x) / (times * x.std()))
        drop = got["drop", f"shift=noise {times} sd"]
        assert drop.value == pytest.approx(
            flips.mean(), abs=4 * np.sqrt((flips * (1 - flips)).sum()) / len(x)
        )
        assert drop.interval is not None
        assert drop.interval.low <= flips.mean() <= drop.interval.high
    assert got["clean_accuracy", "all"].value == 1
    worst = got["worst_drop", "all"]
    assert worst.value == got["drop", "shift=noise 0.3 sd"].value
    assert worst.interval is not None
    assert got["drop", "shift=noise 0.3 sd"].interval is not None
    assert worst.interval.high > got["drop", "shift=noise 0.3 sd"].interval.high  # it holds for both at once


def test_the_drop_of_missing_values_is_that_of_the_rows_that_a_hand_counts(tmp_path: Path) -> None:
    # the model says no where x is missing: right rows of yes that lose their x are lost, and none is won
    x = np.tile([-2.0, -1.0, 1.0, 2.0], 25)
    table = _named(pd.DataFrame({"x": x, "z": np.arange(100.0), "label": np.where(x > 0, "yes", "no")}))
    result = _run(make.Answering(_threshold), table, tmp_path, **_only("missing", 0.2))
    gone = _shifter(table, tmp_path).changes(np.arange(100), Shift("missing", 0.2))["x"].here
    lost = int((gone & (x > 0)).sum())
    assert lost > 3
    got = {(m.name, m.slice): m for m in result.metrics}
    drop = got["drop", "shift=missing 20 %"]
    assert drop.value == pytest.approx(lost / 100)
    assert drop.interval == stats.newcombe_paired(100 - lost, lost, 0, 0).model_copy()
    assert got["shifted_accuracy", "shift=missing 20 %"].value == pytest.approx(1 - lost / 100)
    first, second = result.examples
    assert first.after.startswith("x: (missing)")
    assert {first.facts["answer_before"], second.facts["answer_before"]} == {"yes"}


def test_a_model_that_takes_no_missing_values_is_not_called_robust_to_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=500)
    table = _named(pd.DataFrame({"x": x, "z": rng.normal(size=500), "label": np.where(x > 0, "yes", "no")}))

    class Strict(make.Answering):
        """Refuses frames with a missing value, as scikit-learn does."""

        def predict_proba(self, rows: pd.DataFrame) -> Any:
            def ask(frame: pd.DataFrame) -> np.ndarray:
                if frame.isna().any(axis=None):
                    raise ValueError("Input X contains NaN")
                return _threshold(frame)

            return score_rows(ask, rows, 2)

    result = _run(Strict(None), table, tmp_path, missing=[0.02, 0.2], noise=[0.1], units=[], typos=[])
    got = {(m.name, m.slice): m for m in result.metrics}
    for share in ("2", "20"):  # some rows are refused, or so many that the adapter gives up
        drop = got["drop", f"shift=missing {share} %"]
        assert drop.status is MetricStatus.NOT_ESTIMABLE
        assert "gave no answer" in drop.reason
    assert got["drop", "shift=noise 0.1 sd"].value is not None
    assert got["worst_drop", "all"].status is MetricStatus.NOT_ESTIMABLE
    assert "missing 2 %" in got["worst_drop", "all"].reason
    ref = make.data_ref(table, tmp_path, _roles(table))
    how = {"missing": [0.02, 0.2], "noise": [0.1], "units": [], "typos": []}
    asked = make.request(SHIFT.name, ref, examples=500, **how)
    assert make.evaluate(SHIFT, Strict(None), asked, tmp_path, cuts=[5, 200]).metrics == result.metrics
    lenient = _run(
        Strict(None), table, tmp_path, missing=[0.02], noise=[], units=[], typos=[], max_error_rate=0.1
    )
    drop = {(m.name, m.slice): m for m in lenient.metrics}["drop", "shift=missing 2 %"]
    assert drop.value == 0  # among the rows that it answered
    assert drop.interval is not None
    assert drop.interval.high > 0.03  # each refused row may have been lost


def test_shifts_that_no_column_can_take_are_left_out_and_said(tmp_path: Path) -> None:
    table = make.frame(30)
    ref = make.data_ref(table, tmp_path)
    result = make.evaluate(SHIFT, make.Answering(make.logistic), make.request(SHIFT.name, ref), tmp_path)
    assert not any("typos" in m.slice for m in result.metrics)
    assert any("typos 10 %" in warning for warning in result.warnings)
    with pytest.raises(EvaluationError) as error:
        make.evaluate(
            SHIFT,
            make.Answering(make.logistic),
            make.request(SHIFT.name, ref, **_only("typos", 0.1)),
            tmp_path,
        )
    assert error.value.code == "nothing_shifted"
    assert error.value.skipped


def test_hostile_columns_break_nothing(tmp_path: Path) -> None:
    n = 40
    odd = np.arange(n) % 2 == 1
    table = _named(
        pd.DataFrame(
            {
                "x": np.where(odd, 1e300, -1e300),
                "z": np.where(odd, np.inf, np.arange(n)),
                "empty": np.full(n, np.nan),
                "constant": 3,
                "flag": odd,
                "number_like": [f"{i}" for i in range(n)],
                "odd": ["‮\u0000é\u0301👩‍👩‍👧‍👦", None] * (n // 2),
                "whole": np.where(odd, 2**62, -(2**62)),
                "tiny": np.where(odd, 3e38, 1).astype(np.float32),
                "bytes_": np.arange(n).astype(np.uint8) * 6,
                "when": pd.Timestamp("2026-01-01"),
                "label": np.where(odd, "yes", "no"),
            }
        )
    )
    model = make.Answering(lambda rows: np.tile((0.4, 0.6), (len(rows), 1)))
    model.columns = None
    result = _run(model, table, tmp_path)
    assert {m.value for m in result.metrics if m.name == "drop"} == {0.0}


# --- regression -------------------------------------------------------------------------------------------


def test_a_linear_regressor_errs_more_by_what_noise_adds(tmp_path: Path) -> None:
    table = kinds.quantities(1500).assign(y=lambda t: 3 * t.x)
    ref = make.data_ref(table, tmp_path, kinds.REGRESSION_ROLES)
    asked = make.request(
        SHIFT.name, ref, kinds.stand_in_ref(Modality.TABULAR_REGRESSION), examples=1500, **_only("noise", 0.5)
    )
    model = kinds.Numbers(lambda rows: 3 * rows.x.to_numpy())
    result = make.evaluate(SHIFT, model, asked, tmp_path)
    pieces = make.evaluate(SHIFT, model, asked, tmp_path, cuts=[10, 700])
    assert make.values(result) == make.values(pieces)
    got = {m.name: m for m in result.metrics}
    assert set(got) == {"clean_error", "error_rise", "worst_error_rise"}
    assert got["clean_error"].value == 0
    expected = 3 * 0.5 * table.x.std(ddof=0) * np.sqrt(2 / np.pi)  # E|N(0, s)| = s·√(2/π)
    assert got["error_rise"].value == pytest.approx(expected, rel=0.08)
    assert got["error_rise"].interval is not None
    assert got["error_rise"].interval.low <= expected <= got["error_rise"].interval.high
    assert got["worst_error_rise"].value == got["error_rise"].value


def test_a_regressor_that_refuses_shifted_rows_is_not_called_robust(tmp_path: Path) -> None:
    table = kinds.quantities(100)
    ref = make.data_ref(table, tmp_path, kinds.REGRESSION_ROLES)
    asked = make.request(
        SHIFT.name, ref, kinds.stand_in_ref(Modality.TABULAR_REGRESSION), **_only("missing", 0.3)
    )
    result = make.evaluate(SHIFT, kinds.Numbers(lambda rows: rows.x.to_numpy()), asked, tmp_path)
    got = {m.name: m for m in result.metrics}
    assert got["clean_error"].value is not None
    assert got["error_rise"].status is MetricStatus.NOT_ESTIMABLE
    assert got["worst_error_rise"].status is MetricStatus.NOT_ESTIMABLE


# --- records, parameters ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("shifted", pa.array([[0, 2]] * 6, pa.list_(pa.int64()))),
        ("shifted", pa.array([[0]] * 6, pa.list_(pa.int64()))),
        ("shifted", pa.array([[0, 1]] * 5 + [None], pa.list_(pa.int64()))),
        ("clean", pa.array([-1] * 6, pa.int64())),
    ],
)
def test_records_that_no_honest_run_writes_are_refused(tmp_path: Path, column: str, value: pa.Array) -> None:
    table = make.frame(6)
    ref = make.data_ref(table, tmp_path)
    asked = make.request(SHIFT.name, ref, **_only("noise", 0.1, 0.2))
    params = SHIFT.Params.model_validate(asked.params)
    data, ctx = dataset.read(ref, Modality.TABULAR), Context(asked, tmp_path)
    (shard,) = SHIFT.plan(6, params).shards
    state = SHIFT.run_shard(make.Answering(make.logistic), data, params, ctx, shard)
    place = state.records.column_names.index(column)
    forged = ShardState(state.records.set_column(place, column, value), state.counters)
    with pytest.raises(EvaluationError, match="Run it again"):
        SHIFT.merge([forged], data, params, ctx)


def test_shifts_are_named_as_people_write_them() -> None:
    named = [Shift("missing", 0.05), Shift("noise", 0.3), Shift("units", 1000.0), Shift("units", 0.001)]
    assert [s.name for s in named] == ["missing 5 %", "noise 0.3 sd", "units ×1000", "units ÷1000"]
    assert Shift("missing", 0.07).name == "missing 7 %"


@pytest.mark.parametrize(
    "params",
    [
        _only("units", 1.0),
        _only("missing", 0.1, 0.1),
        _only("missing", 0.1, 0.1 + 1e-16 * 2),
        _only("missing"),
        _only("noise", 0.0),
        _only("noise", *range(1, 30)),
    ],
)
def test_amounts_that_mean_nothing_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"units|once|at least one|greater than 0|too near|at most 20"):
        SHIFT.Params.model_validate(params)
