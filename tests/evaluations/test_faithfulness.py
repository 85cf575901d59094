"""Faithfulness against closed forms of additive games, every order tried out, and hand-worked ERASER numbers."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluations import catalogue
from evaluations.context import Context
from evaluations.data import dataset
from evaluations.explainability import faithfulness_scores, naopc
from evaluations.explainability import perturbation_curves as curves
from evaluations.models.loader import load
from evaluations.spec import EvaluationError, EvaluationResult, MetricStatus, Modality, Role
from tests.evaluations import kinds, make

FAITHFULNESS = catalogue.get("explainability.faithfulness")
COLUMNS = ("a", "b", "c", "d", "e", "f")
WEIGHTS = np.array([0.16, 0.08, 0.04, 0.02, 0.01, 0.005])


class Additive:
    """p(target) = base + sum of the weights of what is present."""

    def __init__(self, weights: np.ndarray, base: float = 0.1) -> None:
        self.weights, self.base = weights, base
        self.features = tuple(f"f{i}" for i in range(len(weights)))

    def outputs(self, present: np.ndarray) -> np.ndarray:
        p = self.base + present @ self.weights
        return np.column_stack([1 - p, p])


class Whimsical:
    """A game of interactions: any number for any coalition, but the same each time."""

    def __init__(self, total: int, seed: int) -> None:
        self.features = tuple(map(str, range(total)))
        self.table = np.random.default_rng(seed).random(2**total)

    def outputs(self, present: np.ndarray) -> np.ndarray:
        p = self.table[present @ (1 << np.arange(present.shape[1]))]
        return np.column_stack([1 - p, p])


def test_a_share_of_the_features_is_rounded_up_and_at_least_one() -> None:
    assert curves.counts(1).tolist() == [1, 1, 1, 1, 1]
    assert curves.counts(10).tolist() == [1, 1, 1, 2, 5]
    assert curves.counts(70).tolist() == [1, 4, 7, 14, 35]  # not 8, as ⌈0.1·70⌉ is in floating point
    assert curves.counts(101).tolist() == [2, 6, 11, 21, 51]


def test_a_hand_worked_additive_game() -> None:
    weights = np.array([0.05, 0.30, -0.05, 0.20, 0, 0, 0.10, 0.05, 0, -0.05])
    game = Additive(weights)
    order, removed = curves.order_of(weights), curves.counts(10)
    full = np.array([0.7])  # 0.1 + 0.6
    falls = curves.ask(game, curves.without_top(order, removed), 1)
    np.testing.assert_allclose(falls, [0.4, 0.4, 0.4, 0.2, 0.0], atol=1e-12)
    assert curves.aopc(full, falls[None])[0] == pytest.approx(0.42)  # (.3 + .3 + .3 + .5 + .7) / 5
    keeps = curves.ask(game, curves.only_top(order, removed), 1)
    assert curves.aopc(full, keeps[None])[0] == pytest.approx(0.18)  # (.3 + .3 + .3 + .1 − .1) / 5


def test_equal_coalitions_are_asked_once_and_answered_each() -> None:
    game = Additive(np.array([0.1, 0.2]))
    asked = []
    plain = game.outputs
    game.outputs = lambda present: asked.append(len(present)) or plain(present)  # type: ignore[method-assign, func-returns-value]
    present = np.array([[True, False], [False, False], [True, False]])
    np.testing.assert_allclose(curves.ask(game, present, 1), [0.2, 0.1, 0.2])
    assert asked == [2]


@pytest.mark.parametrize("total", [2, 4, 6])
def test_exact_bounds_are_those_of_all_orders(total: int) -> None:
    for seed in range(3):
        game = Whimsical(total, seed)
        every = np.arange(1, total + 1)
        areas = [
            curves.ask(game, curves.without_top(np.array(order), every), 1).sum()
            for order in itertools.permutations(range(total))
        ]
        found = naopc.exact(game, 1)
        assert found.best.sum() == pytest.approx(min(areas))
        assert found.worst.sum() == pytest.approx(max(areas))


def test_a_wide_beam_finds_the_exact_bounds_and_a_narrow_one_stays_within() -> None:
    for seed in range(5):
        game = Whimsical(6, seed)
        exact = naopc.exact(game, 1)
        for beam in (1, 3, 64):
            best, _ = naopc.searched(game, 1, beam, sign=1.0)
            worst, _ = naopc.searched(game, 1, beam, sign=-1.0)
            assert best.sum() >= exact.best.sum() - 1e-12
            assert worst.sum() <= exact.worst.sum() + 1e-12
        np.testing.assert_allclose([best.sum(), worst.sum()], [exact.best.sum(), exact.worst.sum()])


def test_an_additive_game_is_bounded_by_its_sorted_weights() -> None:
    weights = np.random.default_rng(0).normal(scale=0.02, size=12)
    found = naopc.bounds(Additive(weights, base=0.4), 1, beam=5)
    down = 0.4 + weights.sum() - np.cumsum(np.sort(weights)[::-1])
    up = 0.4 + weights.sum() - np.cumsum(np.sort(weights))
    np.testing.assert_allclose(found.best, down, atol=1e-12)
    np.testing.assert_allclose(found.worst, up, atol=1e-12)
    areas = [np.float64(0.4 + weights.sum() - curve.mean()) for curve in (up, down, (up + down) / 2)]
    got = [naopc.normalised(area, areas[0], areas[1]) for area in areas]
    np.testing.assert_allclose(got, [0, 1, 0.5])


def linear(rows: pd.DataFrame) -> np.ndarray:
    """Always the second class."""
    p = 0.5 + rows[list(COLUMNS)].to_numpy() @ WEIGHTS
    return np.column_stack([1 - p, p])


def weighed(n: int) -> pd.DataFrame:
    """Columns of 0 and 1 alone, so that what an absent column costs has a closed form."""
    bits = np.random.default_rng(1).integers(0, 2, (n, len(COLUMNS)))
    return pd.DataFrame({"id": [f"w{i:03d}" for i in range(n)], **dict(zip(COLUMNS, bits.T, strict=True))})


def evaluate(folder: Path, table: pd.DataFrame, model: Any, **params: Any) -> EvaluationResult:
    roles = {"id": Role.ID, **dict.fromkeys(COLUMNS, Role.INPUT)}
    ref = make.data_ref(table, folder, roles)
    asked = make.request(FAITHFULNESS.name, ref, **({"method": "occlusion"} | params))
    return make.evaluate(FAITHFULNESS, model, asked, folder)


def answering() -> Any:
    model = make.Answering(linear)
    model.columns = COLUMNS
    return model


def test_a_linear_model_has_the_closed_form(tmp_path: Path) -> None:
    table = weighed(20)  # no more rows than the background takes: it is the whole table
    result = evaluate(tmp_path, table, answering(), bounded=20)
    got = {m.name: m for m in result.metrics}
    bits = table[list(COLUMNS)].to_numpy()
    drops = np.sort((bits - bits.mean(axis=0)) * WEIGHTS, axis=1)[:, ::-1]
    top = np.cumsum(drops, axis=1)
    fall = (3 * top[:, 0] + top[:, 1] + top[:, 2]) / 5  # of six features: 1, 1, 1, 2 and 3
    keep = top[:, 5] - fall
    assert got["comprehensiveness"].value == pytest.approx(fall.mean())
    assert got["sufficiency"].value == pytest.approx(keep.mean())
    assert got["naopc"].value == pytest.approx(1)  # sorted weights are the best order
    assert got["tau_b"].value == pytest.approx(1)
    excess = got["excess_comprehensiveness"]
    assert excess.interval is not None
    assert excess.interval.low > 0
    half = 2.093024 * fall.std(ddof=1) / np.sqrt(20)  # Student's t, 19 degrees of freedom
    interval = got["comprehensiveness"].interval
    assert interval is not None
    assert interval.high - interval.low == pytest.approx(2 * half, rel=1e-5)


def test_random_attributions_show_no_excess(tmp_path: Path) -> None:
    result = evaluate(tmp_path, weighed(150), answering(), examples=150, method="random", bounded=60)
    got = {m.name: m for m in result.metrics}
    for name in ("excess_comprehensiveness", "excess_sufficiency", "tau_b"):
        interval = got[name].interval
        assert interval is not None
        assert interval.low < 0 < interval.high
    naopc_interval = got["naopc"].interval
    assert naopc_interval is not None
    assert naopc_interval.low < 0.5 < naopc_interval.high


def test_trees_are_explained_by_shap_and_beat_chance(tmp_path: Path) -> None:
    from sklearn.ensemble import RandomForestClassifier

    from evaluations.models.tabular_skops import of_estimator

    rng = np.random.default_rng(2)
    table = pd.DataFrame(rng.normal(size=(60, len(COLUMNS))), columns=list(COLUMNS))
    truth = np.where(table.a + table.b > 0, "yes", "no")
    forest = RandomForestClassifier(10, random_state=0).fit(table, truth)
    model = of_estimator(forest)
    result = evaluate(
        tmp_path, table.assign(id=[f"w{i:03d}" for i in range(60)]), model, method="auto", bounded=5
    )
    got = {m.name: m for m in result.metrics}
    interval = got["excess_comprehensiveness"].interval
    assert interval is not None
    assert interval.low > 0
    assert (got["naopc"].value or 0) > 0.8


def test_tau_agrees_with_a_table_worked_by_hand() -> None:
    # Pairs of (1,1) (2,3) (3,2) (3,4): 4 concordant, 1 discordant, one tied in the first: (4 − 1)/√(5·6)
    values, drops = np.array([1.0, 2, 3, 3]), np.array([1.0, 3, 2, 4])
    assert faithfulness_scores.rank_agreement(values, drops) == pytest.approx(3 / np.sqrt(30))
    assert np.isnan(faithfulness_scores.rank_agreement(np.ones(4), drops))


ODD = {
    "empty": "",
    "one token": "good",
    "emoji": "🎬🍿👩‍👩‍👧‍👦",
    "right to left": "هذا فيلم جيد",
    "Chinese": "中文電影很好看",
    "10,000 words": "good film " * 5000,
}


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Any:
    ref = make.tiny_bert(tmp_path_factory.mktemp("bert"))
    return load(ref), ref


@pytest.mark.parametrize("what", ODD)
def test_odd_texts_end_with_typed_statuses(bert: Any, what: str, tmp_path: Path) -> None:
    model, ref = bert
    table = pd.DataFrame({"id": ["a", "b"], "text": [ODD[what]] * 2})
    data = make.data_ref(table, tmp_path, {"id": Role.ID, "text": Role.INPUT})
    asked = make.request(FAITHFULNESS.name, data, ref, bounded_features=8, draws=2, max_evals=50)
    result = make.evaluate(FAITHFULNESS, model, asked, tmp_path)
    assert all(m.value is not None or m.reason for m in result.metrics)
    assert result.coverage.failed == 0
    if what in ("empty", "one token"):
        assert result.coverage.skipped == 2
        assert {m.status for m in result.metrics} == {MetricStatus.NOT_ESTIMABLE}


@pytest.mark.parametrize("removal", ["mask", "delete"])
def test_texts_are_explained_on_their_tokens(bert: Any, removal: str, tmp_path: Path) -> None:
    model, ref = bert
    data = make.data_ref(make.sentences(12), tmp_path, make.TEXT_ROLES)
    how = {"method": "occlusion", "removal": removal, "bounded": 2, "draws": 2}
    asked = make.request(FAITHFULNESS.name, data, ref, **how)
    result = make.evaluate(FAITHFULNESS, model, asked, tmp_path)
    got = {m.name: m.value for m in result.metrics}
    assert got["tau_b"] == pytest.approx(1)  # occlusion is leaving out one by one
    naopc_value = got["naopc"]
    assert naopc_value is not None
    assert 0 <= naopc_value <= 1
    assert {e.kind for e in result.examples} == {"attribution"}
    for example in result.examples:
        (heat,) = example.heat
        assert "".join(heat.features).replace("##", "")[:3] == example.before.lower().replace(" ", "")[:3]


def test_images_are_explained_on_cells_and_an_unreadable_one_is_an_error(tmp_path: Path) -> None:
    ref = kinds.tiny_image_network(tmp_path / "vit")
    model = load(ref)
    table = kinds.pictures(6).drop(columns="label")
    roles = {"id": Role.ID, "image": Role.INPUT}
    asked = make.request(FAITHFULNESS.name, make.data_ref(table, tmp_path, roles), ref, bounded=0, draws=2)
    whole = make.evaluate(FAITHFULNESS, model, asked, tmp_path)
    (heat,) = whole.examples[0].heat
    assert heat.features[:2] == ("row 1, column 1", "row 1, column 2")
    assert not heat.text
    assert {m.name for m in whole.metrics if m.value is None} == {"naopc"}  # no bounds were asked for

    table.at[2, "image"] = b"no image"
    data = make.data_ref(table, tmp_path, roles)
    asked = make.request(FAITHFULNESS.name, data, ref, bounded=0, draws=2, max_error_rate=0.5)
    holed = make.evaluate(FAITHFULNESS, model, asked, tmp_path)
    assert holed.coverage.failed == 1
    for before, after in zip(whole.metrics, holed.metrics, strict=True):
        if before.interval is not None and after.interval is not None:
            assert after.interval.high - after.interval.low > before.interval.high - before.interval.low


def test_forged_numbers_are_refused(tmp_path: Path) -> None:
    table = weighed(6)
    roles = {"id": Role.ID, **dict.fromkeys(COLUMNS, Role.INPUT)}
    asked = make.request(FAITHFULNESS.name, make.data_ref(table, tmp_path, roles))
    params = FAITHFULNESS.Params.model_validate({"bounded": 2})
    data = dataset.read(asked.data, Modality.TABULAR)
    ctx = Context(asked, tmp_path)
    (shard,) = FAITHFULNESS.plan(data.rows, params).shards
    state = FAITHFULNESS.run_shard(answering(), data, params, ctx, shard)
    faithfulness_scores.collect([state], data, params, ctx)  # type: ignore[arg-type]  # params of this evaluation

    def forged(name: str, change: Any) -> Any:
        column = state.records.column_names.index(name)
        field = state.records.schema.field(column)
        held = [change(value) for value in state.records.column(column).to_pylist()]
        import pyarrow as pa

        return type(state)(state.records.set_column(column, field, pa.array(held, field.type)))

    for name, change in {
        "without": lambda held: [2.0] * len(held),
        "values": lambda held: [float("nan")] * len(held),
        "left_out": lambda held: held[:-1],
        "own": lambda held: [],
        "output": lambda held: [0.0],
        "features": lambda held: held * 2,
    }.items():
        with pytest.raises(EvaluationError) as error:
            faithfulness_scores.collect([forged(name, change)], data, params, ctx)  # type: ignore[arg-type]  # as above
        assert error.value.code == "bad_records", name


def test_a_service_is_not_asked_thousands_of_times(tmp_path: Path) -> None:
    model: Any = answering()
    model.question, model.identity, model.at_once, model.stopped, model.probe = "", "", 8, None, dict
    with pytest.raises(EvaluationError, match="service") as error:
        evaluate(tmp_path, weighed(5), model)
    assert error.value.skipped
    assert model.usage.queries == 0
