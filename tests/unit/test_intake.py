"""What a folder of model files must be, and what each refusal says."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from evaluations.intake.inspection import Accepted, Refused, inspect_model
from evaluations.spec import ModelFormat
from tests.model_files import CONFIG, hugging_face, npy_bytes, safetensors_bytes, skops_bytes, tabular


def codes(folder: Path, modality: str = "text_classifier") -> set[str]:
    result = inspect_model(folder, modality)
    assert isinstance(result, Refused), result
    assert all(reason.message for reason in result.reasons)
    return {reason.code for reason in result.reasons}


def test_a_hugging_face_folder_is_accepted(tmp_path: Path) -> None:
    folder = hugging_face(tmp_path)
    (folder / "README.md").write_text("# Sentiment\n")
    (folder / "special_tokens_map.json").write_text("{}")
    result = inspect_model(folder, "text_classifier")
    assert isinstance(result, Accepted), result
    assert result.format is ModelFormat.SAFETENSORS
    assert result.files == (
        "README.md",
        "config.json",
        "model.safetensors",
        "special_tokens_map.json",
        "tokenizer.json",
    )
    assert result.size == sum(path.stat().st_size for path in folder.iterdir())


def test_a_skops_file_is_accepted_for_tables_and_refused_for_text(tmp_path: Path) -> None:
    folder = tabular(tmp_path)
    result = inspect_model(folder, "tabular")
    assert isinstance(result, Accepted), result
    assert result.format is ModelFormat.SKOPS
    assert codes(folder, "text_classifier") == {"wrong_format"}


def test_a_text_model_is_refused_for_tables(tmp_path: Path) -> None:
    assert codes(hugging_face(tmp_path), "tabular") == {"wrong_format"}


@pytest.mark.parametrize(
    "name", ["model.pkl", "pytorch_model.bin", "model.pt", "weights.pth", "model.joblib"]
)
def test_a_pickle_is_refused_by_its_ending(tmp_path: Path, name: str) -> None:
    folder = hugging_face(tmp_path)
    (folder / name).write_bytes(b"whatever")
    result = inspect_model(folder, "text_classifier")
    assert isinstance(result, Refused)
    assert [(r.code, r.path) for r in result.reasons] == [("pickle", name)]
    assert "safe_serialization=True" in result.reasons[0].message


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "README.md"])
def test_a_pickle_under_another_name_is_refused_by_its_content(tmp_path: Path, name: str) -> None:
    folder = hugging_face(tmp_path)
    (folder / name).write_bytes(pickle.dumps({"a": 1}, protocol=4))
    assert codes(folder) == {"pickle"}


def test_a_torch_archive_under_another_name_is_refused(tmp_path: Path) -> None:
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("archive/data.pkl", b"\x80\x02}.")
    (hugging_face(tmp_path / "text") / "model.safetensors").write_bytes(archive.getvalue())
    assert codes(tmp_path / "text") == {"pickle"}
    (tabular(tmp_path / "table") / "model.skops").write_bytes(archive.getvalue())
    assert codes(tmp_path / "table", "tabular") == {"pickle"}


@pytest.mark.parametrize("name", ["modeling.py", "run.sh", "lib.so", "modeling.PY", "x/y.pyc"])
def test_code_is_refused_by_its_ending(tmp_path: Path, name: str) -> None:
    folder = hugging_face(tmp_path)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("pass")
    assert codes(folder) == {"code"}


@pytest.mark.parametrize("head", [b"\x7fELF\x02\x01", b"#!/bin/sh\n", b"MZ\x90\x00"])
def test_a_program_is_refused_by_its_content(tmp_path: Path, head: bytes) -> None:
    folder = hugging_face(tmp_path)
    (folder / "vocab.txt").write_bytes(head + b" " * 64)
    assert codes(folder) == {"code"}


def test_a_link_out_of_the_folder_is_refused_and_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text("{}")
    folder = hugging_face(tmp_path / "model")
    (folder / "added_tokens.json").symlink_to(secret)
    assert codes(folder) == {"symlink"}


def test_a_link_to_a_folder_is_refused_and_not_entered(tmp_path: Path) -> None:
    folder = hugging_face(tmp_path / "model")
    (folder / "more").symlink_to("/etc")
    result = inspect_model(folder, "text_classifier")
    assert isinstance(result, Refused)
    assert [(r.code, r.path) for r in result.reasons] == [("symlink", "more")]


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    folder = hugging_face(tmp_path)
    os.mkfifo(folder / "vocab.txt")
    assert codes(folder) == {"special_file"}


@pytest.mark.parametrize(
    "name", [".hidden", "a\\b.json", "bell\x07.json", "name\u202ejson.txt", "nul.json", "~x.json"]
)
def test_names_that_mislead_are_refused(tmp_path: Path, name: str) -> None:
    folder = hugging_face(tmp_path)
    (folder / name).write_text("{}")
    assert codes(folder) == {"name"}


def test_names_that_differ_only_in_case_are_refused(tmp_path: Path) -> None:
    folder = hugging_face(tmp_path)
    (folder / "Config.json").write_text("{}")
    assert codes(folder) == {"name_clash"}


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    folder = hugging_face(tmp_path)
    for number in range(250):
        (folder / f"extra-{number}.json").write_text("{}")
    assert codes(folder) == {"too_many_files"}


def test_a_file_larger_than_any_model_is_refused_before_it_is_read(tmp_path: Path) -> None:
    folder = hugging_face(tmp_path)
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(21 * 2**30)  # a hole: takes no room
    assert codes(folder) == {"too_large"}


def test_code_in_a_configuration_is_refused_at_any_depth(tmp_path: Path) -> None:
    folder = hugging_face(tmp_path)
    (folder / "tokenizer_config.json").write_text(json.dumps({"a": [{"auto_map": {"AutoTokenizer": "x.Y"}}]}))
    assert codes(folder) == {"auto_map"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "json"),
        ('{"a": 1, "a": 2}', "json_repeated"),
        ("[" * 100_000, "json_deep"),
        ("1" * 5000, "json_number"),
        ("\udcff", "json"),
    ],
)
def test_json_that_readers_could_take_differently_is_refused(tmp_path: Path, text: str, code: str) -> None:
    folder = hugging_face(tmp_path)
    (folder / "config.json").write_text(text, errors="surrogateescape")
    assert codes(folder) == {code}


def test_json_that_would_fill_the_memory_is_refused_before_it_is_built(tmp_path: Path) -> None:
    folder = hugging_face(tmp_path)
    (folder / "config.json").write_text("[" + "[],[]," * 1_500_000 + "[]]")
    assert codes(folder) == {"json_large"}


def test_a_missing_config_tokenizer_or_model_is_named(tmp_path: Path) -> None:
    folder = hugging_face(tmp_path)
    (folder / "config.json").unlink()
    (folder / "tokenizer.json").unlink()
    assert codes(folder) == {"no_config", "no_tokenizer"}
    (folder / "model.safetensors").unlink()
    (folder / "README.md").write_text("x")
    assert codes(folder) == {"no_model"}


def test_a_missing_or_empty_folder_is_named(tmp_path: Path) -> None:
    assert codes(tmp_path / "nowhere") == {"missing"}
    assert codes(tmp_path) == {"empty"}


def test_a_model_that_is_no_classifier_is_refused(tmp_path: Path) -> None:
    folder = hugging_face(tmp_path)
    (folder / "config.json").write_text(json.dumps({**CONFIG, "architectures": ["BertModel"]}))
    assert codes(folder) == {"wrong_architecture"}


def test_two_models_in_one_folder_are_refused(tmp_path: Path) -> None:
    folder = tabular(tmp_path)
    (folder / "other.skops").write_bytes(skops_bytes())
    assert codes(folder, "tabular") == {"many_models"}


def test_an_unknown_file_is_refused_with_what_is_expected(tmp_path: Path) -> None:
    folder = hugging_face(tmp_path)
    (folder / "spiece.model").write_bytes(b"\x0a\x0e")
    assert codes(folder) == {"unknown_file"}


def test_shards_are_accepted_with_an_index_that_names_them_exactly(tmp_path: Path) -> None:
    folder = hugging_face(tmp_path)
    (folder / "model.safetensors").unlink()
    for number in (1, 2):
        header = {f"w{number}": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}
        (folder / f"model-0000{number}-of-00002.safetensors").write_bytes(safetensors_bytes(header))
    index = {"weight_map": {f"w{n}": f"model-0000{n}-of-00002.safetensors" for n in (1, 2)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert isinstance(inspect_model(folder, "text_classifier"), Accepted)

    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"w1": "../../etc/passwd"}})
    )
    assert codes(folder) == {"index"}
    index["weight_map"]["w2"] = "model-00001-of-00002.safetensors"
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert codes(folder) == {"shards"}


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ({}, "safetensors"),
        ({"w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 12]}}, "safetensors_bounds"),
        ({"w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [4, 20]}}, "safetensors_gap"),
        ({"w": {"dtype": "F32", "shape": [-2, -2], "data_offsets": [0, 16]}}, "safetensors_bounds"),
        ({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, "safetensors_gap"),
        ({"w": {"dtype": "PY", "shape": [2, 2], "data_offsets": [0, 16]}}, "safetensors_dtype"),
        (
            {
                "w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
                "v": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]},
            },
            "safetensors_overlap",
        ),
        ({"w": {"dtype": "F32", "shape": [2, 2]}}, "safetensors"),
        ({"w": 3}, "safetensors"),
        (
            {"__metadata__": {"a": 1}, "w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}},
            "safetensors",
        ),
    ],
)
def test_a_safetensors_header_that_does_not_describe_the_data_is_refused(
    tmp_path: Path, header: dict, code: str
) -> None:
    folder = hugging_face(tmp_path)
    (folder / "model.safetensors").write_bytes(safetensors_bytes(header))
    assert codes(folder) == {code}


@pytest.mark.parametrize(
    "data", [b"", b"\x00" * 9, b"\xff" * 8 + b"{}", (200 * 2**20).to_bytes(8, "little") + b"{}"]
)
def test_a_damaged_safetensors_file_is_refused(tmp_path: Path, data: bytes) -> None:
    folder = hugging_face(tmp_path)
    (folder / "model.safetensors").write_bytes(data)
    assert codes(folder) == {"safetensors_header"}


def test_safetensors_agrees_with_the_library_that_wrote_the_file(tmp_path: Path) -> None:
    import numpy
    from safetensors.numpy import save_file

    folder = hugging_face(tmp_path)
    tensors = {
        "a": numpy.zeros((3, 4), "float16"),
        "b": numpy.ones(5, "int64"),
        "empty": numpy.zeros((0, 7), "float32"),
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert isinstance(inspect_model(folder, "text_classifier"), Accepted)


@pytest.mark.parametrize(
    ("module", "name", "loader"),
    [
        ("os", "system", "FunctionNode"),
        ("builtins", "eval", "TypeNode"),
        ("builtins", "getattr", "TypeNode"),
        ("numpy.testing", "measure", "TypeNode"),
        ("numpy", "memmap", "TypeNode"),
        ("sklearn.utils._joblib.externals.loky", "x", "ObjectNode"),
        ("__main__", "Mine", "ObjectNode"),
        ("operator", "methodcaller", "OperatorFuncNode"),
        ("functools", "partial", "PartialNode"),
        ("numpy", 7, "ObjectNode"),
    ],
)
def test_a_skops_file_of_a_type_that_is_not_on_the_list_is_refused(
    tmp_path: Path, module: str, name: str, loader: str
) -> None:
    folder = tabular(tmp_path)
    inner = {"__module__": module, "__class__": name, "__loader__": loader}
    (folder / "model.skops").write_bytes(skops_bytes({"content": [{"deep": inner}]}))
    assert codes(folder, "tabular") == {"skops_type"}


@pytest.mark.parametrize(
    "extra",
    [
        {"inner.py": b""},
        {"2.npy": npy_bytes("|O")},
        {"2.npy": npy_bytes(shape=(3,))},
        {"2.npy": b"\x93NUMPY\x09"},
        {"2.npy": npy_bytes("<f8", (2**62, 4))},
        {"2.npy": b"not an array"},
    ],
)
def test_a_skops_file_with_an_unsound_member_is_refused(tmp_path: Path, extra: dict[str, bytes]) -> None:
    folder = tabular(tmp_path)
    (folder / "model.skops").write_bytes(skops_bytes(extra=extra))
    assert codes(folder, "tabular") == {"skops"}


def test_a_skops_file_with_a_pickle_inside_is_refused(tmp_path: Path) -> None:
    folder = tabular(tmp_path)
    (folder / "model.skops").write_bytes(skops_bytes(extra={"model/data.pkl": b"\x80\x04."}))
    assert codes(folder, "tabular") == {"pickle"}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_skops_file_with_two_members_of_one_name_is_refused(tmp_path: Path) -> None:
    folder = tabular(tmp_path)
    (folder / "model.skops").write_bytes(skops_bytes(extra={"1.npy": npy_bytes()}))
    assert codes(folder, "tabular") == {"skops"}


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    folder = tabular(tmp_path)
    with zipfile.ZipFile(folder / "model.skops", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("1.npy", npy_bytes("|u1", (2**24,), bytes(2**24)))
        archive.writestr("schema.json", "{}")
    assert codes(folder, "tabular") == {"ratio"}


def test_a_cut_skops_file_is_refused(tmp_path: Path) -> None:
    folder = tabular(tmp_path)
    whole = (folder / "model.skops").read_bytes()
    (folder / "model.skops").write_bytes(whole[: len(whole) // 2])
    assert codes(folder, "tabular") == {"skops"}
