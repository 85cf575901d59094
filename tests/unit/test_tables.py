"""What a table must be to be audited, in each format, and what each refusal says."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from auditor.core.errors import DomainError
from auditor.registry import tables
from auditor.registry.tables import TableSummary, inspect_table

ROLES = {"text": "input", "label": "target", "sex": "sensitive"}
ROWS = [
    {"text": "good", "label": "pos", "sex": "F"},
    {"text": "bad", "label": "neg", "sex": "M"},
    {"text": "fine", "label": "pos", "sex": None},
]


def write_csv(path: Path, rows: list[dict]) -> Path:
    lines = [",".join(rows[0])] + [
        ",".join("" if v is None else str(v) for v in row.values()) for row in rows
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def write_jsonl(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_parquet(path: Path, rows: list[dict]) -> Path:
    parquet.write_table(pa.Table.from_pylist(rows), path)
    return path


WRITERS: dict[str, Callable[[Path, list[dict]], Path]] = {
    "csv": write_csv,
    "jsonl": write_jsonl,
    "parquet": write_parquet,
}
every_format = pytest.mark.parametrize("format", WRITERS)


def table(tmp_path: Path, format: str, rows: list[dict]) -> Path:
    return WRITERS[format](tmp_path / f"data.{format}", rows)


def refusal(path: Path, format: str, roles: dict[str, str] = ROLES, favourable: str = "") -> DomainError:
    with pytest.raises(DomainError) as caught:
        inspect_table(path, format, roles, favourable)
    assert caught.value.errors
    return caught.value


@every_format
def test_rows_classes_and_groups_are_counted(tmp_path: Path, format: str) -> None:
    summary = inspect_table(table(tmp_path, format, ROWS), format, ROLES, "pos")
    assert summary == TableSummary(3, {"pos": 2, "neg": 1}, {"sex": {"F": 1, "M": 1, "(missing)": 1}})


@every_format
def test_counts_hold_over_many_batches(tmp_path: Path, format: str) -> None:
    rows = [{"text": "t" * 40, "label": f"c{i % 3}", "sex": "F" if i % 10 else "M"} for i in range(60_000)]
    summary = inspect_table(table(tmp_path, format, rows), format, ROLES)
    assert summary == TableSummary(
        60_000, {"c0": 20_000, "c1": 20_000, "c2": 20_000}, {"sex": {"F": 54_000, "M": 6_000}}
    )


@every_format
def test_whole_numbers_are_named_alike_in_every_format(tmp_path: Path, format: str) -> None:
    rows = [{"x": 1, "label": i % 2, "group": float(i % 2)} for i in range(4)]
    roles = {"x": "input", "label": "target", "group": "sensitive"}
    summary = inspect_table(table(tmp_path, format, rows), format, roles, "1")
    assert summary == TableSummary(4, {"0": 2, "1": 2}, {"group": {"0": 2, "1": 2}})


@every_format
def test_an_unknown_column_is_named_with_those_that_exist(tmp_path: Path, format: str) -> None:
    error = refusal(table(tmp_path, format, ROWS), format, {**ROLES, "lable": "ignore"})
    assert error.code == "column_unknown"
    assert "'lable'" in error.message
    assert "'text', 'label', 'sex'" in error.message
    assert error.errors[0].pointer == "/roles/lable"


@every_format
def test_a_table_without_rows_is_refused(tmp_path: Path, format: str) -> None:
    path = tmp_path / f"data.{format}"
    if format == "parquet":
        parquet.write_table(pa.table({c: pa.array([], pa.string()) for c in ROLES}), path)
    else:
        path.write_text("text,label,sex\n" if format == "csv" else "\n")
    assert refusal(path, format).code == "table_empty"


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_an_empty_file_is_refused(tmp_path: Path, format: str) -> None:
    (tmp_path / "data").write_bytes(b"")
    assert refusal(tmp_path / "data", format).code == "table_empty"


@every_format
def test_a_missing_label_is_refused(tmp_path: Path, format: str) -> None:
    error = refusal(table(tmp_path, format, [*ROWS, {"text": "?", "label": None, "sex": "F"}]), format)
    assert error.code == "label_missing"
    assert "1 of 4 rows" in error.message


@every_format
def test_a_favourable_label_must_be_among_the_labels(tmp_path: Path, format: str) -> None:
    error = refusal(table(tmp_path, format, ROWS), format, favourable="positive")
    assert error.code == "favourable_label"
    assert "'neg', 'pos'" in error.message


@pytest.mark.parametrize(
    ("roles", "code"),
    [
        ({"text": "input", "label": "target", "sex": "target"}, "target_many"),
        ({"text": "input", "label": "context", "sex": "context"}, "context_many"),
        ({"label": "target"}, "input_missing"),
        ({"text": "input", "label": "target", "sex": "protected"}, "role_unknown"),
        ({"text": "input", "label": "target", "sex": "id", "x": "id"}, "id_many"),
    ],
)
def test_roles_that_make_no_audit_are_refused(tmp_path: Path, roles: dict[str, str], code: str) -> None:
    assert refusal(table(tmp_path, "csv", ROWS), "csv", roles).code == code


def test_too_many_groups_are_refused(tmp_path: Path) -> None:
    rows = [{"text": "t", "label": "a", "sex": f"person {i}"} for i in range(300)]
    assert refusal(table(tmp_path, "csv", rows), "csv").code == "labels_many"


@every_format
def test_a_table_without_a_target_or_for_a_recommender_is_taken(tmp_path: Path, format: str) -> None:
    path = table(tmp_path, format, ROWS)
    assert inspect_table(path, format, {"text": "input"}) == TableSummary(3, {}, {})
    roles = {"sex": "user", "text": "item", "label": "target"}
    assert inspect_table(path, format, roles).classes == {"pos": 2, "neg": 1}


@every_format
@pytest.mark.parametrize("label", ["long " * 100, "answer {}", "{}.5"])
def test_free_text_and_numbers_are_answers_not_classes(tmp_path: Path, format: str, label: str) -> None:
    rows = [{"text": "t", "label": label.format(i), "sex": "F"} for i in range(2_000)]
    path = table(tmp_path, format, rows)
    assert inspect_table(path, format, ROLES) == TableSummary(2_000, {}, {"sex": {"F": 2_000}})
    assert refusal(path, format, favourable="pos").code in ("label_long", "labels_many")
    path = table(tmp_path, format, [*rows, {"text": "t", "label": None, "sex": "F"}])
    assert refusal(path, format).code == "label_missing"


@every_format
def test_a_few_numbers_with_fractions_are_no_classes_either(tmp_path: Path, format: str) -> None:
    rows = [{"text": "t", "label": i / 4, "sex": "F"} for i in range(1, 9)]
    assert inspect_table(table(tmp_path, format, rows), format, ROLES).classes == {}


@pytest.mark.parametrize("format", ["jsonl", "parquet"])
def test_lists_of_texts_are_taken_where_a_role_has_them(tmp_path: Path, format: str) -> None:
    rows = [
        {"words": ["a", "b"], "tags": [0, 1], "options": ["x"]},
        {"words": ["c"], "tags": [1], "options": ["y"]},
    ]
    roles = {"words": "input", "tags": "target", "options": "choices"}
    path = table(tmp_path, format, rows)
    assert inspect_table(path, format, roles) == TableSummary(2, {}, {})
    for role in ("sensitive", "id", "cluster", "split", "user", "item"):
        assert refusal(path, format, {**roles, "options": role}).code == "column_type"
    assert refusal(path, format, roles, favourable="1").code == "column_type"
    path = table(tmp_path, format, [*rows, {"words": ["d"], "tags": [], "options": ["z"]}])
    assert refusal(path, format, roles).code == "label_missing"


def test_images_are_taken_as_bytes_or_as_datasets_keeps_them_and_for_input_alone(tmp_path: Path) -> None:
    for image in (b"\x89PNG", {"bytes": b"\x89PNG", "path": None}):
        path = write_parquet(tmp_path / "data.parquet", [{"image": image, "label": "cat"}])
        assert inspect_table(path, "parquet", {"image": "input", "label": "target"}).classes == {"cat": 1}
        assert refusal(path, "parquet", {"label": "input", "image": "target"}).code == "column_type"


def test_nested_columns_are_refused_only_where_they_are_used(tmp_path: Path) -> None:
    for tags in ([["a"]], [1.5], {"a": "b"}, [True]):
        rows = [{**row, "tags": tags} for row in ROWS]
        for format in ("jsonl", "parquet"):
            path = table(tmp_path, format, rows)
            assert inspect_table(path, format, {**ROLES, "tags": "ignore"}).rows == 3
            assert refusal(path, format, {**ROLES, "tags": "input"}).code == "column_type"


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("text,label,label\na,b,c\n")
    assert (
        refusal(tmp_path / "data.csv", "csv", {"text": "input", "label": "target"}).code == "column_duplicate"
    )


@pytest.mark.parametrize("format", ["csv", "jsonl", "parquet"])
def test_a_file_of_another_kind_is_refused_by_its_content(tmp_path: Path, format: str) -> None:
    path = tmp_path / f"data.{format}"
    path.write_bytes(pickle.dumps(ROWS, protocol=4))
    error = refusal(path, format)
    assert error.code == "table_format"
    assert "pickle" in error.message
    if format != "parquet":
        write_parquet(path, ROWS)
        assert refusal(path, format).code == "table_format"


def test_a_spreadsheet_is_refused(tmp_path: Path) -> None:
    assert refusal(table(tmp_path, "csv", ROWS), "xlsx").code == "table_format"


@pytest.mark.parametrize(
    ("format", "content"),
    [
        ("csv", b"text,label,sex\na,b\n"),
        ("csv", b"text,label,sex\n\xff\xfe,b,c\n\xff,\xff,\xff\n"),
        ("jsonl", b"[1, 2]\n"),
        ("jsonl", b'{"text": "a", \n'),
        ("jsonl", b'{"text": "\xff"}\n'),
        ("jsonl", b"[" * 200_000 + b"\n"),
        ("parquet", b"PAR1" + b"\x00" * 100 + b"PAR1"),
        ("parquet", b"PAR1"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, format: str, content: bytes) -> None:
    path = tmp_path / f"data.{format}"
    path.write_bytes(content)
    assert refusal(path, format).code == "table_unreadable"


def test_a_json_line_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(b'{"text": "' + b"a" * (17 * 2**20))
    assert refusal(path, "jsonl").code == "table_unreadable"


def test_a_long_value_that_a_small_parquet_file_repeats_is_never_spelled_out(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 100_000, pa.int32()), pa.array(["x" * 2**20]))
    parquet.write_table(pa.table({"text": ["t"] * 100_000, "label": column, "sex": ["F"] * 100_000}), path)
    assert path.stat().st_size < 2**22
    assert inspect_table(path, "parquet", ROLES).classes == {}
    roles = {"text": "input", "sex": "target", "label": "sensitive"}
    assert refusal(path, "parquet", roles).code == "label_long"


@pytest.mark.parametrize("value", ["x" * 150, ["ab"] * 30], ids=["text", "list"])
def test_long_json_lines_are_counted_a_few_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: object
) -> None:
    """A list takes many times the room of its line, and no file may fill the memory."""
    monkeypatch.setattr(tables, "BATCH_BYTES", 500)
    path = tmp_path / "table.jsonl"
    path.write_text("".join(json.dumps({"q": "x", "a": value}) + "\n" for _ in range(20)))
    roles = {"q": "input", "a": "target"}
    batches = list(tables._read_jsonl(path, roles, ["a"]))
    assert sum(rows for rows, _ in batches) == 20
    assert max(rows for rows, _ in batches) <= 4
    assert all(len(one) <= 150 for _, values in batches for one in values["a"])
    assert all(one == [None] for _, values in batches for one in values["a"] if isinstance(one, list))
    assert inspect_table(path, "jsonl", roles).rows == 20


CANARIES = {
    "text": "input",
    "label": "target",
    "seen": "member",
    "coin": "randomised_inclusion",
    "times": "repetitions",
}
PLANTED = [
    {"text": "my code is 31", "label": "a", "seen": 1, "coin": 1, "times": 32},
    {"text": "my code is 77", "label": "b", "seen": 0, "coin": 0, "times": 0},
    {"text": "hello", "label": "a", "seen": None, "coin": None, "times": None},
]


@every_format
def test_rows_in_the_training_data_are_counted_by_what_is_known_of_them(tmp_path: Path, format: str) -> None:
    summary = inspect_table(table(tmp_path, format, PLANTED), format, CANARIES)
    assert summary.groups == {
        "seen": {"1": 1, "0": 1, "(missing)": 1},
        "coin": {"1": 1, "0": 1, "(missing)": 1},
        "times": {"32": 1, "0": 1, "(missing)": 1},
    }


@every_format
@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("seen", "maybe", "1 where the model was trained on the row, 0 where it was not"),
        ("coin", 2, "as an independent fair coin fell"),
        ("times", -1, "0 for one that never was"),
        ("times", 1.5, "how often it was put into the training data"),
    ],
)
def test_a_value_without_meaning_in_a_column_about_the_training_data_is_refused(
    tmp_path: Path, format: str, column: str, value: object, said: str
) -> None:
    rows = [{**PLANTED[0], column: value}] * 2
    error = refusal(table(tmp_path, format, rows), format, CANARIES)
    assert error.code == "column_values"
    assert error.errors[0].pointer == f"/roles/{column}"
    assert said in error.message
    assert repr(str(value)) in error.message


def test_membership_may_be_written_as_true_and_false(tmp_path: Path) -> None:
    rows = [{**PLANTED[0], "seen": seen, "times": "1e0"} for seen in ("true", "False", "1.0")]
    summary = inspect_table(table(tmp_path, "csv", rows), "csv", CANARIES)
    assert summary.groups["seen"] == {"1": 2, "0": 1}
    assert summary.groups["times"] == {"1": 3}


def test_only_one_column_can_say_which_rows_the_model_was_trained_on(tmp_path: Path) -> None:
    path = table(tmp_path, "csv", PLANTED)
    assert refusal(path, "csv", {**CANARIES, "coin": "member"}).code == "member_many"


@every_format
def test_the_secrets_of_canaries_are_no_classes_and_other_rows_need_none(tmp_path: Path, format: str) -> None:
    """What counts as a class is listed on every report card."""
    rows = [*PLANTED[:2], {**PLANTED[2], "label": None}]
    assert inspect_table(table(tmp_path, format, rows), format, CANARIES).classes == {}
    judged = {"text": "input", "label": "target", "seen": "human"}
    assert inspect_table(table(tmp_path, format, rows), format, judged).rows == 3
    assert (
        refusal(table(tmp_path, format, rows), format, {"text": "input", "label": "target"}).code
        == "label_missing"
    )
