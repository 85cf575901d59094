"""Straight to the endpoint, for notebooks and local runs: the credential comes from an environment variable."""

from __future__ import annotations

import json
import os
from typing import Any

from evaluations.endpoints import EndpointSpec
from evaluations.engine.transport import LARGEST_FRAME, Ask, Refusal, Reply, retry_after_of

CREDENTIAL = (
    "AUDITOR_ENDPOINT_KEY"  # environment variable: what follows "Bearer " in the Authorization header
)
CONNECT_SECONDS = 15.0


class DirectTransport:
    """Sends to the registered origin alone, and follows no redirect. Made inside the event loop that uses it."""

    def __init__(self, spec: EndpointSpec, credential: str | None = None) -> None:
        import httpx

        secret = os.environ.get(CREDENTIAL, "") if credential is None else credential
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
