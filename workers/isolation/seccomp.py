"""The system-call filter: what a model has no business doing is answered with EPERM.

A classic BPF program, assembled here by hand, as `Documentation/userspace-api/seccomp_filter.rst`
describes. Numbers are those of the kernel's own tables for x86_64 and aarch64.
"""

from __future__ import annotations

import ctypes
import errno
import os

from workers.isolation import kernel

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand

_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_EQUAL, _AT_LEAST, _ANY_BIT = 0x15, 0x35, 0x45
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_DENY = 0x00050000 | errno.EPERM
_ABSENT = 0x00050000 | errno.ENOSYS
_NUMBER, _ARCHITECTURE = 0, 4
_X32_BIT = 0x40000000
_CLONE_THREAD = 0x10000
_AF_UNIX, _SOCK_STREAM, _SOCK_SEQPACKET = 1, 1, 5

_AUDIT_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_COLUMN = {"x86_64": 0, "aarch64": 1}

# name: (x86_64, aarch64); None where the architecture lacks the call
DENIED: dict[str, tuple[int | None, int | None]] = {
    # sockets: Landlock knows TCP alone, and a network namespace does not hold Unix sockets with a path
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    "accept": (43, 202), "accept4": (288, 242),
    # other processes: memory, descriptors, limits, priorities
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "process_madvise": (440, 440), "process_mrelease": (448, 448), "kcmp": (312, 272),
    "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424),
    "move_pages": (279, 239), "migrate_pages": (256, 238), "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    # System V and POSIX queues, shared by all processes of an account
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "msgget": (68, 186),
    "msgsnd": (69, 189), "msgrcv": (70, 188), "msgctl": (71, 187), "semget": (64, 190),
    "semop": (65, 193), "semctl": (66, 191), "semtimedop": (220, 192), "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    # a process group or session of its own would outlive killpg; so would another process
    "setsid": (112, 157), "setpgid": (109, 154), "fork": (57, None), "vfork": (58, None),
    # ways around this filter, and corners of the kernel with a history of holes
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264), "fanotify_init": (300, 262),
    "lookup_dcookie": (212, 18), "modify_ldt": (154, None), "uselib": (134, None), "personality": (135, 92),
    # namespaces and mounts
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39),
    "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429),
    "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "mount_setattr": (442, 442),
    # the machine itself
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105),
    "finit_module": (313, 273), "delete_module": (176, 106), "reboot": (169, 142),
    "swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89), "quotactl": (179, 60),
    "quotactl_fd": (443, 443), "sethostname": (170, 161), "setdomainname": (171, 162),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171),
    "clock_adjtime": (305, 266), "syslog": (103, 116), "vhangup": (153, 58), "iopl": (172, None),
    "ioperm": (173, None),
}  # fmt: skip
_CLONE, _CLONE3 = (56, 220), (435, 435)
_SOCKETPAIR, _SENDTO = (53, 199), (44, 206)
_PRCTL, _PRLIMIT = (157, 167), (302, 261)
_SIGNALS = {
    "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
}  # fmt: skip


def supported() -> bool:
    """Whether the filter is written for this machine's architecture."""
    return os.uname().machine in _COLUMN and ctypes.sizeof(ctypes.c_void_p) == 8


def install(*, confine_signals: bool) -> None:
    """Filter this thread's calls and those of all that it starts, for good. Needs no_new_privs.

    `confine_signals` refuses signals to any process but this one: for kernels whose Landlock does not.
    """
    load(assemble(os.uname().machine, own_pid=os.getpid() if confine_signals else None))


class _Statement(ctypes.Structure):
    _fields_ = [
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("operand", ctypes.c_uint32),
    ]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint16), ("statements", ctypes.c_void_p)]


def load(program: list[Instruction]) -> None:
    """Hand a BPF program to the kernel, for this thread and all that it starts."""
    statements = (_Statement * len(program))(*(_Statement(*one) for one in program))
    described = _Program(len(program), ctypes.addressof(statements))
    kernel.prctl(kernel.PR_SET_SECCOMP, 2, ctypes.addressof(described))


def assemble(machine: str, own_pid: int | None) -> list[Instruction]:
    """The BPF program for `machine`; a call of another architecture's kills the process."""
    column = _COLUMN[machine]
    program: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, _AUDIT_ARCHITECTURE[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":
        program += [(_AT_LEAST, 0, 1, _X32_BIT), (_RETURN, 0, 0, _KILL)]
    for numbers in DENIED.values():
        program += _on(numbers[column], [(_RETURN, 0, 0, _DENY)])
    # clone3 hides its flags in memory: "absent" makes the C library use clone, whose flags can be read
    program += _on(_CLONE3[column], [(_RETURN, 0, 0, _ABSENT)])
    program += _on(_CLONE[column], [_argument(0), (_ANY_BIT, 0, 1, _CLONE_THREAD), *_allow_else_deny()])
    # a datagram socket, even one of a pair, can send to any address
    pair = [_argument(0), (_EQUAL, 0, 4, _AF_UNIX), _argument(1), (_AND, 0, 0, 0xF)]
    pair += [(_EQUAL, 2, 0, _SOCK_STREAM), (_EQUAL, 1, 0, _SOCK_SEQPACKET)]
    program += _on(_SOCKETPAIR[column], [*pair, (_RETURN, 0, 0, _DENY), (_RETURN, 0, 0, _ALLOW)])
    address = [_argument(4), (_EQUAL, 0, 3, 0), _argument(4, upper=True), (_EQUAL, 0, 1, 0)]
    program += _on(_SENDTO[column], [*address, *_allow_else_deny()])
    # the supervisor's death must end it: it may not change which signal that sends
    death = (_EQUAL, 1, 0, kernel.PR_SET_PDEATHSIG)
    program += _on(_PRCTL[column], [_argument(0), death, *_allow_else_deny()])
    program += _on(_PRLIMIT[column], [_argument(0), (_EQUAL, 0, 1, 0), *_allow_else_deny()])
    if own_pid is not None:
        for numbers in _SIGNALS.values():
            own = (_EQUAL, 0, 1, own_pid)
            program += _on(numbers[column], [_argument(0), own, *_allow_else_deny()])
    return [*program, (_RETURN, 0, 0, _ALLOW)]


def _on(number: int | None, block: list[Instruction]) -> list[Instruction]:
    """`block`, which ends in a return, for the call `number` alone."""
    return [] if number is None else [(_EQUAL, 0, len(block), number), *block]


def _argument(index: int, *, upper: bool = False) -> Instruction:
    """Load one half of an argument (both architectures are little-endian)."""
    return (_LOAD, 0, 0, 16 + 8 * index + 4 * upper)


def _allow_else_deny() -> list[Instruction]:
    return [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _DENY)]
