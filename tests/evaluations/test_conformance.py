"""What every evaluation must satisfy, whoever wrote it: the suite is over the whole catalogue."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pandas as pd
import pytest
import vl_convert

from evaluations import catalogue
from evaluations.spec import (
    Evaluation,
    EvaluationError,
    EvaluationResult,
    MetricStatus,
    ModelRef,
    Role,
)
from tests.evaluations import make
from tests.evaluations.cases import Case, case_of

Change = Callable[[pd.DataFrame], pd.DataFrame]

EVERY = [pytest.param(e, id=e.name) for e in catalogue.all()]
every = pytest.mark.parametrize("evaluation", EVERY)
repeatable = pytest.mark.parametrize("evaluation", [e for e in EVERY if not case_of(e.values[0]).timed])
labelled = pytest.mark.parametrize("evaluation", [e for e in EVERY if case_of(e.values[0]).label])
may_be_silent = pytest.mark.parametrize("evaluation", [e for e in EVERY if case_of(e.values[0]).silent])
with_target = pytest.mark.parametrize(
    "evaluation", [e for e in EVERY if Role.TARGET in e.values[0].requires.roles]
)
with_known_values = pytest.mark.parametrize("evaluation", [e for e in EVERY if case_of(e.values[0]).known])
CUTS = [1, 2, 5, 7, 9, 12]


@dataclass
class Setting:
    """A case made ready: its model, and requests on its table or on a changed one."""

    case: Case
    model: Any
    ref: ModelRef
    parent: Any
    judge: Any
    judge_ref: ModelRef | None
    reference: Any
    reference_ref: ModelRef | None
    folder: Path

    def table(self, change: Change = lambda table: table) -> pd.DataFrame:
        return change(self.case.table(self.case.rows))

    def run(
        self, evaluation: Evaluation, change: Change = lambda table: table, model: Any = None, **how: Any
    ) -> EvaluationResult:
        data = make.data_ref(self.table(change), self.folder, self.case.roles, **self.case.data)
        asked = make.request(evaluation.name, data, self.ref, **self.case.params)
        asked = asked.model_copy(update={"judge": self.judge_ref, "reference": self.reference_ref})
        how |= {"parent": self.parent, "judge": self.judge, "reference": self.reference}
        return make.evaluate(evaluation, model or self.model, asked, self.folder, **how)


@functools.cache
def _models(name: str, folder: Path) -> tuple[Any, ModelRef, Any, Any, ModelRef | None, Any, ModelRef | None]:
    case = case_of(catalogue.get(name))
    model, ref = case.model(folder / "model")
    parent, parent_ref = case.parent(folder / "parent") if case.parent else (None, None)
    judge, judge_ref = case.judge(folder / "judge") if case.judge else (None, None)
    reference, reference_ref = case.reference(folder / "reference") if case.reference else (None, None)
    ref = ref.model_copy(update={"parent": parent_ref})
    return model, ref, parent, judge, judge_ref, reference, reference_ref


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("conformance")


@pytest.fixture
def setting(request: pytest.FixtureRequest, models_folder: Path, tmp_path: Path) -> Setting:
    """The case of the test's evaluation."""
    name = request.getfixturevalue("evaluation").name
    return Setting(case_of(catalogue.get(name)), *_models(name, models_folder / name), tmp_path)


def same(a: EvaluationResult, b: EvaluationResult) -> None:
    assert a.model_dump(exclude={"cost"}) == b.model_dump(exclude={"cost"})


@repeatable
def test_the_same_seed_gives_the_same_result(evaluation: Evaluation, setting: Setting) -> None:
    same(setting.run(evaluation), setting.run(evaluation))


@repeatable
def test_one_shard_equals_seven(evaluation: Evaluation, setting: Setting) -> None:
    same(setting.run(evaluation), setting.run(evaluation, cuts=CUTS))


@repeatable
def test_a_killed_run_goes_on_to_the_same_result(evaluation: Evaluation, setting: Setting) -> None:
    same(setting.run(evaluation), setting.run(evaluation, cuts=CUTS, killed_after=3))


@repeatable
def test_permuting_the_examples_changes_nothing(evaluation: Evaluation, setting: Setting) -> None:
    same(setting.run(evaluation), setting.run(evaluation, lambda table: table.sample(frac=1, random_state=3)))


@every
def test_the_result_survives_json_and_its_charts_draw(evaluation: Evaluation, setting: Setting) -> None:
    result = setting.run(evaluation)
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
    evaluation: Evaluation, setting: Setting
) -> None:
    result = setting.run(evaluation)
    declared = {spec.name for spec in evaluation.metrics}
    wanted = declared if setting.case.reports is None else setting.case.reports
    assert {m.name for m in result.metrics} == wanted <= declared
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
def test_no_rows_is_said(evaluation: Evaluation, setting: Setting) -> None:
    with pytest.raises(EvaluationError, match="no rows"):
        setting.run(evaluation, lambda table: table.iloc[:0])


@every
def test_one_row_gives_typed_statuses(evaluation: Evaluation, setting: Setting) -> None:
    try:
        result = setting.run(evaluation, lambda table: table.iloc[:1])
    except EvaluationError as error:
        assert error.message  # noqa: PT017  # either it is refused with a reason …
    else:
        assert all(m.value is not None or m.reason for m in result.metrics)  # … or every metric has its own


@labelled
def test_one_class_gives_typed_statuses(evaluation: Evaluation, setting: Setting) -> None:
    label = setting.case.label
    result = setting.run(evaluation, lambda table: table[table[label] == table[label].iloc[0]])
    assert all(m.value is not None or m.reason for m in result.metrics)


@with_target
def test_missing_labels_are_said(evaluation: Evaluation, setting: Setting) -> None:
    targets = [column for column, role in setting.case.roles.items() if role is Role.TARGET]
    with pytest.raises(EvaluationError, match="row 4"):
        setting.run(
            evaluation,
            lambda table: table.assign(**{targets[0]: table[targets[0]].where(table.index != 3, None)}),
        )


@labelled
def test_labels_that_the_model_does_not_know_are_named(evaluation: Evaluation, setting: Setting) -> None:
    label = setting.case.label
    with pytest.raises(EvaluationError, match="'où\\?'") as error:
        setting.run(
            evaluation,
            lambda table: table.assign(**{label: table[label].replace(table[label].iloc[0], "où?")}),
        )
    assert error.value.code == "labels_unmatched"
    assert all(repr(name) in error.value.message for name in setting.model.labels)


ODD_TEXTS = [
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


@every
def test_odd_unicode_in_ids_groups_and_texts_is_carried(evaluation: Evaluation, setting: Setting) -> None:
    def odd(table: pd.DataFrame) -> pd.DataFrame:
        table = table.assign(id=[f"‮{i}\u0000é​🎬" for i in range(len(table))])
        if "sex" in table:
            table = table.assign(sex=table.sex.replace("Male", "‮M=ale\n<b>"))
        if "text" in table:
            table = table.assign(text=(ODD_TEXTS + list(table.text[len(ODD_TEXTS) :]))[: len(table)])
        return table

    result = setting.run(evaluation, odd)
    assert EvaluationResult.model_validate_json(result.model_dump_json(by_alias=True)) == result


@may_be_silent
def test_a_model_that_never_answers_gives_no_numbers(evaluation: Evaluation, setting: Setting) -> None:
    result = setting.run(evaluation, model=setting.case.silent())
    assert {m.status for m in result.metrics} == {MetricStatus.NOT_ESTIMABLE}
    assert result.coverage.failed == result.coverage.attempted


@with_known_values
def test_models_whose_values_are_known_get_them(evaluation: Evaluation, setting: Setting) -> None:
    for name, (model, values) in setting.case.known.items():
        got = make.values(setting.run(evaluation, model=model(setting.table())))
        for where, value in values.items():
            assert got[where] == pytest.approx(value, abs=1e-9), (name, where)


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
