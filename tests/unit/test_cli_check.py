"""`auditor model check`: the intake on this machine, its exit codes, and what it prints of hostile names."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evaluations.intake import pickle_scan
from tests.model_files import hugging_face, tabular
from tests.unit.cli import CommandLine
from tests.unit.hostile_artefacts import SECRETS, payload
from tests.unit.test_cli_is_light import HEAVY


def test_a_sound_folder_is_accepted_as_every_kind_that_it_fits(auditor: CommandLine, tmp_path: Path) -> None:
    folder = tabular(tmp_path / "income")
    (folder / "LICENSE").write_text("Apache License\nVersion 2.0, January 2004")
    done = auditor("model", "check", folder)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].startswith("ACCEPTED  ")
    assert "as tabular, tabular_regression (skops, 2 files, " in lines[0]
    assert lines[1].strip().startswith("sha256:")
    assert lines[3:] == ["note: licence  LICENSE  The licence is Apache-2.0."]


def test_the_digest_is_the_one_that_a_push_would_give(auditor: CommandLine, tmp_path: Path) -> None:
    from auditor.client import push

    folder = hugging_face(tmp_path / "sentiment")
    answer = json.loads(auditor("model", "check", folder, "--modality", "text_classifier", "--json").out)
    assert answer["digest"] == push.model_digest(push.model_files(folder))
    assert answer["modalities"] == ["text_classifier"]


def test_each_reason_is_one_line_with_its_code_and_path(auditor: CommandLine, tmp_path: Path) -> None:
    folder = hugging_face(tmp_path / "evil")
    (folder / "modeling.py").write_text("pass")
    (folder / "config.json").write_text('{"auto_map": {}}')
    (folder / "README.md").write_text(SECRETS["hugging_face"])
    done = auditor("model", "check", folder)
    assert done.code == 1
    first, *rows = done.out.splitlines()[:4]
    assert first.startswith("REFUSED  ")
    assert sorted(row.split("  ")[:2] for row in rows) == [
        ["auto_map", "config.json"],
        ["code", "modeling.py"],
        ["secret", "README.md"],
    ]
    assert SECRETS["hugging_face"] not in done.out
    assert SECRETS["hugging_face"][:6] in done.out


def test_a_folder_of_another_kind_is_refused_for_what_it_is_said_to_be(
    auditor: CommandLine, tmp_path: Path
) -> None:
    folder = tabular(tmp_path / "income")
    done = auditor("model", "check", folder, "--modality", "causal_lm")
    assert done.code == 1
    assert "wrong_format  model.skops  " in done.out


def test_without_a_kind_the_nearest_one_says_what_is_missing(auditor: CommandLine, tmp_path: Path) -> None:
    folder = hugging_face(tmp_path / "sentiment")
    (folder / "tokenizer.json").unlink()
    assert "no_tokenizer  tokenizer.json  " in auditor("model", "check", folder).out
    (folder / "config.json").write_text('{"architectures": ["DetrForObjectDetection"]}')
    assert "no_kind  model.safetensors  " in auditor("model", "check", folder).out
    (folder / "model.safetensors").unlink()
    assert "no_model  .  " in auditor("model", "check", folder).out


@pytest.mark.parametrize("name", ["a\x1b[2J.json", "b\nACCEPTED.json", "c\u202enosj.json", "d\u2028.json"])
def test_a_hostile_name_cannot_steer_the_terminal(name: str, auditor: CommandLine, tmp_path: Path) -> None:
    folder = hugging_face(tmp_path / "evil")
    (folder / name).write_text("{}")
    done = auditor("model", "check", folder)
    assert done.code == 1
    (row,) = [line for line in done.out.split("\n") if line.startswith("name  ")]
    assert row.isprintable()
    assert "\\" in row
    assert len([line for line in done.out.split("\n") if line.startswith("ACCEPTED")]) == 0


def test_a_name_that_is_no_text_is_written_out_in_every_form(auditor: CommandLine, tmp_path: Path) -> None:
    folder = hugging_face(tmp_path / "evil")
    (folder / "x\udcff.json").write_text("{}")
    assert "name  x\\udcff.json  " in auditor("model", "check", folder).out
    assert json.loads(auditor("model", "check", folder, "--json").out)["reasons"][0]["path"] == "x\\xff.json"
    sarif = json.loads(auditor("model", "check", folder, "--sarif").out)
    place = sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"].endswith("/evil/x%FF.json")


def test_usage_is_not_a_refusal(auditor: CommandLine, tmp_path: Path) -> None:
    assert auditor("model", "check", tmp_path / "nowhere").code == 2
    (tmp_path / "file").touch()
    assert auditor("model", "check", tmp_path / "file").code == 2
    assert auditor("model", "check", tmp_path, "--json", "--sarif").code == 2
    assert auditor("model", "check", tmp_path, "--modality", "oracle").code == 2
    assert auditor("model", "check").code == 2
    assert auditor("model", "check", "").code == 2  # as of a variable that is not set


def test_the_json_has_the_fields_that_the_reference_names(auditor: CommandLine, tmp_path: Path) -> None:
    folder = tabular(tmp_path / "income")
    accepted = json.loads(auditor("model", "check", folder, "--json").out)
    (folder / "model.pkl").write_bytes(payload(tmp_path / "marker"))
    refused = json.loads(auditor("model", "check", folder, "--json").out)
    assert accepted.keys() == refused.keys()
    reference = (Path(__file__).parents[2] / "docs" / "reference" / "models.md").read_text(encoding="utf-8")
    for record in (accepted, refused):
        assert record["schema"] == "model-check/1"
        for field in record:
            assert f"`{field}`" in reference
    assert set(refused["pickles"][0]) == {"path", "engine", "severity", "subject", "message"}
    assert (accepted["accepted"], refused["accepted"]) == (True, False)
    assert not (tmp_path / "marker").exists()


def test_every_code_is_in_the_reference() -> None:
    from tests.unit.hostile_artefacts import CORPUS

    reference = (Path(__file__).parents[2] / "docs" / "reference" / "models.md").read_text(encoding="utf-8")
    assert sorted(code for code in {one.code for one in CORPUS} if f"`{code}`" not in reference) == []


def test_sarif_has_a_result_per_reason_at_its_file(
    auditor: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = hugging_face(tmp_path / "evil model")
    (folder / "modeling.py").write_text("pass")
    (folder / "config.json").write_text('{"auto_map": {}}')
    monkeypatch.chdir(tmp_path)
    log: dict[str, Any] = json.loads(auditor("model", "check", "evil model", "--sarif").out)
    assert (log["version"], len(log["runs"])) == ("2.1.0", 1)
    assert "sarif-schema-2.1.0" in log["$schema"]
    (run,) = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(set(rules)) == len(rules)
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert (result["kind"] == "fail") == (result["level"] == "error")
        assert len(result["partialFingerprints"]["check/v1"]) == 64
        assert result["message"]["text"]
    failed = {
        r["ruleId"]: r["locations"][0]["physicalLocation"] for r in run["results"] if r["kind"] == "fail"
    }
    assert failed["auto_map"]["artifactLocation"] == {"uri": "evil%20model/config.json"}
    assert failed["code"]["artifactLocation"] == {"uri": "evil%20model/modeling.py"}
    again = json.loads(auditor("model", "check", "evil model", "--sarif").out)
    assert [r["partialFingerprints"] for r in again["runs"][0]["results"]] == [
        r["partialFingerprints"] for r in run["results"]
    ]


def test_the_check_needs_neither_the_service_nor_anything_heavy(tmp_path: Path) -> None:
    folder = tabular(tmp_path / "income")
    code = f"""
import sys
sys.modules.update(dict.fromkeys(("jinja2", "picklescan", "fickling", "modelaudit_picklescan")))
from auditor.client.cli import run
done = run(["model", "check", {str(folder)!r}])
print(int(done), [m for m in {HEAVY!r} if m in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.splitlines()[-1] == "0 []"


# --- what pickles would do ----------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_every_engine_names_what_a_pickle_would_run(protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(payload(tmp_path / "marker", protocol))
    found = pickle_scan.scan(path)
    named = {one.engine for one in found if one.severity == "malicious" and "system" in one.subject}
    assert named == set(pickle_scan.ENGINES)
    assert not (tmp_path / "marker").exists()


def test_a_scan_that_finds_nothing_accepts_nothing(auditor: CommandLine, tmp_path: Path) -> None:
    folder = tabular(tmp_path / "income")
    (folder / "extra.pkl").write_bytes(b"\x80\x04}.")
    done = auditor("model", "check", folder)
    assert done.code == 1
    assert "pickle  extra.pkl  " in done.out
    assert "malicious" not in done.out


def test_an_engine_that_is_missing_or_crashes_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(payload(tmp_path / "marker"))
    bare = tmp_path / "bare"
    bare.mkdir()
    monkeypatch.setattr(pickle_scan.sys, "executable", _bare_python(tmp_path))
    assert {(one.engine, one.severity) for one in pickle_scan.scan(path)} == {
        (engine, "not_scanned") for engine in pickle_scan.ENGINES
    }
    monkeypatch.setattr(pickle_scan.sys, "executable", "/bin/false")
    assert {one.severity for one in pickle_scan.scan(path)} == {"unreadable"}


def _bare_python(folder: Path) -> str:
    """A Python that has the standard library alone."""
    script = folder / "python"
    script.write_text(f'#!/bin/sh\nexec "{sys._base_executable}" -S "$@"\n')  # type: ignore[attr-defined]
    script.chmod(0o755)
    return str(script)


def test_links_and_what_is_no_file_are_not_scanned(tmp_path: Path) -> None:
    (tmp_path / "link.pkl").symlink_to("/etc/passwd")
    (one,) = pickle_scan.scan(tmp_path / "link.pkl")
    assert one.severity == "not_scanned"
    (one,) = pickle_scan.scan(tmp_path / "gone.pkl")
    assert one.severity == "not_scanned"
