"""security.artefact: what was planted is counted by kind, nothing is loaded or run, honest files pass."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from evaluations import local
from evaluations.engine import fingerprint
from evaluations.merge import merge_request
from evaluations.runner import run_request
from evaluations.security import artefact_findings
from evaluations.security.artefact_findings import Finding
from evaluations.security.artefact_scan import SCHEMA
from evaluations.spec import (
    EvaluationError,
    EvaluationResult,
    Modality,
    ModelFormat,
    ModelRef,
    RunRequest,
    ShardState,
)
from tests import model_files
from tests.evaluations import make
from tests.unit.hostile_artefacts import CORPUS, payload

HARM = ("unsafe_files", "pickles", "hidden_code", "outside_references", "secrets")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return model_files.hugging_face(tmp_path / "model")


def request_on(folder: Path, tmp_path: Path, **more: Any) -> RunRequest:
    kinds = {"modality": Modality.TEXT_CLASSIFIER, "format": ModelFormat.SAFETENSORS, **more}
    ref = ModelRef(path=str(folder), digest="files", **kinds)
    data = make.data_ref(make.sentences(3), tmp_path, make.TEXT_ROLES)
    return make.request("security.artefact", data, ref)


def look(folder: Path, tmp_path: Path, **more: Any) -> EvaluationResult:
    """The whole run as the service makes it: one command that reads, another that counts."""
    request, out = request_on(folder, tmp_path, **more), tmp_path / "out"
    out.mkdir(exist_ok=True)
    run_request(request, out)
    return merge_request(request, out, out)


def numbers(result: EvaluationResult) -> dict[str, float | None]:
    return {metric.name: metric.value for metric in result.metrics}


def plant(folder: Path, marker: Path) -> None:
    """A pickle under the name of the weights, an auto_map, a token, a link out of the folder."""
    (folder / "model.safetensors").write_bytes(payload(marker))
    config = {**model_files.CONFIG, "auto_map": {"AutoModel": "modeling.Own"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "README.md").write_text(f"---\nlicense: mit\n---\nuse hf_{'b' * 34}\n")
    (folder / "vocab.txt").symlink_to("/etc/passwd")


def test_honest_files_are_accepted_with_no_finding(folder: Path, tmp_path: Path) -> None:
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Honest\n")
    result = look(folder, tmp_path)
    found = numbers(result)
    assert {name: found[name] for name in HARM} == dict.fromkeys(HARM, 0.0)
    assert (found["scanner_findings"], found["accepted"], found["licence_known"]) == (0.0, 1.0, 1.0)
    assert result.coverage.scored == 4
    assert result.warnings == ()
    assert result.cost.queries == 0


def test_what_was_planted_is_counted_by_kind_and_never_run(folder: Path, tmp_path: Path) -> None:
    plant(folder, tmp_path / "marker")
    result = look(folder, tmp_path)
    found = numbers(result)
    assert [found[name] for name in HARM] == [4.0, 1.0, 1.0, 1.0, 1.0]
    assert (found["accepted"], found["licence_known"]) == (0.0, 0.0)
    assert not (tmp_path / "marker").exists()
    rows = {(code, path) for _, code, path, _ in result.charts[0].rows}
    assert rows >= {
        ("pickle", "model.safetensors"),
        ("auto_map", "config.json"),
        ("secret", "README.md"),
        ("symlink", "vocab.txt"),
    }
    assert "bbbbbbbbbbbb" not in result.model_dump_json()  # a secret is not repeated in the report


def test_scanners_say_what_a_pickle_would_do(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("picklescan")
    (folder / "pytorch_model.bin").write_bytes(payload(tmp_path / "marker"))
    result = look(folder, tmp_path)
    assert (numbers(result)["scanner_findings"] or 0) >= 1
    said = [what for kind, _, _, what in result.charts[0].rows if kind == "Scanner"]
    assert any("posix.system" in what or "system" in what for what in said)
    assert not (tmp_path / "marker").exists()


def test_where_no_process_may_be_started_the_numbers_are_the_same(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(folder, tmp_path / "marker")
    (folder / "chat_template.jinja").write_text("{% for i in range(99999) %}{% for j in range(99999) %}ab")
    tokenizer = {"chat_template": "{% for i in range(99999) %}{{ 'a' * 99999 }}{% endfor %}"}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    outside = look(folder, tmp_path / "first")

    def denied(*args: Any, **kwargs: Any) -> Any:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(subprocess, "run", denied)
    inside = look(folder, tmp_path / "second")
    assert numbers(inside) == numbers(outside)
    assert inside.charts == outside.charts
    assert ("Hidden code", "template_loop", "tokenizer_config.json") in {
        row[:3] for row in inside.charts[0].rows
    }


def test_a_missing_part_is_refused_and_harms_nobody(folder: Path, tmp_path: Path) -> None:
    (folder / "tokenizer.json").unlink()
    found = numbers(look(folder, tmp_path))
    assert (found["unsafe_files"], found["accepted"]) == (0.0, 0.0)


def test_weights_that_no_library_could_load_are_a_finding_and_no_crash(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\xff" * 100)
    assert numbers(look(folder, tmp_path))["unsafe_files"] == 1.0


def test_names_of_files_may_be_any_bytes(folder: Path, tmp_path: Path) -> None:
    (folder / "bad\n\x1b[31m\udcff.py").write_text("")
    result = look(folder, tmp_path)
    assert numbers(result)["hidden_code"] == 1.0
    assert any("\\n\\x1b" in str(row[2]) for row in result.charts[0].rows)


def test_a_service_is_not_asked_and_the_report_says_what_was_not_seen(tmp_path: Path) -> None:
    folder = tmp_path / "served"
    folder.mkdir()
    spec = {
        "schema": "endpoint/1",
        "protocol": "openai_chat",
        "url": "https://nowhere.invalid/v1/chat/completions",
        "model": "m",
    }
    (folder / "endpoint.json").write_text(json.dumps(spec))
    result = look(folder, tmp_path, modality=Modality.CAUSAL_LM, format=ModelFormat.ENDPOINT)
    assert numbers(result)["accepted"] == 1.0
    assert any("served elsewhere" in said for said in result.warnings)
    assert not (tmp_path / "out" / fingerprint.NAME).exists()


def test_a_model_in_memory_has_no_files_to_look_at() -> None:
    with pytest.raises(EvaluationError) as caught:
        local.run("security.artefact", make.Answering(make.logistic), make.frame(5), progress=False)
    assert caught.value.code == "no_files"


def test_a_folder_is_looked_at_beside_other_evaluations_of_a_local_run(folder: Path) -> None:
    results = local.run("security.artefact", str(folder), pd.DataFrame({"text": ["a", "b"]}), progress=False)
    assert results.results["security.artefact"].metrics[0].value == 0.0


@pytest.mark.parametrize("code", sorted({hostile.code for hostile in CORPUS}))
def test_every_reason_of_the_hostile_corpus_counts_as_unsafe(code: str) -> None:
    assert Finding("reason", code, "file", "").kind not in ("misfit", "note", "scan")


def records(**changed: Any) -> ShardState:
    row = {
        "example_id": "0000",
        "source": "reason",
        "code": "pickle",
        "path": "a",
        "message": "b",
        **changed,
    }
    return ShardState(pa.table({k: [v] for k, v in row.items()}, schema=SCHEMA), {"files": 1})


@pytest.mark.parametrize(
    "state",
    [
        records(source="elsewhere"),
        records(code="Not a code"),
        records(path="a" * 301),
        records(message="b" * 1001),
        records(message="\x1b[2J"),
        records(path=None),
        ShardState(SCHEMA.empty_table(), {"files": 1}),
        ShardState(records().records, {"files": 10**9}),
        ShardState(records().records, {"files": -1}),
        ShardState(pa.table({"example_id": ["a"]}), {"files": 1}),
        ShardState(pa.concat_tables([records().records] * 5001), {"files": 1}),
    ],
)
def test_records_that_no_look_gives_are_refused(state: ShardState) -> None:
    with pytest.raises(EvaluationError) as caught:
        artefact_findings.collect([state])
    assert caught.value.code == "bad_records"
