"""A hostile child in the sandbox: what it tries, and what comes of it. Real children, whatever the kernel."""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workers.sandboxed import EPILOGUE, PRELUDE, Outcome, folder, run, start, wait
from workers.isolation.sandbox import Limits, Reason, SandboxError, launch

__all__ = ["folder"]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is made of Linux's means")

REPOSITORY = Path(__file__).resolve().parents[2]
OFFERED_LANDLOCK = max(ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1), 0)
OFFERED_SECCOMP = os.uname().machine in ("x86_64", "aarch64")


def network_namespace_is_offered() -> bool:
    child = os.fork()
    if child == 0:
        flags = 0x40000000 if os.geteuid() == 0 else 0x50000000
        os._exit(0 if ctypes.CDLL(None).unshare(flags) == 0 else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def expect_refused(outcome: Outcome, names: set[str], protected: bool) -> None:
    """Every attempt failed where the recorded level claims protection; where it claims none, nothing is expected."""
    assert set(outcome.noted) == names, outcome.errors
    if protected:
        assert "done" not in outcome.noted.values(), outcome.noted


def test_the_recorded_level_is_what_this_kernel_offers(folder: Path) -> None:
    level = run("", folder).child.level
    assert level.filesystem == (f"landlock-{OFFERED_LANDLOCK}" if OFFERED_LANDLOCK else "none")
    assert level.syscalls == ("seccomp" if OFFERED_SECCOMP else "none")
    assert (level.network == "netns") == network_namespace_is_offered()
    assert level.account.startswith("uid 6") if os.geteuid() == 0 else level.account == "same"
    assert (level.summary == "full") == (not level.gaps)
    if OFFERED_LANDLOCK >= 6 and OFFERED_SECCOMP:
        assert level.summary == "full"


def test_it_runs_in_its_own_group_and_account_with_an_empty_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "hunter2")
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:hunter2@h/d")
    program = """
noted.update(environment=dict(os.environ), group=os.getpgrp() == os.getpid(), session=os.getsid(0) == os.getpid(),
             uid=os.getuid(), groups=os.getgroups(), stdin=sys.stdin.read(), home=os.path.expanduser("~"))
attempt("parent", lambda: noted.update(theirs=open(f"/proc/{os.getppid()}/environ").read()))
"""
    outcome = run(program, folder)
    noted = outcome.noted
    assert "hunter2" not in str(noted)
    assert {"SECRET_KEY", "DATABASE_URL"}.isdisjoint(noted["environment"])
    assert noted["environment"]["HF_HUB_OFFLINE"] == "1"
    assert noted["group"]
    assert noted["session"]
    assert noted["stdin"] == ""
    assert Path(noted["home"]) == folder / "out" / ".home"
    if os.geteuid() == 0:
        assert 61184 <= noted["uid"] <= 65519
        assert noted["groups"] == []
        assert (folder / "out").stat().st_uid == noted["uid"]


def test_no_open_file_of_the_supervisor_is_inherited(folder: Path) -> None:
    with (folder / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        outcome = run(
            'noted.update({n: os.readlink(f"/proc/self/fd/{n}") for n in (0, 1, 2)})\n' + LIST_OPEN, folder
        )
    assert outcome.noted["open"] == [0, 1, 2]
    assert outcome.noted["0"] == "/dev/null"


LIST_OPEN = """
def is_open(number):
    try:
        os.fstat(number)
        return True
    except OSError:
        return False
noted["open"] = [number for number in range(1024) if is_open(number)]
"""


def test_secrets_cannot_be_read_by_any_road(folder: Path) -> None:
    secrets = folder / "secrets"
    secrets.mkdir(mode=0o755)
    program = ""
    names = set()
    for name in ("signing-key", "database-password"):
        (secrets / name).write_text("hunter2")
        (secrets / name).chmod(0o600)
        roads = [
            str(secrets / name),
            f"/proc/self/root{secrets / name}",
            f"/proc/{os.getpid()}/root{secrets / name}",
        ]
        for number, road in enumerate(roads):
            names.add(f"{name} {number}")
            program += f"attempt('{name} {number}', lambda: open({road!r}).read())\n"
        program += f"""
os.chdir({str(folder / "out")!r})
attempt("{name} by link", lambda: (os.symlink({str(secrets / name)!r}, "l"), open("l").read()))
attempt("{name} by hard link", lambda: (os.link({str(secrets / name)!r}, "h"), open("h").read()))
"""
        names |= {f"{name} by link", f"{name} by hard link"}
    outcome = run(program, folder)
    expect_refused(outcome, names, protected=True if os.geteuid() == 0 else OFFERED_LANDLOCK > 0)


def test_files_open_to_everybody_cannot_be_read_or_changed_outside_its_own(folder: Path) -> None:
    (folder / "note").write_text("of another run")
    (folder / "note").chmod(0o666)
    folder.chmod(0o777)
    program = f"""
note = {str(folder / "note")!r}
attempt("read", lambda: open(note).read())
attempt("write", lambda: open(note, "w"))
attempt("truncate", lambda: os.truncate(note, 0))
attempt("remove", lambda: os.unlink(note))
attempt("make", lambda: open({str(folder / "made")!r}, "w"))
attempt("/tmp", lambda: open("/tmp/auditor-sandbox-was-here", "w"))
attempt("/dev/shm", lambda: open("/dev/shm/auditor-sandbox-was-here", "w"))
attempt("list", lambda: os.listdir("/"))
attempt("evaluations", lambda: open({str(REPOSITORY / "evaluations" / "made.py")!r}, "w"))
attempt("fifo", lambda: os.mkfifo({str(folder / "out" / "fifo")!r}))
attempt("passwords", lambda: open("/etc/shadow").read())
"""
    names = {"read", "write", "truncate", "remove", "make", "/tmp", "/dev/shm", "list", "evaluations", "fifo"}
    outcome = run(program, folder)
    expect_refused(outcome, names | {"passwords"}, protected=OFFERED_LANDLOCK >= 3)
    if OFFERED_LANDLOCK >= 3:
        assert (folder / "note").read_text() == "of another run"


def test_what_it_needs_can_be_read_and_its_own_folder_written(folder: Path) -> None:
    model = folder / "model"
    model.mkdir(mode=0o700)
    (model / "weights").write_text("0123")
    program = f"""
attempt("read", lambda: noted.update(weights=open({str(model / "weights")!r}).read()))
attempt("change", lambda: open({str(model / "weights")!r}, "a"))
os.chdir({str(folder / "out")!r})
attempt("write", lambda: (os.mkdir("d"), open("d/result", "w").write("made"), os.rename("d/result", "result")))
attempt("import", lambda: __import__("evaluations.spec"))
attempt("self", lambda: open("/proc/self/status").read())
import threading
attempt("thread", lambda: threading.Thread(target=int).start())
"""
    outcome = run(program, folder, read=[model])
    assert outcome.noted.pop("change") == "PermissionError"
    assert outcome.noted.pop("weights") == "0123"
    assert set(outcome.noted.values()) == {"done"}, (outcome.noted, outcome.errors)
    assert (folder / "out" / "result").read_text() == "made"


def test_nothing_can_be_reached_by_tcp_udp_or_unix_socket(folder: Path) -> None:
    by_path = folder / "server.sock"
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as unix,
        socket.socket(socket.AF_UNIX) as abstract,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams,
    ):
        unix.bind(str(by_path))
        unix.listen()
        by_path.chmod(0o777)
        abstract.bind(f"\0auditor-test-{os.getpid()}")
        abstract.listen()
        datagrams.bind(str(folder / "log.sock"))
        (folder / "log.sock").chmod(0o777)
        program = f"""
attempt("tcp", lambda: socket.create_connection(("127.0.0.1", {tcp.getsockname()[1]})))
attempt("udp", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 53)))
attempt("listen", lambda: socket.create_server(("127.0.0.1", 0)))
attempt("unix", lambda: socket.socket(socket.AF_UNIX).connect({str(by_path)!r}))
attempt("abstract", lambda: socket.socket(socket.AF_UNIX).connect("\\0auditor-test-{os.getpid()}"))
attempt("datagram", lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(
    b"x", {str(folder / "log.sock")!r}))
attempt("raw", lambda: call(41 if os.uname().machine == "x86_64" else 198, 17, 3, 0))
"""
        outcome = run(program, folder)
    names = {"tcp", "udp", "listen", "unix", "abstract", "datagram", "raw"}
    expect_refused(outcome, names, protected=OFFERED_SECCOMP)
    assert outcome.noted["tcp"] != "done" or outcome.child.level.network == "none"


def test_one_socket_can_be_kept_and_leads_to_its_other_end_alone(folder: Path) -> None:
    """How the broker is asked: by reads and writes on a pair that the supervisor made, also from an event loop."""
    ours, theirs = socket.socketpair()
    with ours, theirs, socket.create_server(("127.0.0.1", 0)) as tcp:
        ours.sendall(b"question")
        program = f"""
import asyncio
number = int(os.environ["AUDITOR_BROKER_FD"])
pipe = socket.socket(fileno=number)
attempt("read", lambda: noted.update(first=pipe.recv(8).decode()))
attempt("write", lambda: pipe.sendall(b"answer"))
async def by_loop():
    reader, writer = await asyncio.open_connection(sock=pipe)
    writer.write(b" and more")
    await writer.drain()
    noted["again"] = (await reader.readexactly(5)).decode()
attempt("away", lambda: pipe.connect(("127.0.0.1", {tcp.getsockname()[1]})))
attempt("away by message", lambda: pipe.sendto(b"x", ("127.0.0.1", {tcp.getsockname()[1]})))
attempt("listen", lambda: pipe.listen())
attempt("tcp", lambda: socket.create_connection(("127.0.0.1", {tcp.getsockname()[1]})))
attempt("loop", lambda: asyncio.run(by_loop()))
"""
        argv = [sys.executable, "-c", PRELUDE + program + EPILOGUE]
        child = launch(
            argv,
            read=[],
            write=folder / "out",
            limits=Limits(),
            env_extra={"AUDITOR_BROKER_FD": str(theirs.fileno())},
            keep=[theirs.fileno()],
        )
        theirs.close()
        ours.sendall(b"later")
        wait(child)
        heard = ours.recv(100)
        while not heard.endswith(b"more"):
            heard += ours.recv(100)
        assert ours.recv(1) == b""  # the child's end is closed with it, and nobody else holds one
    noted = json.loads(child.stdout.read_text().splitlines()[-1])
    assert heard == b"answer and more"
    assert (noted["first"], noted["again"]) == ("question", "later")
    assert (noted["read"], noted["write"], noted["loop"]) == ("done",) * 3
    names = {"away", "away by message", "listen", "tcp"}
    assert "done" not in {noted[name] for name in names}, noted


def test_other_processes_cannot_be_signalled_traced_or_limited(folder: Path) -> None:
    program = """
import resource
parent = os.getppid()
attempt("signal", lambda: os.kill(parent, 0))
attempt("queue", lambda: signal.pidfd_send_signal(os.pidfd_open(parent), 0))
attempt("limit", lambda: resource.prlimit(parent, resource.RLIMIT_CPU, (10**6, 10**6)))
attempt("ptrace", lambda: call(101 if os.uname().machine == "x86_64" else 117, 16, parent, 0, 0))
attempt("memory", lambda: open(f"/proc/{parent}/mem", "rb"))
attempt("priority", lambda: os.setpriority(os.PRIO_PROCESS, parent, 19))
"""
    names = {"signal", "queue", "limit", "ptrace", "memory", "priority"}
    expect_refused(run(program, folder), names, protected=OFFERED_SECCOMP and OFFERED_LANDLOCK >= 6)


def test_its_confinement_cannot_be_left(folder: Path) -> None:
    program = """
x86 = os.uname().machine == "x86_64"
attempt("session", os.setsid)
attempt("group", lambda: os.setpgid(0, 0))
attempt("fork", lambda: os.fork() or os._exit(0))
attempt("spawn", lambda: os.posix_spawn("/bin/true", ["true"], {}))
attempt("outlive", lambda: call(157 if x86 else 167, 1, 0, 0, 0, 0))
attempt("user namespace", lambda: call(272 if x86 else 97, 0x10000000))
attempt("io_uring", lambda: call(425, 1, ctypes.create_string_buffer(120)))
attempt("bpf", lambda: call(321 if x86 else 280, 0, ctypes.create_string_buffer(120), 120))
attempt("keys", lambda: call(250 if x86 else 219, 0, -3, 0))
attempt("account", lambda: os.setuid(0))
"""
    names = {"session", "group", "fork", "spawn", "outlive", "user namespace", "io_uring", "bpf", "keys"}
    outcome = run(program, folder)
    if os.geteuid() != 0 or not OFFERED_SECCOMP:
        outcome.noted.pop("account", None)
        expect_refused(outcome, names, protected=OFFERED_SECCOMP)
    else:
        expect_refused(outcome, names | {"account"}, protected=True)


@pytest.mark.parametrize(
    "bomb",
    [
        "kept = []\nwhile True: kept.append(bytearray(64 * 2**20))",
        "import mmap\nkept = []\nwhile True:\n kept.append(mmap.mmap(-1, 2**25))\n kept[-1].write(b'x' * 2**25)\n"
        " import time; time.sleep(0.05)",
    ],
    ids=["private", "shared"],
)
def test_a_memory_bomb_ends_with_that_reason(folder: Path, bomb: str) -> None:
    outcome = run(bomb, folder, limits=Limits(memory_bytes=300 * 2**20))
    assert outcome.ended.reason is Reason.MEMORY
    assert "300 MiB" in outcome.ended.message


def test_a_file_size_bomb_ends_with_that_reason(folder: Path) -> None:
    program = f"file = open({str(folder / 'out' / 'big')!r}, 'wb')\nwhile True: file.write(b'x' * 2**20)"
    outcome = run(program, folder, limits=Limits(file_bytes=8 * 2**20))
    assert outcome.ended.reason is Reason.FILE_SIZE
    assert (folder / "out" / "big").stat().st_size <= 8 * 2**20


def test_many_small_files_end_with_that_reason(folder: Path) -> None:
    program = f"import itertools\nfor n in itertools.count(): open({str(folder / 'out')!r} + f'/{{n}}', 'wb')"
    outcome = run(program, folder, limits=Limits(output_bytes=4 * 2**20))
    assert outcome.ended.reason is Reason.OUTPUT_SIZE


def test_a_processor_time_bomb_ends_with_that_reason(folder: Path) -> None:
    outcome = run("while True: pass", folder, limits=Limits(cpu_seconds=1))
    assert outcome.ended.reason is Reason.CPU_TIME


def test_a_flood_of_output_is_cut_and_does_not_block_it(folder: Path) -> None:
    child = start("for _ in range(2000): print('x' * 1000)", folder, limits=Limits(log_bytes=5000))
    assert wait(child).reason is Reason.FINISHED
    assert child.stdout.stat().st_size < 6000
    assert "the rest was cut" in child.stdout.read_text()


def test_a_hang_is_ended_with_all_that_it_started(folder: Path) -> None:
    program = """
grandchild = 0
try:
    grandchild = os.fork()
except OSError:
    pass
if grandchild or not noted.setdefault("pid", 0):
    open(os.environ["HOME"] + "/../pid", "w").write(str(grandchild))
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True: signal.pause()
"""
    child = start(program, folder, limits=Limits(wall_seconds=1.5))
    ended = wait(child)
    assert ended.reason is Reason.WALL_TIME
    grandchild = int((folder / "out" / "pid").read_text())
    if child.level.syscalls == "seccomp":
        assert grandchild == 0  # it could not start one
    for pid in filter(None, (child.pid, grandchild)):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_terminate_ends_it_at_once_and_tells_so(folder: Path) -> None:
    child = start("signal.pause()", folder)
    assert child.poll() is None
    ended = child.terminate()
    assert ended.reason is Reason.TERMINATED
    assert child.poll() == child.terminate() == ended


def test_a_failure_is_told_with_its_status(folder: Path) -> None:
    ended = run("raise SystemExit(7)", folder).ended
    assert (ended.reason, ended.returncode) == (Reason.FAILED, 7)


def test_a_kill_from_outside_is_no_limit_of_ours(folder: Path) -> None:
    child = start("signal.pause()", folder)
    os.kill(child.pid, signal.SIGKILL)
    ended = wait(child)
    assert (ended.reason, ended.returncode) == (Reason.CRASHED, -signal.SIGKILL)


def test_a_crash_is_told_with_its_signal(folder: Path) -> None:
    ended = run("ctypes.string_at(0)", folder).ended
    assert (ended.reason, ended.returncode) == (Reason.CRASHED, -signal.SIGSEGV)
    assert "SIGSEGV" in ended.message


def test_it_dies_with_a_supervisor_that_is_killed(folder: Path) -> None:
    supervisor = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, signal; from pathlib import Path\n"
            "from workers.isolation.sandbox import Limits, launch\n"
            "child = launch([sys.executable, '-c', 'import signal; signal.pause()'], read=[],"
            f" write=Path({str(folder / 'out')!r}), limits=Limits())\n"
            "print(child.pid, flush=True); signal.pause()",
        ],
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert supervisor.stdout is not None
    child = os.pidfd_open(int(supervisor.stdout.readline()))
    supervisor.send_signal(signal.SIGKILL)
    supervisor.wait()
    supervisor.stdout.close()
    gone, _, _ = select.select([child], [], [], 60)  # readable once the process has ended
    os.close(child)
    assert gone


def test_wrong_requests_are_refused_with_the_reason(folder: Path) -> None:
    def attempt(argv: list[str], read: list[Path], write: Path) -> str:
        with pytest.raises(SandboxError) as refused:
            launch(argv, read=read, write=write, limits=Limits())
        return str(refused.value)

    python = [sys.executable, "-c", PRELUDE]
    assert "absolute path" in attempt(["python"], [], folder / "out")
    assert "does not exist" in attempt(python, [folder / "absent"], folder / "out")
    assert "inside an existing one" in attempt(python, [], folder / "absent" / "out")
    assert "which the child may read" in attempt(python, [folder.parent], folder / "out")
    (folder / "full").mkdir()
    (folder / "full" / "left").touch()
    assert "empty folder" in attempt(python, [], folder / "full")


@pytest.mark.slow
def test_the_libraries_that_evaluations_use_work_inside(folder: Path) -> None:
    program = """
import numpy, torch, transformers, sklearn.ensemble, onnxruntime, pyarrow.parquet, tokenizers, safetensors.torch
torch.set_num_threads(2)
square = torch.ones(512, 512)
noted["product"] = float((square @ square)[0, 0])
noted["threads"] = torch.get_num_threads()
x = numpy.arange(200.0).reshape(-1, 1)
noted["score"] = sklearn.ensemble.HistGradientBoostingClassifier(max_iter=5).fit(x, x[:, 0] > 99).score(x, x[:, 0] > 99)
path = os.path.join(os.environ["HOME"], "t.parquet")
pyarrow.parquet.write_table(pyarrow.table({"a": [1, 2]}), path)
noted["rows"] = pyarrow.parquet.read_table(path).num_rows
"""
    outcome = run(program, folder)
    assert outcome.noted == {"product": 512.0, "threads": 2, "score": 1.0, "rows": 2}, outcome.errors
