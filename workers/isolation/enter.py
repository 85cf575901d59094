"""The child's first moments: it gives up everything it can, reports what that was, and becomes the command.

Run as `python -I -S enter.py SPECIFICATION` by `sandbox.py`. Standard library alone: nothing of the
model, and nothing that a model could have touched, is imported here.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # -I leaves the script's folder out

from workers.isolation import kernel, landlock, seccomp  # after the path
from workers.isolation.level import IsolationLevel

THREADS_PER_ACCOUNT = 512


class Refused(Exception):
    """The child must not run like this; the message says why and what to do."""


def main(specification: dict[str, Any]) -> None:
    report: int = specification["report"]
    try:
        level = enter(specification)
        os.write(report, json.dumps({"level": level.as_dict()}).encode() + b"\n")
        os.execve(specification["argv"][0], specification["argv"], os.environ)  # closes the report
    except (OSError, Refused) as error:
        os.write(report, json.dumps({"error": str(error)}).encode() + b"\n")
        os._exit(126)


def enter(specification: dict[str, Any]) -> IsolationLevel:
    """Confine this process step by step; what the kernel does not offer is left out and told."""
    die_with(specification["parent"])
    os.set_inheritable(specification["report"], False)  # others are closed already, but those to be kept
    os.umask(0o077)
    Path("/proc/self/oom_score_adj").write_text("1000")  # the first to go when the machine's memory ends
    own_network = leave_the_network()

    version = landlock.abi()
    ruleset = (
        landlock.prepare(version, [landlock.Rule(*rule) for rule in specification["rules"]])
        if version
        else None
    )
    account = change_account(
        specification["uid"], specification["must_reach"], may_read_all=ruleset is not None
    )
    limit(specification["limits"], own_account=account.startswith("uid"))
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    if ruleset is not None:
        landlock.enforce(ruleset)
    die_with(specification["parent"])  # a change of account clears it
    filtered = filter_calls(confine_signals=version < 6)

    network = "netns" if own_network else "landlock" if version >= 4 else "seccomp" if filtered else "none"
    return IsolationLevel(
        filesystem=f"landlock-{version}" if version else "none",
        network=network,
        syscalls="seccomp" if filtered else "none",
        signals="landlock" if version >= 6 else "seccomp" if filtered else "none",
        account=account,
    )


def die_with(parent: int) -> None:
    """Have the kernel kill this process when the supervisor dies, however that happens."""
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        os._exit(125)


def limit(limits: dict[str, int], *, own_account: bool) -> None:
    for name, value in limits.items():
        number = getattr(resource, f"RLIMIT_{name}")
        _, hard = resource.getrlimit(number)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        soft = (
            value - 2 if name == "CPU" else value
        )  # SIGXCPU comes at the first limit, SIGKILL at the second
        resource.setrlimit(number, (soft, value))
    if own_account:  # the count is per account: a shared one would count the owner's other programs
        resource.setrlimit(resource.RLIMIT_NPROC, (THREADS_PER_ACCOUNT, THREADS_PER_ACCOUNT))


def leave_the_network() -> bool:
    """Move to a network namespace with nothing in it, not even a loopback that is up."""
    try:
        kernel.unshare(kernel.CLONE_NEWNET)
        return True
    except OSError:
        if os.geteuid() == 0:  # a container's root; a user namespace would hide the accounts it can change to
            return False
    uid, gid = os.geteuid(), os.getegid()
    try:
        kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNET)
    except OSError:
        return False
    # The same numbers inside as outside, so that files keep their owner's name.
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        Path(f"/proc/self/{name}").write_text(text)
    return True


def change_account(uid: int | None, must_reach: list[tuple[str, bool]], *, may_read_all: bool) -> str:
    """Become the run's own account where root started this; hold no capability but, at need, one.

    That one is CAP_DAC_READ_SEARCH: a clone under a 0700 folder cannot be read otherwise. It is kept
    only under Landlock, which then decides alone what may be read.
    """
    if uid is None:
        kernel.keep_only(0)  # those of a user namespace
        return "same"
    lacking = unreachable(uid, must_reach)
    kept = 0
    if lacking:
        if not (may_read_all and kernel.has_capability(kernel.CAP_DAC_READ_SEARCH)):
            raise Refused(
                f"The sandbox's account (uid {uid}) cannot read {lacking}, and this kernel offers no safe way to "
                "let it. Make the folders above it passable (chmod o+x), or install where other accounts can read."
            )
        kept = 1 << kernel.CAP_DAC_READ_SEARCH
        kernel.prctl(kernel.PR_SET_KEEPCAPS, 1)
    try:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    except OSError:  # a container whose root knows no other account
        kernel.keep_only(0)
        return "root"
    kernel.keep_only(kept)
    if kept:
        kernel.prctl(kernel.PR_CAP_AMBIENT, kernel.PR_CAP_AMBIENT_RAISE, kernel.CAP_DAC_READ_SEARCH)
    return f"uid {uid}"


def unreachable(uid: int, paths: list[tuple[str, bool]]) -> str | None:
    """What the account cannot read, or None. Found out by a process of that account."""
    reader, writer = os.pipe()
    probe = os.fork()
    if probe == 0:
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            os.write(writer, os.fsencode(_first_unreadable(paths) or ""))
        except OSError:  # no other account can be had: `change_account` meets that again, and tells it
            pass
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        found = os.fsdecode(pipe.read())
    os.waitpid(probe, 0)
    return found or None


def _first_unreadable(paths: list[tuple[str, bool]]) -> str | None:
    """Of each path, and of all below it where the second is true, the first that this account cannot read."""
    for top, with_contents in paths:
        if not _readable(top):
            return top
        for parent, folders, files in os.walk(top) if with_contents else ():
            for name in (*folders, *files):
                if not _readable(os.path.join(parent, name)):
                    return os.path.join(parent, name)
    return None


def _readable(path: str) -> bool:
    return os.access(path, os.R_OK | os.X_OK if os.path.isdir(path) else os.R_OK)


def filter_calls(*, confine_signals: bool) -> bool:
    if not seccomp.supported():
        return False
    try:
        seccomp.install(confine_signals=confine_signals)
    except OSError:  # a kernel without it, or a container that forbids it
        return False
    return True


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
