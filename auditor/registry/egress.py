"""Who may be shown the rows of a data set: nobody outside the sandbox, services in the own network, named ones, any.

A data set version carries a list; empty means nobody. `same_network` is the network that an administrator
names in EGRESS_ALLOW: the broker holds every address against it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from urllib.parse import urlsplit

SAME_NETWORK, ANY = "same_network", "any"
Origin = tuple[str, str, int]  # scheme, host, port
_PORTS = {"https": 443, "http": 80}
_VISIBLE = re.compile(r"[!-~]+")


class Reach(StrEnum):
    """How far rows may go on their way to one service."""

    NOWHERE = "nowhere"
    OWN_NETWORK = "own_network"  # to addresses in EGRESS_ALLOW alone
    ANYWHERE = "anywhere"


def origin_text(origin: Origin) -> str:
    """`https://api.example.org`, with the port where it is not the usual one."""
    scheme, host, port = origin
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}" if _PORTS[scheme] == port else f"{scheme}://{name}:{port}"


def destination(text: str) -> str:
    """An entry of the list as it is kept. Raises ValueError for what is none."""
    if text in (SAME_NETWORK, ANY):
        return text
    try:
        parts = urlsplit(text)
        if not _VISIBLE.fullmatch(text):
            raise ValueError("no text that a service's address has")
        if parts.scheme not in _PORTS or not parts.hostname or parts.username or parts.password:
            raise ValueError("no origin")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ValueError("more than an origin")
        return origin_text((parts.scheme, parts.hostname.lower(), parts.port or _PORTS[parts.scheme]))
    except ValueError as error:
        raise ValueError(
            f"{text[:120]!r} is no destination. Write same_network, any, or an origin such as https://api.example.org."
        ) from error


def reach(egress: Sequence[str], origin: Origin) -> Reach:
    """How far the rows of a data set with this list may go towards the service at `origin`."""
    if ANY in egress or origin_text(origin) in egress:
        return Reach.ANYWHERE
    return Reach.OWN_NETWORK if SAME_NETWORK in egress else Reach.NOWHERE
