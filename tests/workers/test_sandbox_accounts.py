"""The sandbox under other circumstances: an ordinary user, an older kernel, a clone that only root can enter."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.workers.sandboxed import run
from workers.isolation import landlock, seccomp

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is made of Linux's means")

REPOSITORY = Path(__file__).resolve().parents[2]
NOBODY = 65534
PROBE = """
import json, os, socket, sys
noted = {"uid": os.getuid()}
def attempt(name, function):
    try:
        function()
        noted[name] = "done"
    except OSError as error:
        noted[name] = type(error).__name__
key, port, path = sys.argv[1:]
attempt("key", lambda: open(key).read())
attempt("tcp", lambda: socket.create_connection(("127.0.0.1", int(port))))
attempt("unix", lambda: socket.socket(socket.AF_UNIX).connect(path))
attempt("signal", lambda: os.kill(os.getppid(), 0))
attempt("write", lambda: open(os.environ["HOME"] + "/../result", "w").close())
print(json.dumps(noted))
"""
# A supervisor of its own: it holds a 0600 key and two servers, and starts the probe in the sandbox.
SUPERVISOR = """
import ctypes, json, os, socket, sys, time
from pathlib import Path
from workers.isolation import kernel, seccomp
from workers.isolation.sandbox import Limits, SandboxError, launch
folder, probe, old_kernel = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "old"
if old_kernel:  # one without Landlock and without namespaces for this account
    unshare = 272 if os.uname().machine == "x86_64" else 97
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    seccomp.load([(0x20, 0, 0, 0), (0x15, 0, 1, 444), (0x06, 0, 0, 0x50026),
                  (0x15, 0, 1, unshare), (0x06, 0, 0, 0x50001), (0x06, 0, 0, 0x7FFF0000)])
folder.mkdir(mode=0o755)
os.umask(0o077)
(folder / "key").write_text("hunter2")
tcp = socket.create_server(("127.0.0.1", 0))
unix = socket.socket(socket.AF_UNIX)
unix.bind(str(folder / "s"))
unix.listen()
argv = [sys.executable, "-c", probe, str(folder / "key"), str(tcp.getsockname()[1]), str(folder / "s")]
extra = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
try:
    child = launch(argv, read=[], write=folder / "out", limits=Limits(), env_extra=extra)
except SandboxError as error:
    print(json.dumps({"refused": str(error)}))
    sys.exit()
while (ended := child.poll()) is None:
    time.sleep(0.02)
text = child.stdout.read_text()
print(json.dumps({"level": child.level.as_dict(), "ended": ended.message, "uid": os.getuid(),
                  "noted": json.loads(text) if text else child.stderr.read_text()}))
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every account can enter and write."""
    folder = Path(tempfile.mkdtemp(prefix="auditor-accounts-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def supervise(
    place: Path, *, kernel: str, account: int | None, python: str, code: Path, libraries: str
) -> dict[str, Any]:
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(code), "PYTHONDONTWRITEBYTECODE": "1"}
    if libraries:
        environment["LD_LIBRARY_PATH"] = libraries
    done = subprocess.run(
        [python, "-c", SUPERVISOR, str(place / "run"), PROBE, kernel],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
        cwd=place,
        user=account,
        group=account,
        extra_groups=None if account is None else [],
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def supervise_as_ordinary_user(place: Path, kernel: str) -> dict[str, Any]:
    """As this account; where that is root, as `nobody`, with copies of all that is needed."""
    if os.geteuid() != 0:
        return supervise(
            place, kernel=kernel, account=None, python=sys.executable, code=REPOSITORY, libraries=""
        )
    code = place / "code"
    shutil.copytree(REPOSITORY / "workers" / "isolation", code / "workers" / "isolation")
    shutil.copy(REPOSITORY / "workers" / "__init__.py", code / "workers" / "__init__.py")
    (code / "evaluations").mkdir()
    (code / "evaluations" / "__init__.py").touch()
    prefix, version = Path(sys.base_prefix), f"python{sys.version_info.major}.{sys.version_info.minor}"
    unneeded = shutil.ignore_patterns(
        "site-packages", "test", "idlelib", "ensurepip", "lib2to3", "config-*", "__pycache__"
    )
    shutil.copytree(prefix / "lib" / version, place / "python" / "lib" / version, ignore=unneeded)
    for library in (prefix / "lib").glob("libpython*.so*"):
        shutil.copy(library, place / "python" / "lib")
    (place / "python" / "bin").mkdir()
    python = shutil.copy(os.path.realpath(sys.executable), place / "python" / "bin" / version)
    subprocess.run(["chmod", "-R", "a+rX", str(place / "python"), str(code)], check=True)
    return supervise(
        place,
        kernel=kernel,
        account=NOBODY,
        python=str(python),
        code=code,
        libraries=str(place / "python" / "lib"),
    )


def test_started_by_an_ordinary_user_it_still_reaches_nothing(place: Path) -> None:
    found = supervise_as_ordinary_user(place, "this")
    level, noted = found["level"], found["noted"]
    assert level["account"] == "same"
    assert noted["uid"] == found["uid"] != 0
    assert noted["write"] == "done"
    if landlock.abi() >= 6 and seccomp.supported():
        assert level["summary"] == "full"
    assert (noted["key"] == "done") == (level["filesystem"] == "none")
    assert (noted["tcp"] == "done") == (level["network"] == "none")
    assert (noted["unix"] == "done") == (level["syscalls"] == "none")
    assert (noted["signal"] == "done") == (level["signals"] == "none")


def test_on_a_kernel_without_landlock_or_namespaces_the_level_says_that_files_are_open(place: Path) -> None:
    found = supervise_as_ordinary_user(place, "old")
    level, noted = found["level"], found["noted"]
    assert level["filesystem"] == "none"
    assert noted["key"] == "done"
    if seccomp.supported():
        assert level["summary"] == "partial: files are not confined"
        assert level["network"] == level["signals"] == "seccomp"
        assert "done" not in (noted["tcp"], noted["unix"], noted["signal"])


def test_a_clone_that_only_its_owner_can_enter_is_audited_and_nothing_else_in_it_read(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    (private / "model").mkdir(mode=0o700)
    (private / "model" / "weights").write_text("0123")
    (private / "key").write_text("hunter2")
    (private / "run").mkdir()
    program = f"""
attempt("model", lambda: noted.update(weights=open({str(private / "model" / "weights")!r}).read()))
attempt("key", lambda: open({str(private / "key")!r}).read())
attempt("write", lambda: open({str(private / "run" / "out" / "result")!r}, "w").close())
attempt("evaluations", lambda: __import__("evaluations"))
attempt("shadow", lambda: open("/etc/shadow").read())
noted["uid"] = os.getuid()
"""
    if os.geteuid() == 0 and not landlock.abi():
        with pytest.raises(RuntimeError, match="cannot read"):
            run(program, private / "run", read=[private / "model"])
        return
    outcome = run(program, private / "run", read=[private / "model"])
    assert outcome.noted["weights"] == "0123", outcome.errors
    assert outcome.noted["write"] == outcome.noted["evaluations"] == "done"
    assert outcome.noted["shadow"] != "done"
    assert (outcome.noted["uid"] == os.geteuid()) == (os.geteuid() != 0)
    if landlock.abi():
        assert outcome.noted["key"] == "PermissionError"


def test_root_without_landlock_is_told_to_open_the_way_instead_of_running_the_model_as_root(
    tmp_path: Path,
) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    found = supervise(
        private, kernel="old", account=None, python=sys.executable, code=REPOSITORY, libraries=""
    )
    if os.geteuid() == 0:
        assert "cannot read" in found["refused"]
        assert "chmod o+x" in found["refused"]
    else:
        assert found["level"]["account"] == "same"
