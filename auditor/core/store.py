"""The artefact store: files named by their SHA-256 under AUDITOR_STATE/artifacts, and folders of models."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from django.conf import settings

from auditor.core.errors import DomainError


def root() -> Path:
    return Path(settings.ARTIFACTS_DIR)


def disk_full(where: Path) -> DomainError:
    return DomainError(
        "disk_full",
        f"The artefact folder {where} is full. Free space there, or point AUDITOR_STATE at a larger disk, "
        "and start again; nothing was stored.",
        status=507,
    )


def blob_path(sha256: str) -> Path:
    return root() / "blobs" / sha256[:2] / sha256[2:]


def put(data: bytes) -> str:
    """Store bytes under their digest and return it (hex). All or nothing: a full disk leaves no part behind."""
    sha256 = hashlib.sha256(data).hexdigest()
    target = blob_path(sha256)
    if target.exists():
        return sha256
    temporary = ""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=".part-")
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o444)
        os.replace(temporary, target)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(root()) from error
        raise
    return sha256


def get(sha256: str) -> bytes:
    """The bytes behind a digest, checked against it; `artifact_missing` or `artifact_damaged` otherwise."""
    try:
        data = blob_path(sha256).read_bytes()
    except FileNotFoundError as error:
        raise DomainError(
            "artifact_missing",
            f"The artefact {sha256[:12]}… is no longer in the store. Restore AUDITOR_STATE/artifacts from a backup.",
            status=410,
        ) from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise DomainError(
            "artifact_damaged",
            f"The artefact {sha256[:12]}… does not match its digest. Restore it from a backup.",
            status=410,
        )
    return data


def model_folder(digest: str) -> Path:
    """Where the files of a model version lie. `digest` is `sha256:…`."""
    return root() / "models" / digest.removeprefix("sha256:")


def dataset_file(digest: str, format_: str) -> Path:
    """The one file of a data set version. `digest` is `sha256:…`."""
    return root() / "datasets" / digest.removeprefix("sha256:") / f"data.{format_}"


def adopt(staged: Path, target: Path) -> None:
    """Move a staged folder into the store in one rename; one that is already there is kept."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        shutil.rmtree(staged)
        return
    try:
        os.replace(staged, target)
    except OSError:
        if not target.exists():  # else another process adopted the same content first
            raise
        shutil.rmtree(staged)
