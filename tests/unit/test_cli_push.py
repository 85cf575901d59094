"""`auditor model push` and `auditor data push`: digests, resuming, reuse, and what is refused early."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from auditor.client import push
from auditor.core.canonical import files_digest
from tests.unit.cli import CommandLine
from tests.unit.stub_service import Service


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "model.skops").write_bytes(b"0123456789" * 10)
    (folder / "sub" / "notes é.txt").write_bytes(b"")
    return folder


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text('age,sex,"income, yearly"\n39,Male,<=50K\n', encoding="utf-8")
    return path


def push_income(auditor: CommandLine, folder: Path, *more: str) -> tuple[int, str, str]:
    done = auditor("model", "push", "income", folder, "--version", "1", "--modality", "tabular", *more)
    return done.code, done.out, done.err


def test_a_new_model_is_registered_and_its_files_arrive_whole(
    auditor: CommandLine, service: Service, folder: Path
) -> None:
    code, out, _ = push_income(
        auditor, folder, "--label", "no", "--label", "yes", "--intended-use", "Ranking."
    )
    assert code == 0
    assert service.bodies[0]["modality"] == "tabular"
    assert service.bodies[0]["intended_use"] == "Ranking."
    assert service.upload["manifest"]["labels"] == ["no", "yes"]
    assert service.arrived == {"model.skops": b"0123456789" * 10, "sub/notes é.txt": b""}
    assert out.startswith("income@1 sha256:")


def test_the_local_digest_is_the_one_the_service_makes(folder: Path) -> None:
    files = push.model_files(folder)
    assert [file.name for file in files] == ["model.skops", "sub/notes é.txt"]
    assert push.model_digest(files) == files_digest([file.announced() for file in reversed(files)])


def test_large_files_are_sent_in_chunks(
    auditor: CommandLine, service: Service, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push, "CHUNK", 40)
    assert push_income(auditor, folder)[0] == 0
    assert service.chunks == [
        ("model.skops", 0, 40),
        ("model.skops", 40, 40),
        ("model.skops", 80, 20),
        ("sub/notes é.txt", 0, 0),
    ]


def test_a_broken_connection_is_continued_where_the_service_says(
    auditor: CommandLine, service: Service, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push, "CHUNK", 40)
    service.failures, service.fail_on = [httpx.ReadError("reset"), httpx.Response(503)], "PUT"
    assert push_income(auditor, folder)[0] == 0
    assert service.arrived["model.skops"] == b"0123456789" * 10
    assert len(service.slept) == 2


def test_a_second_call_sends_only_what_the_first_could_not(
    auditor: CommandLine, service: Service, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push, "CHUNK", 40)
    service.failures, service.fail_on = [None, None, *[httpx.ConnectError("gone")] * 9], "PUT"
    original = service.answer

    def two_pass(request: httpx.Request) -> httpx.Response:
        if request.method == "PUT" and service.failures[:1] == [None]:
            service.failures.pop(0)
            held, service.failures = service.failures, []
            answer = original(request)
            service.failures = held
            return answer
        return original(request)

    monkeypatch.setattr(service, "answer", two_pass)
    code, _, err = push_income(auditor, folder)
    assert code == 6
    assert "does not answer" in err
    service.failures, service.chunks = [], []
    assert push_income(auditor, folder)[0] == 0
    assert service.chunks[0] == ("model.skops", 80, 20)
    assert [path for method, path in service.log if (method, path) == ("POST", "uploads")] == ["uploads"]


def test_pushing_the_same_content_again_sends_nothing(
    auditor: CommandLine, service: Service, folder: Path
) -> None:
    push_income(auditor, folder)
    service.log.clear()
    code, out, _ = push_income(auditor, folder)
    assert code == 0
    assert "was there already" in out
    assert service.log == [("GET", "models/income")]


def test_other_content_under_a_used_version_is_refused(
    auditor: CommandLine, service: Service, folder: Path
) -> None:
    push_income(auditor, folder)
    (folder / "model.skops").write_bytes(b"changed")
    code, _, err = push_income(auditor, folder)
    assert code == 2
    assert "Push it as a new version" in err


def test_a_new_name_needs_its_modality(auditor: CommandLine, folder: Path) -> None:
    done = auditor("model", "push", "income", folder, "--version", "1")
    assert done.code == 2
    assert "--modality" in done.err


def test_a_link_out_of_the_folder_is_refused_before_anything_is_sent(
    auditor: CommandLine, service: Service, folder: Path
) -> None:
    (folder / "weights.skops").symlink_to("/etc/passwd")
    code, _, err = push_income(auditor, folder)
    assert code == 2
    assert "weights.skops is a symbolic link to /etc/passwd" in err
    assert service.log == []


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
def test_a_missing_or_empty_folder_is_a_mistake_in_the_command(
    auditor: CommandLine, tmp_path: Path, make: object
) -> None:
    make(tmp_path / "nothing")  # type: ignore[operator]  # either lambda above
    done = auditor("model", "push", "income", tmp_path / "nothing", "--version", "1", "--modality", "tabular")
    assert done.code == 2


def test_every_reason_of_a_refusal_is_shown_and_the_upload_is_not_taken_up_again(
    auditor: CommandLine, service: Service, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons = [{"pointer": f"/manifest/files/{i}", "detail": f"file {i} is a pickle."} for i in range(2)]
    original = service.uploads

    def refuse(request: httpx.Request, rest: str) -> httpx.Response:
        if rest.endswith("/complete"):
            body = {
                "code": "refused",
                "detail": "The upload was refused: file 0 is a pickle.",
                "errors": reasons,
            }
            return httpx.Response(422, json=body)
        return original(request, rest)

    monkeypatch.setattr(service, "uploads", refuse)
    code, _, err = push_income(auditor, folder)
    assert code == 2
    assert "file 0 is a pickle." in err
    assert "/manifest/files/1: file 1 is a pickle." in err
    service.log.clear()
    push_income(auditor, folder)
    assert ("POST", "uploads") in service.log


def test_data_columns_get_their_roles_by_naming_the_exceptions(
    auditor: CommandLine, service: Service, table: Path
) -> None:
    done = auditor(
        "data", "push", "people", table, "--version", "1", "--target", "income, yearly", "--sensitive", "sex",
        "--favourable", ">50K", "--held-out",
    )  # fmt: skip
    assert done.code == 0
    manifest = service.upload["manifest"]
    assert manifest["roles"] == {"age": "input", "sex": "sensitive", "income, yearly": "target"}
    assert (manifest["favourable_label"], manifest["held_out"]) == (">50K", True)


def test_a_roles_file_says_what_the_options_would(
    auditor: CommandLine, service: Service, table: Path, tmp_path: Path
) -> None:
    roles = tmp_path / "roles.yaml"
    roles.write_text(
        "roles: {age: input, sex: sensitive, 'income, yearly': target}\nfavourable_label: '>50K'\n"
        "languages: []\nlicence: CC BY 4.0\n",
        encoding="utf-8",
    )
    done = auditor("data", "push", "people", table, "--version", "1", "--roles", roles)
    assert done.code == 0
    manifest = service.upload["manifest"]
    assert manifest["roles"] == {"age": "input", "sex": "sensitive", "income, yearly": "target"}
    assert manifest["favourable_label"] == ">50K"
    assert service.bodies[0]["licence"] == "CC BY 4.0"


@pytest.mark.parametrize(
    ("more", "content", "said"),
    [
        (["--role", "age=cluster"], "roles: {age: input}", "leave out --role"),
        (["--target", "age"], "roles: {age: input}", "leave out --target"),
        ([], "- age", "names no roles"),
        ([], "roles: {age: 3}", "names no roles"),
        ([], "roles: {{{", "cannot be read"),
    ],
)
def test_a_roles_file_stands_alone_and_must_be_one(
    auditor: CommandLine, table: Path, tmp_path: Path, more: list[str], content: str, said: str
) -> None:
    (tmp_path / "roles.yaml").write_text(content, encoding="utf-8")
    done = auditor(
        "data", "push", "people", table, "--version", "1", "--roles", tmp_path / "roles.yaml", *more
    )
    assert done.code == 2
    assert said in done.err


def test_a_table_needs_a_target_or_a_roles_file(auditor: CommandLine, table: Path) -> None:
    done = auditor("data", "push", "people", table, "--version", "1")
    assert done.code == 2
    assert "--roles FILE" in done.err


def test_a_wrong_label_column_is_named_with_those_that_exist(
    auditor: CommandLine, service: Service, table: Path
) -> None:
    done = auditor("data", "push", "people", table, "--version", "1", "--target", "label")
    assert done.code == 2
    assert "no column 'label'. Its columns are: age, sex, income, yearly" in done.err
    assert service.log == []


def test_a_column_has_one_role(auditor: CommandLine, table: Path) -> None:
    done = auditor("data", "push", "people", table, "--version", "1", "--target", "sex", "--sensitive", "sex")
    assert done.code == 2
    assert "two roles" in done.err


def test_columns_are_read_from_json_lines_and_parquet_too(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    from auditor.client import columns

    lines = tmp_path / "a.jsonl"
    lines.write_text(json.dumps({"text": "x", "label": "y"}) + "\n", encoding="utf-8")
    parquet.write_table(pyarrow.table({"text": ["x"], "label": ["y"]}), tmp_path / "a.parquet")
    assert columns.names(lines) == columns.names(tmp_path / "a.parquet") == ["text", "label"]


@pytest.mark.parametrize("name", ["empty.csv", "empty.jsonl"])
def test_an_empty_table_is_a_mistake_in_the_command(auditor: CommandLine, tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    done = auditor("data", "push", "people", tmp_path / name, "--version", "1", "--target", "y")
    assert done.code == 2
    assert "is empty" in done.err
