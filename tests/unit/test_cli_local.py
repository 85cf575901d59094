"""`auditor local run`: the verdict of a policy on this machine, without a server."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
import skops.io
from sklearn.linear_model import LogisticRegression

from auditor.client import cli
from auditor.client.session import Session
from evaluations.spec import DataRef, Modality, ModelFormat, ModelRef, RunRequest
from tests.evaluations import make
from tests.unit.cli import Outcome

POLICY = """
schema: policy/1
name: small
title: A small policy
suite:
  - {item: right, evaluation: quality.classification}
  - {item: spelling, evaluation: robustness.text_char}
controls:
  - {id: QUAL-01, title: Accuracy, area: quality, item: right, metric: accuracy, comparison: ">=", limit: LIMIT}
report:
  - {item: right, metric: mcc, area: quality}
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    table = make.frame(400)
    skops.io.dump(LogisticRegression().fit(table[["x", "z"]], table.label), folder / "model.skops")
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    make.frame(300, seed=5).to_csv(path, index=False)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> Outcome:
    code = cli.run(["local", "run", *map(str, arguments)], Session())
    read = capsys.readouterr()
    return Outcome(code, read.out, read.err)


def columns() -> list[str]:
    return ["--target", "label", "--id", "id", "--sensitive", "sex", "--favourable", "yes"]


def policy(folder: Path, limit: float) -> Path:
    path = folder / "policy.yaml"
    path.write_text(POLICY.replace("LIMIT", str(limit)))
    return path


@pytest.mark.parametrize(
    ("limit", "code", "words"),
    [(0.5, 0, "MEETS POLICY"), (0.99, 1, "DOES NOT MEET POLICY"), (0.80, 3, "INCOMPLETE")],
)
def test_the_exit_code_is_the_verdict(
    limit: float,
    code: int,
    words: str,
    model: Path,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    done = run(capsys, model, "--data", data, *columns(), "--policy", policy(tmp_path, limit))
    assert done.code == code, done.err
    assert words in done.out
    assert "Matthews correlation" in done.out
    assert "no release evidence" in done.err
    assert "spelling skipped: robustness.text_char measures text_classifier models" in done.err


def test_everything_measured_is_written(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {kind: tmp_path / f"out.{kind}" for kind in ("json", "junit", "sarif")}
    written = [part for kind, path in files.items() for part in (f"--{kind}", path)]
    run(capsys, model, "--data", data, *columns(), "--policy", policy(tmp_path, 0.99), *written)
    card = json.loads(files["json"].read_text())
    assert card["schema"] == "local-run/1"
    assert card["controls"][0]["outcome"] == "fail"
    assert {r["item"]: r["status"] for r in card["runs"]} == {"right": "succeeded", "spelling": "skipped"}
    assert len(ElementTree.parse(files["junit"]).findall(".//failure")) == 1
    assert json.loads(files["sarif"].read_text())["runs"][0]["results"][0]["ruleId"] == "QUAL-01"


def test_a_reference_model_is_named_for_what_compares_with_one(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = make.frame(400, seed=9)
    (tmp_path / "base").mkdir()
    skops.io.dump(LogisticRegression().fit(table[["x"]], table.label), tmp_path / "base" / "model.skops")
    members = tmp_path / "members.csv"
    make.frame(300, seed=5).assign(member=[0, 1] * 150).to_csv(members, index=False)
    asks = tmp_path / "members.yaml"
    asks.write_text(
        POLICY.replace("LIMIT", "0.5")
        .replace("robustness.text_char", "privacy.membership, params: {blind_limit: 1}")
        .replace("{item: right, metric: mcc, area: quality}", "{item: spelling, metric: auc, area: privacy}")
    )
    path = tmp_path / "out.json"
    told = [*columns(), "--role", "member=member", "--policy", asks, "--json", path]
    attacks = []
    for named in ([], ["--reference", tmp_path / "base"]):
        done = run(capsys, model, "--data", members, *told, *named)
        assert done.code == 0, done.err
        found = json.loads(path.read_text())["runs"][1]
        attacks.append({m["slice"] for m in found["metrics"] if m["name"] == "attack_auc"})
    assert attacks[1] - attacks[0] == {"attack=reference_ratio", "attack=rmia"}
    itself = run(capsys, model, "--data", members, *told, "--reference", model)
    assert "A model cannot be its own reference" in itself.err


def test_a_local_run_is_never_taken_for_a_report_card(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "out.json"
    run(capsys, model, "--data", data, *columns(), "--policy", policy(tmp_path, 0.5), "--json", path)
    assert cli.run(["verify", str(path)], Session()) == 7


def test_an_interrupted_run_asks_the_model_only_what_is_missing(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, path = tmp_path / "kept", tmp_path / "out.json"
    arguments = [model, "--data", data, *columns(), "--policy", policy(tmp_path, 0.5), "--keep", kept]
    first = run(capsys, *arguments, "--json", path)
    asked = json.loads(path.read_text())["runs"][0]["cost"]["queries"]
    second = run(capsys, *arguments, "--json", path)
    assert (first.code, second.code, asked) == (0, 0, 300)
    assert json.loads(path.read_text())["runs"][0]["cost"]["queries"] == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--policy", "no-such"], "no built-in policy of that name (bbq, crows-pairs"),
        (["--role", "x=nonsense"], "names no role"),
        (["--role", "absent=cluster"], "has no column 'absent'"),
        (["--modality", "hologram"], "--modality 'hologram' is none of text_classifier"),
        (["--label", "no"], "these class names: 'no'"),
    ],
)
def test_bad_input_says_how_to_mend_it(
    change: list[str], words: str, model: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = run(capsys, model, "--data", data, *columns(), *change)
    assert done.code in (2, 3)
    assert words in done.err + done.out


def test_the_same_run_in_two_processes_gives_the_same_numbers(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "out.json"
    run(capsys, model, "--data", data, *columns(), "--policy", policy(tmp_path, 0.5), "--json", path)
    card = json.loads(path.read_text())
    local = {(m["name"], m["slice"]): m["value"] for m in card["runs"][0]["metrics"]}
    ref = ModelRef(
        path=str(model),
        digest=card["model"]["digest"],
        modality=Modality.TABULAR,
        format=ModelFormat.SKOPS,
    )
    asked = RunRequest(
        run_id="run_1",
        evaluation="quality.classification",
        model=ref,
        data=DataRef(path=str(data), digest=card["data"]["digest"], format="csv", roles=make.TABULAR_ROLES),
        seed=card["audit"]["seed"],
    )
    from evaluations.merge import merge_request
    from evaluations.runner import run_request

    shards, merged = tmp_path / "shards", tmp_path / "merged"
    shards.mkdir()
    merged.mkdir()
    run_request(asked, shards)
    assert make.values(merge_request(asked, shards, merged)) == pytest.approx(
        local, rel=1e-11
    )  # a card has 12 digits


def test_a_roles_file_says_what_the_options_would(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    roles = tmp_path / "roles.yaml"
    said = "roles: {id: id, x: input, z: input, sex: sensitive, label: target}\nfavourable_label: 'yes'\n"
    roles.write_text(said, encoding="utf-8")
    demanded = ["--policy", policy(tmp_path, 0.5)]
    by_file = run(capsys, model, "--data", data, "--roles", roles, *demanded)
    by_options = run(capsys, model, "--data", data, *columns(), *demanded)
    assert by_file.code == by_options.code
    assert by_file.out == by_options.out
    roles.write_text(said.replace("sensitive", "protected"), encoding="utf-8")
    wrong = run(capsys, model, "--data", data, "--roles", roles, *demanded)
    assert wrong.code == 2
    assert "There is no role 'protected'" in wrong.err
