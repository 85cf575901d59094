"""`auditor data coins`: fair coins before a training, and the audit of differential privacy after it."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats as distributions

from auditor.client import coins
from auditor.client.exits import ClientError
from auditor.client.fresh_folder import filling
from evaluations.data import dataset
from evaluations.privacy import coins as audited_coins
from evaluations.privacy.one_run import epsilon_lower_bound
from evaluations.spec import Modality
from tests.evaluations import make
from tests.unit.cli import CommandLine, Outcome
from tests.unit.planting import declared, measured, values

KINDS = ("csv", "jsonl", "parquet")


def saved(table: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    elif path.suffix == ".jsonl":
        table.to_json(path, orient="records", lines=True)
    else:
        table.to_parquet(path, index=False)
    return path


def read(path: Path) -> pd.DataFrame:
    if path.suffix == ".jsonl":
        return pd.read_json(path, lines=True, dtype=False)
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return saved(make.frame(600), tmp_path / "rows.csv")


def tossed(auditor: CommandLine, rows: Path, folder: Path, *more: str) -> Outcome:
    return auditor("data", "coins", rows, "--to", folder, "--target", "label", "--sensitive", "sex", *more)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("own_id", [False, True])
def test_coins_are_fair_and_the_rows_are_kept_as_they_are(
    auditor: CommandLine, tmp_path: Path, kind: str, own_id: bool
) -> None:
    table = make.frame(600).assign(text='a "quoted", naïve\nline', code="007")
    source, folder = saved(table, tmp_path / f"rows.{kind}"), tmp_path / "dp"
    done = tossed(auditor, source, folder, *(("--id", "id") if own_id else ("--ignore", "id")))
    assert done.code == 0, done.err
    every, train, before = read(folder / f"canaries.{kind}"), read(folder / f"train.{kind}"), read(source)
    added = ["included"] if own_id else ["canary_id", "included"]
    assert list(every) == [*before, *added]
    pd.testing.assert_frame_equal(every[list(before)], before)
    pd.testing.assert_frame_equal(train, before[every.included == 1].reset_index(drop=True))
    assert set(every.included) == {0, 1}
    assert distributions.binomtest(int(every.included.sum()), 600).pvalue > 1e-9
    data = dataset.read(declared(folder), Modality.TABULAR)
    found, fell = audited_coins.canaries(data)
    assert (len(found), fell.tolist()) == (600, every.included.astype(bool).tolist())
    assert data.ids.tolist() == every["id" if own_id else "canary_id"].tolist()
    assert {p.name for p in folder.iterdir()} == {
        f"train.{kind}", f"canaries.{kind}", "coins.json", "roles.yaml", "README.md"
    }  # fmt: skip


def test_each_coin_is_one_fresh_bit_of_the_system(
    auditor: CommandLine, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = np.random.default_rng(1).integers(0, 2, 600).tolist()
    left = iter(given)
    monkeypatch.setattr(
        secrets, "randbits", lambda bits: next(left) if bits == 1 else pytest.fail("one bit each")
    )
    assert tossed(auditor, rows, tmp_path / "dp", "--id", "id").code == 0
    assert read(tmp_path / "dp" / "canaries.csv").included.tolist() == given


def test_a_model_that_learnt_train_by_heart_is_refuted(
    auditor: CommandLine, rows: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "dp"
    assert tossed(auditor, rows, folder, "--id", "id").code == 0
    learnt = set(read(folder / "train.csv").x)
    labels = dict(zip(read(rows).x, read(rows).label, strict=True))

    def answer(asked: pd.DataFrame) -> np.ndarray:
        yes = [float((labels[x] == "yes") == (x in learnt)) for x in asked.x]
        return np.column_stack([1 - np.array(yes), yes])

    found = values(
        measured("privacy.dp_audit", tmp_path, declared(folder), make.Answering(answer), claimed_epsilon=1.0)
    )
    assert (found["guess_accuracy"], found["refuted"]) == (1.0, 1.0)
    assert found["epsilon_lower_bound"] == pytest.approx(coins.most_epsilon(600), abs=0.1)  # δ is 1e-5, not 0


@pytest.mark.parametrize("n", [30, 199, 1000])
def test_the_largest_epsilon_that_is_promised_is_the_bound_of_right_guesses_alone(n: int) -> None:
    guesses = 2 * int(0.2 * n / 2)
    assert coins.most_epsilon(n) == pytest.approx(
        epsilon_lower_bound(n, guesses, guesses, 0.0, 0.05), abs=1e-6
    )


def test_the_commitment_is_the_digest_that_a_registered_table_has(
    auditor: CommandLine, rows: Path, tmp_path: Path
) -> None:
    done = tossed(auditor, rows, tmp_path / "dp", "--id", "id")
    stated = json.loads((tmp_path / "dp" / "coins.json").read_text(encoding="utf-8"))
    assert done.out.strip() == stated["commitment"] == declared(tmp_path / "dp").digest
    assert stated["commitment"] in (tmp_path / "dp" / "README.md").read_text(encoding="utf-8")


def test_one_coin_turned_round_breaks_the_commitment(
    auditor: CommandLine, rows: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "dp"
    commitment = tossed(auditor, rows, folder, "--id", "id").out.strip()
    table = folder / "canaries.csv"
    for stated in (commitment, folder / "coins.json"):
        assert auditor("data", "coins", table, "--verify", stated).code == 0
    lines = table.read_text(encoding="utf-8").splitlines()
    lines[17] = lines[17][:-1] + ("0" if lines[17].endswith("1") else "1")
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    for stated in (commitment, folder / "coins.json"):
        done = auditor("data", "coins", table, "--verify", stated)
        assert (done.code, "is not the file that was committed to" in done.err) == (7, True)


def test_what_states_no_commitment_is_usage(auditor: CommandLine, rows: Path, tmp_path: Path) -> None:
    (tmp_path / "odd.json").write_text('{"commitment": 3}', encoding="utf-8")
    for stated in ("sha256:abc", rows, tmp_path / "absent.json", tmp_path / "odd.json"):
        done = auditor("data", "coins", rows, "--verify", stated)
        assert (done.code, "commitment" in done.err) == (2, True)
    assert auditor("data", "coins", rows).code == 2
    assert auditor("data", "coins", rows, "--to", tmp_path / "dp", "--verify", "sha256:abc").code == 2


def test_a_roles_file_is_carried_over(auditor: CommandLine, rows: Path, tmp_path: Path) -> None:
    roles = tmp_path / "roles.yaml"
    about: dict[str, Any] = {
        "roles": {"id": "id", "x": "input", "z": "input", "label": "target"},
        "favourable_label": "yes", "languages": ["de"], "licence": "CC0",
    }  # fmt: skip
    roles.write_text(yaml.safe_dump(about), encoding="utf-8")
    assert auditor("data", "coins", rows, "--to", tmp_path / "dp", "--roles", roles).code == 0
    found = yaml.safe_load((tmp_path / "dp" / "roles.yaml").read_text(encoding="utf-8"))
    assert found["roles"] == {**about["roles"], "included": "randomised_inclusion"}
    assert {key: found[key] for key in about if key != "roles"} == {
        k: v for k, v in about.items() if k != "roles"
    }
    again = auditor(
        "data",
        "coins",
        tmp_path / "dp/canaries.csv",
        "--to",
        tmp_path / "b",
        "--roles",
        tmp_path / "dp/roles.yaml",
    )
    assert (again.code, "coins already" in again.err) == (2, True)


TEXTS = "\n".join(f'{{"text": "row {i}"}}' for i in range(40))
LINES = "text,label\n" + "\n".join(f"row {i},{i % 2}" for i in range(40)) + "\n"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"", "has 0 rows"),
        ("a.csv", b"text,label\n", "has 0 rows"),
        ("a.jsonl", b"\n\n", "has 0 rows"),
        ("a.csv", LINES[:100].encode(), "prove nothing"),
        ("a.csv", LINES.encode() + b"row 3,1\n", "Rows 4 and 41 are the same"),
        ("a.csv", LINES.encode() + b"more\n", "Row 41 of a.csv has 1 cells, the header has 2"),
        ("a.csv", b"text,text\n", "two columns called 'text'"),
        ("a.csv", b",text\n", "Column 1 of a.csv has no name"),
        ("a.csv", LINES.replace("label", "included", 1).encode(), "--column"),
        ("a.csv", LINES.replace("label", "canary_id", 1).encode(), "--id canary_id"),
        ("a.csv", LINES.encode() + b'"' + b"x" * 140_000 + b'",1\n', "as .jsonl if its texts are long"),
        ("a.csv", b"text\n\xff\xfe\n", "not in UTF-8"),
        ("a.csv", b'text\n"open', "cannot be read"),
        ("a.jsonl", TEXTS.encode() + b'\n{"text": NaN}', "Line 41 of a.jsonl holds NaN"),
        ("a.jsonl", TEXTS.encode() + b'\n{"text": 1e999}', "Line 41 of a.jsonl holds 1e999"),
        ("a.jsonl", TEXTS.encode() + b"\n[1]", "Line 41 of a.jsonl is no JSON object"),
        ("a.jsonl", TEXTS.encode() + b"\n{oops", "Line 41 of a.jsonl is no JSON"),
        ("a.jsonl", TEXTS.encode() + b'\n{"text": 1, "text": 2}', "names a column twice"),
        ("a.jsonl", TEXTS.encode() + b'\n{"text": "x", "included": 1}', "--column"),
        ("a.jsonl", TEXTS.encode() + b'\n{"text": "\\ud800"}', "not in UTF-8"),
        ("a.jsonl", b"[" * 100_000, "is no JSON"),
        ("a.parquet", b"PAR1 nonsense", "cannot be read as Parquet"),
        ("a.xlsx", b"", "not a .parquet, .csv or .jsonl"),
        (".", b"", "There is no file"),
    ],
)  # fmt: skip
def test_odd_tables_are_refused_with_words_and_leave_nothing_behind(
    auditor: CommandLine, tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    if name != ".":
        (work / name).write_bytes(content)
    done = auditor("data", "coins", work / name, "--to", work / "dp")
    assert (done.code, said in done.err) == (2, True), done.err
    assert [path.name for path in work.iterdir()] == ([] if name == "." else [name])


def test_of_two_that_fill_one_folder_the_second_overwrites_nothing(tmp_path: Path) -> None:
    """A commitment of the one beside the coins of the other would look as if they had been changed."""

    def fill() -> None:
        with filling(tmp_path / "dp") as made:
            (made / "coins.json").write_text("ours", encoding="utf-8")
            (tmp_path / "dp" / "coins.json").write_text("theirs", encoding="utf-8")

    with pytest.raises(ClientError, match="nothing is overwritten"):
        fill()
    assert [path.read_text(encoding="utf-8") for path in (tmp_path / "dp").iterdir()] == ["theirs"]


def test_ids_must_tell_rows_apart(auditor: CommandLine, tmp_path: Path) -> None:
    table = pd.DataFrame({"id": [*map(str, range(39)), "7"], "text": [f"row {i}" for i in range(40)]})
    for ids, said in ((table.id, "same id, '7'"), (["", *table.id[1:]], "Row 1 has no id")):
        source = saved(table.assign(id=ids), tmp_path / "rows.jsonl")
        done = auditor("data", "coins", source, "--to", tmp_path / "dp", "--id", "id")
        assert (done.code, said in done.err) == (2, True), done.err
    done = auditor("data", "coins", source, "--to", tmp_path / "dp", "--id", "number")
    assert (done.code, "no column 'number'" in done.err) == (2, True)
