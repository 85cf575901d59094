"""The signing key is made once, for its owner alone, whoever asks at the same time."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from auditor.ledger import keys


def test_many_who_ask_at_once_get_one_key_and_its_certificate(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: keys.ensure_signing_key(tmp_path / "secrets"), range(4)))
    key_file, certificate_file = keys.ensure_signing_key(tmp_path / "secrets")
    key, (certificate,) = keys.load_key(key_file), keys.load_certificates(certificate_file)
    assert keys.certificate_key(certificate) == key.public_key()
    certificate.verify_directly_issued_by(certificate)
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert sorted(p.name for p in (tmp_path / "secrets").iterdir()) == [keys.CERTIFICATE_NAME, keys.KEY_NAME]


def test_the_command_prints_the_fingerprint_that_openssl_computes(tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "auditor.ledger.keys", str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
    )
    spki = subprocess.run(
        ["openssl", "pkey", "-in", str(tmp_path / keys.KEY_NAME), "-pubout", "-outform", "DER"],
        check=True, capture_output=True,
    ).stdout  # fmt: skip
    digest = subprocess.run(
        ["openssl", "dgst", "-sha256", "-r"], input=spki, check=True, capture_output=True
    ).stdout
    assert made.stdout.strip().endswith(digest.decode().split()[0])


def test_a_missing_or_foreign_key_is_named_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="make setup"):
        keys.load_key(tmp_path / "none.pem")
    with pytest.raises(ValueError, match="make setup"):
        keys.load_certificates(tmp_path / "none.pem")
    other = tmp_path / "ec.pem"
    other.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    with pytest.raises(ValueError, match="RSA key of 3072 bits"):
        keys.load_key(other)
