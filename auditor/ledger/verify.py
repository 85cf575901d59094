"""Checks a ledger proof against the card it is for, offline. Pure: bytes and dicts in, facts or ProofError out.

A checkpoint is `{"origin", "root_hash", "size", "time"}`; its signature is RSASSA-PKCS1-v1_5 with SHA-256
over its canonical JSON, written in base64. docs/reference/report-card.md gives both formats field by field.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from auditor.core.canonical import canonical_json, sha256_hex
from auditor.ledger import merkle
from auditor.ledger.keys import certificate_key, fingerprint

PROOF_SCHEMA = "ledger-proof/1"
ORIGIN = "model-auditor/ledger/1"  # in what is signed, so that a signature serves no other purpose
_HEX = re.compile(r"[0-9a-f]{64}")


class ProofError(Exception):
    """What in the proof does not hold, as a sentence."""


@dataclass(frozen=True)
class Proven:
    """What a valid proof shows: this digest is leaf `index` of a tree of `size`, whose head `key_id` signed."""

    digest: str  # hex SHA-256 of the card
    index: int
    size: int
    root_hash: str
    time: str  # RFC 3339, by the signer's clock
    key_id: str  # hex fingerprint of the signing key
    certificate: x509.Certificate


def sign_checkpoint(checkpoint: dict[str, Any], key: rsa.RSAPrivateKey) -> str:
    """The signature of a checkpoint, in base64."""
    return base64.b64encode(
        key.sign(canonical_json(checkpoint), padding.PKCS1v15(), hashes.SHA256())
    ).decode()


def checkpoint_body(size: int, root_hash: str, time: str) -> dict[str, Any]:
    """What is signed: size, hex root and RFC 3339 time of a tree head."""
    return {"origin": ORIGIN, "size": size, "root_hash": root_hash, "time": time}


def verify_checkpoint(checkpoint: dict[str, Any], signature: str, key: rsa.RSAPublicKey) -> None:
    """Raise ProofError unless `key` signed this checkpoint."""
    if set(checkpoint) != {"origin", "size", "root_hash", "time"} or checkpoint["origin"] != ORIGIN:
        raise ProofError("The checkpoint is not one of this ledger format.")
    try:
        raw = base64.b64decode(signature, validate=True)
        if (
            base64.b64encode(raw).decode() != signature
        ):  # base64 has spare bits: only one spelling is accepted
            raise ProofError("The checkpoint's signature is not written canonically.")
        key.verify(raw, canonical_json(checkpoint), padding.PKCS1v15(), hashes.SHA256())
    except (binascii.Error, ValueError, InvalidSignature) as error:
        raise ProofError("The checkpoint's signature does not match its content and key.") from error


def verify_proof(card_bytes: bytes, proof: Any) -> Proven:
    """Check that the proof shows `card_bytes` (canonical JSON) to be in the signed tree.

    Raises ProofError naming the first thing that does not hold. Whose key it is, is another question.
    """
    if not isinstance(proof, dict) or proof.get("schema") != PROOF_SCHEMA:
        raise ProofError(f"The proof is not of the format {PROOF_SCHEMA}.")
    expected = {"schema", "entry", "inclusion", "checkpoint", "signature", "key_id", "certificate"}
    if set(proof) != expected:
        raise ProofError(f"The proof must have the fields {', '.join(sorted(expected))} and no others.")
    entry = _fields(
        proof, "entry", {"index": int, "kind": str, "subject": str, "digest": str, "leaf_hash": str}
    )
    inclusion = _fields(proof, "inclusion", {"size": int, "path": list})
    checkpoint = _fields(proof, "checkpoint", {"origin": str, "size": int, "root_hash": str, "time": str})
    if not all(isinstance(proof[name], str) for name in ("signature", "key_id", "certificate")):
        raise ProofError("The proof's signature, key_id and certificate must be texts.")

    digest = sha256_hex(card_bytes)
    if entry["digest"] != digest:
        raise ProofError(
            f"The card's SHA-256 is {digest[:16]}…, but the ledger recorded {entry['digest'][:16]}…: "
            "the card is not the one that was issued."
        )
    leaf = merkle.leaf_hash(bytes.fromhex(digest))
    if entry["leaf_hash"] != leaf.hex():
        raise ProofError("The ledger entry's leaf hash does not follow from its digest.")
    if inclusion["size"] != checkpoint["size"]:
        raise ProofError("The inclusion path and the checkpoint speak of trees of different sizes.")
    try:
        path = [_hash(text) for text in inclusion["path"]]
        root = merkle.root_from_inclusion(leaf, entry["index"], inclusion["size"], path)
    except ValueError as error:
        raise ProofError(f"The inclusion path is damaged: {error}.") from error
    if root.hex() != checkpoint["root_hash"]:
        raise ProofError("The inclusion path does not lead from the card to the checkpoint's root hash.")
    certificate = _certificate(proof["certificate"])
    try:
        key = certificate_key(certificate)
    except ValueError as error:
        raise ProofError(f"The proof's certificate cannot be used: {error}.") from error
    if fingerprint(key) != proof["key_id"]:
        raise ProofError("The proof's certificate does not hold the key that the proof names.")
    verify_checkpoint(checkpoint, proof["signature"], key)
    return Proven(
        digest=digest,
        index=entry["index"],
        size=checkpoint["size"],
        root_hash=checkpoint["root_hash"],
        time=checkpoint["time"],
        key_id=proof["key_id"],
        certificate=certificate,
    )


def _fields(proof: dict[str, Any], name: str, types: dict[str, type]) -> dict[str, Any]:
    """`proof[name]`, if it is an object of exactly these fields and types."""
    value = proof[name]
    # type() and not isinstance: True is an int in Python, not in a proof
    if not isinstance(value, dict) or {field: type(item) for field, item in value.items()} != types:
        raise ProofError(f"The proof's {name} must have the fields {', '.join(types)}, each of its type.")
    return value


def _hash(text: Any) -> bytes:
    if not isinstance(text, str) or not _HEX.fullmatch(text):
        raise ValueError("a hash in it is not 64 lower-case hexadecimal digits")
    return bytes.fromhex(text)


def _certificate(pem: str) -> x509.Certificate:
    """The self-signed certificate, unchanged since it was made and written in the one usual way."""
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        certificate.verify_directly_issued_by(certificate)
    except Exception as error:  # the parsers raise many types on damaged bytes
        raise ProofError("The proof's certificate cannot be read, or was changed.") from error
    if certificate.public_bytes(Encoding.PEM).decode() != pem:
        raise ProofError("The proof's certificate is not written canonically.")
    return certificate
