"""`auditor verify` refuses whatever was changed, and keeps integrity, signer and time apart."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from auditor.client import signature
from auditor.client.verify import TrustError, Verification, trusted_fingerprint, verify_bytes, verify_file
from auditor.core.canonical import canonical_json, sha256_hex
from auditor.ledger import keys, merkle, verify
from auditor.reports import build, pdf
from tests.card_examples import ATTACK_EXAMPLES, GROUP_CHART, facts


@dataclass(frozen=True)
class Issuer:
    """A key and a ledger that already holds four other entries."""

    folder: Path

    @property
    def key_pem(self) -> bytes:
        return (self.folder / keys.KEY_NAME).read_bytes()

    @property
    def certificate_pem(self) -> bytes:
        return (self.folder / keys.CERTIFICATE_NAME).read_bytes()

    @property
    def fingerprint(self) -> str:
        return keys.fingerprint(keys.load_key(self.folder / keys.KEY_NAME).public_key())

    def proof(self, card_bytes: bytes) -> dict[str, Any]:
        key = keys.load_key(self.folder / keys.KEY_NAME)
        digest = sha256_hex(card_bytes)
        leaf = merkle.leaf_hash(bytes.fromhex(digest))
        leaves = [*(merkle.leaf_hash(bytes([i] * 32)) for i in range(4)), leaf]
        body = verify.checkpoint_body(5, merkle.root_hash(leaves).hex(), "2026-11-22T03:00:00Z")
        return {
            "schema": "ledger-proof/1",
            "entry": {
                "index": 4,
                "kind": "report_card",
                "subject": json.loads(card_bytes)["id"],
                "digest": digest,
                "leaf_hash": leaf.hex(),
            },
            "inclusion": {"size": 5, "path": [h.hex() for h in merkle.inclusion_proof(leaves, 4)]},
            "checkpoint": body,
            "signature": verify.sign_checkpoint(body, key),
            "key_id": self.fingerprint,
            "certificate": self.certificate_pem.decode(),
        }

    def bundle(self, card_bytes: bytes) -> dict[str, Any]:
        card = json.loads(card_bytes)
        return {"schema": "evidence-bundle/1", "card": card, "proof": self.proof(card_bytes)}

    def sign(self, document: bytes) -> bytes:
        return pdf.sign(document, self.key_pem, self.certificate_pem)


def issuer(folder: Path) -> Issuer:
    keys.ensure_signing_key(folder)
    return Issuer(folder)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    return issuer(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    return issuer(tmp_path_factory.mktemp("other"))


@pytest.fixture(scope="module")
def card() -> bytes:
    return build.canonical(build.build(facts()))


@pytest.fixture(scope="module")
def better_card() -> bytes:
    return build.canonical(build.build(facts(verdict="meets")))


def drawn(card_bytes: bytes, proof: dict[str, Any]) -> bytes:
    return pdf.render(
        card_bytes, proof, {("run_3", "selection_rates"): GROUP_CHART}, {"run_4": ATTACK_EXAMPLES}
    )


@pytest.fixture(scope="module")
def unsigned(ours: Issuer, card: bytes) -> bytes:
    return drawn(card, ours.proof(card))


@pytest.fixture(scope="module")
def report(ours: Issuer, unsigned: bytes) -> bytes:
    return ours.sign(unsigned)


def broken(data: bytes, trusted: str | None = None) -> str:
    """What is wrong with the file, which must be something."""
    found = verify_bytes(data, trusted)
    assert (found.integrity, found.ok, found.signer) == ("broken", False, "unknown")
    assert found.problems[0]
    return found.problems[0]


def flipped(data: bytes, offset: int, mask: int = 1) -> bytes:
    return data[:offset] + bytes([data[offset] ^ mask]) + data[offset + 1 :]


def test_a_report_verifies_and_is_trusted_by_its_key(
    report: bytes, ours: Issuer, card: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(report)
    assert verify_file(path, ours.fingerprint) == Verification(
        kind="pdf", integrity="verified", signer="trusted", key_id=ours.fingerprint, time="2026-11-22T03:00:00Z",
        ledger_index=4, ledger_size=5, card=json.loads(card),
    )  # fmt: skip


def test_without_a_trusted_key_the_signer_is_unknown_and_integrity_is_still_told(report: bytes) -> None:
    found = verify_bytes(report)
    assert (found.integrity, found.signer, found.ok) == ("verified", "unknown", True)
    assert "own clock" in found.time_source


def test_the_key_can_be_given_as_fingerprint_certificate_or_public_key(ours: Issuer, tmp_path: Path) -> None:
    public = keys.load_key(ours.folder / keys.KEY_NAME).public_key()
    pem = tmp_path / "public.pem"
    pem.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    digits = ours.fingerprint
    coloned = ":".join(digits[i : i + 2] for i in range(0, 64, 2)).upper()
    for given in (f"sha256:{digits}", coloned, ours.folder / keys.CERTIFICATE_NAME, pem):
        assert trusted_fingerprint(given) == digits


def test_what_is_no_key_is_a_mistake_in_the_command(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a key")
    with pytest.raises(TrustError, match="no certificate and no public key"):
        trusted_fingerprint(text)
    with pytest.raises(TrustError, match="neither a fingerprint"):
        trusted_fingerprint("abc123")


@pytest.mark.slow
def test_every_offset_of_the_signature_is_refused_when_changed(report: bytes) -> None:
    _, before, after, _ = signature.signed_ranges(report)
    for offset in range(before, after):
        for mask in (1, 0x20):  # another digit or letter; another case
            data = flipped(report, offset, mask)
            try:
                certificate = signature.signer(data)  # the first, cheap layer of verify_bytes
            except signature.SignatureBroken:
                continue
            assert certificate != signature.signer(report)
            broken(data)  # what only a comparison with the ledger's certificate can tell


@pytest.mark.slow
def test_bytes_sampled_over_the_whole_file_are_refused_when_changed(report: bytes) -> None:
    for offset in [*range(0, len(report), 199), *range(len(report) - 60, len(report))]:
        for mask in (1, 0x80):
            broken(flipped(report, offset, mask))


def test_a_shortened_or_lengthened_file_is_refused(report: bytes) -> None:
    for data in (report[:-1], report[: len(report) // 2], report + b"\n", report + b"%", b"%PDF-1.7\n"):
        broken(data)


def test_an_appended_update_is_refused(report: bytes) -> None:
    from pyhanko.pdf_utils.generic import DictionaryObject, pdf_name, pdf_string
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

    writer = IncrementalPdfFileWriter(io.BytesIO(report))
    writer.root["/Extra"] = DictionaryObject({pdf_name("/Verdict"): pdf_string("Meets policy")})
    writer.update_root()
    out = io.BytesIO()
    writer.write(out)
    assert out.getvalue().startswith(report)
    assert "does not cover the entire file" in broken(out.getvalue())


def approved(document: bytes, by: Issuer, field: str) -> bytes:
    """The document with an ordinary signature, as any PDF reader may add."""
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
    from pyhanko.sign import signers

    signer = signers.SimpleSigner.load(by.folder / keys.KEY_NAME, by.folder / keys.CERTIFICATE_NAME)
    about = signers.PdfSignatureMetadata(field_name=field, md_algorithm="sha256")
    writer = IncrementalPdfFileWriter(io.BytesIO(document))
    signed: bytes = signers.sign_pdf(writer, about, signer, bytes_reserved=pdf.RESERVED).getvalue()
    return signed


def test_a_report_forbids_further_signatures(report: bytes, other: Issuer) -> None:
    from pyhanko.sign.general import SigningError

    with pytest.raises(SigningError, match="forbids all changes"):
        approved(report, other, "Second")


def test_a_file_with_two_signatures_is_refused(unsigned: bytes, ours: Issuer, other: Issuer) -> None:
    assert "2 signatures" in broken(approved(approved(unsigned, other, "First"), ours, "Second"))


def swapped(document: bytes, name: str, content: bytes) -> bytes:
    """The document with the content of an attachment replaced, not signed again."""
    from pyhanko.pdf_utils.generic import StreamObject
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

    writer = IncrementalPdfFileWriter(io.BytesIO(document))
    names = writer.root["/Names"]["/EmbeddedFiles"]["/Names"]
    position = [str(names[i]) for i in range(0, len(names), 2)].index(name)
    spec = names[2 * position + 1].get_object()
    reference = spec["/EF"].raw_get("/F")
    old = reference.get_object()
    writer.objects[(reference.generation, reference.idnum)] = StreamObject(
        {k: v for k, v in old.items() if k not in ("/Filter", "/Length")}, stream_data=content
    )
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_a_swapped_attachment_is_refused(report: bytes, better_card: bytes) -> None:
    assert "does not cover the entire file" in broken(swapped(report, "card.json", better_card))


def test_a_swapped_attachment_is_refused_even_when_our_own_key_signs_it(
    unsigned: bytes, better_card: bytes, ours: Issuer
) -> None:
    forged = ours.sign(swapped(unsigned, "card.json", better_card))
    assert "the card is not the one that was issued" in broken(forged, ours.fingerprint)


def test_pages_of_another_card_are_refused(ours: Issuer, better_card: bytes, card: bytes) -> None:
    good_pages = drawn(better_card, ours.proof(better_card))
    mixed = swapped(swapped(good_pages, "card.json", card), "proof.json", canonical_json(ours.proof(card)))
    assert "pages are those of another card" in broken(ours.sign(mixed), ours.fingerprint)


def test_a_document_edited_and_signed_with_another_key_has_an_unknown_signer(
    unsigned: bytes, better_card: bytes, ours: Issuer, other: Issuer
) -> None:
    edited = other.sign(swapped(unsigned, "card.json", better_card))
    broken(edited, ours.fingerprint)
    kept_proof = other.sign(unsigned)
    assert "Signer unknown" in broken(kept_proof, ours.fingerprint)


def test_a_wholly_forged_report_is_intact_but_its_signer_is_unknown(
    better_card: bytes, ours: Issuer, other: Issuer
) -> None:
    forged = other.sign(drawn(better_card, other.proof(better_card)))
    found = verify_bytes(forged, ours.fingerprint)
    assert (found.integrity, found.signer, found.ok) == ("verified", "unknown", False)
    assert found.problems[0].startswith("Signer unknown")
    assert verify_bytes(forged).signer == "unknown"


def test_an_unsigned_report_is_refused(unsigned: bytes) -> None:
    assert "no signature" in broken(unsigned)


def test_a_bundle_verifies_however_it_is_spaced(ours: Issuer, card: bytes) -> None:
    for text in (canonical_json(ours.bundle(card)), json.dumps(ours.bundle(card), indent=2).encode()):
        found = verify_bytes(text, ours.fingerprint)
        assert (found.kind, found.integrity, found.signer, found.ok) == (
            "bundle",
            "verified",
            "trusted",
            True,
        )


def test_a_bundle_is_refused_when_any_value_in_it_is_changed(ours: Issuer, card: bytes) -> None:
    whole = ours.bundle(card)

    def changed(value: Any) -> list[Any]:
        """Every version of the value with one leaf in it changed."""
        if isinstance(value, dict):
            return [{**value, k: c} for k, v in value.items() for c in changed(v)]
        if isinstance(value, list):
            return [[*value[:i], c, *value[i + 1 :]] for i, v in enumerate(value) for c in changed(v)]
        return [value + "x" if isinstance(value, str) else 12345 if value is None else value + 1]

    versions = changed(whole)
    for version in versions:
        broken(canonical_json(version))
    assert len(versions) > 300


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"{", "not readable JSON"),
        (b"hello", "neither a PDF nor"),
        (b"", "neither a PDF nor"),
        (b'{"schema": "report-card/1"}', "bare report card"),
        (b'{"schema": "evidence-bundle/1", "card": {}}', "not an evidence bundle"),
        (b'{"schema": "evidence-bundle/1", "schema": "x"}', "names a key twice"),
        (b'{"a": NaN}', "no JSON number"),
        (b"[" * 100_000, "neither a PDF nor"),
        (b'{"a":' * 100_000, "not readable JSON"),
    ],
)
def test_what_is_no_bundle_is_named(text: bytes, said: str) -> None:
    assert said in broken(text)


@pytest.mark.skipif(shutil.which("pdfsig") is None, reason="needs poppler's pdfsig")
def test_another_program_calls_the_signature_valid_and_the_changed_file_not(
    report: bytes, tmp_path: Path
) -> None:
    def said(data: bytes) -> str:
        path = tmp_path / "report.pdf"
        path.write_bytes(data)
        return subprocess.run(["pdfsig", str(path)], check=False, capture_output=True, text=True).stdout

    assert "Signature is Valid" in said(report)
    assert "Total document signed" in said(report)
    _, _, after, _ = signature.signed_ranges(report)
    assert "Signature is Valid" not in said(flipped(report, report.index(b"/Reason (Issued", after) + 10))


def test_verifying_loads_no_django_and_no_pyhanko_before_it_is_needed() -> None:
    code = (
        "import sys, auditor.client.verify; "
        "sys.exit(any(m.split('.')[0] in {'django', 'pyhanko', 'typst', 'celery', 'psycopg'} for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_same_card_gives_the_same_pages_byte_for_byte(unsigned: bytes, ours: Issuer, card: bytes) -> None:
    assert drawn(card, ours.proof(card)) == unsigned
