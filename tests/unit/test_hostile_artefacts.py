"""Hostile artefacts are refused for the named reason and run nothing; honest ones pass."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tracemalloc
from pathlib import Path

import jinja2
import pytest

from evaluations.intake.inspection import Accepted, Refused, inspect_any, inspect_model
from tests.model_files import CONFIG, hugging_face
from tests.unit.honest_artefacts import HONEST
from tests.unit.hostile_artefacts import CORPUS, Hostile, archive_of_many_parts, escape, payload

ALL_CHECKS = """
import json, sys
from auditor.client.cli import run
for folder in json.load(sys.stdin):
    code = run(["model", "check", folder, "--json"])
    print("exit", code)
"""


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "marker"


def made(one: Hostile, tmp_path: Path, marker: Path) -> Path:
    folder = tmp_path / one.name
    folder.mkdir()
    one.make(folder, marker)
    return folder


def test_the_corpus_is_large_and_wears_allowed_formats() -> None:
    assert len(CORPUS) >= 50
    assert sum(one.wears for one in CORPUS) >= 20
    assert len({one.name for one in CORPUS}) == len(CORPUS)
    assert len(HONEST) >= 20


def test_the_payloads_would_leave_the_marker_if_they_ran(marker: Path) -> None:
    for protocol in range(6):
        pickle.loads(payload(marker, protocol))  # ours, in a folder of this test
        assert marker.exists()
        marker.unlink()
    jinja2.Environment().from_string(escape(marker)).render()  # the sandbox is what this goes without
    assert marker.exists()


@pytest.mark.parametrize("one", CORPUS, ids=lambda one: one.name)
def test_a_hostile_artefact_is_refused_for_the_named_reason_and_runs_nothing(
    one: Hostile, tmp_path: Path, marker: Path
) -> None:
    result = inspect_model(made(one, tmp_path, marker), one.modality)
    assert isinstance(result, Refused), result
    assert {(reason.code, reason.path) for reason in result.reasons} == {(one.code, one.path)}
    assert all(reason.message.endswith(".") for reason in result.reasons)
    assert all(reason.message.isprintable() for reason in result.reasons)
    assert not marker.exists()


@pytest.mark.parametrize(("name", "modality", "make"), HONEST, ids=[name for name, _, _ in HONEST])
def test_an_honest_artefact_is_accepted(name: str, modality: str, make: object, tmp_path: Path) -> None:
    make(tmp_path)  # type: ignore[operator]
    result = inspect_model(tmp_path, modality)
    assert isinstance(result, Accepted), result
    fitting = inspect_any(tmp_path)
    assert isinstance(fitting, dict)
    assert modality in fitting


def test_the_command_line_refuses_all_of_them_in_a_process_of_its_own(tmp_path: Path, marker: Path) -> None:
    # two of the pickles are enough to have them scanned here, too
    ones = [one for one in CORPUS if one.code != "pickle"]
    ones += [
        one
        for one in CORPUS
        if one.name in ("pickle_of_protocol_0_named_json", "torch_archive_named_safetensors")
    ]
    folders = [str(made(one, tmp_path, marker)) for one in ones]
    done = subprocess.run(
        [sys.executable, "-P", "-c", ALL_CHECKS],
        input=json.dumps(folders),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    answers = [json.loads(text) for text in done.stdout.replace("exit 1\n", "\0").strip("\0").split("\0")]
    assert [answer["reasons"][0]["code"] for answer in answers] == [one.code for one in ones]
    assert not marker.exists()


def test_modules_in_the_folder_are_not_loaded_by_a_check_that_is_started_there(
    tmp_path: Path, marker: Path
) -> None:
    for name in ("json.py", "torch.py", "sitecustomize.py", "click.py", "auditor.py", "jinja2.py"):
        (tmp_path / name).write_text(f"open({str(marker)!r}, 'w').close()")
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}")
    (tmp_path / "model.pkl").write_bytes(b"N.")
    done = subprocess.run(
        [Path(sys.executable).with_name("auditor"), "model", "check", "."],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ""},
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "shadow  sitecustomize.py" in done.stdout
    assert not marker.exists()


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = hugging_face(tmp_path)
    really = os.open

    def as_another_person(path: object, *arguments: int) -> int:
        if str(path).endswith("config.json"):
            raise PermissionError(13, "Permission denied")
        return really(path, *arguments)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(os, "open", as_another_person)
    result = inspect_model(folder, "text_classifier")
    assert isinstance(result, Refused)
    assert [(reason.code, reason.path) for reason in result.reasons] == [("unreadable", "config.json")]


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("paths_of_another_computer", {"vocab_file": "/home/me/vocab.txt", "tokenizer_file": None}),
        ("no_inputs", {"init_inputs": []}),
    ],
)
def test_what_old_tokenizers_keep_is_accepted(name: str, files: dict[str, object], tmp_path: Path) -> None:
    folder = hugging_face(tmp_path)
    (folder / "tokenizer_config.json").write_text(json.dumps(files))
    assert isinstance(inspect_model(folder, "text_classifier"), Accepted), name


def test_a_reason_that_quotes_the_file_is_text_that_can_be_stored_and_shown(tmp_path: Path) -> None:
    config = {**CONFIG, "architectures": ["\x00\ud800\x1b[2J\u202e"]}
    (hugging_face(tmp_path) / "config.json").write_text(json.dumps(config))
    result = inspect_model(tmp_path, "text_classifier")
    assert isinstance(result, Refused)
    (reason,) = result.reasons
    assert (reason.code, reason.message.isprintable()) == ("wrong_architecture", True)
    assert "\ufffd\ufffd\ufffd[2J\ufffd" in reason.message


@pytest.mark.parametrize("name", ["model.skops", "README.md"])
def test_the_parts_of_an_archive_are_not_listed_where_they_are_too_many(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(archive_of_many_parts(300_000))
    tracemalloc.start()
    try:
        assert isinstance(inspect_model(tmp_path, "tabular"), Refused)
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    finally:
        tracemalloc.stop()
