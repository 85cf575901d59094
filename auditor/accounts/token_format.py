"""The text of an API token: `audp_<id12>_<secret32><crc6>`. Pure."""

from __future__ import annotations

import re
import secrets
import zlib

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TOKEN = re.compile(r"audp_([0-9A-Za-z]{12})_([0-9A-Za-z]{32})([0-9A-Za-z]{6})", re.ASCII)


def random_text(length: int) -> str:
    """`length` random letters and digits (5.95 bits each)."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def compose(token_id: str, secret: str) -> str:
    """The token that a person copies. The checksum lets typing errors be told without asking the database."""
    body = f"audp_{token_id}_{secret}"
    return body + _checksum(body)


def parse(text: str) -> tuple[str, str] | None:
    """The id and the secret, or None where the text is no token or its checksum is wrong."""
    found = _TOKEN.fullmatch(text)
    if not found or _checksum(text[:-6]) != found[3]:
        return None
    return found[1], found[2]


def _checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode("ascii")), []
    for _ in range(6):
        number, rest = divmod(number, 62)
        digits.append(_ALPHABET[rest])
    return "".join(reversed(digits))
