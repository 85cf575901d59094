"""`auditor verify`: checks a signed PDF or an evidence bundle offline, and names what is wrong. No Django, no network.

Three things are told apart: integrity (is it what was issued, whole?), signer (is the key one you trust?) and
time (by whose clock?).
"""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from auditor.client import signature
from auditor.client.signature import SignatureBroken
from auditor.core.canonical import canonical_json
from auditor.ledger.keys import fingerprint
from auditor.ledger.verify import ProofError, Proven, verify_proof

if TYPE_CHECKING:
    from pyhanko.pdf_utils.reader import PdfFileReader

MAX_BYTES = 200 * 2**20
MAX_ATTACHMENT = 50 * 2**20
CARD_SCHEMA = "report-card/1"
BUNDLE_SCHEMA = "evidence-bundle/1"
ATTACHED = {"card.json", "proof.json"}


class TrustError(ValueError):
    """What was given as the trusted key is not one: a mistake in the command, not in the file."""


class _Broken(Exception):
    """What does not verify, as a sentence."""


@dataclass(frozen=True)
class Verification:
    """What was found. `problems` is empty if and only if nothing is wrong (an unnamed signer is not wrong)."""

    kind: Literal["pdf", "bundle", "unknown"]
    integrity: Literal["verified", "broken"]
    signer: Literal["trusted", "unknown"]
    problems: tuple[str, ...] = ()
    key_id: str | None = None  # hex fingerprint of the key that signed
    time: str | None = None  # RFC 3339
    time_source: str = "the issuer's own clock; no outside witness"
    ledger_index: int | None = None
    ledger_size: int | None = None
    card: dict[str, Any] | None = field(default=None, repr=False)

    @property
    def ok(self) -> bool:
        return not self.problems


def verify_file(path: Path | str, trust_key: Path | str | None = None) -> Verification:
    """Verify a PDF or a bundle. `trust_key` is a fingerprint, or a PEM file with a certificate or public key.

    Never raises for what is in the file: whatever goes wrong is in `problems`. Raises TrustError for a
    `trust_key` that is none, and OSError where the file cannot be read.
    """
    trusted = trusted_fingerprint(trust_key) if trust_key is not None else None
    with open(path, "rb") as file:
        data = file.read(MAX_BYTES + 1)
    return verify_bytes(data, trusted)


def verify_bytes(data: bytes, trusted: str | None = None) -> Verification:
    """As verify_file, for content at hand. `trusted` is a hex fingerprint."""
    kind: Literal["pdf", "bundle", "unknown"]
    kind = "pdf" if data.startswith(b"%PDF-") else "bundle" if data.lstrip()[:1] == b"{" else "unknown"
    try:
        if len(data) > MAX_BYTES:
            raise _Broken(
                f"The file is larger than {MAX_BYTES // 2**20} MiB, so it is no report card of ours."
            )
        if kind == "unknown":
            raise _Broken("The file is neither a PDF nor an evidence bundle in JSON.")
        card, proven = _pdf(data) if kind == "pdf" else _bundle(data)
    except (_Broken, ProofError, SignatureBroken) as error:
        return Verification(kind, "broken", "unknown", (str(error),))
    except Exception as error:  # noqa: BLE001  # parsers raise many types on damaged files: each means it does not verify
        return Verification(
            kind, "broken", "unknown", (f"The file is damaged: {type(error).__name__}: {error}",)
        )
    problems: tuple[str, ...] = ()
    if trusted is not None and trusted != proven.key_id:
        problems = (f"Signer unknown: the key {proven.key_id} signed it, not the trusted key {trusted}.",)
    return Verification(
        kind,
        "verified",
        "trusted" if trusted == proven.key_id else "unknown",
        problems,
        key_id=proven.key_id,
        time=proven.time,
        ledger_index=proven.index,
        ledger_size=proven.size,
        card=card,
    )


def trusted_fingerprint(trust_key: Path | str) -> str:
    """The hex fingerprint that the text is, or that of the key or certificate in the PEM file it names."""
    text = str(trust_key).strip().lower().removeprefix("sha256:").replace(":", "").replace(" ", "")
    if re.fullmatch(r"[0-9a-f]{64}", text):
        return text
    try:
        pem = Path(trust_key).read_bytes()
    except OSError as error:
        raise TrustError(
            f"{trust_key} is neither a fingerprint (64 hexadecimal digits) nor a file that can be read."
        ) from error
    try:
        key = (
            x509.load_pem_x509_certificate(pem).public_key()
            if b"BEGIN CERTIFICATE" in pem
            else serialization.load_pem_public_key(pem)
        )
    except ValueError as error:
        raise TrustError(f"{trust_key} holds no certificate and no public key in PEM form.") from error
    if not isinstance(key, rsa.RSAPublicKey):
        raise TrustError(f"{trust_key} holds a key of another kind than report cards are signed with (RSA).")
    return fingerprint(key)


# --- JSON --------------------------------------------------------------------------------------


def _json(data: bytes, what: str) -> Any:
    """JSON with each key once and no NaN: what two readers could understand differently is refused."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise _Broken(f"{what} names a key twice.")
        return found

    def refuse(name: str) -> Any:
        raise _Broken(f"{what} holds {name}, which is no JSON number.")

    try:
        return json.loads(data.decode(), object_pairs_hook=once, parse_constant=refuse)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise _Broken(f"{what} is not readable JSON.") from error


def _bundle(data: bytes) -> tuple[dict[str, Any], Proven]:
    bundle = _json(data, "The file")
    schema = bundle.get("schema") if isinstance(bundle, dict) else None
    if schema == CARD_SCHEMA:
        raise _Broken(
            "This is a bare report card without its proof. Download the evidence bundle or the PDF instead."
        )
    if schema != BUNDLE_SCHEMA or set(bundle) != {"schema", "card", "proof"}:
        raise _Broken(f"The file is not an evidence bundle ({BUNDLE_SCHEMA} with card and proof).")
    card = bundle["card"]
    return card, _proven(card, canonical_json(card), bundle["proof"])


def _proven(card: Any, card_bytes: bytes, proof: Any) -> Proven:
    proven = verify_proof(card_bytes, proof)
    if not isinstance(card, dict) or card.get("schema") != CARD_SCHEMA:
        raise _Broken(f"The card is not of the format {CARD_SCHEMA}.")
    if (proof["entry"]["kind"], proof["entry"]["subject"]) != ("report_card", card.get("id")):
        raise _Broken("The ledger entry is about another card.")
    return proven


# --- PDF ---------------------------------------------------------------------------------------


def _pdf(data: bytes) -> tuple[dict[str, Any], Proven]:
    from pyhanko.pdf_utils.reader import PdfFileReader

    certificate = signature.signer(data)  # cheap, and all that pyHanko reads below is covered by it
    reader = PdfFileReader(io.BytesIO(data))
    signatures = reader.embedded_signatures
    if len(signatures) != 1:
        raise _Broken(f"The file has {len(signatures)} signatures; a report card has exactly one.")
    if tuple(int(part) for part in signatures[0].byte_range) != signature.signed_ranges(data):
        raise _Broken("The signature that was read is not the one at the end of the file.")
    attached = _attachments(reader)
    card_bytes = attached["card.json"]
    card = _json(card_bytes, "The attached card.json")
    if canonical_json(card) != card_bytes:
        raise _Broken("The attached card.json is not in canonical form.")
    proven = _proven(card, card_bytes, _json(attached["proof.json"], "The attached proof.json"))
    if certificate != proven.certificate:
        raise _Broken(
            "Signer unknown: the file was not signed with the key that signed the ledger's checkpoint."
        )
    _signature_holds(signatures[0], proven)
    stated = str(reader.trailer["/Info"]["/Keywords"])
    if stated != f"{card['id']}, sha256:{proven.digest}":
        raise _Broken("The pages are those of another card than the attached one.")
    return card, proven


def _signature_holds(embedded: Any, proven: Proven) -> None:
    from asn1crypto import x509 as asn1_x509
    from pyhanko.sign.validation import SignatureCoverageLevel, validate_pdf_signature
    from pyhanko_certvalidator import ValidationContext

    own = asn1_x509.Certificate.load(proven.certificate.public_bytes(serialization.Encoding.DER))
    # Whether the key is to be trusted is asked later: here the certificate vouches for itself, at the time it claims.
    context = ValidationContext(
        trust_roots=[own], allow_fetching=False, moment=datetime.fromisoformat(proven.time)
    )
    status = validate_pdf_signature(embedded, signer_validation_context=context)
    if not status.intact or not status.valid:
        raise _Broken("The signature does not match the file: its content was changed after it was signed.")
    if status.coverage != SignatureCoverageLevel.ENTIRE_FILE:
        raise _Broken("The signature does not cover the entire file: something was appended.")
    if not status.bottom_line:
        raise _Broken(f"The signature is not acceptable: {status.summary()}.")


def _attachments(reader: PdfFileReader) -> dict[str, bytes]:
    """card.json and proof.json, each exactly once and nothing else."""
    found: dict[str, bytes] = {}
    nodes, seen = [reader.root["/Names"]["/EmbeddedFiles"]], 0
    while nodes:
        node = nodes.pop()
        seen += 1
        if seen > 100:
            raise _Broken("The list of attachments does not end.")
        nodes += [kid.get_object() for kid in node.get("/Kids", ())]
        names = list(node.get("/Names", ()))
        for i in range(0, len(names), 2):
            entry = names[i + 1].get_object()
            name = str(entry["/UF"])
            if name in found or name not in ATTACHED or str(names[i]) != name or str(entry["/F"]) != name:
                raise _Broken(
                    f"The attachment {name[:80]!r} does not belong in a report card, or is there twice."
                )
            found[name] = entry["/EF"]["/F"].data
            if len(found[name]) > MAX_ATTACHMENT:
                raise _Broken(f"The attachment {name} is too large.")
    if set(found) != ATTACHED:
        raise _Broken(f"The attachment {', '.join(sorted(ATTACHED - set(found)))} is missing.")
    return found
