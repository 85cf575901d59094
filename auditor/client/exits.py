"""The exit codes of the command line, and the errors that lead to them."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """What a pipeline may rely on. 1 means one thing alone: the policy was applied, and is not met.

    `model check` applies the rules of intake instead: 0 is accepted, 1 refused.
    """

    MEETS = 0  # also with accepted risk
    DOES_NOT_MEET = 1
    USAGE = 2
    INCOMPLETE = 3  # incomplete, inconclusive, errored or cancelled
    NOT_ALLOWED = 4
    TIMED_OUT = 5
    UNREACHABLE = 6
    NOT_VERIFIED = 7
    UNEXPECTED = 70
    INTERRUPTED = 130


VERDICT_EXITS = {
    "meets": Exit.MEETS,
    "meets_with_accepted_risk": Exit.MEETS,
    "does_not_meet": Exit.DOES_NOT_MEET,
    "incomplete": Exit.INCOMPLETE,
}


class ClientError(Exception):
    """The command cannot go on; the message says why and what to do."""

    exit_code = Exit.USAGE


class Unreachable(ClientError):
    """No answer from the service, or none that makes sense."""

    exit_code = Exit.UNREACHABLE


class TimedOut(ClientError):
    """The audit goes on, but the caller would not wait longer."""

    exit_code = Exit.TIMED_OUT


class ApiError(ClientError):
    """The service refused: an RFC 9457 problem. `errors` are (JSON pointer, detail)."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        errors: tuple[tuple[str, str], ...] = (),
        request_id: str = "",
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.errors = errors
        self.request_id = request_id

    @property
    def exit_code(self) -> Exit:  # type: ignore[override]  # the base class has one for all its instances
        if self.status in (401, 403):
            return Exit.NOT_ALLOWED
        if self.status in (429, 503):
            return Exit.UNREACHABLE
        return Exit.USAGE if self.status < 500 else Exit.UNEXPECTED

    def __str__(self) -> str:
        lines = [str(self.args[0])]
        lines += [
            f"  {pointer or '/'}: {detail}" for pointer, detail in self.errors if detail not in lines[0]
        ]
        if self.status >= 500 and self.request_id:
            lines.append(f"  request {self.request_id}")
        return "\n".join(lines)
