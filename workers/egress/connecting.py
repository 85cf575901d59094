"""Opens connections to addresses that were checked: a name is resolved once, and what was checked is connected to."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

import certifi
import httpcore

from auditor.core.errors import DomainError
from workers.egress import addresses
from workers.egress.addresses import Address, Network

Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]


async def system_resolve(host: str, port: int) -> Sequence[Address]:
    """What the system's resolver says, in its order. Raises OSError where it knows no address."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ipaddress.ip_address(place[0]) for *_, place in found))


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """httpcore's way to the network, with a check between the name and the connection.

    TLS and the Host header still use the name, so a certificate is checked against it.
    """

    def __init__(
        self, *, scheme: str, allowed: Sequence[Network], own_network: bool, resolve: Resolve
    ) -> None:
        self._scheme, self._allowed, self._own_network = scheme, allowed, own_network
        self._resolve = resolve
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses.check_host(host)
        found = await self._resolve(host, port)
        if not found:
            raise httpcore.ConnectError(f"{host} has no address")
        addresses.check(host, found, self._allowed, scheme=self._scheme, own_network=self._own_network)
        for address in found[:-1]:
            try:
                return await self._inner.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue  # a service often has an address that this machine cannot reach
        return await self._inner.connect_tcp(str(found[-1]), port, timeout, local_address, socket_options)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise addresses.EgressRefused("A service is reached by its address, never by a file.")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def tls(extra_authorities: Path | None) -> ssl.SSLContext:
    """Public certificate authorities, and the administrator's own where a file names some. Raises DomainError."""
    context = ssl.create_default_context(cafile=certifi.where())
    if extra_authorities is not None:
        try:
            context.load_verify_locations(cafile=extra_authorities)
        except OSError as error:  # also where it holds no certificate
            raise DomainError(
                "egress_ca_file",
                f"EGRESS_CA_FILE names {extra_authorities}, which cannot be read as certificates in PEM form "
                f"({error.strerror}). An administrator can correct it.",
                status=500,
            ) from error
    return context
