"""The bytes of a report card's PDF signature: written in one way only, over everything else in the file.

pyHanko judges the signature itself (verify.py). This holds what it does not ask: that no byte of the file
could be another one, not even in the padding or in fields of the container that no signature covers.
"""

from __future__ import annotations

import hashlib
import re

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding

from auditor.ledger.keys import certificate_key

_BYTE_RANGE = re.compile(rb"/ByteRange \[(\d{1,12}) (\d{1,12}) (\d{1,12}) (\d{1,12})\]")


class SignatureBroken(Exception):
    """What about the signature's bytes does not hold, as a sentence."""


def signed_ranges(data: bytes) -> tuple[int, int, int, int]:
    """The last /ByteRange of the file, if it leaves out one hexadecimal string and nothing else."""
    matches = _BYTE_RANGE.findall(data)
    if not matches:
        raise SignatureBroken("The file has no signature that can be read.")
    start, before, after, rest = (int(part) for part in matches[-1])
    if start != 0 or not 0 < before < after or after + rest != len(data):
        raise SignatureBroken(
            "The signature does not cover the entire file: something was appended or left out."
        )
    if data[before : before + 1] != b"<" or data[after - 1 : after] != b">":
        raise SignatureBroken("The signed ranges do not end at the signature.")
    return start, before, after, rest


def contents(data: bytes) -> bytes:
    """The DER in /Contents, if it is written in upper-case digits and padded with zeros alone."""
    _, before, after, _ = signed_ranges(data)
    digits = data[before + 1 : after - 1]
    try:
        raw = bytes.fromhex(digits.decode("ascii"))
    except ValueError as error:
        raise SignatureBroken("The signature's bytes (/Contents) are damaged.") from error
    if raw[:2] != b"\x30\x82":
        raise SignatureBroken("The signature's bytes (/Contents) are damaged.")
    der = raw[: 4 + int.from_bytes(raw[2:4], "big")]
    if digits != der.hex().upper().encode().ljust(len(digits), b"0"):
        raise SignatureBroken(
            "The padding of the signature (/Contents) is not canonical: bytes there were changed."
        )
    return der


def signer(data: bytes) -> x509.Certificate:
    """The certificate of the file's one signer, whose signature over all other bytes holds.

    What the container must be is put together from the certificate, the signed attributes and the signature
    value, and compared byte by byte.
    """
    from asn1crypto import cms, core
    from asn1crypto import x509 as asn1_x509

    der = contents(data)
    try:
        found = cms.ContentInfo.load(der, strict=True)["content"]
        (chosen,) = found["certificates"]
        (info,) = found["signer_infos"]
        own = asn1_x509.Certificate.load(chosen.dump())
        certificate = x509.load_der_x509_certificate(own.dump())
        signed, value = info["signed_attrs"], info["signature"].native
        certificate.verify_directly_issued_by(certificate)  # self-signed, so that no byte of it can change
        key = certificate_key(certificate)
        rebuilt = _container(own, signed, value)
        digests = [a["values"][0].native for a in signed if a["type"].native == "message_digest"]
    except Exception as error:  # the parsers raise many types on damaged bytes
        raise SignatureBroken("The signature's bytes (/Contents) are damaged.") from error
    if certificate.public_bytes(Encoding.DER) != own.dump() or rebuilt != der:
        raise SignatureBroken(
            "The signature's bytes (/Contents) are damaged, or hold something that is not signed."
        )
    _, before, after, _ = signed_ranges(data)
    if digests != [hashlib.sha256(data[:before] + data[after:]).digest()]:
        raise SignatureBroken("The file was changed after it was signed.")
    try:
        key.verify(value, core.SetOf.dump(signed.untag()), padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature as error:
        raise SignatureBroken("The signature does not match what it signs.") from error
    return certificate


def _container(own: object, signed_attributes: object, value: bytes) -> bytes:
    from asn1crypto import cms

    sha256 = {"algorithm": "sha256"}
    issuer, serial = own["tbs_certificate"]["issuer"], own["tbs_certificate"]["serial_number"]  # type: ignore[index]  # asn1crypto has no types
    signer_info = {
        "version": "v1",
        "sid": {"issuer_and_serial_number": {"issuer": issuer, "serial_number": serial}},
        "digest_algorithm": sha256,
        "signed_attrs": signed_attributes,
        "signature_algorithm": {"algorithm": "sha256_rsa"},
        "signature": value,
    }
    content = {
        "version": "v1",
        "digest_algorithms": [sha256],
        "encap_content_info": {"content_type": "data"},
        "certificates": [own],
        "signer_infos": [signer_info],
    }
    dumped: bytes = cms.ContentInfo({"content_type": "signed_data", "content": content}).dump()
    return dumped
