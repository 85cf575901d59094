"""The one error that services raise; mapped once to problem+json and once to a page."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with the input. `pointer` is an RFC 6901 JSON pointer into it."""

    pointer: str
    detail: str


@dataclass
class DomainError(Exception):
    """A request that cannot be carried out. `code` is stable, `message` says what is wrong and how to mend it."""

    code: str
    message: str
    status: int = 422
    errors: list[Problem] = field(default_factory=list)

    def __str__(self) -> str:
        return self.message


def not_found(what: str, name: str) -> DomainError:
    return DomainError("not_found", f"There is no {what} “{name}” that you can see.", status=404)


def forbidden(message: str) -> DomainError:
    return DomainError("forbidden", message, status=403)


def conflict(code: str, message: str) -> DomainError:
    return DomainError(code, message, status=409)
