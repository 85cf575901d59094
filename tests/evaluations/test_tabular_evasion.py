"""The search for the cheapest change against closed forms, linear programs and enumeration; what is made of it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from scipy import optimize, special

from evaluations import catalogue
from evaluations.context import Context
from evaluations.data import dataset
from evaluations.models.tabular import score_rows
from evaluations.robustness import tabular_columns, tabular_evasion_scores
from evaluations.robustness.tabular_evasion_search import FINE
from evaluations.robustness.tabular_evasion_space import space_of
from evaluations.spec import EvaluationError, MetricStatus, Modality, Role, ShardState
from tests.evaluations import make

EVASION: Any = catalogue.get("robustness.tabular_evasion")


class Linear(make.Answering):
    """p(yes) = σ(w·x + b) over the columns that `weights` names."""

    def __init__(self, weights: dict[str, float], bias: float = 0.0) -> None:
        self.weights, self.bias = weights, bias
        super().__init__(self._probs)
        self.columns = tuple(weights)

    def score(self, rows: pd.DataFrame) -> np.ndarray:
        return sum(w * rows[c].to_numpy(float) for c, w in self.weights.items()) + self.bias

    def _probs(self, rows: pd.DataFrame) -> np.ndarray:
        p = special.expit(self.score(rows))
        return np.column_stack([1 - p, p])


def _table(n: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "a": rng.normal(0, 1, n),
            "b": rng.normal(5, 3, n),
            "c": rng.uniform(-2, 2, n),
            "d": rng.gamma(2, 10, n),
        }
    )


def _answered(model: Any, table: pd.DataFrame) -> pd.DataFrame:
    """The table with the model's own answers as labels, so that it is right everywhere."""
    answers = model.predict_proba(table).probs.argmax(axis=1)
    return table.assign(label=np.array(model.labels)[answers])


def _run(
    model: Any, table: pd.DataFrame, folder: Path, roles: dict[str, Role] | None = None, **params: Any
) -> tabular_evasion_scores.Outcomes:
    """The outcomes; the result itself is made too, so that whatever breaks in it shows."""
    given = {c: Role.INPUT for c in table.columns if c != "label"} | {"label": Role.TARGET} | (roles or {})
    ref = make.data_ref(table, folder, given)
    asked = make.request(EVASION.name, ref, **{"examples": len(table), **params})
    chosen = EVASION.Params.model_validate(asked.params)
    data, ctx = dataset.read(ref, Modality.TABULAR), Context(asked, folder)
    states = [EVASION.run_shard(model, data, chosen, ctx, s) for s in EVASION.plan(data.rows, chosen).shards]
    EVASION.merge(states, data, chosen, ctx)
    return tabular_evasion_scores.collect(states, data, chosen, ctx)


# --- what the cheapest change costs -----------------------------------------------------------------------


def test_a_linear_model_is_turned_at_the_distance_of_its_boundary(tmp_path: Path) -> None:
    model = Linear({"a": 1.0, "b": -0.4, "c": 0.7, "d": 0.05}, bias=0.5)
    table = _answered(model, _table(60))
    wide = dict.fromkeys("abcd", (-1000.0, 1000.0))
    got = _run(model, table, tmp_path, bounds=wide)
    iqr = {c: float(np.subtract(*np.quantile(table[c], [0.75, 0.25]))) for c in "abcd"}
    margins = np.abs(model.score(table.iloc[got.rows]))
    exact = margins / max(abs(w) * iqr[c] for c, w in model.weights.items())
    assert np.isfinite(got.cost).all()
    assert (got.cost >= exact).all()
    assert (got.cost <= exact + 2 * FINE).all()
    assert ((got.before != got.after).sum(axis=1) == 1).all()


def test_within_bounds_the_cost_is_that_of_the_linear_program(tmp_path: Path) -> None:
    model = Linear({"a": 1.0, "b": -0.4, "c": 0.7, "d": 0.05}, bias=3.0)
    table = _answered(model, _table(60, seed=1))
    got = _run(model, table, tmp_path, increase_only=["a", "c"])
    iqr = np.array([np.subtract(*np.quantile(table[c], [0.75, 0.25])) for c in "abcd"])
    weights = np.array(list(model.weights.values()))
    several = 0
    for i, row in enumerate(got.rows):
        x = table.loc[row, list("abcd")].to_numpy(float)
        score = float(model.score(table.iloc[[row]])[0])
        away = -np.sign(score) * weights  # what a unit of each column does towards the boundary
        up, down = table[list("abcd")].max().to_numpy() - x, x - table[list("abcd")].min().to_numpy()
        down[[0, 2]] = 0.0  # a and c may only grow
        program = optimize.linprog(
            np.concatenate([1 / iqr, 1 / iqr]),
            A_ub=-np.concatenate([away, -away])[None],
            b_ub=[-abs(score)],
            bounds=[(0, float(r)) for r in np.concatenate([up, down])],
        )
        assert np.isfinite(got.cost[i]) == program.success
        if program.success:
            assert program.fun - 1e-6 <= got.cost[i] <= program.fun * 1.02 + 4 * FINE
            several += int((got.before[i] != got.after[i]).sum() > 1)
    assert several >= 5, "the bounds must bind for the comparison to say anything"
    assert not np.isfinite(got.cost).all()


@pytest.mark.parametrize("place", ["first", "last"])
def test_in_a_wide_table_no_column_goes_short_for_its_place(tmp_path: Path, place: str) -> None:
    rng = np.random.default_rng(4)
    names = [f"c{i:03}" for i in range(60)]
    table = pd.DataFrame(rng.normal(0, 1, (30, 60)), columns=names)
    weights = dict.fromkeys(names, 1e-3) | {names[0 if place == "first" else -1]: 2.0}
    model = Linear(weights, bias=0.3)
    got = _run(model, _answered(model, table), tmp_path, most_queries=400)
    scale = max(abs(w) * c.scale for w, c in zip(weights.values(), got.space.columns, strict=True))
    least = np.abs(model.score(table.iloc[got.rows])) / scale  # were there no range that cells must keep to
    near = least < 1
    assert near.sum() > 12
    assert (got.cost[near] <= least[near] + 4 * FINE).mean() > 0.9


def test_where_many_columns_must_change_together_the_answer_is_turned_all_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    names = [f"c{i:03}" for i in range(150)]
    table = pd.DataFrame(rng.uniform(-1, 1, (15, 150)), columns=names)
    model = Linear(dict.fromkeys(names, 1.0))
    held = _answered(model, table)
    got = _run(model, held, tmp_path, most_queries=75)  # half a query a column
    assert np.isfinite(got.cost).mean() > 0.8
    several = (got.before != got.after).sum(axis=1)[np.isfinite(got.cost)]
    assert several.max() > 1
    assert np.median(several) < 40, "most columns get their own values back"


def test_trees_are_turned_at_nearly_the_least_cost_of_any_cell(tmp_path: Path) -> None:
    from sklearn.ensemble import RandomForestClassifier

    from evaluations.models.tabular_skops import of_estimator

    table = _table(300, seed=2)[["a", "c"]]
    truth = np.where((np.sin(2 * table.a) + table.c) > 0, "yes", "no")
    forest = RandomForestClassifier(12, max_depth=4, random_state=0).fit(table, truth)
    model = of_estimator(forest)
    model.columns = ("a", "c")
    held = _answered(model, table).iloc[:60]
    got = _run(model, held, tmp_path)
    space = got.space
    values = []
    for k, column in enumerate(space.columns):
        cuts = [t.tree_.threshold[t.tree_.feature == k] for t in forest.estimators_]
        near = np.unique(np.concatenate(list(cuts)))
        near = np.concatenate([np.nextafter(near, -np.inf), near + 1e-6])
        values.append(near[(near >= column.low) & (near <= column.high)])
    least = []
    for i, row in enumerate(got.rows):
        own = held.iloc[row][["a", "c"]].to_numpy(float)
        grid = np.array(list(itertools.product(np.append(values[0], own[0]), np.append(values[1], own[1]))))
        turned = forest.predict(pd.DataFrame(grid, columns=["a", "c"])) != held.iloc[row].label
        costs = space.cost(np.broadcast_to(own, grid.shape), grid)
        least.append(costs[turned].min())
        assert got.cost[i] >= least[-1] - 1e-6
    # a strip narrower than the steps that are tried is missed now and then
    found, exact = got.cost, np.array(least)
    assert (found <= exact * 1.05 + 2 * FINE).mean() > 0.8
    assert found.mean() < exact.mean() * 1.1


def test_categories_are_turned_with_nearly_the_fewest_changes(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    names = ["p", "q", "r", "s"]
    space = list(itertools.product("xyz", repeat=4))
    p = {cells: rng.beta(0.8, 0.8) for cells in space}

    def answer(rows: pd.DataFrame) -> np.ndarray:
        yes = np.array([p[tuple(row)] for row in rows[names].to_numpy()])
        return np.column_stack([1 - yes, yes])

    model = make.Answering(answer)
    model.columns = tuple(names)
    table = _answered(model, pd.DataFrame(space, columns=names))
    got = _run(model, table, tmp_path, mutable=names)
    told = {cells: p[cells] > 0.5 for cells in space}
    for i, row in enumerate(got.rows):
        own = space[row]
        fewest = min(
            sum(a != b for a, b in zip(own, other, strict=True))
            for other in space
            if told[other] != told[own]
        )
        assert fewest <= got.cost[i] <= fewest + 1
    assert (got.cost == 1).mean() > 0.9


# --- what may be changed ----------------------------------------------------------------------------------


def test_a_model_of_columns_that_cannot_be_changed_is_never_turned(tmp_path: Path) -> None:
    model = Linear({"a": 3.0, "b": 0.0})
    got = _run(model, _answered(model, _table(40)), tmp_path, immutable=["a"])
    assert not np.isfinite(got.cost).any()
    sensitive = _run(model, _answered(model, _table(40)), tmp_path, roles={"a": Role.SENSITIVE})
    assert not np.isfinite(sensitive.cost).any()
    assert sensitive.space.fixed["a"] == "a sensitive column"


def test_changes_keep_to_whole_numbers_types_directions_bounds_and_seen_categories(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    n = 60
    table = pd.DataFrame(
        {
            "age": rng.integers(18, 90, n),
            "grade": rng.integers(0, 5, n).astype(np.int8),
            "income": rng.lognormal(10, 1, n).astype(np.float32),
            "owner": rng.random(n) < 0.5,
            "job": rng.choice(["clerk", "nurse", "пекарь 🎬"], n),
            "gone": np.where(rng.random(n) < 0.3, np.nan, rng.normal(size=n)),
        }
    )
    seen: list[pd.DataFrame] = []

    def answer(rows: pd.DataFrame) -> np.ndarray:
        seen.append(rows)
        score = (
            rows.age / 20
            + rows.grade.astype(float)
            + rows.income / 20_000
            + rows.owner.astype(float)
            + (rows.job == "nurse") * 1.0
            + rows.gone.fillna(-1)
        )
        p = 1 / (1 + np.exp(-(score.to_numpy(float) - 6)))
        return np.column_stack([1 - p, p])

    model = make.Answering(answer)
    model.columns = None
    labelled = _answered(model, table)
    seen.clear()
    got = _run(
        model,
        labelled,
        tmp_path,
        mutable=list(table.columns),
        increase_only=["age"],
        decrease_only=["grade"],
        bounds={"income": (5_000, 40_000)},
    )
    asked = pd.concat(seen)
    assert asked.dtypes.equals(table.dtypes)
    assert set(asked.job) <= set(table.job)
    assert asked.age.between(18, 90).all()
    assert got.succeeded.sum() > 10
    moved = got.before != got.after
    by_name = {c.name: d for d, c in enumerate(got.space.columns)}
    assert (got.after[:, by_name["age"]] >= got.before[:, by_name["age"]]).all()
    assert (got.after[:, by_name["grade"]] <= got.before[:, by_name["grade"]]).all()
    for name in ("age", "grade"):
        assert (got.after[:, by_name[name]] % 1 == 0).all()
    incomes = got.after[moved[:, by_name["income"]], by_name["income"]]
    assert ((incomes >= 5_000) & (incomes <= 40_000)).all()
    missing = np.isnan(got.before[:, by_name["gone"]])
    assert np.isnan(got.after[missing, by_name["gone"]]).all()

    kept = pyarrow.parquet.read_table(tmp_path / "artefacts" / "attacks.parquet")
    assert kept.num_rows == got.succeeded.sum() == len(set(kept.column("id").to_pylist()))
    assert kept.schema.field("grade").type == pa.int8()
    assert kept.schema.field("income").type == pa.float32()
    frame = kept.to_pandas()
    answers = np.array(model.labels)[answer(frame[list(table.columns)]).argmax(axis=1)]
    assert (answers != frame.label).all()
    assert set(frame.recipe) == {"feasible_evasion"}


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"mutable": ["no such"]}, "unknown_column"),
        ({"bounds": {"label": (0, 1)}}, "unknown_column"),
        ({"immutable": ["a", "b", "c", "d"]}, "nothing_mutable"),
        ({"mutable": ["job"], "increase_only": ["job"]}, "column_not_number"),
        ({"bounds": {"whole": (5.2, 5.8)}}, "bounds_empty"),
    ],
)
def test_parameters_that_fit_no_column_are_refused(tmp_path: Path, params: dict[str, Any], code: str) -> None:
    model = Linear({"a": 1.0})
    table = _table(20).assign(job=["x", "y"] * 10)
    if code == "bounds_empty":
        table["whole"] = range(20)
    with pytest.raises(EvaluationError) as error:
        _run(model, _answered(model, table), tmp_path, **params)
    assert error.value.code == code


def test_contradicting_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="named both as mutable and as immutable"):
        EVASION.Params.model_validate({"mutable": ["a"], "immutable": ["a"]})
    with pytest.raises(ValueError, match="is above"):
        EVASION.Params.model_validate({"bounds": {"a": (2, 1)}})
    for limited in (
        {"immutable": ["a"], "bounds": {"a": (0, 1)}},
        {"immutable": ["a"], "increase_only": ["a"]},
        {"mutable": ["b"], "decrease_only": ["a"]},
    ):
        with pytest.raises(ValueError, match="'a' has bounds or a direction, and is not to be changed"):
            EVASION.Params.model_validate(limited)


def test_columns_that_nothing_can_be_reckoned_with_are_left_alone(tmp_path: Path) -> None:
    n = 30
    table = _table(n)[["a"]].assign(
        empty=np.full(n, np.nan),
        constant=3,
        huge=np.where(np.arange(n) % 2, 1e300, -1e300),
        beyond=np.where(np.arange(n) % 2, 2**60 + 1, 7),
        number_like=[str(i % 4) for i in range(n)],
        when=pd.Timestamp("2026-01-01"),
        endless=np.where(np.arange(n) % 2, np.inf, 1.0) * np.arange(n),
    )
    model = Linear({"a": 1.0})
    got = _run(model, _answered(model, table), tmp_path)
    assert [c.name for c in got.space.columns] == ["a", "endless"]
    assert set(got.space.fixed) == {"empty", "constant", "huge", "beyond", "number_like", "when"}
    assert got.space.fixed["number_like"] == "a category"


def test_a_column_of_which_most_cells_are_equal_is_measured_by_its_deviation(tmp_path: Path) -> None:
    table = pd.DataFrame({"gain": [0.0] * 18 + [10.0, 30.0], "label": ["no", "yes"] * 10})
    ref = make.data_ref(table, tmp_path, {"gain": Role.INPUT, "label": Role.TARGET})
    space = space_of(dataset.read(ref, Modality.TABULAR), EVASION.Params())
    assert space.columns[0].scale == pytest.approx(table.gain.std(ddof=0))


def test_columns_with_long_names_are_told_apart_in_few_characters(tmp_path: Path) -> None:
    table = _table(30)[["a", "c"]].rename(columns={"a": "x" * 500 + "a", "c": "x" * 500 + "c"})
    model = Linear(dict.fromkeys(table.columns, 1.0))
    got = _run(model, _answered(model, table), tmp_path)
    uses = [name for _, name in tabular_evasion_scores._shown(got)]
    assert len(set(uses)) == 2
    assert max(map(len, uses)) < 150, "what the service's table of metrics holds"


def test_numbers_are_fitted_to_what_the_column_can_hold() -> None:
    single = tabular_columns.Column("x", np.dtype("float32"), low=0.1, high=0.3)
    fitted = single.fitted(np.array([-1.0, 0.2, 0.3, 5.0]))
    assert (fitted == fitted.astype(np.float32)).all()
    assert ((fitted >= 0.1) & (fitted <= 0.3)).all()
    assert fitted[1] == pytest.approx(0.2)


# --- records, errors --------------------------------------------------------------------------------------


def _state(folder: Path) -> tuple[ShardState, Any, Any, Context]:
    model = Linear({"a": 1.0, "d": 0.05}, bias=-1.0)
    table = _answered(model, _table(12).assign(whole=np.arange(12), job=["x", "y"] * 6))
    roles = {c: Role.INPUT for c in table.columns if c != "label"} | {"label": Role.TARGET}
    ref = make.data_ref(table, folder, roles)
    asked = make.request(EVASION.name, ref, mutable=["a", "whole", "job"])
    params = EVASION.Params.model_validate(asked.params)
    data, ctx = dataset.read(ref, Modality.TABULAR), Context(asked, folder)
    (shard,) = EVASION.plan(data.rows, params).shards
    return EVASION.run_shard(model, data, params, ctx, shard), data, params, ctx


def _with(state: ShardState, column: str, values: pa.Array) -> ShardState:
    place = state.records.column_names.index(column)
    return ShardState(state.records.set_column(place, column, values), state.counters)


@pytest.mark.parametrize(
    "cells", [[99.0, 1, 0], [0.0, 1.5, 0], [0.0, 1, 2], [0.0, 1, 0.5], [0.0, 1], [None, 1, 0], [np.inf, 1, 0]]
)
def test_changes_that_cannot_be_made_are_refused(tmp_path: Path, cells: list[Any]) -> None:
    state, data, params, ctx = _state(tmp_path)
    forged = _with(state, "cells", pa.array([cells] * 12, pa.list_(pa.float64())))
    with pytest.raises(EvaluationError, match="Run it again"):
        EVASION.merge([forged], data, params, ctx)


def test_a_success_that_does_not_hold_when_asked_again_is_a_failure(tmp_path: Path) -> None:
    state, data, params, ctx = _state(tmp_path)
    honest = tabular_evasion_scores.collect([state], data, params, ctx)
    assert np.isfinite(honest.cost).any()
    forged = _with(state, "attacked_probs", state.records.column("probs"))
    outcomes = tabular_evasion_scores.collect([forged], data, params, ctx)
    assert not np.isfinite(outcomes.cost).any()
    assert outcomes.unconfirmed == np.isfinite(honest.cost).sum()


def test_an_attack_that_the_model_did_not_answer_is_an_error_and_no_robustness(tmp_path: Path) -> None:
    own = _table(30)
    model = Linear({"a": 1.0})
    table = _answered(model, own)
    known = set(own.a)

    def answer(rows: pd.DataFrame) -> np.ndarray:
        return np.where(rows.a.isin(known).to_numpy()[:, None], model._probs(rows), np.nan)

    mute = make.Answering(answer)
    mute.columns = ("a",)
    got = _run(mute, table, tmp_path, bounds={"a": (50.0, 60.0)}, mutable=["a"])
    assert got.error.all()
    ref = make.data_ref(table, tmp_path, dict.fromkeys("abcd", Role.INPUT) | {"label": Role.TARGET})
    asked = make.request(EVASION.name, ref, bounds={"a": (50.0, 60.0)}, mutable=["a"])
    result = make.evaluate(EVASION, mute, asked, tmp_path)
    assert {m.status for m in result.metrics} == {MetricStatus.NOT_ESTIMABLE}


def test_a_model_that_falls_silent_where_its_answer_would_turn_is_not_called_robust(tmp_path: Path) -> None:
    model = Linear({"a": 1.0, "c": 2.0})
    table = _answered(model, _table(30))
    own = dict(zip(table.a, model.score(table) > 0, strict=True))

    def answer(rows: pd.DataFrame) -> np.ndarray:
        turned = (model.score(rows) > 0) != rows.a.map(own).to_numpy(bool)
        return np.where(turned[:, None], np.nan, model._probs(rows))

    shy = make.Answering(answer)
    shy.columns = ("a", "c")
    got = _run(shy, table, tmp_path, mutable=["c"])
    plain = _run(model, table, tmp_path, mutable=["c"])
    assert np.isfinite(plain.cost).sum() > 20
    assert got.error[np.isfinite(plain.cost)].all()
    assert not np.isfinite(got.cost).any()


class Service(Linear):
    """The same model behind an endpoint: asked a few rows at a time."""

    question = ""
    identity = "service"
    at_once = 7
    stopped = None

    def probe(self, data: Any) -> dict[str, Any]:
        return {}


def test_a_service_is_turned_as_the_model_behind_it_is_and_asked_nothing_twice(tmp_path: Path) -> None:
    weights = {"a": 1.0, "d": 0.05}
    table = _answered(Linear(weights, -1.0), _table(12))
    local, service = Linear(weights, -1.0), Service(weights, -1.0)
    here, there = _run(local, table, tmp_path), _run(service, table, tmp_path)
    assert (here.cost == there.cost).all()
    ref = make.data_ref(table, tmp_path, dict.fromkeys("abcd", Role.INPUT) | {"label": Role.TARGET})
    asked = make.request(EVASION.name, ref, examples=12)
    once, again = Service(weights, -1.0), Service(weights, -1.0)
    make.evaluate(EVASION, once, asked, tmp_path, cuts=[3, 6], killed_after=2)
    make.evaluate(EVASION, again, asked, tmp_path, cuts=[3, 6], killed_after=2)  # finds what was asked before
    assert once.usage.queries > 0
    assert again.usage.queries == 0


def test_a_model_that_refuses_changed_rows_ends_with_errors_and_not_with_a_failure(tmp_path: Path) -> None:
    linear = Linear({"a": 1.0})
    table = _answered(linear, _table(30))
    known = set(table.a)

    class Strict(make.Answering):
        def predict_proba(self, rows: pd.DataFrame) -> Any:
            def ask(frame: pd.DataFrame) -> np.ndarray:
                if not set(frame.a) <= known:
                    raise ValueError("unknown value")
                return linear._probs(frame)

            return score_rows(ask, rows, 2)

    strict = Strict(None)
    strict.columns = ("a",)
    got = _run(strict, table, tmp_path, bounds={"a": (50.0, 60.0)}, mutable=["a"])
    assert got.error.all()


def test_rates_and_curve_are_made_of_the_costs(tmp_path: Path) -> None:
    model = Linear({"a": 1.0, "b": -0.4}, bias=0.5)
    table = _answered(model, _table(50)).assign(id=[f"r{i:02d}" for i in range(50)])
    table.loc[:4, "label"] = [{"no": "yes", "yes": "no"}[x] for x in table.label[:5]]  # wrong when clean
    roles = {"a": Role.INPUT, "b": Role.INPUT, "id": Role.ID, "label": Role.TARGET}
    asked = make.request(EVASION.name, make.data_ref(table, tmp_path, roles), max_cost=0.5)
    result = make.evaluate(EVASION, model, asked, tmp_path)
    got = make.values(result)
    iqr = {c: float(np.subtract(*np.quantile(table[c], [0.75, 0.25]))) for c in "ab"}
    exact = np.abs(model.score(table))[5:] / max(iqr["a"], 0.4 * iqr["b"])
    assert got["original_accuracy", "all"] == 0.9
    assert got["attack_success_rate", "all"] == pytest.approx((exact <= 0.5).mean(), abs=0.03)
    assert got["success_at_any_cost", "all"] == 1
    assert got["median_cost", "all"] == pytest.approx(np.sort(exact)[22], abs=2 * FINE)
    assert got["accuracy_under_attack", "all"] == pytest.approx(
        0.9 * (1 - (got["attack_success_rate", "all"] or 0))
    )
    assert result.coverage.skipped == 5
    shares = [row[1] for row in result.charts[0].rows]
    assert shares[0] == 0
    assert shares == sorted(shares)
    assert shares[-1] == 1
    example = result.examples[0]
    assert "→" in str(example.facts["change"])
    assert example.changed
