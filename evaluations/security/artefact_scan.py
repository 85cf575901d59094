"""The half of security.artefact that reads the files: the intake's reasons and notes, what scanners say of pickles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from evaluations.intake.inspection import Refused, inspect_model
from evaluations.intake.model_folder import list_files
from evaluations.intake.pickle_scan import scan_refused
from evaluations.spec import ShardState

if TYPE_CHECKING:
    from evaluations.models.files import Files
    from evaluations.spec import Shard

SCHEMA = pa.schema(
    {
        "example_id": pa.string(),  # a number: the order in which it was found
        "source": pa.string(),  # reason, note, or the name of a scanner
        "code": pa.string(),  # of a reason or note; the severity that a scanner gives
        "path": pa.string(),  # "" for the whole folder
        "message": pa.string(),
    }
)
LONGEST_PATH, LONGEST_MESSAGE = 300, 1000  # characters


def scan_shard(model: Files, shard: Shard) -> ShardState:
    """All of it in the first shard: a folder is looked at once."""
    if shard.index:
        return ShardState(SCHEMA.empty_table())
    inspected = inspect_model(model.folder, model.modality)
    reasons = inspected.reasons if isinstance(inspected, Refused) else ()
    rows = [("reason", one.code, one.path, one.message) for one in reasons]
    rows += [("note", one.code, one.path, one.message) for one in inspected.notes]
    for one in scan_refused(model.folder, reasons):
        rows.append((one.engine or "scan", one.severity, one.path, one.message))
    named = {path for _, _, path, _ in rows if path}
    files = len(named | set(list_files(model.folder, model.modality, [])))
    written = [
        (f"{number:04d}", source, code, _printable(path, LONGEST_PATH), _printable(message, LONGEST_MESSAGE))
        for number, (source, code, path, message) in enumerate(rows)
    ]
    columns = [list(column) for column in zip(*written, strict=True)] or [[] for _ in SCHEMA]
    return ShardState(pa.table(columns, schema=SCHEMA), {"files": files})


def _printable(text: str, longest: int) -> str:
    """Names of files may be any bytes: what cannot be printed is written out, and so is a backslash before it."""
    return "".join(
        c if c.isprintable() else c.encode("unicode-escape", "backslashreplace").decode("ascii") for c in text
    )[:longest]
