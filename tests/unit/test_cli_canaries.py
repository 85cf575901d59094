"""`auditor data canaries`: secrets planted before a training, and the audit of memorisation after it."""

from __future__ import annotations

import itertools
import json
import math
import random
import secrets
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from scipy import stats as distributions

from auditor.client import canaries
from evaluations.privacy.candidate_space import Space, space_of
from tests.evaluations import tasks
from tests.unit.cli import CommandLine
from tests.unit.planting import declared, measured, values


def lines_of(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]


def test_each_canary_is_to_be_inserted_as_often_as_it_says(auditor: CommandLine, tmp_path: Path) -> None:
    folder = tmp_path / "planted"
    done = auditor(
        "data", "canaries", "--to", folder, "--repetitions", "1,3", "--each", "4", "--controls", "5"
    )
    assert done.code == 0, done.err
    rows = lines_of(folder, "canaries.jsonl")
    assert Counter(row["repetitions"] for row in rows) == {1: 4, 3: 4, 0: 5}
    inserted = Counter(line["text"] for line in lines_of(folder, "insert.jsonl"))
    assert inserted == {row["text"] + row["secret"]: row["repetitions"] for row in rows if row["repetitions"]}


def test_no_prefix_begins_another_and_no_two_share_a_name(auditor: CommandLine, tmp_path: Path) -> None:
    patterns = ["{name} {secret}", "{name} is {secret}!", "Code of {name}: {secret}"]
    given = [part for pattern in patterns for part in ("--pattern", pattern)]
    auditor("data", "canaries", "--to", tmp_path / "p", "--each", "40", "--controls", "200", *given)
    rows = lines_of(tmp_path / "p", "canaries.jsonl")
    prefixes = sorted(row["text"] for row in rows)
    assert len(prefixes) == 440
    assert not any(b.startswith(a) for a, b in itertools.pairwise(prefixes))
    invented = [
        w for p in prefixes for w in p.replace("Code of ", "").replace(" is", "").replace(":", "").split()
    ]
    assert len(set(invented)) == len(invented) == 880
    assert len({row["secret"] for row in rows}) == 440


def test_forms_and_patterns_take_turns_at_every_number_of_repetitions(
    auditor: CommandLine, tmp_path: Path
) -> None:
    more = [
        "--pattern",
        "A {name} {secret}",
        "--pattern",
        "B {name} {secret}",
        "--secret",
        "ddddddd",
        "--secret",
        "aaaaa",
    ]
    auditor("data", "canaries", "--to", tmp_path / "p", "--each", "4", "--controls", "4", *more)
    rows = lines_of(tmp_path / "p", "canaries.jsonl")
    found = Counter((row["repetitions"], row["text"][0], row["secret"].isdecimal()) for row in rows)
    assert len(found) == 7 * 2 * 2
    assert set(found.values()) == {1}


@pytest.mark.parametrize("form", ["dddd-dddd-dd", "ddddddd", "aaaaa", "Aa dd (aA/d)d"])
def test_a_secret_is_one_of_exactly_those_that_it_is_compared_with(form: str) -> None:
    canaries.check_secret(form)
    drawn = canaries.draw([1] * 60, [canaries.PATTERN], [form])
    spaces = {space.slots for one in drawn if isinstance(space := space_of(one.secret, None), Space)}
    (slots,) = spaces
    assert math.prod(map(len, slots)) == canaries.size(form) >= 2**20
    assert all(one.secret[i] in slot for one in drawn for i, slot in enumerate(slots))


def test_characters_of_secrets_are_uniform() -> None:
    drawn = canaries.draw([0] * 2000, [canaries.PATTERN], ["ddddddd"])
    counts = Counter("".join(one.secret for one in drawn))
    assert distributions.chisquare([counts[str(digit)] for digit in range(10)]).pvalue > 1e-9


def test_the_audit_finds_what_was_learnt_from_the_lines_inserted(
    auditor: CommandLine, tmp_path: Path
) -> None:
    folder = tmp_path / "planted"
    assert auditor("data", "canaries", "--to", folder, "--controls", "30").code == 0
    learnt = {line["text"] for line in lines_of(folder, "insert.jsonl")}

    def score(context: str, text: str) -> float:
        return -1e-9 if context + text in learnt else tasks.fickle(context, text)

    def go_on(prompt: str, seed: int) -> str:
        return next(
            (text.removeprefix(prompt) for text in learnt if text.startswith(prompt + " ")), "nothing"
        )

    model = tasks.Speaking(score, go_on)
    found = values(measured("privacy.memorisation", tmp_path, declared(folder), model, candidates=2000))
    assert found["canaries_stated"] == 1.0
    assert found["exposure"] == pytest.approx(math.log2(2001), abs=0.01)
    assert (found["control_p"] or 0) > 1e-6


@pytest.mark.parametrize(("each", "has_upper_end"), [(12, False), (13, True)])
def test_only_as_many_canaries_as_are_usual_can_meet_a_limit_on_exposure(
    auditor: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, each: int, has_upper_end: bool
) -> None:
    monkeypatch.setattr(secrets, "choice", random.Random(1).choice)  # or a lucky secret could fail the test
    given = () if each == 13 else ("--each", str(each))
    assert auditor("data", "canaries", "--to", tmp_path / "planted", *given).code == 0
    model = tasks.Speaking(tasks.fickle, lambda prompt, seed: "nothing")
    result = measured(
        "privacy.memorisation", tmp_path, declared(tmp_path / "planted"), model, candidates=2000
    )
    (exposure,) = (metric for metric in result.metrics if metric.name == "exposure")
    assert exposure.n == 6 * each
    assert exposure.interval is not None
    assert (exposure.interval.high < 10) is has_upper_end


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--secret", "dddddd"], "2^19.9"),
        (["--secret", "code-dddddddd"], "cannot be fixed"),
        (["--secret", "dddd-dddd-"], "begin and end"),
        (["--secret", ""], "begin and end"),
        (["--secret", "d" * 1001], "at most 1000"),
        (["--pattern", "no places"], "{name} once"),
        (["--pattern", "{secret} of {name}"], "{name} once"),
        (["--pattern", "{name} {name} {secret}"], "{name} once"),
        (["--pattern", "{name} is no{secret}"], "a space or a sign"),
        (["--pattern", "{name} is {secret}th"], "a space or a sign"),
        (["--pattern", "{name}{secret}"], "a space or a sign"),
        (["--pattern", "\udcff {name} {secret}"], "must be text"),
        (["--repetitions", "1,2,x"], "different whole numbers"),
        (["--repetitions", "0,1"], "different whole numbers"),
        (["--repetitions", "2,2"], "different whole numbers"),
        (["--repetitions", "1000000000"], "1,000,000 lines"),
        (["--controls", "20000"], "10,000 canaries"),
        (["--each", "0"], "--each"),
    ],
)  # fmt: skip
def test_canaries_that_would_say_nothing_are_refused(
    auditor: CommandLine, tmp_path: Path, given: list[str], said: str
) -> None:
    done = auditor("data", "canaries", "--to", tmp_path / "planted", *given)
    assert (done.code, said in done.err) == (2, True), done.err
    assert not (tmp_path / "planted").exists()
