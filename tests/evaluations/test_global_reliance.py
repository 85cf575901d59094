"""Global reliance against scikit-learn, exact expectation over all shuffles, and a model whose tokens are known."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.stats

from evaluations import catalogue
from evaluations.context import Context
from evaluations.data import dataset
from evaluations.explainability import global_scores
from evaluations.models.loader import load
from evaluations.spec import EvaluationError, EvaluationResult, Metric, MetricStatus, Modality, ModelRef, Role
from tests.evaluations import kinds, make

GLOBAL = catalogue.get("explainability.global")


def by_slice(result: EvaluationResult, name: str) -> dict[str, Metric]:
    return {metric.slice: metric for metric in result.metrics if metric.name == name}


def on_table(
    folder: Path, table: pd.DataFrame, model: Any, roles: Any = None, **params: Any
) -> EvaluationResult:
    ref = make.data_ref(table, folder, roles or make.TABULAR_ROLES)
    return make.evaluate(GLOBAL, model, make.request(GLOBAL.name, ref, **(QUICK | params)), folder)


QUICK = {"method": "occlusion"}


def two_columns(rows: pd.DataFrame) -> np.ndarray:
    p = 1 / (1 + np.exp(-2 * rows["x"].to_numpy() - 0.7 * rows["z"].to_numpy()))
    return np.column_stack([1 - p, p])


class Estimator:
    """The same model as scikit-learn wants it."""

    def fit(self, rows: Any, labels: Any) -> Estimator:
        return self

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        return np.array(["no", "yes"])[two_columns(rows).argmax(axis=1)]


def accuracy(estimator: Estimator, rows: pd.DataFrame, labels: Any) -> float:
    return float((estimator.predict(rows) == labels).mean())


def test_permutation_importance_agrees_with_scikit_learn_and_with_all_shuffles(tmp_path: Path) -> None:
    from sklearn.inspection import permutation_importance

    table = make.frame(300)
    result = on_table(tmp_path, table, make.Answering(two_columns), examples=300, explained=2, repeats=60)
    got = by_slice(result, "permutation_importance")
    theirs = permutation_importance(
        Estimator(), table[["x", "z"]], table.label, scoring=accuracy, n_repeats=60, random_state=0
    )
    right = (Estimator().predict(table) == table.label).mean()
    for k, column in enumerate(("x", "z")):
        every = pd.concat([table] * 300, ignore_index=True)
        every[column] = np.repeat(
            table[column].to_numpy(), 300
        )  # each row with each value: all shuffles at once
        expected = right - (Estimator().predict(every) == every.label).mean()
        value, n = got[f"column={column}"].value, got[f"column={column}"].n
        assert n == 300
        assert value == pytest.approx(theirs.importances_mean[k], abs=0.01)
        assert value == pytest.approx(expected, abs=0.01)
        interval = got[f"column={column}"].interval
        assert interval is not None
        assert interval.low < expected < interval.high
    assert next(iter(got)) == "column=x"  # the largest first


def test_a_sensitive_column_that_the_model_reads_is_named_so(tmp_path: Path) -> None:
    def by_sex(rows: pd.DataFrame) -> np.ndarray:
        p = np.where(rows["sex"] == "Male", 0.9, 0.2)
        return np.column_stack([1 - p, p])

    model = make.Answering(by_sex)
    model.columns = ("x", "sex")
    result = on_table(tmp_path, make.frame(60), model, explained=20)
    assert list(by_slice(result, "mean_attribution")) == ["sensitive=sex", "column=x"]
    assert by_slice(result, "permutation_importance")["column=x"].value == 0
    assert any("sensitive columns: sex" in warning for warning in result.warnings)
    assert "sex (sensitive)" in {row[0] for chart in result.charts for row in chart.rows}


def test_without_labels_accuracy_is_not_estimable_and_attributions_are(tmp_path: Path) -> None:
    roles = {"id": Role.ID, "x": Role.INPUT, "z": Role.INPUT}
    result = on_table(tmp_path, make.frame(30), make.Answering(two_columns), roles, explained=10)
    (lost,) = by_slice(result, "permutation_importance").values()
    assert lost.status is MetricStatus.NOT_ESTIMABLE
    assert "target" in lost.reason
    assert by_slice(result, "mean_attribution")["column=x"].value is not None


def test_the_mean_attribution_of_a_linear_model_has_a_closed_form(tmp_path: Path) -> None:
    def linear(rows: pd.DataFrame) -> np.ndarray:
        p = 0.7 + 0.2 * rows["x"].to_numpy() - 0.05 * rows["z"].to_numpy()
        return np.column_stack([1 - p, p])

    bits = np.random.default_rng(0).integers(0, 2, (20, 2))
    table = make.frame(20).assign(x=bits[:, 0], z=bits[:, 1])
    result = on_table(tmp_path, table, make.Answering(linear), explained=20)
    got = by_slice(result, "mean_attribution")
    for k, (column, weight) in enumerate((("x", 0.2), ("z", 0.05))):
        sizes = np.abs(bits[:, k] - bits[:, k].mean()) * weight  # the background is the whole table
        metric = got[f"column={column}"]
        assert metric.value == pytest.approx(sizes.mean())
        wanted = scipy.stats.t.interval(0.95, 19, sizes.mean(), sizes.std(ddof=1) / np.sqrt(20))
        assert metric.interval is not None
        assert (metric.interval.low, metric.interval.high) == pytest.approx(wanted)


def test_a_t_test_agrees_with_scipy() -> None:
    values = np.random.default_rng(0).normal(0.3, size=17)
    assert global_scores.t_test(values, None) == pytest.approx(scipy.stats.ttest_1samp(values, 0).pvalue)
    assert global_scores.t_test(np.ones(4), None) == 1


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ModelRef]:
    ref = make.tiny_bert(tmp_path_factory.mktemp("bert"))
    return load(ref), ref


def on_texts(held: tuple[Any, ModelRef], folder: Path, texts: list[str], **params: Any) -> EvaluationResult:
    model, ref = held
    table = pd.DataFrame({"id": [f"t{i:03d}" for i in range(len(texts))], "text": texts})
    data = make.data_ref(table, folder, {"id": Role.ID, "text": Role.INPUT})
    return make.evaluate(GLOBAL, model, make.request(GLOBAL.name, data, ref, **params), folder)


def test_a_token_falls_by_what_masking_it_everywhere_takes_away(bert: Any, tmp_path: Path) -> None:
    model, _ = bert
    texts = [f"{word} film good {word} plot" for word in make.WORDS if word not in ("film", "good", "plot")]
    result = on_texts(bert, tmp_path, texts, explained=5)
    drops = by_slice(result, "masking_drop")
    drop = drops["token=good"]
    probs = model.predict_proba(texts).probs
    masked = model.predict_proba([text.replace("good", "[MASK]") for text in texts]).probs
    fall = (probs - masked)[np.arange(len(texts)), probs.argmax(axis=1)]
    assert drop.value == pytest.approx(fall.mean(), abs=1e-6)
    assert drop.n == len(texts)
    assert set(drops) <= {"token=film", "token=good", "token=plot"}  # the others stand in one text each
    (chart,) = [chart for chart in result.charts if chart.name == "masking_drop"]
    assert all(row[5] is not None and float(row[5]) <= 0.05 for row in chart.rows)


def test_a_token_that_changes_nothing_is_not_shown(tmp_path: Path, bert: Any) -> None:
    import copy

    model, ref = bert
    deaf = copy.copy(model)
    deaf.network = copy.deepcopy(model.network)
    table = deaf.network.get_input_embeddings().weight.data
    table[:] = table[4]  # every token looks like the mask
    result = on_texts((deaf, ref), tmp_path, list(make.sentences(20).text), explained=5)
    (metric,) = by_slice(result, "masking_drop").values()
    assert metric.status is MetricStatus.NOT_ESTIMABLE
    assert "beyond chance" in metric.reason


def test_places_of_images_are_compared(tmp_path: Path) -> None:
    ref = kinds.tiny_image_network(tmp_path / "vit")
    data = make.data_ref(kinds.pictures(6), tmp_path, {"id": Role.ID, "image": Role.INPUT})
    result = make.evaluate(GLOBAL, load(ref), make.request(GLOBAL.name, data, ref, top=3), tmp_path)
    assert [m.slice.startswith("cell=row") for m in result.metrics] == [True] * 3
    level = result.metrics[0].interval
    assert level is not None
    assert level.level == pytest.approx(1 - 0.05 * 3 / 49)


ODD = ["", "good", "🎬🍿👩‍👩‍👧‍👦", "هذا فيلم جيد", "中文電影很好看", "good film " * 5000]


@pytest.mark.parametrize("text", ODD, ids=["empty", "one", "emoji", "rtl", "Chinese", "long"])
def test_odd_texts_end_with_typed_statuses(bert: Any, text: str, tmp_path: Path) -> None:
    result = on_texts(bert, tmp_path, [text] * 6, explained=6)
    assert all(m.value is not None or m.reason for m in result.metrics)
    assert result.coverage.failed == 0
    assert result.coverage.skipped == (6 if text == "" else 0)


def test_forged_records_are_refused(tmp_path: Path) -> None:
    asked = make.request(GLOBAL.name, make.data_ref(make.frame(8), tmp_path, make.TABULAR_ROLES))
    params: Any = GLOBAL.Params()
    data = dataset.read(asked.data, Modality.TABULAR)
    ctx = Context(asked, tmp_path)
    (shard,) = GLOBAL.plan(data.rows, params).shards
    state = GLOBAL.run_shard(make.Answering(two_columns), data, params, ctx, shard)

    def judge(records: Any) -> None:
        found = global_scores.collect([type(state)(records)], data, params, ctx)
        global_scores.reliance(found, params)

    judge(state.records)
    units = itertools.cycle(["probability", "log-odds"])
    for name, change in {
        "shuffled": lambda held: [9] * len(held),
        "values": lambda held: [float("nan")] * len(held),
        "features": lambda held: ["label"] * len(held),
        "masked": lambda held: [0.5],
        "unit": lambda held: next(units),
    }.items():
        column = state.records.column_names.index(name)
        field = state.records.schema.field(column)
        forged = pa.array([change(value) for value in state.records.column(column).to_pylist()], field.type)
        with pytest.raises(EvaluationError) as error:
            judge(state.records.set_column(column, field, forged))
        assert error.value.code == "bad_records", name


def test_long_column_names_are_cut_and_stay_apart(tmp_path: Path) -> None:
    long = {"x": "a measured thing " * 12 + "of one kind", "z": "a measured thing " * 12 + "of another kind"}
    table = make.frame(40).rename(columns=long)
    roles = {long.get(name, name): role for name, role in make.TABULAR_ROLES.items()}
    model = make.Answering(lambda rows: two_columns(rows.rename(columns={v: k for k, v in long.items()})))
    model.columns = tuple(long.values())  # type: ignore[misc]
    result = on_table(tmp_path, table, model, roles, examples=40, explained=10)
    for name in ("mean_attribution", "permutation_importance"):
        slices = list(by_slice(result, name))
        assert len(slices) == 2
        assert all(len(one) < 200 for one in slices)


def test_a_table_of_many_columns_loses_accuracy_all_the_same(tmp_path: Path) -> None:
    table = make.frame(20).assign(more=1.0, most=2.0)
    roles = make.TABULAR_ROLES | {"more": Role.INPUT, "most": Role.INPUT}
    model = make.Answering(two_columns)
    model.columns = None
    result = on_table(tmp_path, table, model, roles, most_features=2)
    assert result.coverage.skipped == 20
    assert len(by_slice(result, "permutation_importance")) == 4
    (none,) = by_slice(result, "mean_attribution").values()
    assert none.status is MetricStatus.NOT_ESTIMABLE


def test_without_any_answer_nothing_is_estimated_whatever_is_allowed(tmp_path: Path) -> None:
    result = on_table(tmp_path, make.frame(20), make.Answering(make.never), max_error_rate=1)
    assert {metric.status for metric in result.metrics} == {MetricStatus.NOT_ESTIMABLE}


def test_a_token_of_one_text_is_not_named_however_often_the_text_comes(bert: Any, tmp_path: Path) -> None:
    texts = ["good film"] * 12 + [f"plot {word}" for word in ("bad", "dull", "great", "fun", "slow", "fine")]
    result = on_texts(bert, tmp_path, texts, explained=len(texts))
    assert set(by_slice(result, "mean_attribution")) == {"token=plot"}


def test_a_service_is_not_asked_thousands_of_times(tmp_path: Path) -> None:
    model: Any = make.Answering(two_columns)
    model.question, model.identity, model.at_once, model.stopped, model.probe = "", "", 8, None, dict
    with pytest.raises(EvaluationError, match="service") as error:
        on_table(tmp_path, make.frame(5), model)
    assert error.value.skipped
    assert model.usage.queries == 0
