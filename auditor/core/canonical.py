"""Canonical JSON and digests: the same value always gives the same bytes. No Django, used offline too."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical_json(value: Any) -> bytes:
    """UTF-8 JSON with sorted keys and no spaces; NaN and infinities are refused.

    Numbers are written by Python's shortest round-trip repr, which RFC 8785 shares for the
    range used here; non-ASCII text is written as it is.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def sha256_hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def digest_of(value: Any) -> str:
    """`sha256:` and the hex digest of the canonical JSON of `value`."""
    return f"sha256:{sha256_hex(canonical_json(value))}"


def files_digest(files: list[dict[str, Any]]) -> str:
    """The digest of a set of files, from their relative `path` and `sha256`, whatever their order."""
    return digest_of(sorted([f["path"], f["sha256"]] for f in files))
