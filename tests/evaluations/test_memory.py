"""The peak of a process is its own, not that of the one that started it."""

from __future__ import annotations

import subprocess
import sys

from evaluations.engine.memory import peak_memory

CHILD = "from evaluations.engine.memory import peak_memory; print(peak_memory())"


def test_what_this_process_holds_is_counted() -> None:
    before = peak_memory()
    block = bytearray(b"x" * (before + 64 * 2**20))
    assert peak_memory() >= before + 60 * 2**20
    assert len(block) > 0


def test_a_child_does_not_inherit_the_peak() -> None:
    block = bytearray(b"x" * 300 * 2**20)
    told = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    assert len(block) == 300 * 2**20
    assert int(told.stdout) < 200 * 2**20 < peak_memory()
