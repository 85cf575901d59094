"""The command line stands on the base install: it loads no Django, no torch, no signing library."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("django", "torch", "transformers", "pyhanko", "celery", "numpy", "pyarrow")


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    code = f"import sys, auditor.client.cli; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
