"""`auditor model check`: the intake of the service on this machine, before anything is uploaded."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from auditor.client import push
from auditor.client.exits import ClientError, Exit
from auditor.client.sarif_check import sarif_of_check
from evaluations.intake.inspection import Accepted, Refused, inspect_any, inspect_model
from evaluations.intake.pickle_scan import Finding, scan_refused
from evaluations.spec import Modality

SCHEMA = "model-check/1"


@click.command("check")
@click.argument("path", metavar="PATH")
@click.option(
    "--modality",
    type=click.Choice([modality.value for modality in Modality]),
    help="What kind of model it is to be; without it, whatever kind it fits.",
)
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
@click.option("--sarif", "as_sarif", is_flag=True, help="The result as SARIF 2.1.0, for code scanning.")
def check_model(path: str, modality: str | None, as_json: bool, as_sarif: bool) -> int:
    """Whether the service would accept the model in the folder PATH. Needs no service; loads nothing.

    Prints one line a reason: CODE, path, what is wrong and how to mend it. Exit code 0 is accepted, 1 refused.
    Pickles are refused; where scanners for them are installed, they say what it would do.
    """
    if as_json and as_sarif:
        raise ClientError("Choose one of --json and --sarif.")
    folder = Path(path)
    if not path or not folder.is_dir():  # Path("") is the current folder: an unset variable is no answer
        raise ClientError(
            f"{one_line(path) or 'An empty path'} is not a folder. Give the folder that holds the model's files."
        )
    found = _inspect(folder, modality)
    pickles = scan_refused(folder, found.reasons) if isinstance(found, Refused) else []
    result = _record(folder, found, pickles)
    if as_json:
        click.echo(json.dumps(_unicode(result), indent=2))
    elif as_sarif:
        click.echo(json.dumps(sarif_of_check(result, folder), indent=2))
    else:
        for line in _lines(result):
            click.echo(line)
    return Exit.MEETS if result["accepted"] else Exit.DOES_NOT_MEET


def one_line(text: str) -> str:
    """Text on one line of a terminal: what could steer it (escapes, line ends, direction marks) is written out."""
    return "".join(c if unicodedata.category(c) not in _STEERING else _written_out(c) for c in text)


_STEERING = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def _written_out(character: str) -> str:
    return character.encode("unicode-escape", "backslashreplace").decode("ascii")


def _inspect(folder: Path, modality: str | None) -> dict[Modality, Accepted] | Refused:
    if modality is None:
        return inspect_any(folder)
    found = inspect_model(folder, modality)
    return found if isinstance(found, Refused) else {Modality(modality): found}


def _record(
    folder: Path, found: dict[Modality, Accepted] | Refused, pickles: Iterable[Finding]
) -> dict[str, Any]:
    """The result as data; docs/reference/models.md says what each field means."""
    record: dict[str, Any] = {"schema": SCHEMA, "path": str(folder), "accepted": False}
    if isinstance(found, Refused):
        record |= {"modalities": [], "format": None, "files": None, "size": None, "digest": None}
        notes = found.notes
    else:
        first = next(iter(found.values()))
        record["accepted"] = True
        record |= {"modalities": [modality.value for modality in found], "format": first.format.value}
        record |= {"files": len(first.files), "size": first.size}
        record["digest"] = push.model_digest(push.model_files(folder))
        notes = first.notes
    reasons = found.reasons if isinstance(found, Refused) else ()
    record["reasons"] = [_row(reason.code, reason.path, reason.message) for reason in reasons]
    record["notes"] = [_row(note.code, note.path, note.message) for note in notes]
    record["pickles"] = [finding.record() for finding in pickles]
    return record


def _row(code: str, path: str, message: str) -> dict[str, str]:
    return {"code": code, "path": path, "message": message}


def _unicode(value: Any) -> Any:
    """The same with the bytes of names that are no UTF-8 written out: readers of JSON take no halves of characters."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if isinstance(value, list):
        return [_unicode(one) for one in value]
    return {key: _unicode(one) for key, one in value.items()} if isinstance(value, dict) else value


def _lines(result: dict[str, Any]) -> Iterable[str]:
    if result["accepted"]:
        kinds = ", ".join(result["modalities"])
        files = "1 file" if result["files"] == 1 else f"{result['files']} files"
        what = f"{kinds} ({result['format']}, {files}, {result['size']:,} bytes)"
        yield f"ACCEPTED  {one_line(result['path'])}  as {what}"
        yield f"          {result['digest']}"
    else:
        yield f"REFUSED  {one_line(result['path'])}"
    for reason in result["reasons"]:
        yield f"{reason['code']}  {one_line(reason['path']) or '.'}  {one_line(reason['message'])}"
    if result["notes"] or result["pickles"]:
        yield ""
    for note in result["notes"]:
        yield f"note: {note['code']}  {one_line(note['path']) or '.'}  {one_line(note['message'])}"
    for one in result["pickles"]:
        engine = f"{one['engine']}: " if one["engine"] else ""
        severity = one["severity"].replace("_", " ")
        yield f"scan: {one_line(one['path'])}  {engine}{severity}: {one_line(one['message'])}"
