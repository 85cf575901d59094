"""Reading data sets: what is wrong is said together with how to mend it, and labels and ids stay what they were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from evaluations.data import dataset
from evaluations.data.sampling import stratified_sample
from evaluations.spec import DataRef, EvaluationError, Modality, Role
from tests.evaluations import make

TEXT, TABULAR = Modality.TEXT_CLASSIFIER, Modality.TABULAR


def written(
    folder: Path, content: bytes | str, kind: Literal["csv", "jsonl", "parquet"] = "csv", **roles: str
) -> DataRef:
    path = folder / f"data.{kind}"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return DataRef(path=str(path), digest="d", format=kind, roles={c: Role(r) for c, r in roles.items()})


def code_of(ref: DataRef, modality: Modality = TABULAR) -> str:
    with pytest.raises(EvaluationError) as error:
        _ = dataset.read(ref, modality).truth
    assert len(error.value.message) > 20
    return error.value.code


@pytest.mark.parametrize(
    ("content", "roles", "code"),
    [
        ("x,y\n", {"x": "input", "y": "target"}, "data_empty"),
        ("", {"x": "input", "y": "target"}, "data_empty"),
        ("x,y\n1,a\n", {"x": "input", "z": "target"}, "column_missing"),
        ("x,y\n1,a\n", {"x": "input", "y": "ignore"}, "target_missing"),
        ("x,y\n1,a\n", {"x": "target", "y": "target"}, "target_many"),
        ("x,y\n1,a\n", {"y": "target"}, "input_missing"),
        ("x,y\n1,a\n2,\n", {"x": "input", "y": "target"}, "label_missing"),
        ("x,y\n1,a\n2,NaN\n", {"x": "input", "y": "target"}, "label_missing"),
        ("x,y\n1,a\n2,b,3\n", {"x": "input", "y": "target"}, "data_unreadable"),
        ("i,x,y\n1,1,a\n1,2,b\n", {"i": "id", "x": "input", "y": "target"}, "id_duplicate"),
        ("i,x,y\n1,1,a\n,2,b\n", {"i": "id", "x": "input", "y": "target"}, "id_missing"),
        (b"\xff\xfe\x00garbage\x00", {"x": "input", "y": "target"}, "data_unreadable"),
    ],
)
def test_what_is_wrong_has_a_code_and_a_remedy(
    content: bytes | str, roles: dict[str, str], code: str, tmp_path: Path
) -> None:
    assert code_of(written(tmp_path, content, **roles)) == code


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    ref = DataRef(path=str(tmp_path / "gone.csv"), digest="d", format="csv", roles={})
    assert code_of(ref) == "data_missing"


def test_a_text_model_refuses_numbers_missing_texts_and_two_columns(tmp_path: Path) -> None:
    assert code_of(written(tmp_path, "x,y\n1,a\n2,b\n", x="input", y="target"), TEXT) == "text_expected"
    two = written(tmp_path, "x,z,y\nu,v,a\n", x="input", z="input", y="target")
    assert code_of(two, TEXT) == "text_columns"
    lines = '{"x": "good", "y": 1}\n{"x": null, "y": 0}\n'
    assert code_of(written(tmp_path, lines, "jsonl", x="input", y="target"), TEXT) == "text_missing"


@pytest.mark.parametrize(
    "line",
    ["[1, 2]", "{", '{"x": {"deep": 1}, "y": 1}', "[" * 100_000, '{"x": 1e999999, "y": [1]}', "\ud800"],
)
def test_hostile_json_lines_are_refused(line: str, tmp_path: Path) -> None:
    content = line.encode("utf-8", "surrogatepass")
    ref = written(tmp_path, content, "jsonl", x="input", y="target")
    assert code_of(ref) in ("data_unreadable", "column_type")


def test_a_parquet_file_with_invalid_utf8_or_cut_short_is_refused(tmp_path: Path) -> None:
    bad = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(np.array([0, 2], "int32")), pa.py_buffer(b"\xff\xfe")]
    )
    pa.parquet.write_table(pa.table({"x": bad, "y": ["a"]}), tmp_path / "bad.parquet")
    roles = {"x": Role.INPUT, "y": Role.TARGET}
    ref = DataRef(path=str(tmp_path / "bad.parquet"), digest="d", format="parquet", roles=roles)
    assert code_of(ref, TEXT) == "data_unreadable"
    whole = (tmp_path / "bad.parquet").read_bytes()
    assert (
        code_of(written(tmp_path, whole[: len(whole) // 2], "parquet", x="input", y="target"))
        == "data_unreadable"
    )


def test_csv_with_bom_crlf_and_line_breaks_inside_quotes_is_read(tmp_path: Path) -> None:
    content = '\ufefftext,label\r\n"two\r\nlines",1\r\nNA,-1\r\n'
    data = dataset.read(written(tmp_path, content, text="input", label="target"), TEXT)
    assert data.inputs(np.arange(2), None) == ["two\r\nlines", "NA"]
    assert data.truth.tolist() == ["1", "-1"]
    assert data.ids.tolist() == ["0", "1"]


def test_labels_are_one_whether_written_as_int_float_or_text(tmp_path: Path) -> None:
    for column in ([0, 1], [0.0, 1.0], ["0", "1"], np.array([0, 1], "int8")):
        table = pd.DataFrame({"x": [1.0, 2.0], "y": column})
        data = dataset.read(make.data_ref(table, tmp_path, {"x": Role.INPUT, "y": Role.TARGET}), TABULAR)
        assert data.class_indices(("0", "1")).tolist() == [0, 1]


def test_dictionary_columns_are_read_as_their_values(tmp_path: Path) -> None:
    table = pd.DataFrame({"x": pd.Categorical(["a", "b"]), "y": pd.Categorical(["n", "p"])})
    data = dataset.read(make.data_ref(table, tmp_path, {"x": Role.INPUT, "y": Role.TARGET}), TABULAR)
    assert data.truth.tolist() == ["n", "p"]
    assert list(data.inputs(np.arange(2), None)["x"]) == ["a", "b"]  # type: ignore[call-overload]  # a frame


def test_a_model_never_gets_the_label_column(tmp_path: Path) -> None:
    data = dataset.read(make.data_ref(make.frame(10), tmp_path), TABULAR)
    assert list(data.inputs(np.arange(3), ("x", "sex")).columns) == ["x", "sex"]  # type: ignore[union-attr]  # a frame
    for column in ("label", "id", "gone"):
        with pytest.raises(EvaluationError, match=column):
            data.inputs(np.arange(3), ("x", column))


def test_a_sample_is_stratified_seeded_and_independent_of_the_order() -> None:
    ids = np.array([f"e{i}" for i in range(1000)])
    strata = np.array(["a"] * 700 + ["b"] * 290 + ["c"] * 10)
    rows = stratified_sample(ids, strata, 100, seed=1)
    assert dict(zip(*np.unique(strata[rows], return_counts=True), strict=True)) == {"a": 70, "b": 29, "c": 1}
    shuffled = np.random.default_rng(0).permutation(1000)
    again = stratified_sample(ids[shuffled], strata[shuffled], 100, seed=1)
    assert ids[rows].tolist() == ids[shuffled][again].tolist()
    assert ids[stratified_sample(ids, strata, 100, seed=2)].tolist() != ids[rows].tolist()
    assert len(stratified_sample(ids, strata, 5000, seed=1)) == 1000


def test_json_lines_keep_missing_values_and_numbers(tmp_path: Path) -> None:
    lines = "\n".join(json.dumps(r) for r in ({"x": 1.5, "y": True}, {"y": False}, {"x": 2, "y": True}))
    data = dataset.read(written(tmp_path, lines, "jsonl", x="input", y="target"), TABULAR)
    assert data.truth.tolist() == ["True", "False", "True"]
    assert pd.isna(data.inputs(np.arange(3), None)["x"].iloc[1])  # type: ignore[call-overload]  # a frame
