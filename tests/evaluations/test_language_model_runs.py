"""Whole runs of a language model's evaluations: from its files to result.json, however the rows are cut."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from evaluations import catalogue
from evaluations.models.loader import load
from evaluations.runner import main
from evaluations.spec import EvaluationResult, ModelRef, Role, RunRequest
from tests.evaluations import lm, make, tasks

TEXTS = {"id": Role.ID, "text": Role.INPUT}
ROLES = {
    "quality.multiple_choice": tasks.ROLES,
    "quality.perplexity": TEXTS,
    "quality.contamination": TEXTS,
}
every = pytest.mark.parametrize("name", ROLES)


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module")
def ref(tmp_path_factory: pytest.TempPathFactory) -> ModelRef:
    return lm.causal_lm(tmp_path_factory.mktemp("llama"), "llama")


def asked_of(name: str, table: pd.DataFrame, folder: Path, ref: ModelRef) -> RunRequest:
    params = {"block": 3} if name == "quality.contamination" else {}
    return make.request(name, make.data_ref(table, folder, ROLES[name]), ref, **params)


@every
def test_a_run_goes_from_the_models_files_to_its_result(name: str, ref: ModelRef, tmp_path: Path) -> None:
    asked = asked_of(name, tasks.questions(18), tmp_path, ref)
    path = tmp_path / "request.json"
    path.write_text(json.dumps(json.loads(asked.model_dump_json(by_alias=True))))
    assert main(["run", str(path), "--out", str(tmp_path / "run")]) == 0
    assert main(["merge", str(path), "--shards", str(tmp_path / "run"), "--out", str(tmp_path)]) == 0
    result = EvaluationResult.model_validate_json((tmp_path / "result.json").read_bytes())
    assert result.coverage.scored == 18
    assert result.cost.tokens > 0
    assert any(metric.value is not None for metric in result.metrics)


@every
def test_where_the_rows_are_cut_changes_no_number_beyond_rounding(
    name: str, ref: ModelRef, tmp_path: Path
) -> None:
    model = load(ref)
    asked = asked_of(name, tasks.questions(18), tmp_path, ref)
    whole = make.evaluate(catalogue.get(name), model, asked, tmp_path)
    cut = make.evaluate(catalogue.get(name), model, asked, tmp_path, cuts=[1, 2, 7, 11])
    for a, b in zip(whole.metrics, cut.metrics, strict=True):
        assert (a.name, a.status, a.reason) == (b.name, b.status, b.reason)
        assert (a.value or 0) == pytest.approx(b.value or 0, rel=1e-4, abs=1e-4)
