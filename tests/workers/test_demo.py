"""The demonstration's data, cache and people, on small inputs of the published files' form."""

from __future__ import annotations

import json
import random
import stat
from pathlib import Path

import pytest

from auditor.accounts.models import Membership, User
from workers.demo import cache, data, people, train_sentiment

ADULT_TEST = (
    "|1x3 Cross validator\n"
    "25, Private, 226802, 11th, 7, Never-married, Machine-op-inspct, Own-child, Black, Male, 0, 0, 40, "
    "United-States, <=50K.\n"
    "18, ?, 103497, Some-college, 10, Never-married, ?, Own-child, White, Female, 0, 0, 30, United-States, >50K.\n"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demonstration's folder, elsewhere."""
    monkeypatch.setattr(cache, "demo_dir", lambda: tmp_path)
    return tmp_path


def test_adult_is_read_with_its_comment_line_its_dots_and_its_question_marks(tmp_path: Path) -> None:
    (tmp_path / "adult.test").write_text(ADULT_TEST)
    frame = data._adult_frame(tmp_path / "adult.test")
    assert list(frame.columns) == list(data.ADULT_COLUMNS)
    assert frame["income"].tolist() == ["<=50K", ">50K"]
    assert frame["sex"].tolist() == ["Male", "Female"]
    assert frame["workclass"].isna().tolist() == [False, True]
    assert frame["age"].dtype == "int64"


def test_sentences_are_split_by_class_the_same_way_every_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        f'"{label}","sentence {i} , with "" quotes "" . \n"\r\n' for label in ("1", "-1") for i in range(50)
    ]
    (tmp_path / "pang-lee-sentences.csv").write_text("\ufeff" + "".join(rows), encoding="utf-8", newline="")
    monkeypatch.setattr(data, "fetched", lambda name: tmp_path)
    monkeypatch.setattr(data, "SENTENCES_HELD_OUT", 20)
    splits = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        data._make_sentences(tmp_path / name)
        splits.append(
            [
                [
                    json.loads(line)
                    for line in (tmp_path / name / part).read_text(encoding="utf-8").splitlines()
                ]
                for part in ("train.jsonl", "test.jsonl")
            ]
        )
    assert splits[0] == splits[1]
    train, test = splits[0]
    assert (len(train), len(test)) == (80, 20)
    assert sum(row["label"] == "positive" for row in test) == 10
    assert {row["id"] for row in train}.isdisjoint(row["id"] for row in test)
    assert test[0]["text"].endswith('with " quotes " .')


def test_what_was_made_is_made_again_only_after_its_causes_change(folder: Path) -> None:
    cause = folder / "script.py"
    cause.write_text("1")
    calls: list[Path] = []

    def make(target: Path) -> None:
        calls.append(target)
        (target / "result").write_text(cause.read_text())

    first = cache.made("thing", [cause], make)
    assert cache.made("thing", [cause], make) == first
    assert len(calls) == 1
    cause.write_text("2")
    second = cache.made("thing", [cause], make)
    assert second != first
    assert (second / "result").read_text() == "2"


def test_a_broken_training_leaves_nothing_that_looks_finished(folder: Path) -> None:
    cause = folder / "script.py"
    cause.write_text("1")

    def fail(target: Path) -> None:
        (target / "half").touch()
        raise MemoryError

    with pytest.raises(MemoryError):
        cache.made("thing", [cause], fail)
    assert list((folder / "cache").iterdir()) == []


def test_batches_hold_every_row_once_and_rows_of_similar_length() -> None:
    lengths = [random.Random(1).randint(3, 64) for _ in range(1000)]
    batches = list(train_sentiment._batches(lengths, random.Random(2)))
    assert sorted(row for batch in batches for row in batch) == list(range(1000))
    padded = sum(len(batch) * max(lengths[row] for row in batch) for batch in batches)
    assert padded < 1.3 * sum(lengths)


def test_the_cast_keeps_its_passwords_in_a_private_file(db: None, tmp_path: Path) -> None:
    file = tmp_path / "people.json"
    first = people.ensure(file)
    assert people.ensure(file) == first
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    roles = dict(Membership.objects.values_list("user__username", "role"))
    assert roles == {"erin": "engineer", "ruth": "reviewer", "rex": "regulator"}
    file.unlink()
    (again, *_) = people.ensure(file)
    assert User.objects.get(username="erin").check_password(again.password)


def test_the_token_of_a_run_ends_with_it(db: None, tmp_path: Path) -> None:
    people.ensure(tmp_path / "people.json")
    number, text = people.token_for("erin")
    assert text.startswith("audp_")
    people.revoke("erin", number)
    assert User.objects.get(username="erin").tokens.get(pk=number).revoked_at is not None
