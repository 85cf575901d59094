"""security.artefact in the real sandbox, where nothing may start a process: the same numbers as outside."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from evaluations import shardfiles
from evaluations.runner import run_request
from evaluations.spec import Modality, ModelFormat, ModelRef, Shard
from tests import model_files
from tests.evaluations import make
from tests.unit.hostile_artefacts import payload
from tests.workers import sandboxed
from workers.isolation.sandbox import Limits, launch


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other accounts may read; pytest's own are 0700."""
    with tempfile.TemporaryDirectory(prefix="auditor-artefact-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_the_files_are_read_and_scanned_where_no_process_may_be_started(open_folder: Path) -> None:
    pytest.importorskip("picklescan")
    model = model_files.hugging_face(open_folder / "model")
    (model / "vocab.txt").write_bytes(payload(open_folder / "marker"))
    (model / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages[0].content }}"}))
    data = open_folder / "data"
    data.mkdir()
    ref = ModelRef(
        path=str(model), digest="files", modality=Modality.TEXT_CLASSIFIER, format=ModelFormat.SAFETENSORS
    )
    table = make.data_ref(make.sentences(3), data, make.TEXT_ROLES)
    request = make.request("security.artefact", table, ref)
    asked = open_folder / "request.json"
    asked.write_text(request.model_dump_json(by_alias=True))
    run = sandboxed.run_folder(open_folder)

    argv = [sys.executable, "-m", "evaluations", "run", str(asked), "--out", str(run / "out")]
    child = launch(argv, read=[asked, model, data], write=run / "out", limits=Limits())
    ended = sandboxed.wait(child)
    assert ended.returncode == 0, child.stderr.read_text()

    outside = open_folder / "outside"
    outside.mkdir()
    run_request(request, outside)
    shard = Shard(0, 0, 1)
    inside, expected = (shardfiles.read(out, shard, request)[0] for out in (run / "out", outside))
    assert inside.counters == expected.counters
    assert inside.records.to_pylist() == expected.records.to_pylist()
    assert {row["source"] for row in inside.records.to_pylist()} >= {"reason", "note", "picklescan"}
    assert not (open_folder / "marker").exists()
