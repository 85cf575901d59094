"""The command line stands on the base install: it loads no Django, no torch, no signing library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HEAVY = ("django", "torch", "transformers", "pyhanko", "celery", "numpy", "pyarrow")


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    code = f"import sys, auditor.client.cli; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_canaries_are_prepared_on_the_base_install(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text\n" + "".join(f"row {i}\n" for i in range(30)), encoding="utf-8")
    code = f"""
import sys
from auditor.client.cli import run
done = [run(["data", "canaries", "--to", "planted"]), run(["data", "coins", "rows.csv", "--to", "dp"])]
print([int(code) for code in done], [m for m in {HEAVY!r} if m in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.splitlines()[-1] == "[0, 0] []"
