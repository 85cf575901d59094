"""Folders as data sets: what `datasets` wrote is read as `datasets` reads it, and a hostile folder is refused."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

from evaluations.data import dataset, folders, hugging_face, image_folders, reading
from evaluations.data.digests import path_digest
from evaluations.data.formats import column_names, format_of
from evaluations.data.pack import main as pack_main
from evaluations.data.pack import pack
from evaluations.spec import DataRef, EvaluationError, Modality, Role

FEATURES = datasets.Features(
    {
        "text": datasets.Value("string"),
        "label": datasets.ClassLabel(names=["neg", "pos"]),
        "tags": datasets.List(datasets.ClassLabel(names=["O", "B"])),
        "image": datasets.Image(),
        "matrix": datasets.Array2D((2, 2), "float32"),
    }
)
ROLES = {"text": "input", "label": "target"}


@pytest.fixture(autouse=True)
def silent() -> Iterator[None]:
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


def png(shade: int = 0, size: tuple[int, int] = (3, 2)) -> bytes:
    out = io.BytesIO()
    Image.new("L", size, shade).save(out, "PNG")
    return out.getvalue()


def made() -> datasets.Dataset:
    images = [Image.new("L", (3, 2), 7), None, Image.new("L", (1, 1), 9), Image.new("L", (2, 2), 1)]
    return datasets.Dataset.from_dict(
        {
            "text": ["a", "b", "c", "d"],
            "label": [0, 1, 0, 1],
            "tags": [[0, 1], [], None, [1]],
            "image": images,
            "matrix": [[[1, 2], [3, 4]]] * 4,
        },
        features=FEATURES,
    )


def ref(path: Path, roles: dict[str, str], kind: Any = "huggingface") -> DataRef:
    return DataRef(path=str(path), digest="d", format=kind, roles={c: Role(r) for c, r in roles.items()})


def refusal(path: Path, kind: str = "huggingface") -> str:
    with pytest.raises(EvaluationError) as error:
        list(reading.folder_tables(path, kind))
    assert len(error.value.message) > 20
    return error.value.code


# --- what `datasets` saves ----------------------------------------------------------------------------


def test_a_saved_data_set_reads_as_datasets_itself_reads_it(tmp_path: Path) -> None:
    made().save_to_disk(tmp_path / "d", num_shards=3)
    table = pa.concat_tables(hugging_face.tables(tmp_path / "d"))
    again = datasets.load_from_disk(str(tmp_path / "d"))
    names = FEATURES["label"].int2str
    assert table.column("text").to_pylist() == again["text"][:]
    assert table.column("label").to_pylist() == [names(label) for label in again["label"]]
    assert table.column("matrix").to_pylist() == [m.tolist() for m in again.with_format("numpy")["matrix"]]
    tags = FEATURES["tags"].feature.int2str
    assert table.column("tags").to_pylist() == [
        None if row is None else [tags(tag) for tag in row] for row in again["tags"]
    ]
    for mine, theirs in zip(table.column("image").to_pylist(), again["image"], strict=True):
        assert (mine is None) == (theirs is None)
        if mine:
            assert np.array_equal(np.asarray(Image.open(io.BytesIO(mine["bytes"]))), np.asarray(theirs))


def test_a_saved_data_set_is_evaluated_like_a_file(tmp_path: Path) -> None:
    made().select([3, 0]).save_to_disk(tmp_path / "d")
    data = dataset.read(ref(tmp_path / "d", ROLES), Modality.TEXT_CLASSIFIER)
    assert data.texts == ["d", "a"]
    assert data.truth.tolist() == ["pos", "neg"]
    pictures = dataset.read(
        ref(tmp_path / "d", {"image": "input", "label": "target"}), Modality.IMAGE_CLASSIFIER
    )
    assert Image.open(io.BytesIO(pictures.images(np.arange(2))[0])).size == (2, 2)
    assert format_of(tmp_path / "d") == "huggingface"
    assert column_names(tmp_path / "d") == list(FEATURES)


def test_splits_follow_each_other_and_are_named(tmp_path: Path) -> None:
    parts = {"train": made().select([0, 1]), "test": made().select([2])}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "d")
    data = dataset.read(ref(tmp_path / "d", {**ROLES, "split": "split"}), Modality.TEXT_CLASSIFIER)
    assert data.texts == ["a", "b", "c"]
    assert data.split is not None
    assert data.split.tolist() == ["train", "train", "test"]
    (only,) = hugging_face.tables(tmp_path / "d", ["text"], "test")
    assert only.to_pydict() == {"text": ["c"]}
    with pytest.raises(EvaluationError, match=r"'dev'. There are: train, test"):
        list(hugging_face.tables(tmp_path / "d", split="dev"))


def test_parquet_shards_as_the_hub_has_them_read_the_same(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    flat = made().remove_columns("matrix")
    flat.select([0, 1]).to_parquet(tmp_path / "data" / "train-00000-of-00002.parquet")
    flat.select([2]).to_parquet(tmp_path / "data" / "train-00001-of-00002-0a1b.parquet")
    flat.select([3]).to_parquet(tmp_path / "data" / "test-00000-of-00001.parquet")
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n")
    table = pa.concat_tables(hugging_face.tables(tmp_path))
    assert table.select(["text", "label", "split"]).to_pydict() == {
        "text": ["d", "a", "b", "c"],
        "label": ["pos", "neg", "pos", "neg"],
        "split": ["test", "train", "train", "train"],
    }
    assert format_of(tmp_path) == "huggingface"


def test_several_configurations_are_not_mixed(tmp_path: Path) -> None:
    for name in ("de", "en"):
        (tmp_path / name / "train").mkdir(parents=True)
        pa.parquet.write_table(pa.table({"text": [name]}), tmp_path / name / "train" / "0000.parquet")
    assert refusal(tmp_path) == "data_configurations"
    assert pa.concat_tables(hugging_face.tables(tmp_path / "de")).to_pydict() == {"text": ["de"]}


def test_splits_with_other_columns_are_refused(tmp_path: Path) -> None:
    pa.parquet.write_table(pa.table({"text": ["a"]}), tmp_path / "train-00000-of-00001.parquet")
    pa.parquet.write_table(pa.table({"text": [1]}), tmp_path / "test-00000-of-00001.parquet")
    assert refusal(tmp_path) == "data_schema"
    pa.parquet.write_table(
        pa.table({"text": ["a"], "split": ["x"]}), tmp_path / "train-00000-of-00001.parquet"
    )
    pa.parquet.write_table(
        pa.table({"text": ["a"], "split": ["x"]}), tmp_path / "test-00000-of-00001.parquet"
    )
    assert refusal(tmp_path) == "column_duplicate"


def test_minus_one_is_a_missing_label_and_any_other_stranger_is_refused(tmp_path: Path) -> None:
    features = datasets.Features({"label": FEATURES["label"]})
    datasets.Dataset.from_dict({"label": [1, -1]}, features=features).save_to_disk(tmp_path / "d")
    assert pa.concat_tables(hugging_face.tables(tmp_path / "d")).to_pydict() == {"label": ["pos", None]}
    info = tmp_path / "d" / "dataset_info.json"
    said = json.loads(info.read_text())
    said["features"]["label"]["names"] = ["neg"]
    info.write_text(json.dumps(said))
    assert refusal(tmp_path / "d") == "label_range"


# --- hostile folders ------------------------------------------------------------------------------------


def saved(folder: Path, schema: pa.Schema | None = None, **state: Any) -> Path:
    """A folder as save_to_disk makes it, by hand."""
    folder.mkdir(exist_ok=True)
    table = pa.table({"text": pa.array(["a"], pa.binary() if schema else pa.string())}, schema=schema)
    with pa.OSFile(str(folder / "data.arrow"), "wb") as out, pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data.arrow"}], **state}))
    return folder


@pytest.mark.parametrize(
    "name", ["../secret.arrow", "/etc/passwd", "gone.arrow", "x/../data.arrow", "", None, 3]
)
def test_only_files_of_the_folder_are_opened(name: Any, tmp_path: Path) -> None:
    saved(tmp_path / "outside")
    os.rename(tmp_path / "outside" / "data.arrow", tmp_path / "secret.arrow")
    folder = saved(tmp_path / "d", _data_files=[{"filename": name}])
    assert refusal(folder) == "data_unreadable"


@pytest.mark.parametrize("kind", ["huggingface", "images"])
def test_links_and_pipes_are_refused(kind: str, tmp_path: Path) -> None:
    folder = saved(tmp_path / "d")
    (folder / "a.png").write_bytes(png())
    (folder / "link.png").symlink_to("/etc/passwd")
    assert refusal(folder, kind) == "file_special"
    with pytest.raises(EvaluationError, match="symbolic link"):
        path_digest(folder)
    (folder / "link.png").unlink()
    os.mkfifo(folder / "pipe")
    assert refusal(folder, kind) == "file_special"


def test_a_linked_folder_is_not_entered(tmp_path: Path) -> None:
    folder = saved(tmp_path / "d")
    (folder / "more").symlink_to(tmp_path, target_is_directory=True)
    assert refusal(folder) == "file_special"


def test_a_type_described_by_a_pickle_is_refused_even_where_nobody_asks_for_it(tmp_path: Path) -> None:
    pickled = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": b"\x80\x04."}
    folder = saved(tmp_path / "d", pa.schema([pa.field("text", pa.binary(), metadata=pickled)]))
    with pytest.raises(EvaluationError, match="pickle"):
        list(hugging_face.tables(folder, ["other"]))


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("state.json", "{"),
        ("state.json", "[]"),
        ("state.json", "[" * 100_000),
        ("state.json", '{"_data_files": "data.arrow"}'),
        ("state.json", '{"_data_files": [{"filename": "data.arrow"}], "_indices_data_files": [{}]}'),
        ("dataset_dict.json", '{"splits": ["../d"]}'),
        ("dataset_dict.json", '{"splits": []}'),
        ("dataset_info.json", "\ud800"),
        ("data.arrow", "no arrow file"),
        ("data.arrow", ""),
    ],
)
def test_damaged_files_are_named(file: str, text: str, tmp_path: Path) -> None:
    folder = saved(tmp_path / "d")
    (folder / file).write_bytes(text.encode("utf-8", "surrogatepass"))
    assert refusal(folder) == "data_unreadable"


def test_a_file_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path / "d")
    whole = (folder / "data.arrow").read_bytes()
    (folder / "data.arrow").write_bytes(whole[: len(whole) // 2])
    assert refusal(folder) == "data_unreadable"


def test_images_that_are_only_named_are_never_opened(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(png())
    features = datasets.Features({"image": datasets.Image()})
    table = pa.table(
        {"image": [{"bytes": None, "path": str(tmp_path / "secret.png")}]}, schema=features.arrow_schema
    )
    pa.parquet.write_table(table, tmp_path / "train-00000-of-00001.parquet")
    assert refusal(tmp_path) == "image_outside"


def test_too_many_files_too_deep_folders_and_too_much_memory_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = saved(tmp_path / "d")
    deep = folder.joinpath(*["x"] * (folders.MAX_DEPTH + 1))
    deep.mkdir(parents=True)
    assert refusal(folder) == "folder_deep"
    for part in [deep, *deep.parents][: folders.MAX_DEPTH + 1]:
        part.rmdir()
    monkeypatch.setattr(reading, "MAX_BYTES", 1)
    with pytest.raises(EvaluationError) as error:
        reading.read_table(ref(folder, {"text": "input"}), Modality.TEXT_CLASSIFIER)
    assert error.value.code == "data_large"
    monkeypatch.setattr(folders, "MAX_FILES", 1)
    assert refusal(folder) == "files_many"


# --- folders of images ------------------------------------------------------------------------------------


def pictures(folder: Path, *names: str) -> Path:
    for shade, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(shade))
    return folder


def test_one_folder_per_class_gives_the_labels(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "d", "cat/1.png", "dog/a/2.PNG", ".cache/3.png")
    (folder / "README.md").write_text("about")
    data = dataset.read(
        ref(folder, {"image": "input", "label": "target", "file_name": "id"}, "images"),
        Modality.IMAGE_CLASSIFIER,
    )
    assert data.truth.tolist() == ["cat", "dog"]
    assert data.ids.tolist() == ["cat/1.png", "dog/a/2.PNG"]
    assert data.images(np.arange(2)) == [png(0), png(1)]
    assert column_names(folder) == ["file_name", "image", "label"]
    assert format_of(folder) == "images"


def test_folders_named_after_splits_lie_above_the_classes(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "d", "train/cat/1.png", "test/cat/2.png", "test/dog/3.png")
    (table,) = image_folders.tables(folder)
    assert table.drop_columns(["image"]).to_pydict() == {
        "file_name": ["test/cat/2.png", "test/dog/3.png", "train/cat/1.png"],
        "label": ["cat", "dog", "cat"],
        "split": ["test", "test", "train"],
    }
    assert pa.concat_tables(image_folders.tables(folder, split="train")).num_rows == 1
    with pytest.raises(EvaluationError, match="no split 'dev'"):
        list(image_folders.tables(folder, split="dev"))


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("metadata.csv", "file_name,label,age\n./b.png,2,40\na.png,07,\n"),
        (
            "metadata.jsonl",
            '{"file_name": "b.png", "label": "2", "age": "40"}\n{"file_name": "a.png", "label": "07", "age": ""}\n',
        ),
    ],
)
def test_metadata_says_what_belongs_to_each_image(file: str, text: str, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "d", "a.png", "b.png")
    (folder / file).write_text(text)
    (table,) = image_folders.tables(folder)
    assert table.to_pydict() == {
        "file_name": ["b.png", "a.png"],
        "image": [png(1), png(0)],
        "label": ["2", "07"],
        "age": ["40", ""],
    }


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"file_name": "../secret.png"}', "image_unknown"),
        ('{"file_name": "/etc/passwd"}', "image_unknown"),
        ('{"label": "x"}', "image_unknown"),
        ('{"file_name": "a.png"}\n{"file_name": "a.png"}', "image_unknown"),
        ('{"file_name": "a.png", "image": "x"}', "column_duplicate"),
        ('{"file_name": "a.png", "x": {"y": 1}}\n{"file_name": "b.png", "x": 1}', "data_unreadable"),
        ('{"file_name": "a.png"}', "image_unnamed"),
        ("[]", "data_unreadable"),
        ("{", "data_unreadable"),
    ],
)
def test_metadata_that_does_not_fit_the_images_is_refused(text: str, code: str, tmp_path: Path) -> None:
    pictures(tmp_path, "secret.png")
    folder = pictures(tmp_path / "d", "a.png", "b.png")
    (folder / "metadata.jsonl").write_text(text)
    assert refusal(folder, "images") == code


def test_what_is_no_image_or_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pictures(tmp_path / "d", "cat/1.png")
    (folder / "cat" / "2.png").write_bytes(b"\x80\x04no image")
    assert refusal(folder, "images") == "image_unreadable"
    bomb = io.BytesIO()
    Image.new("1", (9_000, 9_000)).save(bomb, "PNG")
    assert len(bomb.getvalue()) < 50_000
    (folder / "cat" / "2.png").write_bytes(bomb.getvalue())
    assert refusal(folder, "images") == "image_large"
    monkeypatch.setattr(image_folders, "MAX_IMAGE", 10)
    assert refusal(folder, "images") == "file_large"


def test_a_folder_without_images_or_with_loose_ones_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    assert refusal(tmp_path / "d", "images") == "data_missing"
    assert refusal(tmp_path / "gone", "images") == "data_missing"
    assert refusal(pictures(tmp_path / "d", "cat/1.png", "2.png"), "images") == "label_missing"


# --- packing and digests ----------------------------------------------------------------------------------


def test_a_packed_folder_is_one_file_that_reads_the_same(tmp_path: Path) -> None:
    made().save_to_disk(tmp_path / "d", num_shards=2)
    schema = pack(tmp_path / "d", tmp_path / "d.parquet")
    packed = pa.parquet.read_table(tmp_path / "d.parquet")
    assert packed.schema.names == schema.names == list(FEATURES)
    assert packed.equals(pa.concat_tables(hugging_face.tables(tmp_path / "d")))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "d.parquet"]


def test_packing_says_what_it_wrote_and_leaves_nothing_where_it_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = pictures(tmp_path / "d", "test/cat/1.png", "test/dog/2.png", "train/cat/3.png")
    target = tmp_path / "out.parquet"
    assert pack_main([str(folder), str(target), "--split", "test"]) == 0
    assert "2 rows" in capsys.readouterr().out
    data = dataset.read(
        ref(target, {"image": "input", "label": "target"}, "parquet"), Modality.IMAGE_CLASSIFIER
    )
    assert data.images(np.arange(2)) == [png(0), png(1)]
    target.unlink()
    (folder / "test" / "cat" / "4.png").write_bytes(b"")
    assert pack_main([str(folder), str(target)]) == 1
    assert "4.png" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["d"]
    assert pack_main([str(folder), str(tmp_path / "out.csv")]) == 1


def test_a_folders_digest_is_the_one_the_service_gives_to_a_set_of_files(tmp_path: Path) -> None:
    from hashlib import sha256

    from auditor.core.canonical import files_digest

    folder = pictures(tmp_path / "d", "cat/ü.png", "dog/2.png")
    files = [
        {"path": name, "sha256": sha256((folder / name).read_bytes()).hexdigest()}
        for name in ("dog/2.png", "cat/ü.png")
    ]
    assert path_digest(folder) == files_digest(files)
    os.rename(folder / "dog" / "2.png", folder / "dog" / "3.png")
    assert path_digest(folder) != files_digest(files)
