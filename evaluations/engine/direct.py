"""Straight to the endpoint, for notebooks and local runs: the credential comes from an environment variable.

AUDITOR_ENDPOINT_KEY is what follows "Bearer " in the Authorization header, or for each service its address and
that: "https://api.example.org=SECRET https://judge.example.org=OTHER". A secret without an address goes to the
first service that is asked, and to no other.
"""

from __future__ import annotations

import json
import os
from typing import Any
from urllib.parse import urlsplit

from evaluations.endpoints import EndpointSpec
from evaluations.engine.transport import LARGEST_FRAME, Ask, Refusal, Reply, retry_after_of
from evaluations.spec import EvaluationError

CREDENTIAL = "AUDITOR_ENDPOINT_KEY"
CONNECT_SECONDS = 15.0
_bound: dict[str, tuple[str, str, int]] = {}  # secret without an address -> where it has gone


def credential_for(spec: EndpointSpec) -> str:
    """The secret for this service, "" for none. Raises EvaluationError `credential_origin`."""
    alone = ""
    for word in os.environ.get(CREDENTIAL, "").split():
        place, _, secret = word.partition("=")
        if not place.startswith(("https://", "http://")):
            alone = word
        elif _origin(place) == spec.origin:
            return secret
    if alone and _bound.setdefault(alone, spec.origin) != spec.origin:
        scheme, host, port = _bound[alone]
        raise EvaluationError(
            "credential_origin",
            f"The secret in {CREDENTIAL} is for {scheme}://{host}:{port}, and is not sent to {spec.url} too. Write the "
            f"address of each service before its secret: {CREDENTIAL}='https://api.example.org=SECRET "
            "https://judge.example.org=OTHER'.",
        )
    return alone


def _origin(address: str) -> tuple[str, str, int] | None:
    parts = urlsplit(address)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:  # no number
        return None
    return parts.scheme, (parts.hostname or "").lower(), port


class DirectTransport:
    """Sends to the registered origin alone, and follows no redirect. Made inside the event loop that uses it."""

    def __init__(self, spec: EndpointSpec, secret: str) -> None:
        import httpx

        self._spec = spec
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {secret}"} if secret else {},
            timeout=httpx.Timeout(
                spec.timeout_seconds, connect=min(CONNECT_SECONDS, spec.timeout_seconds), pool=None
            ),
            limits=httpx.Limits(max_connections=spec.concurrency, max_keepalive_connections=spec.concurrency),
            follow_redirects=False,
        )

    async def send(self, ask: Ask) -> Reply:
        import httpx

        url = httpx.URL(self._spec.url + ask.path)
        ours = httpx.URL(self._spec.url)
        if (url.scheme, url.host, url.port, url.userinfo) != (ours.scheme, ours.host, ours.port, b""):
            return _none(ask, "egress_refused", f"{url} is not at the registered address {self._spec.url}.")
        try:
            async with self._client.stream(
                ask.method, url, json=ask.body if ask.method == "POST" else None
            ) as response:
                content = bytearray()
                async for part in response.aiter_bytes():
                    content += part
                    if len(content) > LARGEST_FRAME:
                        return _none(
                            ask,
                            "endpoint_reply_too_large",
                            f"The answer is larger than {LARGEST_FRAME // 2**20} MiB. Ask for less at a time.",
                        )
        except httpx.TimeoutException as error:
            connecting = isinstance(error, httpx.ConnectTimeout)
            return _none(
                ask,
                "endpoint_unreachable" if connecting else "endpoint_timeout",
                f"{self._spec.url} did not answer within {self._spec.timeout_seconds:g} s.",
            )
        except (httpx.TransportError, httpx.InvalidURL) as error:
            detail = str(error).strip() or type(error).__name__
            return _none(ask, "endpoint_unreachable", f"No connection to {self._spec.url}: {detail[:300]}.")
        return Reply(
            id=ask.id,
            status=response.status_code,
            retry_after=retry_after_of(response.headers),
            body=_body(bytes(content)),
        )

    async def close(self) -> None:
        await self._client.aclose()


def _body(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return content.decode("utf-8", "replace")


def _none(ask: Ask, refusal: Refusal, message: str) -> Reply:
    return Reply(id=ask.id, refusal=refusal, message=message)
