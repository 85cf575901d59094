"""`auditor data bank`, and that no command overwrites what is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditor.client import data_commands, fresh_folder
from evaluations.data import bias_banks, dataset
from evaluations.spec import Modality
from tests.unit.cli import CommandLine
from tests.unit.planting import declared


def test_published_files_of_a_bank_become_a_folder_to_push(auditor: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "crows.csv"
    path.write_text(
        ",sent_more,sent_less,bias_type\n0,Old zorns are slow.,New zorns are slow.,age\n", "utf-8"
    )
    done = auditor("data", "bank", "crows-pairs", path, "--to", tmp_path / "out")
    assert (done.code, "1 rows, 0 left out" in done.err, "CC BY-SA" in done.err) == (0, True, True)
    data = dataset.read(declared(tmp_path / "out"), Modality.CAUSAL_LM)
    assert data.choices == [("Old zorns are slow.", "New zorns are slow.")]
    again = auditor("data", "bank", "crows-pairs", path, "--to", tmp_path / "out")
    assert (again.code, "nothing is overwritten" in again.err) == (2, True)


def test_other_files_than_those_of_a_bank_are_usage(auditor: CommandLine, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("a,b\n1,2\n", encoding="utf-8")
    for bank in data_commands.convert_bank.params[0].type.choices:  # type: ignore[attr-defined]  # a click.Choice
        assert bank in bias_banks.ROLES
        done = auditor("data", "bank", bank, rows, "--to", tmp_path / "out")
        assert (done.code, (tmp_path / "out").exists()) == (2, False), done.err
    assert auditor("data", "bank", "stereoset", tmp_path / "absent", "--to", tmp_path / "out").code == 2
    assert auditor("data", "bank", "stereoset", rows, "--metadata", rows, "--to", tmp_path / "out").code == 2


def test_nothing_is_overwritten_and_an_empty_folder_is_filled(
    auditor: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert auditor("data", "canaries", "--to", ".").code == 0
    before = {path: path.read_bytes() for path in (tmp_path / "empty").iterdir()}
    assert auditor("data", "canaries", "--to", ".").code == 2
    assert auditor("data", "canaries", "--to", next(iter(before))).code == 2
    assert {path: path.read_bytes() for path in (tmp_path / "empty").iterdir()} == before


def test_a_folder_that_is_interrupted_is_not_left_half_filled(tmp_path: Path) -> None:
    def interrupted() -> None:
        with fresh_folder.filling(tmp_path / "new") as made:
            (made / "half.csv").write_text("x", encoding="utf-8")
            raise KeyboardInterrupt

    for kept in ([], ["new"]):  # a new folder, then one that was there
        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert [path.name for path in tmp_path.rglob("*")] == kept
        (tmp_path / "new").mkdir(exist_ok=True)
