"""An evaluation in a package of its own is found, held to the same rules, and named when it is broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[1] / "example_package"
REPOSITORY = EXAMPLE.parents[1]

RUN = """
import json, sys
from pathlib import Path
from evaluations import catalogue
from tests.evaluations import make
table = make.frame(300, seed=5)
evaluation = catalogue.get("example.confident_mistakes")
ref = make.data_ref(table, Path(sys.argv[1]))
results = {}
for name, cuts in (("whole", None), ("seven", [1, 2, 5, 7, 9, 12])):
    asked = make.request(evaluation.name, ref, sure=0.8)
    result = make.evaluate(evaluation, make.Answering(make.logistic), asked, Path(sys.argv[1]), cuts=cuts)
    results[name] = result.metrics[0].model_dump()
probs = make.logistic(table)
sure = probs.max(axis=1) >= 0.8
wrong = (probs.argmax(axis=1) != (table.label == "yes")) & sure
print(json.dumps({"results": results, "value": wrong.sum() / sure.sum()}))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example package, installed by pip into a folder of its own."""
    folder, source = tmp_path_factory.mktemp("installed"), tmp_path_factory.mktemp("source")
    subprocess.run(["cp", "-r", f"{EXAMPLE}/.", str(source)], check=True)  # building leaves files behind
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    ]
    subprocess.run([*pip, "--target", str(folder), str(source)], check=True, capture_output=True)
    return folder


def python(folder: Path, *arguments: str | Path) -> str:
    path = os.pathsep.join([str(folder), str(REPOSITORY)])
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        cwd=REPOSITORY,
    )
    return done.stdout if done.returncode == 0 else f"{done.returncode}: {done.stderr}"


def test_an_installed_package_adds_its_evaluation(installed: Path) -> None:
    assert "example.confident_mistakes" in python(installed, "-m", "evaluations", "list")
    shown = json.loads(python(installed, "-m", "evaluations", "show", "example.confident_mistakes"))
    assert shown["params"]["properties"]["sure"]["default"] == 0.9


def test_it_gives_the_share_that_counting_gives_in_one_shard_and_in_seven(
    installed: Path, tmp_path: Path
) -> None:
    found = json.loads(python(installed, "-c", RUN, tmp_path))
    assert found["results"]["whole"]["value"] == pytest.approx(found["value"])
    assert found["results"]["whole"] == found["results"]["seven"]


def test_a_broken_package_is_named_and_does_not_hide_the_others(tmp_path: Path) -> None:
    about = tmp_path / "broken-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[auditor.evaluations]\nbroken.one = no_such_module:EVALUATION\n")
    code = "from evaluations import catalogue; print(catalogue.get(NAME).name)"
    assert "quality.calibration" in python(tmp_path, "-c", code.replace("NAME", "'quality.calibration'"))
    listed = python(tmp_path, "-m", "evaluations", "list")
    assert "quality.calibration" in listed
    assert "broken.one" not in listed
    said = python(tmp_path, "-c", code.replace("NAME", "'broken.one'"))
    assert "no_such_module" in said
    assert "Mend or remove the package" in said


def test_a_package_cannot_replace_a_built_in_evaluation(tmp_path: Path) -> None:
    about = tmp_path / "taker-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: taker\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[auditor.evaluations]\nquality.calibration = json:dumps\n")
    said = python(tmp_path, "-c", "from evaluations import catalogue; catalogue.names()")
    assert "exists already" in said.replace("\n", " ")
