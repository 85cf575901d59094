"""Prefixed identifiers that sort by time: aud_01jd…, run_…, rc_…"""

from __future__ import annotations

import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, lower case


def _encode(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, rest = divmod(number, 32)
        digits.append(_ALPHABET[rest])
    return "".join(reversed(digits))


def new_id(prefix: str) -> str:
    """`prefix_` and 22 characters: 10 of milliseconds since 1970, 12 (60 bits) of randomness."""
    return f"{prefix}_{_encode(time.time_ns() // 1_000_000, 10)}{_encode(secrets.randbits(60), 12)}"


# Django writes the default of a field by name into its migrations, so each has one.
def model_id() -> str:
    return new_id("mdl")


def model_version_id() -> str:
    return new_id("mv")


def dataset_id() -> str:
    return new_id("ds")


def dataset_version_id() -> str:
    return new_id("dv")


def upload_id() -> str:
    return new_id("upl")


def policy_id() -> str:
    return new_id("pol")


def policy_version_id() -> str:
    return new_id("pv")


def audit_id() -> str:
    return new_id("aud")


def run_id() -> str:
    return new_id("run")


def card_id() -> str:
    return new_id("rc")


def review_id() -> str:
    return new_id("rev")


def team_id() -> str:
    return new_id("team")
