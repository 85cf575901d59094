"""The Linux calls that Python does not offer: prctl, capabilities, namespaces."""

from __future__ import annotations

import ctypes
import os

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
CAP_DAC_READ_SEARCH = 2  # reading any file and entering any folder, whatever its mode
_CAPABILITY_VERSION_3 = 0x20080522

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> int:
    """The result of a libc call, or the OSError it stands for."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def prctl(option: int, *arguments: int) -> None:
    padded = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
    check(libc.prctl(option, *padded), f"prctl {option}")


def unshare(flags: int) -> None:
    check(libc.unshare(flags), "unshare")


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Set(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable")]


def has_capability(capability: int) -> bool:
    """Whether this process is permitted `capability`."""
    header, sets = _Header(_CAPABILITY_VERSION_3, 0), (_Set * 2)()
    check(libc.capget(ctypes.byref(header), sets), "capget")
    return bool(sets[capability // 32].permitted & 1 << capability % 32)


def keep_only(capabilities: int) -> None:
    """Give up every capability but those of the bit mask (each below 32)."""
    header, sets = _Header(_CAPABILITY_VERSION_3, 0), (_Set * 2)()
    sets[0] = _Set(capabilities, capabilities, capabilities)
    check(libc.capset(ctypes.byref(header), sets), "capset")
