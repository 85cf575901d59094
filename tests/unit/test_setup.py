"""Set-up: secrets only their owner reads, and a second call that finds everything done."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from auditor import install, setup
from evaluations.data import fetch


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("AUDITOR_RESOURCES", raising=False)
    return tmp_path / "state"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_keys_are_made_once_and_only_their_owner_reads_them(state: Path) -> None:
    steps = (setup.folders, setup.secret_key, setup.credential_key, setup.signing_key)
    assert [step(state) for step in steps] == [True] * 4
    before = {path.name: path.read_bytes() for path in (state / "secrets").iterdir()}
    assert set(before) == {"secret_key", "credential_key", "signing_key.pem", "signing_certificate.pem"}
    assert mode(state / "secrets") == 0o700
    assert {
        mode(state / "secrets" / name) for name in ("secret_key", "credential_key", "signing_key.pem")
    } == {0o600}
    assert [step(state) for step in steps] == [False] * 4
    assert {path.name: path.read_bytes() for path in (state / "secrets").iterdir()} == before


def test_an_open_folder_of_secrets_is_closed(state: Path) -> None:
    setup.folders(state)
    (state / "secrets").chmod(0o755)
    assert setup.folders(state)
    assert mode(state / "secrets") == 0o700


def test_lexical_resources_are_fetched_where_they_are_missing(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[tuple[str, Path]] = []
    monkeypatch.setattr(fetch, "present", lambda name, folder: bool(fetched))
    monkeypatch.setattr(fetch, "fetch", lambda name, folder: fetched.append((name, folder)))
    assert setup.lexical_resources(state)
    assert fetched == [(name, state / "resources" / place) for name, place in fetch.LEXICAL.items()]
    assert not setup.lexical_resources(state)


def test_a_changed_lock_means_installing_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("a==1\n")
    monkeypatch.setattr(install, "LOCK", lock)
    before = install._fingerprint()
    assert install._fingerprint() == before
    lock.write_text("a==2\n")
    assert install._fingerprint() != before


def test_the_installer_needs_nothing_but_the_standard_library() -> None:
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        "import sys; sys.path.insert(0, '.'); import auditor.install",
    ]
    assert subprocess.run(command, cwd=install.REPOSITORY, check=False).returncode == 0


def test_a_failed_installation_shows_what_pip_said_without_its_warnings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    script = "import sys; sys.stderr.write('WARNING: mirror\\nERROR: no such\\n'); sys.exit(1)"
    with pytest.raises(SystemExit, match="Installing words failed"):
        install._step("words", [sys.executable, "-c", script], "Look here.")
    said = capsys.readouterr().err
    assert "ERROR: no such" in said
    assert "mirror" not in said
