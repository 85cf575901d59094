"""What a sandboxed child was really confined by, as recorded on the run and on the report card."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class IsolationLevel:
    """The protections in force for one child, each named by the mechanism that gives it."""

    filesystem: str  # "landlock-<ABI>" or "none"
    network: str  # "netns", "landlock" (TCP alone), "seccomp" or "none"; seccomp adds to the first two
    syscalls: str  # "seccomp" or "none"
    signals: str  # "landlock", "seccomp" or "none": what keeps it from signalling other processes
    account: str  # "uid 61234"; "same" as the ordinary user who started it; or "root", without capabilities

    @property
    def gaps(self) -> tuple[str, ...]:
        """What is not protected, in words; empty for full isolation."""
        found = []
        if self.filesystem == "none":
            found.append("files are not confined")
        elif int(self.filesystem.removeprefix("landlock-")) < 3:  # ABI 3 brought truncate
            found.append("files of its account can be truncated")
        if self.network == "none":
            found.append("the network is open")
        elif self.syscalls == "none":
            found.append("Unix sockets are open")
            if self.network == "landlock":
                found.append("only TCP is closed")
        if self.syscalls == "none":
            found.append("system calls are not filtered")
        if self.signals == "none" and not self.account.startswith("uid"):
            found.append("it can signal processes of its account")
        if self.account == "root":
            found.append("it runs as root, without capabilities")
        return tuple(found)

    @property
    def summary(self) -> str:
        """`full`, `partial: <what is missing>`, or `none`."""
        if not self.gaps:
            return "full"
        if (self.filesystem, self.network, self.syscalls) == ("none", "none", "none"):
            return "none"
        return "partial: " + "; ".join(self.gaps)

    def as_dict(self) -> dict[str, str]:
        """For JSON: the five fields and the summary."""
        return {**asdict(self), "summary": self.summary}
