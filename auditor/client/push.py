"""Sends local files to the service: hashed, announced, then in chunks that go on where an earlier try ended."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import httpx
from platformdirs import user_state_path

from auditor.client.exits import ApiError, ClientError
from auditor.client.http import Client
from auditor.core.canonical import digest_of, files_digest

CHUNK = 8 * 2**20  # bytes per request
Kind = Literal["model", "dataset"]
Report = Callable[[int], None]  # how many more bytes have arrived


@dataclass(frozen=True)
class LocalFile:
    """A file to send: where it is, its relative POSIX name, bytes, hex SHA-256."""

    path: Path
    name: str
    size: int
    sha256: str

    def announced(self) -> dict[str, Any]:
        return {"path": self.name, "size": self.size, "sha256": self.sha256}


@dataclass(frozen=True)
class Pushed:
    """What became of a push. `reused`: the service had this version with the same content already."""

    reference: str
    digest: str
    reused: bool


def model_files(folder: Path) -> list[LocalFile]:
    """Every file below `folder`, sorted. Symlinks and special files are refused: they are not content."""
    if not folder.is_dir():
        raise ClientError(f"{folder} is not a folder. Give the folder that holds the model's files.")
    found = []
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        name = path.relative_to(folder).as_posix()
        if stat.S_ISLNK(mode):
            raise ClientError(
                f"{name} is a symbolic link to {os.readlink(path)}. Replace it with the file it means."
            )
        if stat.S_ISREG(mode):
            found.append(_hashed(path, name))
        elif not stat.S_ISDIR(mode):
            raise ClientError(f"{name} is neither a file nor a folder. Remove it.")
    if not found:
        raise ClientError(f"{folder} holds no files.")
    return found


def data_file(path: Path) -> LocalFile:
    """One table to send."""
    if not path.is_file():
        raise ClientError(f"There is no file {path}.")
    if path.suffix.lower() not in (".parquet", ".csv", ".jsonl"):
        raise ClientError(f"{path.name} is not a .parquet, .csv or .jsonl file. Convert it, and name it so.")
    return _hashed(path, path.name)


def model_digest(files: Sequence[LocalFile]) -> str:
    """The digest that the service gives to a model of these files."""
    return files_digest([file.announced() for file in files])


def data_digest(file: LocalFile) -> str:
    return f"sha256:{file.sha256}"


def same(reference: str, known: str, digest: str) -> Pushed:
    """A version that exists is reused where its content is the same; anything else needs a new version."""
    if known != digest:
        raise ClientError(
            f"{reference} exists with other content ({known}; this is {digest}), and versions never change. "
            "Push it as a new version."
        )
    return Pushed(reference, digest, reused=True)


def versions(client: Client, kind: Kind, name: str) -> dict[str, str]:
    """The versions that the service has, with their digests; none where it does not know the name."""
    try:
        known = client.get_json(f"{kind}s/{quote(name, safe='')}")
    except ApiError as error:
        if error.status == 404:
            return {}
        raise
    return {str(version["version"]): str(version["digest"]) for version in known["versions"]}


def send(
    client: Client,
    kind: Kind,
    name: str,
    manifest: dict[str, Any],
    files: Sequence[LocalFile],
    report: Report,
) -> dict[str, Any]:
    """Upload `files` as the version that `manifest` announces, and return what the service made of them.

    An upload that was broken off is found again by what it announced, and its missing bytes are sent.
    """
    body = {
        "kind": kind,
        "name": name,
        "manifest": {**manifest, "files": [file.announced() for file in files]},
    }
    note = _note(client.url, body)
    upload, arrived = _resumed(client, note) or _started(client, note, body)
    try:
        report(sum(arrived.values()))
        for file in files:
            _send_file(client, upload, file, arrived, report)
        made: dict[str, Any] = client.post(f"uploads/{upload}/complete")
    except ApiError as error:
        if error.status != 409:  # refused or gone: what was sent is of no use any more
            note.unlink(missing_ok=True)
        raise
    note.unlink(missing_ok=True)
    return made


def _send_file(client: Client, upload: str, file: LocalFile, arrived: dict[str, int], report: Report) -> None:
    """Send the rest of one file. `arrived` (bytes per file) is kept up to date."""
    total = file.size
    path = f"uploads/{upload}/files/{quote(file.name)}"
    pauses = client.pauses()
    sent = total > 0  # an empty file needs one request, too: it exists
    with file.path.open("rb") as stream:
        while (offset := arrived.get(file.name, 0)) < total or not sent:
            stream.seek(offset)
            chunk = stream.read(CHUNK)
            if total and not chunk:
                raise ClientError(f"{file.path} became shorter while it was sent. Push it again.")
            try:
                client.put_bytes(path, chunk, offset)
                arrived[file.name], sent = offset + len(chunk), True
                pauses = client.pauses()
            except (httpx.TransportError, ApiError) as error:
                if isinstance(error, ApiError) and not (
                    error.code == "wrong_offset" or error.status in (502, 503, 504)
                ):
                    raise
                pause = next(pauses, None)
                if pause is None:
                    raise (error if isinstance(error, ApiError) else client.unreachable(error)) from error
                client.sleep(pause)
                arrived.update(_offsets(client, upload))
            report(arrived.get(file.name, 0) - offset)


def _started(client: Client, note: Path, body: dict[str, Any]) -> tuple[str, dict[str, int]]:
    upload = str(client.post("uploads", body)["id"])
    note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    note.write_text(json.dumps({"upload": upload}), encoding="utf-8")
    return upload, {}


def _resumed(client: Client, note: Path) -> tuple[str, dict[str, int]] | None:
    try:
        upload = str(json.loads(note.read_text(encoding="utf-8"))["upload"])
        return upload, _offsets(client, upload)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        note.unlink(missing_ok=True)
        return None
    except ApiError as error:
        if error.status not in (404, 410):  # else it has expired: begin again
            raise
        note.unlink(missing_ok=True)
        return None


def _offsets(client: Client, upload: str) -> dict[str, int]:
    return {path: int(n) for path, n in client.get_json(f"uploads/{upload}")["received"].items()}


def _note(url: str, body: dict[str, Any]) -> Path:
    """Where the number of an unfinished upload is kept: by service and everything that is announced."""
    name = digest_of([url, body]).removeprefix("sha256:")[:32]
    return user_state_path("model-auditor") / "uploads" / f"{name}.json"


def _hashed(path: Path, name: str) -> LocalFile:
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        size = stream.tell()
    return LocalFile(path, name, size, sha256)
