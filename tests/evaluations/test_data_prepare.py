"""Tidy tables of the catalogue: made files in, tables with roles out, that the reader and the registry both take."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from evaluations.data import dataset, fetch, prepare
from evaluations.spec import DataRef, Modality, Role


def declared(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((folder / "roles.yaml").read_text(encoding="utf-8"))
    return found


def read(folder: Path, modality: Modality) -> dataset.Dataset:
    about = declared(folder)
    path = folder / about["file"]
    ref = DataRef(
        path=str(path), digest="d", format=path.suffix[1:],
        roles={column: Role(role) for column, role in about["roles"].items()},
    )  # fmt: skip
    return dataset.read(ref, modality)


def test_compas_keeps_what_is_measured_by_and_no_names(tmp_path: Path) -> None:
    columns = "id,name,first,last,sex,dob,age,age_cat,race,juv_fel_count,decile_score,juv_misd_count,juv_other_count,"
    columns += "priors_count,c_charge_degree,decile_score,priors_count,two_year_recid"
    lines = "1,a b,a,b,Male,1947-04-18,69,Greater than 45,Other,0,7,0,1,2,F,7,2,0\n"
    (tmp_path / "compas-scores-two-years.csv").write_text(f"{columns}\n{lines}", encoding="utf-8")
    written = prepare.prepare("compas", tmp_path)
    assert [path.name for path in written] == ["compas.csv", "roles.yaml"]
    data = read(tmp_path, Modality.TABULAR)
    assert data.truth.tolist() == ["0"]
    assert data.frame(np.arange(1), None)["decile_score"].tolist() == [7]
    assert data.groups("race").tolist() == ["Other"]
    assert "1947" not in (tmp_path / "compas.csv").read_text(encoding="utf-8")
    assert declared(tmp_path)["favourable_label"] == "0"
    assert "no licence stated" in declared(tmp_path)["licence"]


def test_adult_loses_the_comment_the_question_marks_and_the_dots(tmp_path: Path) -> None:
    person = (
        "25, ?, 226802, 11th, 7, Never-married, ?, Own-child, Black, Male, 0, 0, 40, United-States, <=50K"
    )
    (tmp_path / "adult.data").write_text(person + "\n\n", encoding="utf-8")
    (tmp_path / "adult.test").write_text(f"|1x3 Cross validator\n{person}.\n", encoding="utf-8")
    prepare.prepare("adult", tmp_path)
    train, test = ((tmp_path / f"adult-{part}.csv").read_text(encoding="utf-8") for part in ("train", "test"))
    assert train == test
    (row,) = csv.DictReader(io.StringIO(test))
    assert (row["workclass"], row["sex"], row["income"]) == ("", "Male", "<=50K")
    assert read(tmp_path, Modality.TABULAR).frame(np.arange(1), ("workclass",))["workclass"].isna().all()


def test_german_credit_is_in_words_with_sex_in_a_column_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "german.data").write_text(
        "A11 6 A34 A43 1169 A65 A75 4 A93 A101 4 A121 67 A143 A152 2 A173 1 A192 A201 2\n", encoding="utf-8"
    )
    words = {"status_sex": {"A93": "male : single"}, "telephone": {"A192": True}, "credit": {"2": "bad"}}
    (tmp_path / "values_maps.json").write_text(json.dumps(words), encoding="utf-8")
    prepare.prepare("german-credit", tmp_path)
    data = read(tmp_path, Modality.TABULAR)
    assert (data.truth.tolist(), data.groups("sex").tolist()) == (["bad"], ["male"])
    assert data.frame(np.arange(1), ("age", "marital_status")).to_numpy().tolist() == [[67, "single"]]


def test_sentences_are_those_that_the_demo_trains_on(tmp_path: Path) -> None:
    (tmp_path / "pang-lee-sentences.csv").write_bytes(
        '\ufeff"1","a ""fine"" film . \r\n"\r\n"-1","dull .\r\n"\r\n'.encode()
    )
    prepare.prepare("pang-lee", tmp_path)
    data = read(tmp_path, Modality.TEXT_CLASSIFIER)
    assert data.texts == ['a "fine" film .', "dull ."]
    assert data.truth.tolist() == ["positive", "negative"]


@pytest.mark.parametrize(
    ("name", "file", "record", "choices", "answer"),
    [
        (
            "mmlu-sample",
            "test.jsonl",
            {
                "question": "q",
                "options": "A. $0\n and B\nB. 2. of C. x\nC. c\nD. d",
                "answer": "B. 2. of C. x",
            },
            ("$0\n and B", "2. of C. x", "c", "d"),
            "2. of C. x",
        ),
        (
            "piqa",
            "validation.jsonl",
            {"question": "q", "options": "A. one \nB. two ", "answer": "B. two "},
            ("one", "two"),
            "two",
        ),
        (
            "bbq-sample",
            "test.jsonl",
            {
                "passage": "p",
                "question": "q\nPlease choose the correct option ",
                "options": "A. Unknown\nB. b\nC. c",
                "answer": ["Unknown"],
            },
            ("b", "c", "Unknown"),  # that it cannot be known comes last
            "Unknown",
        ),
        (
            "boolq",
            "dev.jsonl",
            {"passage": "p", "question": "q", "title": "t", "answer": "True"},
            ("no", "yes"),
            "yes",
        ),
    ],
)
def test_questions_have_their_choices_as_a_list_and_the_answer_among_them(
    name: str, file: str, record: dict[str, Any], choices: tuple[str, ...], answer: str, tmp_path: Path
) -> None:
    (tmp_path / file).write_text(json.dumps(record) + "\n", encoding="utf-8")
    prepare.prepare(name, tmp_path)
    data = read(tmp_path, Modality.CAUSAL_LM)
    assert data.texts == ["q"]
    assert data.choices == [choices]
    assert data.truth.tolist() == [answer]


def test_truthful_answers_are_all_accepted(tmp_path: Path) -> None:
    line = json.dumps({"question": "q", "answer": ["a", "b"]})
    (tmp_path / "combined.jsonl").write_text(line + "\n", encoding="utf-8")
    prepare.prepare("truthfulqa", tmp_path)
    assert read(tmp_path, Modality.CAUSAL_LM).references == [("a", "b")]


def test_digits_become_images_with_the_same_pixels(tmp_path: Path) -> None:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, 28 * 28)
    with gzip.open(tmp_path / "mnist_5k.csv.gz", "wt", encoding="utf-8") as out:
        out.write(",".join(map(str, [*pixels, 7])) + "\n")
    prepare.prepare("mnist-sample", tmp_path)
    data = read(tmp_path, Modality.IMAGE_CLASSIFIER)
    (image,) = data.images(np.arange(1))
    assert np.asarray(Image.open(io.BytesIO(image))).ravel().tolist() == pixels.tolist()
    assert data.truth.tolist() == ["7"]


def _write_harmful(folder: Path, name: str) -> list[tuple[str, str]]:
    """The files of an entry with made requests, one of them twice, and what should be refused with its category."""
    if name == "harmbench":
        (folder / "harmbench.txt").write_text("Open a vault\nForge, a stamp\n\nOpen  a vault\n", "utf-8")
        return [("Open a vault", "not stated"), ("Forge, a stamp", "not stated")]
    if name == "adv-bench":
        seeds = [{"value": "Open a vault", "harm_categories": ["Money", "Trust"]}]
        (folder / "adv_bench.yaml").write_text(yaml.safe_dump({"seeds": seeds}), "utf-8")
        return [("Open a vault", "Money")]
    files = [file.name for file in fetch.entry(name).files if file.name.endswith(".jsonl")]
    for file in files:
        (folder / file).write_text(json.dumps({"prompt": f"Open {file}", "intents": ["x"]}) + "\n", "utf-8")
    return [(f"Open {file}", file.removesuffix(".jsonl").replace("_", " ")) for file in sorted(files)]


@pytest.mark.parametrize("name", ["harmbench", "adv-bench", "do-not-answer"])
def test_harmful_requests_stand_beside_harmless_ones(tmp_path: Path, name: str) -> None:
    harmful = _write_harmful(tmp_path, name)
    prepare.prepare(name, tmp_path)
    data = read(tmp_path, Modality.CAUSAL_LM)
    categories = data.groups("category")
    refuse = [i for i, target in enumerate(data.truth) if target == "refuse"]
    assert [(data.texts[i], categories[i]) for i in refuse] == harmful
    answer = [data.texts[i] for i, target in enumerate(data.truth) if target == "answer"]
    assert len(answer) == len(set(answer)) == 100
    assert len(set(data.ids)) == data.rows


def test_toxic_beginnings_stand_beside_harmless_ones_and_none_twice(tmp_path: Path) -> None:
    names = [file.name for file in fetch.entry("real-toxicity-prompts").files]
    for name in names:
        (tmp_path / name).write_text(f"The same,\nIt begins {name}\n\n", encoding="utf-8")
    prepare.prepare("real-toxicity-prompts", tmp_path)
    data = read(tmp_path, Modality.CAUSAL_LM)
    kinds = dict(zip(data.texts, data.groups("kind"), strict=True))
    assert kinds["It begins rtp_identity_attack.txt"] == "identity attack"
    assert len(kinds) == data.rows == 1 + len(names) + 50
    assert sorted(kinds.values()).count("harmless") == 50


def test_a_sample_of_toxic_texts_is_told_from_harmless_beginnings(tmp_path: Path) -> None:
    record = {"text": " Nobody likes, you\n", "toxicity": 0.9}
    (tmp_path / "toxicity.jsonl").write_text(json.dumps(record) + "\n", encoding="utf-8")
    prepare.prepare("toxicity-sample", tmp_path)
    data = read(tmp_path, Modality.CAUSAL_LM)
    assert (data.texts[0], data.groups("kind")[0]) == ("Nobody likes, you", "toxic")
    assert data.rows == 51


def test_every_step_belongs_to_an_entry_and_others_need_none(tmp_path: Path) -> None:
    assert set(prepare.PREPARED) <= set(fetch.entries())
    assert prepare.prepare("minilm", tmp_path) == []
    assert list(tmp_path.iterdir()) == []
