"""`python -m evaluations`: files, exit codes, resumption, and a merge that trusts no shard."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression

from evaluations import shardfiles
from evaluations.runner import main
from evaluations.spec import EvaluationResult, Failure, Progress, RunRequest, Shard
from tests.evaluations import make

ROWS = 20_000  # three shards


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module")
def request_json(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("request")
    table = make.frame(ROWS)
    (folder / "model").mkdir()
    model = LogisticRegression().fit(table[["x", "z"]], table.label.astype(str))
    skops.io.dump(model, folder / "model" / "model.skops")
    asked = make.request("quality.classification", make.data_ref(table, folder, favourable_label="yes"))
    asked = asked.model_copy(update={"model": asked.model.model_copy(update={"path": str(folder / "model")})})
    return dict(json.loads(asked.model_dump_json(by_alias=True)))


def write(folder: Path, body: dict[str, Any], **changes: Any) -> Path:
    path = folder / "request.json"
    path.write_text(json.dumps({**body, **changes}))
    return path


def run(request: Path, out: Path) -> int:
    return main(["run", str(request), "--out", str(out)])


def merge(request: Path, shards: Path, out: Path) -> int:
    return main(["merge", str(request), "--shards", str(shards), "--out", str(out)])


def failure(out: Path) -> Failure:
    return Failure.model_validate_json((out / "failure.json").read_bytes())


def metrics(out: Path) -> Any:
    return EvaluationResult.model_validate_json((out / "result.json").read_bytes()).metrics


@pytest.mark.slow
def test_run_and_merge_from_a_shell_give_a_valid_result(request_json: dict[str, Any], tmp_path: Path) -> None:
    request = write(tmp_path, request_json)
    shell = [sys.executable, "-m", "evaluations"]
    done = subprocess.run([*shell, "run", request, "--out", tmp_path / "out"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    judged = [*shell, "merge", request, "--shards", tmp_path / "out", "--out", tmp_path / "result"]
    done = subprocess.run(judged, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = EvaluationResult.model_validate_json((tmp_path / "result" / "result.json").read_bytes())
    assert json.loads((tmp_path / "result" / "result.json").read_text())["schema"] == "evaluation-result/1"
    assert result.coverage.scored == result.cost.queries == ROWS
    assert result.cost.peak_rss_bytes > 10**7
    assert result.environment["python"] == ".".join(map(str, sys.version_info[:3]))
    assert result.environment["device"] in ("cpu", "cuda")
    lines = [
        Progress.model_validate_json(line)
        for line in (tmp_path / "out" / "progress.jsonl").read_text().splitlines()
    ]
    assert (lines[-1].done, lines[-1].total) == (ROWS, ROWS)
    assert [line.done for line in lines] == sorted(line.done for line in lines)
    assert len(list((tmp_path / "out").glob("shard-*.parquet"))) == 3


@pytest.mark.slow
def test_merging_loads_no_model_library(request_json: dict[str, Any], tmp_path: Path) -> None:
    request = write(tmp_path, request_json)
    assert run(request, tmp_path / "out") == 0
    code = (
        "import sys; from evaluations.runner import main; "
        f"rc = main(['merge', {str(request)!r}, '--shards', {str(tmp_path / 'out')!r}, '--out', "
        f"{str(tmp_path / 'r')!r}]); "
        "heavy = {'torch', 'transformers', 'skops', 'sklearn', 'onnxruntime', 'textattack'}; "
        "print(rc, sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "0 []"


def test_a_killed_run_goes_on_where_it_was_and_gives_the_same_metrics(
    request_json: dict[str, Any], tmp_path: Path
) -> None:
    request = write(tmp_path, request_json)
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    assert run(request, straight) == 0
    assert run(request, killed) == 0
    kept = (killed / "shard-000.parquet").stat().st_mtime_ns
    (killed / "shard-001.json").unlink()  # killed between the two files of a shard
    (killed / "shard-002.parquet").write_bytes(b"half")  # and a file that a full disk cut short
    assert run(request, killed) == 0
    assert (killed / "shard-000.parquet").stat().st_mtime_ns == kept
    assert merge(request, straight, straight) == merge(request, killed, killed) == 0
    assert metrics(straight) == metrics(killed)


def test_shards_of_another_request_are_not_reused(request_json: dict[str, Any], tmp_path: Path) -> None:
    assert run(write(tmp_path, request_json), tmp_path / "out") == 0
    kept = (tmp_path / "out" / "shard-000.parquet").stat().st_mtime_ns
    other = write(tmp_path, request_json, seed=8)
    assert merge(other, tmp_path / "out", tmp_path / "r") == 3
    assert failure(tmp_path / "r").code == "bad_shard"
    assert run(other, tmp_path / "out") == 0
    assert (tmp_path / "out" / "shard-000.parquet").stat().st_mtime_ns != kept


@pytest.mark.parametrize(
    ("changes", "code", "skipped"),
    [
        ({"evaluation": "quality.clasification"}, "unknown_evaluation", False),
        ({"params": {"max_error_rat": 0.1}}, "bad_params", False),
        ({"params": {"max_error_rate": 7}}, "bad_params", False),
        ({"evaluation": "robustness.text_char"}, "not_for_modality", True),
    ],
)
def test_what_cannot_run_is_a_typed_failure(
    changes: dict[str, Any], code: str, skipped: bool, request_json: dict[str, Any], tmp_path: Path
) -> None:
    assert run(write(tmp_path, request_json, **changes), tmp_path / "out") == 3
    found = failure(tmp_path / "out")
    assert (found.code, found.skipped) == (code, skipped)


def test_a_language_that_the_attack_does_not_speak_is_skipped(
    request_json: dict[str, Any], tmp_path: Path
) -> None:
    for languages, code in ((["zh-Hans"], "not_for_language"), (["fr", "en-GB"], "data_missing")):
        body = json.loads(json.dumps(request_json))
        body["evaluation"] = "robustness.text_char"
        body["model"].update(modality="text_classifier", format="safetensors", languages=languages)
        body["data"]["path"] = "/nowhere.csv"
        assert run(write(tmp_path, body), tmp_path / "out") == 3
        assert failure(tmp_path / "out").code == code


def test_no_sensitive_column_is_a_skip_and_no_target_a_failure(
    request_json: dict[str, Any], tmp_path: Path
) -> None:
    for role, code, skipped in (
        ("sensitive", "sensitive_missing", True),
        ("target", "target_missing", False),
    ):
        body = json.loads(json.dumps(request_json))
        body["evaluation"] = "fairness.group"
        body["data"]["roles"] = {c: "ignore" if r == role else r for c, r in body["data"]["roles"].items()}
        assert run(write(tmp_path, body), tmp_path / "out") == 3
        assert (failure(tmp_path / "out").code, failure(tmp_path / "out").skipped) == (code, skipped)


def test_an_unreadable_request_says_where(tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text('{"schema": "run-request/1"}')
    assert run(tmp_path / "request.json", tmp_path / "out") == 3
    assert failure(tmp_path / "out").code == "bad_request"
    assert run(tmp_path / "none.json", tmp_path / "out") == 3


def test_a_full_disk_is_said_and_leaves_no_half_shard(
    request_json: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shardfiles.os, "fsync", full)
    assert run(write(tmp_path, request_json), tmp_path / "out") == 3
    assert failure(tmp_path / "out").code == "disk_full"
    assert not list((tmp_path / "out").glob("*shard*"))


def test_a_defect_of_ours_is_not_dressed_up_as_the_users_fault(
    request_json: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shardfiles, "complete", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(write(tmp_path, request_json), tmp_path / "out")
    assert not (tmp_path / "out" / "failure.json").exists()


def test_termination_ends_the_run_as_cancelled(
    request_json: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = shardfiles.write

    def write_then_terminate(*args: Any) -> None:
        genuine(*args)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(shardfiles, "write", write_then_terminate)
    assert run(write(tmp_path, request_json), tmp_path / "out") == 3
    assert failure(tmp_path / "out").code == "cancelled"
    assert (tmp_path / "out" / "shard-000.json").exists()
    assert not (tmp_path / "out" / "shard-001.json").exists()


# --- shards that no honest run writes -----------------------------------------------------------------


@pytest.fixture
def shards(request_json: dict[str, Any], tmp_path: Path) -> tuple[Path, Path, RunRequest]:
    request = write(tmp_path, request_json)
    assert run(request, tmp_path / "out") == 0
    return request, tmp_path / "out", RunRequest.model_validate(request_json)


def forge(folder: Path, request: RunRequest, change: Any) -> None:
    """Rewrites shard 0 with consistent digests, as a hostile model process could."""
    shard = Shard(0, 0, 8192)
    state, meta = shardfiles.read(folder, shard, request)
    shardfiles.write(folder, shard, type(state)(change(state.records), {}), request, meta.cost, "cpu")


def one_probs(table: pa.Table, values: Any) -> pa.Table:
    probs = table.column("probs").to_pylist()
    probs[0] = values
    return table.set_column(1, "probs", pa.array(probs, pa.list_(pa.float64())))


FORGERIES = {
    "a row left out": lambda t: t.slice(1),
    "a row twice": lambda t: pa.concat_tables([t.slice(0, 1), t.slice(0, t.num_rows - 1)]),
    "an unknown id": lambda t: t.set_column(0, "example_id", pa.array(["?", *t.column(0).to_pylist()[1:]])),
    "a missing id": lambda t: t.set_column(0, "example_id", pa.array([None, *t.column(0).to_pylist()[1:]])),
    "one probability too many": lambda t: one_probs(t, [0.2, 0.3, 0.5]),
    "probabilities above one": lambda t: one_probs(t, [1.5, -0.5]),
    "not a number": lambda t: one_probs(t, [float("nan"), 1.0]),
    "a column of its own": lambda t: t.append_column("truth", t.column(0)),
    "a column less": lambda t: t.select(["example_id"]),
    "another type": lambda t: t.set_column(1, "probs", pa.array(["x"] * t.num_rows)),
    "other class names": lambda t: t.replace_schema_metadata({b"labels": b'["no", "perhaps"]'}),
    "class names that are no list": lambda t: t.replace_schema_metadata({b"labels": b"7"}),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_records_are_refused(name: str, shards: tuple[Path, Path, RunRequest], tmp_path: Path) -> None:
    request, folder, asked = shards
    forge(folder, asked, FORGERIES[name])
    assert merge(request, folder, tmp_path / "r") == 3
    assert failure(tmp_path / "r").code in ("bad_shard", "bad_records")
    assert not (tmp_path / "r" / "result.json").exists()


def test_links_pipes_and_damage_in_the_shard_folder_are_refused(
    shards: tuple[Path, Path, RunRequest], tmp_path: Path
) -> None:
    request, folder, _ = shards
    victim = folder / "shard-001.parquet"
    content = victim.read_bytes()
    elsewhere = tmp_path / "elsewhere.parquet"
    elsewhere.write_bytes(content)

    victim.unlink()
    assert merge(request, folder, tmp_path / "r") == 3
    victim.symlink_to(elsewhere)
    assert merge(request, folder, tmp_path / "r") == 3
    victim.unlink()
    os.mkfifo(victim)
    assert merge(request, folder, tmp_path / "r") == 3
    victim.unlink()
    victim.write_bytes(content[:-9] + b"x" + content[-8:])
    assert merge(request, folder, tmp_path / "r") == 3
    assert failure(tmp_path / "r").code == "bad_shard"
    victim.write_bytes(content)
    assert merge(request, folder, tmp_path / "r") == 0
    assert not (tmp_path / "r" / "failure.json").exists()


def test_list_and_show_describe_the_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    assert "fairness.group" in capsys.readouterr().out
    assert main(["show", "quality.calibration"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert "ece_debiased" in [m["name"] for m in shown["metrics"]]
    assert main(["show", "quality.calibratio"]) == 3
    assert "Did you mean quality.calibration" in capsys.readouterr().err
