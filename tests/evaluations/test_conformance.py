"""What every evaluation must satisfy, whoever wrote it: the suite is over the whole catalogue."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest
import vl_convert

from evaluations import catalogue
from evaluations.models.loader import load
from evaluations.spec import (
    Evaluation,
    EvaluationError,
    EvaluationResult,
    MetricStatus,
    Modality,
    ModelRef,
    RunRequest,
)
from tests.evaluations import make

EVERY = [pytest.param(e, id=e.name) for e in catalogue.all()]
every = pytest.mark.parametrize("evaluation", EVERY)


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> ModelRef:
    return make.tiny_bert(tmp_path_factory.mktemp("conformance"))


@pytest.fixture(scope="session")
def classifier(bert: ModelRef) -> Any:
    return load(bert)


Setting = Callable[..., tuple[Any, RunRequest]]


@pytest.fixture
def setting(bert: ModelRef, classifier: Any, tmp_path: Path) -> Setting:
    """A model and a request for an evaluation; `change` edits the table, `answer` the tabular model."""

    def make_setting(
        evaluation: Evaluation,
        change: Callable[[pd.DataFrame], pd.DataFrame] = lambda table: table,
        answer: Any = make.logistic,
        rows: int = 60,
    ) -> tuple[Any, RunRequest]:
        if Modality.TABULAR in evaluation.requires.modalities:
            ref = make.data_ref(change(make.frame(rows)), tmp_path, favourable_label="yes")
            return make.Answering(answer), make.request(evaluation.name, ref)
        ref = make.data_ref(change(make.sentences(min(rows, 14))), tmp_path, make.TEXT_ROLES)
        return classifier, make.request(evaluation.name, ref, bert)

    return make_setting


def same(a: EvaluationResult, b: EvaluationResult) -> None:
    assert a.model_dump(exclude={"cost"}) == b.model_dump(exclude={"cost"})


@every
def test_the_same_seed_gives_the_same_result(
    evaluation: Evaluation, setting: Setting, tmp_path: Path
) -> None:
    model, asked = setting(evaluation)
    same(make.evaluate(evaluation, model, asked, tmp_path), make.evaluate(evaluation, model, asked, tmp_path))


@every
def test_one_shard_equals_seven(evaluation: Evaluation, setting: Setting, tmp_path: Path) -> None:
    model, asked = setting(evaluation)
    whole = make.evaluate(evaluation, model, asked, tmp_path)
    same(whole, make.evaluate(evaluation, model, asked, tmp_path, cuts=[1, 2, 5, 7, 9, 12]))


@every
def test_permuting_the_examples_changes_nothing(
    evaluation: Evaluation, setting: Setting, tmp_path: Path
) -> None:
    model, asked = setting(evaluation)
    straight = make.evaluate(evaluation, model, asked, tmp_path)
    model, asked = setting(evaluation, lambda table: table.sample(frac=1, random_state=3))
    same(straight, make.evaluate(evaluation, model, asked, tmp_path))


@every
def test_the_result_survives_json_and_its_charts_draw(
    evaluation: Evaluation, setting: Setting, tmp_path: Path
) -> None:
    model, asked = setting(evaluation)
    result = make.evaluate(evaluation, model, asked, tmp_path)
    text = result.model_dump_json(by_alias=True)
    assert EvaluationResult.model_validate_json(text) == result
    jsonschema.validate(json.loads(text), EvaluationResult.model_json_schema(by_alias=True))
    assert result.charts
    for chart in result.charts:
        assert "<svg" in vl_convert.vegalite_to_svg(chart.spec)
        assert chart.alt
        assert all(len(row) == len(chart.columns) for row in chart.rows)


@every
def test_only_declared_metrics_are_reported_and_none_is_forgotten(
    evaluation: Evaluation, setting: Setting, tmp_path: Path
) -> None:
    model, asked = setting(evaluation)
    result = make.evaluate(evaluation, model, asked, tmp_path)
    assert {m.name for m in result.metrics} == {spec.name for spec in evaluation.metrics}
    for metric in result.metrics:
        assert (metric.slice != "all") is catalogue.metric(evaluation.name, metric.name).sliced


@every
def test_parameters_round_trip_through_their_schema(evaluation: Evaluation) -> None:
    defaults = evaluation.Params()
    dumped = json.loads(defaults.model_dump_json())
    jsonschema.validate(dumped, evaluation.Params.model_json_schema())
    assert evaluation.Params.model_validate(dumped) == defaults
    with pytest.raises(ValueError, match="no_such_parameter"):
        evaluation.Params.model_validate({"no_such_parameter": 1})


@every
def test_what_is_shown_to_people_is_written(evaluation: Evaluation) -> None:
    assert evaluation.title
    assert evaluation.question.endswith("?")
    for spec in evaluation.metrics:
        assert "{value}" in spec.plain
        assert spec.formula
        assert spec.reference


@every
def test_no_rows_is_said(evaluation: Evaluation, setting: Setting, tmp_path: Path) -> None:
    model, asked = setting(evaluation, lambda table: table.iloc[:0])
    with pytest.raises(EvaluationError, match="no rows"):
        make.evaluate(evaluation, model, asked, tmp_path)


@every
def test_one_row_gives_typed_statuses(evaluation: Evaluation, setting: Setting, tmp_path: Path) -> None:
    model, asked = setting(evaluation, lambda table: table.iloc[:1])
    result = make.evaluate(evaluation, model, asked, tmp_path)
    assert result.coverage.attempted == 1
    assert all(m.value is not None or m.reason for m in result.metrics)


@every
def test_one_class_gives_typed_statuses(evaluation: Evaluation, setting: Setting, tmp_path: Path) -> None:
    def only_first(table: pd.DataFrame) -> pd.DataFrame:
        return table[table.label == table.label.iloc[0]]

    model, asked = setting(evaluation, only_first)
    result = make.evaluate(evaluation, model, asked, tmp_path)
    assert all(m.value is not None or m.reason for m in result.metrics)


@every
def test_missing_labels_are_said(evaluation: Evaluation, setting: Setting, tmp_path: Path) -> None:
    def lose(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(label=table.label.where(table.index != 3, None))

    model, asked = setting(evaluation, lose)
    with pytest.raises(EvaluationError, match="row 4"):
        make.evaluate(evaluation, model, asked, tmp_path)


@every
def test_labels_that_the_model_does_not_know_are_named(
    evaluation: Evaluation, setting: Setting, tmp_path: Path
) -> None:
    model, asked = setting(
        evaluation, lambda table: table.assign(label=table.label.replace(table.label.iloc[0], "où?"))
    )
    with pytest.raises(EvaluationError, match="'où\\?'") as error:
        make.evaluate(evaluation, model, asked, tmp_path)
    assert error.value.code == "labels_unmatched"
    assert all(repr(label) in error.value.message for label in model.labels)


@every
def test_odd_unicode_in_ids_groups_and_texts_is_carried(
    evaluation: Evaluation, setting: Setting, tmp_path: Path
) -> None:
    def odd(table: pd.DataFrame) -> pd.DataFrame:
        table = table.assign(id=[f"‮{i}\u0000é​🎬" for i in range(len(table))])
        if "sex" in table:
            table = table.assign(sex=table.sex.replace("Male", "‮M=ale\n<b>"))
        if "text" in table:
            odd_texts = [
                "",
                " ",
                "。",
                "中文電影很好看",
                "ﷺ" * 40,
                "\u0000\ud7ff",
                "a" * 5000,
                "👩‍👩‍👧‍👦",
                "­",
                "İI",
            ]
            table = table.assign(text=odd_texts + list(table.text[len(odd_texts) :]))
        return table

    model, asked = setting(evaluation, odd)
    result = make.evaluate(evaluation, model, asked, tmp_path)
    assert EvaluationResult.model_validate_json(result.model_dump_json(by_alias=True)) == result


@pytest.mark.parametrize(
    "evaluation", [e for e in EVERY if e.id != "robustness.text_char"]
)  # its weights always answer
def test_a_model_that_never_answers_gives_no_numbers(
    evaluation: Evaluation, setting: Setting, tmp_path: Path
) -> None:
    model, asked = setting(evaluation, answer=lambda rows: np.full((len(rows), 2), np.nan))
    result = make.evaluate(evaluation, model, asked, tmp_path)
    assert {m.status for m in result.metrics} == {MetricStatus.NOT_ESTIMABLE}
    assert result.coverage.failed == result.coverage.attempted == 60


def oracle(table: pd.DataFrame, right: bool) -> Any:
    truth = dict(zip(table.x, table.label == "yes", strict=True))

    def answer(rows: pd.DataFrame) -> np.ndarray:
        p = np.array([float(truth[x] == right) for x in rows.x])
        return np.column_stack([1 - p, p])

    return answer


KNOWN: dict[str, dict[str, dict[str, float | None]]] = {
    "perfect": {
        "quality.classification": {
            "accuracy": 1,
            "balanced_accuracy": 1,
            "macro_f1": 1,
            "mcc": 1,
            "auroc": 1,
            "average_precision": 1,
        },
        "quality.calibration": {
            "ece": 0,
            "ece_debiased": 0,
            "ece_adaptive": 0,
            "ece_classwise": 0,
            "brier": 0,
            "ece_null_mean": 0,
        },
        "fairness.group": {"tpr_gap": 0, "fpr_gap": 0, "equalized_odds_difference": 0},
    },
    "inverted": {
        "quality.classification": {
            "accuracy": 0,
            "balanced_accuracy": 0,
            "macro_f1": 0,
            "mcc": -1,
            "auroc": 0,
        },
        "quality.calibration": {"ece": 1, "ece_adaptive": 1, "ece_classwise": 1, "brier": 2},
        "fairness.group": {"tpr_gap": 0, "fpr_gap": 0, "equalized_odds_difference": 0},
    },
    "constant": {
        "quality.classification": {
            "accuracy": 0.5,
            "balanced_accuracy": 0.5,
            "macro_f1": 1 / 3,
            "mcc": 0,
            "auroc": 0.5,
        },
        "quality.calibration": {"ece": 0.25, "brier": 0.625},
        "fairness.group": {"selection_rate_ratio": 1, "selection_rate_gap": 0, "tpr_gap": 0, "fpr_gap": 0},
    },
}


@pytest.mark.parametrize("model", KNOWN)
@pytest.mark.parametrize("name", KNOWN["perfect"])
def test_perfect_inverted_and_constant_models_give_known_values(
    model: str, name: str, setting: Setting, tmp_path: Path
) -> None:
    table = make.frame(60)  # labels are split at the median: 30 and 30
    answers = {
        "perfect": oracle(table, True),
        "inverted": oracle(table, False),
        "constant": lambda rows: np.tile([0.25, 0.75], (len(rows), 1)),
    }
    evaluation = catalogue.get(name)
    stand_in, asked = setting(evaluation, answer=answers[model])
    got = make.values(make.evaluate(evaluation, stand_in, asked, tmp_path))
    for metric, value in KNOWN[model][name].items():
        where = "sex" if name == "fairness.group" else "all"
        assert got[metric, where] == pytest.approx(value, abs=1e-9), metric


def test_the_catalogue_loads_no_heavy_library() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from evaluations import catalogue; catalogue.all(); "
        "heavy = {'numpy', 'scipy', 'pandas', 'pyarrow', 'torch', 'transformers', 'textattack', 'fairlearn'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_unknown_names_get_suggestions() -> None:
    with pytest.raises(EvaluationError, match=r"Did you mean quality\.classification"):
        catalogue.get("quality.clasification")
    with pytest.raises(EvaluationError, match="balanced_accuracy"):
        catalogue.metric("quality.classification", "balance_accuracy")
