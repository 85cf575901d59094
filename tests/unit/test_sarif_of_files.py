"""What an audit found in the model's files stands in its SARIF log, at these files, as a local check has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from auditor.client import cli
from auditor.client.sarif import sarif
from auditor.client.session import Session
from auditor.reports.build import build
from tests import model_files
from tests.card_examples import facts
from tests.evaluations import make

POLICY = """
schema: policy/1
name: files
title: The files alone
suite:
  - {item: artefact, evaluation: security.artefact}
controls:
  - {id: SEC-01, title: No unsafe file, area: security, item: artefact, metric: unsafe_files,
     comparison: "<=", limit: 0, decide_by: point}
"""
TABLE = [
    ["Hidden code", "auto_map", "config.json", "The file asks for code."],
    ["Scanner", "malicious", "weights.bin", "picklescan: imports posix.system"],
    ["Note", "licence", "README.md", "The licence is MIT."],
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = model_files.hugging_face(tmp_path / "model")
    config = {**model_files.CONFIG, "auto_map": {"AutoModel": "modeling.Own"}}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def card_with(rows: list[list[str]]) -> dict[str, Any]:
    """A card with two attempts at the evaluation, of which the last found `rows`, and a lost run of another."""
    card = build(facts())
    for found in (TABLE[:1] * 9, rows):
        chart = {"name": "findings", "rows": found}
        card["runs"].append({"item": "files", "evaluation": "security.artefact", "charts": [chart]})
    card["runs"].append({"item": "lost", "status": "errored"})
    return card


def test_findings_of_the_last_attempt_point_at_their_files() -> None:
    log = sarif([card_with(TABLE)], "train.py", "https://audit.example", Path("models/income"))["runs"][0]
    found = [(r["ruleId"], r["kind"], r["level"], place(r)) for r in log["results"] if place(r) != "train.py"]
    assert found == [
        ("auto_map", "fail", "error", "models/income/config.json"),
        ("note/pickle_scan", "informational", "none", "models/income/weights.bin"),
    ]
    rules = log["tool"]["driver"]["rules"]
    assert all(rules[r["ruleIndex"]]["id"] == r["ruleId"] for r in log["results"])


def test_a_card_without_findings_has_the_results_of_its_controls_alone() -> None:
    without, empty = (sarif([card], "m", "", None) for card in (build(facts()), card_with([])))
    assert without == empty


def test_a_local_run_and_a_local_check_say_the_same_of_a_file(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, policy, out = tmp_path / "rows.csv", tmp_path / "policy.yaml", tmp_path / "out.sarif"
    make.sentences(4).to_csv(data, index=False)
    policy.write_text(POLICY)
    asked = ["local", "run", folder, "--data", data, "--id", "id", "--target", "label"]
    assert cli.run([*map(str, asked), "--policy", str(policy), "--sarif", str(out)], Session()) == 1
    capsys.readouterr()
    checked = ["model", "check", str(folder), "--modality", "text_classifier", "--sarif"]
    assert cli.run(checked, Session()) == 1
    of_check = json.loads(capsys.readouterr().out)["runs"][0]["results"]
    of_run = json.loads(out.read_text())["runs"][0]["results"]
    assert [r["ruleId"] for r in of_run] == ["SEC-01", "auto_map"]
    same = next(r for r in of_check if r["ruleId"] == "auto_map")
    assert {**of_run[1], "ruleIndex": 0} == {**same, "ruleIndex": 0}


def place(result: dict[str, Any]) -> str:
    uri: str = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    return uri
