"""Answers the requests of one sandboxed child: each goes to the registered service, or is refused with a type."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
from collections.abc import Callable, Coroutine, Sequence
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
BYTES_PER_TOKEN_READ = 16  # likewise of a request, whose letters may be written as escapes
UNLIMITED = 4096  # tokens that a service may generate where a request states no limit
ROOM = 256 * 2**20  # bytes of requests under way: what a child may fill of this process
ROOM_OF_REPLIES = 256 * 2**20  # likewise what a service may


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


@dataclass(frozen=True)
class _Asked:
    """A request with its body as it is sent: what was read of it may take twenty times the room."""

    ask: Ask  # without its body
    content: bytes
    least_tokens: int  # that a language model may count for it, whatever the child expects


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
        self._secret = credential.secret if credential else ""
        self._tls = tls(authorities) if spec.origin[0] == "https" else None
        self._purse = Purse(spec.price, account)
        self._backend = CheckedBackend(
            scheme=spec.origin[0], allowed=allowed, own_network=own_network, resolve=resolve
        )
        self._arrived = 0  # bytes of replies that are under way
        self._base_path = urlsplit(spec.url).path
        self._ours, self.child_end = socket.socketpair()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
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
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._stopping.set)
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
        self._loop = asyncio.get_running_loop()
        reader, writer = await asyncio.open_connection(sock=self._ours)
        room = _Room(self._spec.concurrency)
        under_way: set[asyncio.Task[None]] = set()
        pool = httpcore.AsyncConnectionPool(
            ssl_context=self._tls,
            max_connections=self._spec.concurrency,
            keepalive_expiry=KEEP_ALIVE_SECONDS,
            network_backend=self._backend,
        )
        try:
            async with pool:
                stopped: asyncio.Future[bool] = asyncio.ensure_future(self._stopping.wait())
                while (asked := await _first(_next(reader, room), stopped)) is not None:
                    task = asyncio.create_task(self._answer(pool, asked, writer))
                    under_way.add(task)
                    task.add_done_callback(under_way.discard)
                    task.add_done_callback(room.released_by(asked))
                stopped.cancel()
                for task in under_way:
                    task.cancel()
                await asyncio.gather(*under_way, return_exceptions=True)
        finally:
            await self._purse.close()
            writer.close()

    async def _answer(
        self, pool: httpcore.AsyncConnectionPool, asked: _Asked | Reply, writer: asyncio.StreamWriter
    ) -> None:
        frame = _frame(asked if isinstance(asked, Reply) else await self._reply(pool, asked))
        with suppress(ConnectionError):  # the child has ended
            writer.write(frame)
            await writer.drain()

    async def _reply(self, pool: httpcore.AsyncConnectionPool, asked: _Asked) -> Reply:
        """What came back, or why nothing did."""
        number = asked.ask.id
        try:
            return await self._exchange(pool, asked)
        except _NoReply as none:
            return Reply(id=number, refusal=none.refusal, message=none.message)
        except (
            Exception
        ) as error:  # a database that is away, a defect of ours: the child must not wait for ever
            log.exception("a request could not be sent")
            return Reply(
                id=number,
                refusal="endpoint_unreachable",
                message=f"The request could not be sent ({type(error).__name__}).",
            )

    async def _exchange(self, pool: httpcore.AsyncConnectionPool, asked: _Asked) -> Reply:
        ask = asked.ask
        try:
            target = targets.target(self._base_path, ask.path)
        except EgressRefused as refused:
            raise _NoReply("egress_refused", str(refused)) from refused
        try:
            least = 0 if self._spec.protocol == "rest" else asked.least_tokens
            aside = await self._purse.set_aside(max(ask.expected_tokens, least))
        except BudgetReached as reached:
            raise _NoReply(
                "budget_reached", "The audit's budget of requests, tokens or cost is used up."
            ) from reached
        used = aside  # what is sent and never answered may be charged
        try:
            status, headers, content = await self._send(pool, asked, target)
            used = Amount(requests=1)
            answer = replies.body(content, self._secret)
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
        self, pool: httpcore.AsyncConnectionPool, asked: _Asked, target: bytes
    ) -> tuple[int, replies.Headers, bytes]:
        scheme, host, port = self._spec.origin
        url = httpcore.URL(scheme=scheme.encode(), host=host.encode(), port=port, target=target)
        method, size = asked.ask.method, 0
        try:
            async with (
                asyncio.timeout(self._spec.timeout_seconds),
                pool.stream(
                    method,
                    url,
                    headers=self._headers(method),
                    content=asked.content,
                    extensions={"timeout": {"connect": min(CONNECT_SECONDS, self._spec.timeout_seconds)}},
                ) as response,
            ):
                if 300 <= response.status < 400:
                    location = replies.without(replies.header(response.headers, b"location"), self._secret)
                    where = ascii(location)[1:-1][:200]
                    raise _NoReply(
                        "egress_refused",
                        f"The service answered with a redirect to {where or 'nowhere'}, and none is followed. "
                        "Register the address that it leads to, if that is the service.",
                    )
                parts = []
                async for part in response.aiter_stream():
                    size += len(part)
                    self._arrived += len(part)
                    if size > replies.LARGEST or self._arrived > ROOM_OF_REPLIES:
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
        finally:
            self._arrived -= size

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
        # a line that is no HTTP is quoted in the error
        detail = replies.without(str(error).strip(), self._secret) or type(error).__name__
        return f"No connection to {origin_text(self._spec.origin)}: {detail[:300]}."


_TOO_LARGE = f"The service's answer is larger than {replies.LARGEST // 2**20} MiB. Ask for less at a time."


class _Room:
    """For the requests under way: so many at a time, and so many bytes of them."""

    def __init__(self, places: int) -> None:
        self._places = asyncio.Semaphore(places)
        self._bytes = 0
        self._less = asyncio.Event()

    async def place(self) -> None:
        await self._places.acquire()

    async def bytes(self, length: int) -> None:
        """Waits until so many more fit, or nothing else is under way."""
        while self._bytes and self._bytes + length > ROOM:
            self._less.clear()
            await self._less.wait()

    def released_by(self, asked: _Asked | Reply) -> Callable[[object], None]:
        """Takes the room of a request; what is returned gives it back."""
        size = len(asked.content) if isinstance(asked, _Asked) else 0
        self._bytes += size

        def release(task: object) -> None:
            self._bytes -= size
            self._less.set()
            self._places.release()

        return release


async def _first(
    coming: Coroutine[None, None, _Asked | Reply | None], stopped: asyncio.Future[bool]
) -> _Asked | Reply | None:
    """What comes, or None once the broker is stopped: with no room left, the end of the pipe would not be read."""
    task = asyncio.create_task(coming)
    await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
    if stopped.done():
        task.cancel()
        return None
    return task.result()


async def _next(reader: asyncio.StreamReader, room: _Room) -> _Asked | Reply | None:
    """The next request once there is room for it, or the refusal of what is none; None where the child has ended."""
    await room.place()
    try:
        length = frame_length(await reader.readexactly(4))
        await room.bytes(length)
        content = await reader.readexactly(length)
        try:
            ask = decode_ask(content)
            body = json.dumps(ask.body).encode() if ask.method == "POST" else b""
            return _Asked(ask.model_copy(update={"body": None}), body, _least_tokens(ask, len(body)))
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


def _least_tokens(ask: Ask, size: int) -> int:
    if ask.method != "POST":
        return 0
    stated = ask.body if isinstance(ask.body, dict) else {}
    limits = [stated.get(name) for name in ("max_tokens", "max_completion_tokens")]
    known = [limit for limit in limits if isinstance(limit, int) and limit >= 0]
    draws = [n for n in (stated.get("n"), stated.get("best_of")) if isinstance(n, int)]
    return max(known, default=UNLIMITED) * max([1, *draws]) + size // BYTES_PER_TOKEN_READ


def _frame(reply: Reply) -> bytes:
    """The reply's frame; one that cannot be written says so."""
    try:
        return encode(reply)
    except (ValueError, RecursionError, EvaluationError):  # nested or long beyond what a frame holds
        return encode(Reply(id=reply.id, refusal="endpoint_reply_too_large", message=_TOO_LARGE))
