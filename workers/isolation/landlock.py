"""Landlock: which files, TCP ports, signals and abstract sockets this process may still touch.

Constants and structures are those of the kernel's `include/uapi/linux/landlock.h`.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass

from workers.isolation.kernel import check, libc

# The three calls have these numbers on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE = (1 << bit for bit in range(6))
MAKE_DIR, MAKE_REG = 1 << 7, 1 << 8
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
READ = READ_FILE | READ_DIR
RUN = READ | EXECUTE
WRITE = READ | WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | REFER | TRUNCATE
DEVICE = READ_FILE | WRITE_FILE | IOCTL_DEV
_FOR_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV

_TCP = 3  # bind and connect, ABI 4
_SCOPES = 3  # abstract Unix sockets and signals, ABI 6


@dataclass(frozen=True)
class Rule:
    """Rights on one file, or on a folder and everything below it."""

    path: str
    rights: int


class _Ruleset(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("handled_fs", "handled_net", "scoped")]


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


def abi() -> int:
    """The version that the running kernel offers; 0 where Landlock is absent or switched off."""
    return int(max(libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG), 0))


def prepare(version: int, rules: Iterable[Rule]) -> int:
    """A ruleset's descriptor: everything not named in `rules` is to be refused. Paths must exist."""
    filesystem_rights = {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)
    handled = (1 << filesystem_rights) - 1
    attributes = _Ruleset(handled, _TCP if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = libc.syscall(_CREATE_RULESET, ctypes.byref(attributes), ctypes.c_size_t(size), 0)
    check(ruleset, "landlock_create_ruleset")
    for rule in rules:
        parent = os.open(rule.path, os.O_PATH | os.O_CLOEXEC)
        rights = rule.rights & handled
        if not stat.S_ISDIR(os.fstat(parent).st_mode):
            rights &= _FOR_FILES
        beneath = _PathBeneath(rights, parent)
        added = libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.byref(beneath), 0)
        check(added, f"landlock_add_rule {rule.path}")
        os.close(parent)
    return int(ruleset)


def enforce(ruleset: int) -> None:
    """Confine this thread, and all that it starts, for good. Needs no_new_privs."""
    check(libc.syscall(_RESTRICT_SELF, ruleset, 0), "landlock_restrict_self")
    os.close(ruleset)
