"""Answers the requests of one sandboxed child: each goes to the registered service, or is refused with a type."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpcore
from pydantic import ValidationError

from auditor import __version__
from auditor.registry.egress import origin_text
from evaluations.endpoints import EndpointSpec
from evaluations.engine.transport import (
    Ask,
    Refusal,
    Reply,
    decode_ask,
    encode,
    frame_length,
)
from evaluations.spec import EvaluationError
from workers.egress import replies, targets
from workers.egress.addresses import EgressRefused, Network
from workers.egress.connecting import CheckedBackend, Resolve, system_resolve, tls
from workers.egress.purse import Account, Amount, BudgetReached, Purse

log = logging.getLogger(__name__)

CONNECT_SECONDS = 15.0
KEEP_ALIVE_SECONDS = 30.0
STOP_SECONDS = 10.0  # well within a lease: nobody renews it meanwhile
BYTES_PER_TOKEN = 8  # of JSON, at most


@dataclass(frozen=True)
class Credential:
    """A header that goes with each request, and to the registered service alone."""

    header: str
    value: str = field(repr=False)
    secret: str = field(repr=False)  # the part of `value` that no reply may show

    def __str__(self) -> str:
        return self.header


@dataclass
class _NoReply(Exception):
    """Why there is no HTTP answer."""

    refusal: Refusal
    message: str


class Broker:
    """One run's broker: `start` it, pass `child_end` on, `stop` it when the child has ended."""

    def __init__(
        self,
        spec: EndpointSpec,
        *,
        allowed: Sequence[Network] = (),
        own_network: bool = False,
        credential: Credential | None = None,
        account: Account | None = None,
        authorities: Path | None = None,
        resolve: Resolve = system_resolve,
    ) -> None:
        self._spec, self._credential = spec, credential
        self._purse = Purse(spec.price, account)
        self._backend = CheckedBackend(
            scheme=spec.origin[0], allowed=allowed, own_network=own_network, resolve=resolve
        )
        self._authorities = authorities
        self._base_path = urlsplit(spec.url).path
        self._ours, self.child_end = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="egress", daemon=True)

    @property
    def spent(self) -> Amount:
        """What went out so far."""
        return self._purse.spent

    @property
    def currency(self) -> str:
        return self._spec.price.currency

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> Amount:
        """End what is under way, and tell what was spent. The child has nobody to ask from here on."""
        self.child_end.close()
        with suppress(OSError):  # the child's end may have gone first
            self._ours.shutdown(socket.SHUT_RDWR)
        if self._thread.ident is not None:
            self._thread.join(STOP_SECONDS)
        self._ours.close()
        return self._purse.spent

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception:  # the thread's own end: the child sees the pipe close, and fails with a type
            log.exception("the broker stopped")
        finally:
            with suppress(OSError):
                self._ours.shutdown(socket.SHUT_RDWR)

    async def _serve(self) -> None:
        reader, writer = await asyncio.open_connection(sock=self._ours)
        places = asyncio.Semaphore(self._spec.concurrency)
        under_way: set[asyncio.Task[None]] = set()
        pool = httpcore.AsyncConnectionPool(
            ssl_context=tls(self._authorities) if self._spec.origin[0] == "https" else None,
            max_connections=self._spec.concurrency,
            keepalive_expiry=KEEP_ALIVE_SECONDS,
            network_backend=self._backend,
        )
        try:
            async with pool:
                while (ask := await _next(reader, places)) is not None:
                    task = asyncio.create_task(self._answer(pool, ask, writer))
                    under_way.add(task)
                    task.add_done_callback(under_way.discard)
                    task.add_done_callback(lambda _: places.release())
                for task in under_way:
                    task.cancel()
                await asyncio.gather(*under_way, return_exceptions=True)
        finally:
            await self._purse.close()
            writer.close()

    async def _answer(
        self, pool: httpcore.AsyncConnectionPool, ask: Ask | Reply, writer: asyncio.StreamWriter
    ) -> None:
        try:
            reply = ask if isinstance(ask, Reply) else await self._exchange(pool, ask)
        except _NoReply as none:
            reply = Reply(id=ask.id, refusal=none.refusal, message=none.message)
        except (
            Exception
        ) as error:  # a database that is away, a defect of ours: the child must not wait for ever
            log.exception("a request could not be sent")
            reply = Reply(
                id=ask.id,
                refusal="endpoint_unreachable",
                message=f"The request could not be sent ({type(error).__name__}).",
            )
        with suppress(ConnectionError):  # the child has ended
            writer.write(_frame(reply))
            await writer.drain()

    async def _exchange(self, pool: httpcore.AsyncConnectionPool, ask: Ask) -> Reply:
        try:
            target = targets.target(self._base_path, ask.path)
        except EgressRefused as refused:
            raise _NoReply("egress_refused", str(refused)) from refused
        try:
            aside = await self._purse.set_aside(ask.expected_tokens)
        except BudgetReached as reached:
            raise _NoReply(
                "budget_reached", "The audit's budget of requests, tokens or cost is used up."
            ) from reached
        used = aside  # what is sent and never answered may be charged
        try:
            status, headers, content = await self._send(pool, ask, target)
            used = Amount(requests=1)
            secret = self._credential.secret if self._credential else ""
            answer = replies.body(content, secret)
            if status < 300:
                used = self._used(answer, aside, len(content))
            return Reply(id=ask.id, status=status, retry_after=replies.retry_after(headers), body=answer)
        except EgressRefused as refused:
            used = Amount()
            raise _NoReply("egress_refused", str(refused)) from refused
        except (httpcore.ConnectError, httpcore.ConnectTimeout, socket.gaierror) as error:
            used = Amount()
            raise _NoReply("endpoint_unreachable", self._unreachable(error)) from error
        finally:
            self._purse.settle(aside, used)

    async def _send(
        self, pool: httpcore.AsyncConnectionPool, ask: Ask, target: bytes
    ) -> tuple[int, replies.Headers, bytes]:
        scheme, host, port = self._spec.origin
        url = httpcore.URL(scheme=scheme.encode(), host=host.encode(), port=port, target=target)
        content = json.dumps(ask.body).encode() if ask.method == "POST" else b""
        try:
            async with (
                asyncio.timeout(self._spec.timeout_seconds),
                pool.stream(
                    ask.method,
                    url,
                    headers=self._headers(ask.method),
                    content=content,
                    extensions={"timeout": {"connect": min(CONNECT_SECONDS, self._spec.timeout_seconds)}},
                ) as response,
            ):
                if 300 <= response.status < 400:
                    where = ascii(replies.header(response.headers, b"location"))[1:-1][:200]
                    raise _NoReply(
                        "egress_refused",
                        f"The service answered with a redirect to {where or 'nowhere'}, and none is followed. "
                        "Register the address that it leads to, if that is the service.",
                    )
                parts, size = [], 0
                async for part in response.aiter_stream():
                    size += len(part)
                    if size > replies.LARGEST:
                        raise _NoReply("endpoint_reply_too_large", _TOO_LARGE)
                    parts.append(part)
                return response.status, response.headers, b"".join(parts)
        except TimeoutError as error:
            raise _NoReply(
                "endpoint_timeout",
                f"The service did not answer within {self._spec.timeout_seconds:g} s (timeout_seconds).",
            ) from error
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            if isinstance(error, httpcore.ConnectError):
                raise
            raise _NoReply("endpoint_unreachable", self._unreachable(error)) from error

    def _headers(self, method: str) -> list[tuple[str, str]]:
        headers = [
            ("Host", origin_text(self._spec.origin).partition("://")[2]),
            ("User-Agent", f"model-auditor/{__version__}"),
            ("Accept", "application/json"),
            ("Accept-Encoding", "identity"),  # what is small on the way may be huge once unpacked
        ]
        if method == "POST":
            headers.append(("Content-Type", "application/json"))
        if self._credential:
            headers.append((self._credential.header, self._credential.value))
        return headers

    def _used(self, answer: object, aside: Amount, size: int) -> Amount:
        counted = replies.tokens(answer)
        if counted is not None:
            return Amount(1, sum(counted), self._purse.price_of(*counted))
        # a service that does not count: as many as were set aside, and no fewer than its answer has
        if self._spec.protocol == "rest" or aside.tokens >= (least := size // BYTES_PER_TOKEN):
            return aside
        return Amount(1, least, self._purse.price_of(0, least))

    def _unreachable(self, error: Exception) -> str:
        detail = str(error).strip() or type(error).__name__
        return f"No connection to {origin_text(self._spec.origin)}: {detail[:300]}."


_TOO_LARGE = f"The service's answer is larger than {replies.LARGEST // 2**20} MiB. Ask for less at a time."


async def _next(reader: asyncio.StreamReader, places: asyncio.Semaphore) -> Ask | Reply | None:
    """The next request once there is a place for it, or the refusal of what is none; None where the child has ended."""
    await places.acquire()
    try:
        content = await reader.readexactly(frame_length(await reader.readexactly(4)))
        try:
            return decode_ask(content)
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            where = ".".join(map(str, fault["loc"]))
            return Reply(
                id=json.loads(content)["id"],
                refusal="egress_refused",
                message=f"This is no request that may be sent: {where}: {fault['msg']}.",
            )
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        log.warning("a child sent what is no request: %s", type(error).__name__)
        return None


def _frame(reply: Reply) -> bytes:
    """The reply's frame; one that cannot be written says so."""
    try:
        return encode(reply)
    except (ValueError, RecursionError, EvaluationError):  # nested or long beyond what a frame holds
        return encode(Reply(id=reply.id, refusal="endpoint_reply_too_large", message=_TOO_LARGE))
