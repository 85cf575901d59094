"""The system-call filter, run instruction by instruction for both architectures, and against the kernel's headers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from workers.isolation import seccomp

ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOW, EPERM, ENOSYS, KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
NUMBERS = {  # from the kernel's arch/x86/entry/syscalls/syscall_64.tbl and scripts/syscall.tbl
    "x86_64": {
        "read": 0, "mmap": 9, "ioctl": 16, "clone": 56, "clone3": 435, "execve": 59, "socket": 41, "connect": 42,
        "socketpair": 53, "sendto": 44, "prctl": 157, "prlimit64": 302, "kill": 62, "tgkill": 234, "ptrace": 101,
        "setsid": 112, "io_uring_setup": 425, "openat": 257, "futex": 202, "bpf": 321,
    },
    "aarch64": {
        "read": 63, "mmap": 222, "ioctl": 29, "clone": 220, "clone3": 435, "execve": 221, "socket": 198,
        "connect": 203, "socketpair": 199, "sendto": 206, "prctl": 167, "prlimit64": 261, "kill": 129, "tgkill": 131,
        "ptrace": 117, "setsid": 157, "io_uring_setup": 425, "openat": 56, "futex": 98, "bpf": 280,
    },
}  # fmt: skip


def decide(
    machine: str, number: int, *arguments: int, architecture: int | None = None, own_pid: int | None = None
) -> int:
    """What the filter answers: a plain interpreter of classic BPF."""
    memory = {0: number, 4: ARCHITECTURE[machine] if architecture is None else architecture}
    for index in range(6):
        value = arguments[index] if index < len(arguments) else 0
        memory[16 + 8 * index] = value & 0xFFFFFFFF
        memory[20 + 8 * index] = value >> 32
    program, at, accumulator = seccomp.assemble(machine, own_pid), 0, 0
    while True:
        code, if_true, if_false, operand = program[at]
        at += 1
        if code == 0x20:
            accumulator = memory[operand]
        elif code == 0x54:
            accumulator &= operand
        elif code == 0x06:
            return operand
        else:
            met = {
                0x15: accumulator == operand,
                0x35: accumulator >= operand,
                0x45: bool(accumulator & operand),
            }[code]
            at += if_true if met else if_false


@pytest.fixture(params=["x86_64", "aarch64"])
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("name", ["read", "mmap", "ioctl", "execve", "openat", "futex", "kill"])
def test_ordinary_calls_pass(machine: str, name: str) -> None:
    assert decide(machine, NUMBERS[machine][name]) == ALLOW


@pytest.mark.parametrize("name", ["socket", "connect", "ptrace", "setsid", "io_uring_setup", "bpf"])
def test_calls_that_a_model_has_no_business_making_are_refused(machine: str, name: str) -> None:
    assert decide(machine, NUMBERS[machine][name]) == EPERM


def test_threads_can_be_started_and_processes_cannot(machine: str) -> None:
    clone = NUMBERS[machine]["clone"]
    assert decide(machine, clone, 0x3D0F00) == ALLOW  # what pthread_create asks for
    assert decide(machine, clone, 0x1200011) == EPERM  # what fork asks for
    assert decide(machine, clone, 0x4111) == EPERM  # what vfork and posix_spawn ask for
    assert decide(machine, NUMBERS[machine]["clone3"]) == ENOSYS


def test_only_a_connected_pair_of_unix_sockets_can_be_had(machine: str) -> None:
    pair, send = NUMBERS[machine]["socketpair"], NUMBERS[machine]["sendto"]
    nonblocking = 0x800
    assert decide(machine, pair, 1, 1) == ALLOW
    assert decide(machine, pair, 1, 5 | nonblocking) == ALLOW
    assert decide(machine, pair, 1, 2) == EPERM  # datagrams go to any address
    assert decide(machine, pair, 40, 1) == EPERM  # AF_VSOCK
    assert decide(machine, send, 3, 0x7F00_1234_5678, 1, 0, 0, 0) == ALLOW
    assert decide(machine, send, 3, 0x7F00_1234_5678, 1, 0, 0x7F00_0000_0000, 110) == EPERM


def test_the_death_signal_and_others_limits_cannot_be_changed(machine: str) -> None:
    assert decide(machine, NUMBERS[machine]["prctl"], 1) == EPERM
    assert decide(machine, NUMBERS[machine]["prctl"], 15) == ALLOW  # its thread's name
    assert decide(machine, NUMBERS[machine]["prlimit64"], 0) == ALLOW
    assert decide(machine, NUMBERS[machine]["prlimit64"], 4242) == EPERM


def test_without_landlocks_scopes_signals_reach_only_itself(machine: str) -> None:
    for name in ("kill", "tgkill"):
        number = NUMBERS[machine][name]
        assert decide(machine, number, 4242, own_pid=77) == EPERM
        assert decide(machine, number, 77, own_pid=77) == ALLOW


def test_a_call_of_another_architecture_kills(machine: str) -> None:
    assert decide(machine, 0, architecture=0x40000003) == KILL  # 32-bit x86
    if machine == "x86_64":
        assert decide(machine, 0x40000000 | 41) == KILL  # x32


def test_every_number_is_the_one_in_the_machines_headers(machine: str) -> None:
    if not HEADERS[machine].exists():
        pytest.skip("the kernel's headers (linux-libc-dev) are not installed")
    found = re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)", HEADERS[machine].read_text(), re.MULTILINE)
    numbers = {name: int(number) for name, number in found}
    for name, number in NUMBERS[machine].items():
        assert numbers[name] == number, name
    column = {"x86_64": 0, "aarch64": 1}[machine]
    for name, pair in seccomp.DENIED.items():
        assert pair[column] == numbers.get(name), name
