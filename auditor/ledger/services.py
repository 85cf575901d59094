"""Appends to the ledger and proves what is in it."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from auditor.core.errors import DomainError
from auditor.ledger import keys, merkle, verify
from auditor.ledger.models import Checkpoint, LedgerEntry


def rfc3339(time: datetime) -> str:
    """UTC to the second: `2026-11-22T03:00:00Z`."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@functools.cache
def _key(path: Path, _changed_ns: int) -> rsa.RSAPrivateKey:
    return keys.load_key(path)


def signing_key() -> rsa.RSAPrivateKey:
    """The service's key; read again when its file changes."""
    try:
        path: Path = settings.SIGNING_KEY_FILE
        return _key(path, path.stat().st_mtime_ns if path.exists() else 0)
    except (ValueError, OSError) as error:
        raise DomainError("signing_key", f"Nothing can be signed: {error}", status=500) from error


def certificates() -> dict[str, x509.Certificate]:
    """Certificates by the fingerprint of their key: the present one, and those of retired keys."""
    try:
        found = keys.load_certificates(settings.SIGNING_CERTIFICATE_FILE)
        return {keys.fingerprint(keys.certificate_key(c)): c for c in found}
    except (ValueError, OSError) as error:
        raise DomainError("signing_certificate", f"Nothing can be proved: {error}", status=500) from error


def fingerprint() -> str:
    """The name of the present key (hex): what a regulator compares."""
    return keys.fingerprint(signing_key().public_key())


@transaction.atomic
def append(*, kind: str, subject: str, digest: str) -> LedgerEntry:
    """Record a digest (hex SHA-256) as the next leaf, and sign the tree that now is.

    One at a time: the lock is held until the surrounding transaction ends, so indices have no gaps even where
    others roll back, and the tree that is signed is the one that commits.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('ledger'))")
    leaves = _leaves()
    entry = LedgerEntry.objects.create(
        index=len(leaves),
        kind=kind,
        subject=subject,
        digest=digest,
        leaf_hash=merkle.leaf_hash(bytes.fromhex(digest)).hex(),
        created_at=timezone.now(),
    )
    root = merkle.root_hash([*leaves, bytes.fromhex(entry.leaf_hash)]).hex()
    key, now = signing_key(), timezone.now().replace(microsecond=0)
    Checkpoint.objects.create(
        size=entry.index + 1,
        root_hash=root,
        key_id=keys.fingerprint(key.public_key()),
        signature=verify.sign_checkpoint(verify.checkpoint_body(entry.index + 1, root, rfc3339(now)), key),
        created_at=now,
    )
    return entry


def proof(entry: LedgerEntry) -> dict[str, Any]:
    """The entry's proof.json: its path to the first checkpoint over it that the present key signed.

    That is the one made when it was appended; after a change of keys, the first one since; and until there is
    one, that of the retired key.
    """
    covering = Checkpoint.objects.filter(size__gt=entry.index).order_by("size")
    checkpoint = covering.filter(key_id=fingerprint()).first() or covering[0]
    certificate = certificates().get(checkpoint.key_id)
    if certificate is None:
        raise DomainError(
            "signing_certificate",
            f"The certificate of the retired key {checkpoint.key_id[:16]}… is missing: append it (PEM) to "
            f"{settings.SIGNING_CERTIFICATE_FILE}, after the present one.",
            status=500,
        )
    path = merkle.inclusion_proof(_leaves(checkpoint.size), entry.index)
    return {
        "schema": verify.PROOF_SCHEMA,
        "entry": {
            "index": entry.index,
            "kind": entry.kind,
            "subject": entry.subject,
            "digest": entry.digest,
            "leaf_hash": entry.leaf_hash,
        },
        "inclusion": {"size": checkpoint.size, "path": [h.hex() for h in path]},
        "checkpoint": checkpoint_body(checkpoint),
        "signature": checkpoint.signature,
        "key_id": checkpoint.key_id,
        "certificate": certificate.public_bytes(Encoding.PEM).decode(),
    }


def checkpoint_body(checkpoint: Checkpoint) -> dict[str, Any]:
    """What the checkpoint's signature is over."""
    return verify.checkpoint_body(checkpoint.size, checkpoint.root_hash, rfc3339(checkpoint.created_at))


def consistency(old_size: int, new_size: int) -> list[str]:
    """Hex hashes that show the tree of `old_size` to be a prefix of that of `new_size`."""
    try:
        return [h.hex() for h in merkle.consistency_proof(_leaves(new_size), old_size)]
    except ValueError as error:
        raise DomainError("invalid_sizes", f"No consistency proof: {error}.") from error


def _leaves(size: int | None = None) -> list[bytes]:
    entries = LedgerEntry.objects.order_by("index").values_list("leaf_hash", flat=True)
    return [bytes.fromhex(leaf) for leaf in (entries if size is None else entries[:size])]
