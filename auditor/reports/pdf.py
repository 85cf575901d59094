"""The PDF of a report card: laid out by Typst from the card alone, then signed by pyHanko."""

from __future__ import annotations

import functools
import io
import json
from pathlib import Path
from typing import Any

from auditor.core.canonical import canonical_json
from auditor.reports import fonts, printed

TEMPLATE = Path(__file__).resolve().parents[2] / "templates" / "print" / "report-card.typ"
CARD_NAME, PROOF_NAME = "card.json", "proof.json"
FIELD = "ReportCardSignature"
RESERVED = 6144  # hexadecimal digits for the signature; with such a key and certificate it takes about 3,840


@functools.cache
def _fonts() -> Any:
    import typst

    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=True, font_paths=[fonts.folder()])


def render(
    card_bytes: bytes, proof: dict[str, Any], charts: printed.Charts, examples: printed.Examples
) -> bytes:
    """PDF/A-3a and PDF/UA-1 with card.json and proof.json attached, unsigned: the same input gives the same bytes."""
    import typst

    card = json.loads(card_bytes)
    text = printed.page_text(card, card_bytes, proof, charts, examples)
    document: bytes = typst.compile(
        TEMPLATE.read_bytes(),
        format="pdf",
        font_paths=_fonts(),
        ignore_system_fonts=True,
        pdf_standards=["a-3a", "ua-1"],
        sys_inputs={
            "text": json.dumps(text),
            "card": card_bytes.decode(),
            "proof": canonical_json(proof).decode(),
            "sans": json.dumps(fonts.SANS),
            "mono": json.dumps(fonts.MONO),
        },
    )
    return document


def sign(document: bytes, key_pem: bytes, certificate_pem: bytes) -> bytes:
    """The document with a PAdES signature over the whole file that allows no later change."""
    from pyhanko.keys import load_certs_from_pemder_data, load_private_key_from_pemder_data
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
    from pyhanko.sign import signers
    from pyhanko.sign.fields import MDPPerm, SigSeedSubFilter
    from pyhanko_certvalidator.registry import SimpleCertificateStore

    certificate = next(iter(load_certs_from_pemder_data(certificate_pem)))
    signer = signers.SimpleSigner(
        signing_cert=certificate,
        signing_key=load_private_key_from_pemder_data(key_pem, None),
        cert_registry=SimpleCertificateStore(),
    )
    about = signers.PdfSignatureMetadata(
        field_name=FIELD,
        md_algorithm="sha256",
        reason="Issued by the audit service",
        name=certificate.subject.native["common_name"],
        subfilter=SigSeedSubFilter.PADES,
        certify=True,
        docmdp_permissions=MDPPerm.NO_CHANGES,
    )
    writer = IncrementalPdfFileWriter(io.BytesIO(document))
    signed: bytes = signers.PdfSigner(about, signer).sign_pdf(writer, bytes_reserved=RESERVED).getvalue()
    return signed
