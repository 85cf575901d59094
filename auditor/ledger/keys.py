"""The service's signing key and certificate: made once, kept 0600, named by the fingerprint of the public key.

python -m auditor.ledger.keys FOLDER      makes them where they are missing; prints the fingerprint
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

KEY_NAME = "signing_key.pem"
CERTIFICATE_NAME = "signing_certificate.pem"
BITS = 3072  # RSA: signing a PDF with an elliptic curve would mark the file PDF 2.0, which PDF/A-3 is not
YEARS = 20  # a regulator may open a report long after it was signed


def fingerprint(public_key: rsa.RSAPublicKey) -> str:
    """Hex SHA-256 of the SubjectPublicKeyInfo (DER): the name of a key on pages, in proofs and for `--trust`."""
    der = public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def ensure_signing_key(folder: Path) -> tuple[Path, Path]:
    """The paths of the key and its self-signed certificate in `folder`, each made if it is missing.

    Safe to call from several processes at once: whoever writes first wins, and nobody sees half a file.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key_file, certificate_file = folder / KEY_NAME, folder / CERTIFICATE_NAME
    if not key_file.exists():
        _write_once(key_file, _pem(rsa.generate_private_key(public_exponent=65537, key_size=BITS)))
    if not certificate_file.exists():
        certificate = _self_signed(load_key(key_file))
        _write_once(certificate_file, certificate.public_bytes(serialization.Encoding.PEM))
    return key_file, certificate_file


def load_key(path: Path) -> rsa.RSAPrivateKey:
    """The private key. Raises ValueError where the file holds another kind."""
    try:
        # the file is our own: checking that its numbers belong together would take a quarter of a second
        pem = path.read_bytes()
        key = serialization.load_pem_private_key(pem, password=None, unsafe_skip_rsa_key_validation=True)
    except FileNotFoundError as error:
        raise ValueError(
            f"There is no signing key at {path}. Run `make setup`, or set SIGNING_KEY_FILE."
        ) from error
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < BITS:
        raise ValueError(
            f"{path} does not hold an RSA key of {BITS} bits or more. "
            "Make one with python -m auditor.ledger.keys FOLDER."
        )
    return key


def load_certificates(path: Path) -> list[x509.Certificate]:
    """The present certificate, then those of retired keys: one PEM file, newest first."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except FileNotFoundError as error:
        raise ValueError(
            f"There is no signing certificate at {path}. Run `make setup`, or set SIGNING_CERTIFICATE_FILE."
        ) from error


def certificate_key(certificate: x509.Certificate) -> rsa.RSAPublicKey:
    """The certificate's public key. Raises ValueError unless it is RSA of 3072 bits or more."""
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < BITS:
        raise ValueError(f"the certificate's key is not RSA of {BITS} bits or more")
    return key


def _pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _self_signed(key: rsa.RSAPrivateKey) -> x509.Certificate:
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Model Auditor"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Report cards {fingerprint(key.public_key())[:16]}"),
        ]
    )
    start = datetime.now(UTC).replace(microsecond=0)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - timedelta(minutes=5))  # a reader's clock may be behind
        .not_valid_after(start + timedelta(days=365 * YEARS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _write_once(path: Path, data: bytes) -> None:
    """Write a 0600 file in one step, unless another process has made it meanwhile."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")  # 0600 from the start
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)  # unlike rename, fails where the name exists
    except FileExistsError:
        return
    finally:
        os.unlink(temporary)


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m auditor.ledger.keys FOLDER", file=sys.stderr)
        return 2
    key_file, certificate_file = ensure_signing_key(Path(arguments[0]))
    print(f"Signing key {key_file}")
    print(f"Certificate {certificate_file}")
    print(f"Fingerprint {fingerprint(load_key(key_file).public_key())}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
