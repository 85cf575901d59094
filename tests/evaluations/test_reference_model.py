"""A reference model answers the same shards in a pass of its own, and is held beside the audited one at merge."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from evaluations import catalogue, local, runner
from evaluations.context import Context
from evaluations.data.dataset import Dataset
from evaluations.merge import for_reference
from evaluations.quality.perplexity import Perplexity
from evaluations.spec import (
    EvaluationError,
    EvaluationResult,
    Failure,
    Modality,
    ModelRef,
    Requirements,
    Role,
    RunRequest,
    ShardState,
)
from tests.evaluations import lm, make, tasks

ROLES = {"id": Role.ID, "text": Role.INPUT}


def texts(n: int) -> pd.DataFrame:
    return make.sentences(n, seed=2)[["id", "text"]]


class Compared(Perplexity):
    """Perplexity that notes what the reference answered."""

    requires: Requirements = Perplexity.requires.model_copy(update={"reference": True})  # type: ignore[misc]
    seen: Sequence[ShardState] = ()

    def merge(
        self, states: Sequence[ShardState], data: Dataset, params: Any, ctx: Context
    ) -> EvaluationResult:
        self.seen = ctx.reference_states
        return super().merge(states, data, params, ctx)


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> Compared:
    found = Compared()
    get = catalogue.get
    monkeypatch.setattr(catalogue, "get", lambda name: found if name == found.name else get(name))
    return found


def asked(folder: Path, model: ModelRef, reference: ModelRef | None) -> RunRequest:
    data = make.data_ref(texts(9), folder, ROLES)
    return make.request(Compared.name, data, model).model_copy(update={"reference": reference})


def total(state: ShardState) -> float:
    return float(sum(value for held in state.records.column("logprob").to_pylist() for value in held))


def test_what_is_no_reference_is_refused(tmp_path: Path) -> None:
    other = tasks.SPEAKER.model_copy(update={"digest": "another"})
    found = for_reference(asked(tmp_path, tasks.SPEAKER, other))
    assert (found.model, found.reference) == (other, None)
    classifier = other.model_copy(update={"modality": Modality.TEXT_CLASSIFIER})
    for reference, code in (
        (None, "no_reference"),
        (tasks.SPEAKER, "reference_is_model"),
        (classifier, "reference_of_other_kind"),
    ):
        with pytest.raises(EvaluationError) as error:
            for_reference(asked(tmp_path, tasks.SPEAKER, reference))
        assert error.value.code == code


def test_model_and_reference_run_apart_and_are_merged(tmp_path: Path, compared: Compared) -> None:
    model = lm.causal_lm(tmp_path / "model", seed=1)
    reference = lm.causal_lm(tmp_path / "reference", seed=2)
    request = asked(tmp_path, model, reference)
    own, theirs = tmp_path / "request.json", tmp_path / "theirs.json"
    own.write_text(request.model_dump_json(by_alias=True))
    # what a supervisor tells the child that holds the reference
    theirs.write_text(
        request.model_copy(update={"model": reference, "reference": None}).model_dump_json(by_alias=True)
    )
    out, said = str(tmp_path / "out"), str(tmp_path / "said")
    assert runner.main(["run", str(own), "--out", out]) == 0
    assert runner.main(["run", str(theirs), "--out", said]) == 0
    merged = ["merge", str(own), "--shards", out, "--out", str(tmp_path / "result")]
    failure = tmp_path / "result" / "failure.json"
    assert runner.main(merged) == 3
    assert json.loads(failure.read_text())["code"] == "no_reference_shards"
    # what the model answered is not what the reference did
    assert runner.main([*merged, "--reference-shards", out]) == 3
    assert json.loads(failure.read_text())["code"] == "bad_shard"
    assert runner.main([*merged, "--reference-shards", said]) == 0
    (state,) = compared.seen
    found = EvaluationResult.model_validate_json((tmp_path / "result/result.json").read_bytes())
    assert found.model_digest == model.digest
    alone = local.run(Compared.name, reference, texts(9), roles=ROLES, progress=False)
    bits = {m.name: m.value for m in alone.ended[Compared.name].metrics}["bits_per_byte"]
    size = sum(len(text.encode()) for text in texts(9).text)
    assert -total(state) / size / math.log(2) == pytest.approx(bits)


def test_without_a_reference_it_runs_and_its_shards_are_refused(tmp_path: Path, compared: Compared) -> None:
    path = tmp_path / "request.json"
    model = lm.causal_lm(tmp_path / "model")
    path.write_text(asked(tmp_path, model, None).model_dump_json(by_alias=True))
    out = str(tmp_path / "out")
    assert runner.main(["run", str(path), "--out", out]) == 0
    merged = ["merge", str(path), "--shards", out, "--out", str(tmp_path / "result")]
    assert runner.main(merged) == 0
    assert compared.seen == ()
    assert runner.main([*merged, "--reference-shards", out]) == 3
    assert json.loads((tmp_path / "result/failure.json").read_text())["code"] == "no_reference"


def test_a_reference_is_given_in_a_notebook(compared: Compared) -> None:
    local.run(
        Compared.name,
        tasks.Speaking(lambda context, text: -1.0),
        texts(20),
        roles=ROLES,
        reference=tasks.Speaking(lambda context, text: -7.0),
        progress=False,
    )
    assert [total(state) for state in compared.seen] == [-140.0]


def test_what_compares_with_none_is_not_asked_of_the_reference() -> None:
    silent = tasks.Speaking(lambda context, text: None)
    local.run(
        Compared.name,
        tasks.Speaking(lambda context, text: -1.0),
        texts(20),
        roles=ROLES,
        reference=silent,
        progress=False,
    )
    assert silent.asked == []


def test_a_reference_of_another_kind_is_a_failure_of_that_evaluation_alone(
    tmp_path: Path, compared: Compared
) -> None:
    classifier = tasks.SPEAKER.model_copy(update={"digest": "c", "modality": Modality.TEXT_CLASSIFIER})
    model = lm.causal_lm(tmp_path / "model")
    data = make.data_ref(texts(9), tmp_path, ROLES)
    items = [local.Item("compared", Compared.name), local.Item("plain", "quality.contamination")]
    subject = local.Subject(model, reference_ref=classifier)
    ended = {item.name: outcome for item, outcome in local.run_items(items, subject, data, seed=1)}
    assert isinstance(ended["compared"], Failure)
    assert ended["compared"].code == "reference_of_other_kind"
    assert isinstance(ended["plain"], EvaluationResult)
