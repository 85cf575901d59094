"""How the readers of single file formats say that a file is not what it should be."""

from __future__ import annotations


class Fault(Exception):
    """A file that is refused. `code` is stable; `message` says what is wrong and how to mend it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
