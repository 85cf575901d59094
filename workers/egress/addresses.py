"""Which addresses a request may go to: public ones, and those that an administrator lists."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# IANA's special-purpose registries, and what the large clouds use for themselves.
_SPECIAL: tuple[tuple[Network, str], ...] = tuple(
    (ipaddress.ip_network(network), kind)
    for network, kind in (
        ("0.0.0.0/8", "an unspecified address"),
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "an address that a carrier shares"),
        ("127.0.0.0/8", "this machine itself"),
        ("168.63.129.16/32", "a cloud's own service"),
        ("169.254.0.0/16", "a link-local address, where clouds keep a machine's credentials"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "a reserved address"),
        ("192.0.2.0/24", "an address for examples"),
        ("192.88.99.0/24", "a relay"),
        ("192.168.0.0/16", "a private address"),
        ("198.18.0.0/15", "an address for benchmarks"),
        ("198.51.100.0/24", "an address for examples"),
        ("203.0.113.0/24", "an address for examples"),
        ("224.0.0.0/4", "a multicast address"),
        ("240.0.0.0/4", "a reserved address"),
        ("::1/128", "this machine itself"),
        ("::ffff:0:0/96", "an IPv4 address written as IPv6"),
        ("::/96", "an unspecified address"),
        ("64:ff9b::/96", "an IPv4 address behind NAT64"),
        ("64:ff9b:1::/48", "an IPv4 address behind NAT64"),
        ("2001::/23", "a tunnel or a reserved address"),
        ("2001:db8::/32", "an address for examples"),
        ("2002::/16", "an IPv4 address behind 6to4"),
        ("3fff::/20", "an address for examples"),
        ("fc00::/7", "a private address"),
        ("fe80::/10", "a link-local address"),
        ("fec0::/10", "a private address"),
        ("ff00::/8", "a multicast address"),
    )
)
_PUBLIC_IPV6 = ipaddress.IPv6Network("2000::/3")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


class EgressRefused(Exception):
    """The request may not go there; the message says why and who can change that."""


def special(address: Address) -> str:
    """What kind of address it is that is not on the public internet; "" for a public one."""
    for network, kind in _SPECIAL:
        if address in network:
            return kind
    if isinstance(address, ipaddress.IPv6Address) and address not in _PUBLIC_IPV6:
        return "a reserved address"
    return ""


def listed(address: Address, allowed: Sequence[Network]) -> bool:
    """Whether an administrator's list holds it."""
    return any(address in network for network in allowed)


def check_host(host: str) -> None:
    """Refuse what resolvers read in ways of their own: 2130706433, 0x7f.1, 127.1, a final dot, a zone."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        if "%" not in host:
            return
    labels = host.split(".")
    if (
        len(host) > 253
        or not all(_LABEL.fullmatch(label) for label in labels)
        or _NUMBER.fullmatch(labels[-1])
    ):
        raise EgressRefused(
            f"{host[:80]!r} is not a plain host name or IP address. Register the endpoint with the name that "
            "its certificate has (a name with letters outside ASCII in its xn-- form), without a final dot."
        )


def check(
    host: str, addresses: Sequence[Address], allowed: Sequence[Network], *, scheme: str, own_network: bool
) -> None:
    """Refuse the connection unless every address that the name leads to may be reached.

    `own_network`: the data may be shown inside the administrator's own network alone.
    """
    for address in addresses:
        if listed(address, allowed):
            continue
        if kind := special(address):
            raise EgressRefused(
                f"{host} leads to {address}, {kind}. An administrator can allow it with EGRESS_ALLOW."
            )
        if own_network:
            raise EgressRefused(
                f"{host} leads to {address}, which is outside the network that EGRESS_ALLOW names, and the data set "
                "may be shown inside it alone (egress `same_network`)."
            )
        if scheme != "https":
            raise EgressRefused(
                f"{host} leads to {address}, and plain http would show the rows and the credential on the way. "
                "Register the endpoint with https://, or have an administrator list its network in EGRESS_ALLOW."
            )
