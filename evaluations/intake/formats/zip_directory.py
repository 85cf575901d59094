"""Looks at the end of a zip archive before Python's zipfile does, which lists every part that it claims in memory."""

from __future__ import annotations

import os
from typing import BinaryIO

from evaluations.intake.magic import TAIL

MAX_BYTES = 8 * 2**20  # of the directory: 20,000 parts with names of 80 characters take a third
_END, _LOCATOR = b"PK\x05\x06", b"PK\x06\x07"
_RECORD, _LOCATOR_SIZE = 22, 20


def is_small(file: BinaryIO) -> bool:
    """Whether the directory of the archive is of a size to be read; of what is no archive, too."""
    file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL - _LOCATOR_SIZE))
    tail = file.read(TAIL + _LOCATOR_SIZE)
    file.seek(0)
    # where zipfile looks: at the very end, else for the last record that there is
    for at in {len(tail) - _RECORD, tail.rfind(_END)}:
        if at < 0 or not tail.startswith(_END, at):
            continue
        if int.from_bytes(tail[at + 12 : at + 16], "little") > MAX_BYTES:
            return False
        if tail.startswith(
            _LOCATOR, max(0, at - _LOCATOR_SIZE)
        ):  # then its size is said elsewhere, in 64 bits
            return False
    return True
