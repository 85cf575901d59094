"""A damaged Parquet file is refused with words, wherever the damage is; the process that reads it lives on."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

# pyarrow ends its process at some damage where one asks it for more than rows: hence a process of its own
DAMAGE = """
import sys
from pathlib import Path
from auditor.core.errors import DomainError
from auditor.registry import attack_tables
from auditor.registry.tables import inspect_table
kind, path = sys.argv[1:]
whole, file, read = Path(path).read_bytes(), Path(path), 0
roles = attack_tables.roles_for("text_classifier", {})
for place in range(4, len(whole) - 4):
    for damage in (0xFF, 0x02):
        damaged = bytearray(whole)
        damaged[place] ^= damage
        try:
            if kind == "attacks":
                attack_tables.read(bytes(damaged), roles)
            else:
                file.write_bytes(damaged)
                inspect_table(file, "parquet", {"text": "input", "label": "target"})
        except DomainError:
            pass
        read += 1
print(read)
"""


@pytest.mark.parametrize("kind", ["attacks", "upload"])
def test_no_damaged_byte_does_more_than_have_the_file_refused(kind: str, tmp_path: Path) -> None:
    columns = {"text": [f"t{i % 5}" for i in range(40)], "label": [f"l{i % 5}" for i in range(40)]}
    if kind == "attacks":
        columns |= {name: ["r"] * 40 for name in ("id", "original_id", "recipe")}
    written = io.BytesIO()
    parquet.write_table(pa.table(columns), written, compression="none")
    file = tmp_path / "table.parquet"
    file.write_bytes(written.getvalue())
    done = subprocess.run(
        [sys.executable, "-c", DAMAGE, kind, str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-600:]
    assert int(done.stdout) == 2 * (len(written.getvalue()) - 8)
