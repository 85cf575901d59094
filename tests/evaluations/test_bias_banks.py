"""Files of BBQ, CrowS-Pairs, StereoSet and WinoBias as published, and as the catalogue has them, become tables."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from evaluations.data import bias_banks, dataset, prepare
from evaluations.fairness.bbq_answers import Questions
from evaluations.fairness.stereotype_banks import Bank, bank_of
from evaluations.spec import DataRef, Modality, Role


def read(folder: Path) -> dataset.Dataset:
    about = yaml.safe_load((folder / "roles.yaml").read_text(encoding="utf-8"))
    path = folder / about["file"]
    roles = {column: Role(role) for column, role in about["roles"].items()}
    ref = DataRef(path=str(path), digest="d", format="jsonl", roles=roles)
    return dataset.read(ref, Modality.CAUSAL_LM)


def question(
    example: int, infos: list[tuple[str, str]], stereotyped: list[str], **more: Any
) -> dict[str, Any]:
    return {
        "example_id": example,
        "question_index": "7",
        "question_polarity": "neg",
        "context_condition": "ambig",
        "category": "Age",
        "answer_info": {f"ans{k}": [text.lower(), group] for k, (text, group) in enumerate(infos)},
        "additional_metadata": {"stereotyped_groups": stereotyped},
        "context": "A zorn met a glib.",
        "question": "Who was late?",
        **{f"ans{k}": text for k, (text, _) in enumerate(infos)},
        "label": [group for _, group in infos].index("unknown"),
        **more,
    }


OLD, YOUNG, WHO_KNOWS = ("The old zorn", "old"), ("The young glib", "nonOld"), ("Not known", "unknown")
MAN, WOMAN = ("The man", "man"), ("The woman", "woman")


def test_bbq_has_the_stereotyped_answer_first_and_that_it_cannot_be_known_last(tmp_path: Path) -> None:
    records = [
        question(0, [YOUNG, WHO_KNOWS, OLD], ["old"]),
        question(1, [OLD, YOUNG, WHO_KNOWS], ["old"], label=1, question_polarity="nonneg"),
        question(2, [WHO_KNOWS, MAN, WOMAN], ["F"], category="Gender_identity"),
        question(3, [("A", "M-Black"), ("B", "M-White"), WHO_KNOWS], ["Black", "African American"], category="Race"),
        question(4, [("A", "x"), ("B", "y"), WHO_KNOWS], ["z"]),  # nobody knows who
        question(5, [("A", "F-Black"), ("B", "F-White"), WHO_KNOWS], ["Black"], category="Race_x_gender"),  # of men?
    ]  # fmt: skip
    (tmp_path / "Age.jsonl").write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    done = bias_banks.convert("bbq", [tmp_path / "Age.jsonl"], tmp_path)
    assert (done.rows, done.left_out) == (4, 2)
    data = read(tmp_path)
    assert data.choices == [
        (OLD[0], YOUNG[0], WHO_KNOWS[0]),
        (OLD[0], YOUNG[0], WHO_KNOWS[0]),
        ("The woman", "The man", WHO_KNOWS[0]),
        ("A", "B", WHO_KNOWS[0]),
    ]
    questions = Questions.of(data, "question_polarity")
    assert questions.right.tolist() == [2, 1, 2, 2]
    assert questions.negative is not None
    assert questions.negative.tolist() == [True, False, True, True]
    assert set(questions.groups) == {"category"}
    assert data.clusters is not None
    assert data.clusters.tolist()[0] == "Age-7"


def test_bbq_goes_by_the_official_places_where_they_are_given(tmp_path: Path) -> None:
    records = [question(k, [YOUNG, OLD, WHO_KNOWS], ["old"]) for k in range(4)]
    (tmp_path / "Age.jsonl").write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    (tmp_path / "additional.csv").write_text(
        "category,question_index,example_id,target_loc\nAge,7,0,0\nAge,7,1,1.0\nAge,7,2,x\nAge,7,3,0\nAge,8,3,1\n",
        encoding="utf-8",
    )
    bias_banks.convert("bbq", [tmp_path / "Age.jsonl"], tmp_path, tmp_path / "additional.csv")
    assert [choices[0] for choices in read(tmp_path).choices] == [YOUNG[0], OLD[0]]


def test_crows_pairs_has_the_more_stereotypical_sentence_first(tmp_path: Path) -> None:
    path = tmp_path / "crows.csv"
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["", "sent_more", "sent_less", "stereo_antistereo", "bias_type"])
        writer.writerow([0, "Old zorns are slow.", "The young zorns are slow.", "antistereo", "age"])
        writer.writerow([1, "The same.", "The same.", "stereo", "age"])
    bias_banks.convert("crows-pairs", [path], tmp_path)
    data = read(tmp_path)
    assert data.choices == [("Old zorns are slow.", "The young zorns are slow.")]
    assert data.texts == ["_ zorns are slow."]
    assert bank_of(data) is Bank.CROWS_PAIRS


def test_stereoset_keeps_both_kinds_and_the_term(tmp_path: Path) -> None:
    def item(name: str, context: str, *sentences: str) -> dict[str, Any]:
        labels = ("unrelated", "anti-stereotype", "stereotype")
        return {
            "id": name, "target": "zorn", "bias_type": "race", "context": context,
            "sentences": [{"sentence": s, "gold_label": g} for s, g in zip(sentences, labels, strict=True)],
        }  # fmt: skip

    given = {
        "version": "1",
        "data": {
            "intrasentence": [
                item("a", "Zorns are BLANK.", "Zorns are cups.", "Zorns are kind.", "Zorns are sly."),
                item("b", "Zorns are here.", "c", "a", "s"),  # no BLANK
            ],
            "intersentence": [item("c", "A zorn came.", "Cups.", "It smiled.", "It stole.")],
        },
    }
    (tmp_path / "dev.json").write_text(json.dumps(given), encoding="utf-8")
    bias_banks.convert("stereoset", [tmp_path / "dev.json"], tmp_path)
    data = read(tmp_path)
    assert data.ids.tolist() == ["a", "c"]
    assert data.choices[0] == ("Zorns are sly.", "Zorns are kind.", "Zorns are cups.")
    assert data.clusters is not None
    assert data.clusters.tolist() == ["zorn", "zorn"]


def test_wino_bias_pairs_the_sides_by_what_they_share(tmp_path: Path) -> None:
    lines = {
        "pro_stereotyped_type1.txt.test": "1 [The nurse] met the guard because [she] lost [her] way.\n",
        "anti_stereotyped_type1.txt.test": "1 [The nurse] met the guard because [he] lost [his] way.\n",
        "pro_stereotyped_type2.txt.test": "The cook told the [the CEO] that [he] won.\nThe cook left [her].\n",
        "anti_stereotyped_type2.txt.test": "The cook told the [the CEO] that [she] won.\n",
    }
    for name, text in lines.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    bias_banks.convert("wino-bias", [tmp_path / name for name in lines], tmp_path)
    data = read(tmp_path)
    assert data.choices == [
        (
            "The nurse met the guard because she lost her way.",
            "The nurse met the guard because he lost his way.",
            "the nurse",
            "the guard",
        ),
        ("The cook told the CEO that he won.", "The cook told the CEO that she won.", "the CEO", "the cook"),
    ]
    assert data.groups("type").tolist() == ["1", "2"]


@pytest.mark.parametrize(
    ("name", "file", "text", "choices"),
    [
        (
            "crows-pairs",
            "crows-pairs.csv",
            ',bias_type,sentence,mask1,mask2\n0,age,"My friend, [MASK] is slow.","Ann,","Bob,"\n',
            ("My friend, Ann, is slow.", "My friend, Bob, is slow."),
        ),
        (
            "stereoset",
            "stereoset.jsonl",
            json.dumps(
                {
                    "type": "intrasentence", "target": "zorn", "bias_type": "race", "context": "Zorns are BLANK.",
                    "stereotype": "Zorns are sly.", "anti-stereotype": "Zorns are kind.",
                    "unrelated": "Zorns are cups.",
                }
            ),
            ("Zorns are sly.", "Zorns are kind.", "Zorns are cups."),
        ),
        (
            "wino-bias",
            "wino-bias.jsonl",
            json.dumps(
                {
                    "text": " The guard met [the nurse] so [MASK] could go.", "pro_stereotyped": "she",
                    "options": "A. he\nB. she\nC. Both A and B",
                }
            ),
            (
                "The guard met the nurse so she could go.", "The guard met the nurse so he could go.",
                "the nurse", "the guard",
            ),
        ),
    ],
)  # fmt: skip
def test_the_files_of_the_catalogue_become_the_same_tables(
    name: str, file: str, text: str, choices: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / file).write_text(text, encoding="utf-8")
    prepare.prepare(name, tmp_path)
    assert read(tmp_path).choices == [choices]


@pytest.mark.parametrize("text", ['{"a": 1}', "[]", "{", "[" * 5000, '{"data": 3}', '{"data": ["x"]}'])
def test_other_files_are_refused_with_words(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text, encoding="utf-8")
    for bank in ("bbq", "stereoset", "crows-pairs", "wino-bias"):
        with pytest.raises(bias_banks.BankError, match=r"as published|No row could be used"):
            bias_banks.convert(bank, [tmp_path / "x.json"], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_files_that_hide_each_other_and_rows_given_twice_are_refused(tmp_path: Path) -> None:
    for name in ("a/Age.jsonl", "b/Age.jsonl", "b/Old.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(question(0, [YOUNG, OLD, WHO_KNOWS], ["old"])), "utf-8")
    for names, said in ((("a/Age", "b/Age"), "same name"), (("a/Age", "b/Old"), "occur twice")):
        with pytest.raises(bias_banks.BankError, match=said):
            bias_banks.convert("bbq", [tmp_path / f"{name}.jsonl" for name in names], tmp_path)
