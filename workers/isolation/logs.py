"""What a child prints: kept up to a size, in files that it cannot reach."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import IO

_TAIL_BYTES = 16 * 1024


class CappedLog:
    """Copies one of the child's pipes to a file up to a size, and drains the rest so that it never blocks."""

    def __init__(self, pipe: IO[bytes], path: Path, limit: int) -> None:
        self._pipe, self._path, self._left = pipe, path, limit
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        self._file = os.fdopen(descriptor, "wb", buffering=0)
        self._thread = threading.Thread(target=self._copy, name=path.name, daemon=True)
        self._thread.start()

    def _copy(self) -> None:
        while chunk := os.read(self._pipe.fileno(), 65536):
            if self._left > 0:
                try:
                    self._file.write(chunk[: self._left])
                except OSError:  # a full disk: the run matters more than its log
                    self._left = 0
                if len(chunk) > self._left > 0:
                    self._file.write(b"\n[the rest was cut]\n")
                self._left -= len(chunk)

    def finish(self) -> None:
        """Wait for the last bytes (a process that escaped could hold the pipe: not for ever)."""
        self._thread.join(timeout=5)
        if not self._thread.is_alive():
            self._pipe.close()
            self._file.close()


def tail(path: Path) -> str:
    """The last 16 KiB of a log, as text."""
    with path.open("rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - _TAIL_BYTES, 0))
        return file.read().decode(errors="replace")
