"""Asks an endpoint many things at once: ordered, none lost, none asked twice in vain, overload respected.

One event loop in a thread of its own, so that adapters stay synchronous. Identical requests share one
answer within one question (`question`): the same text under another example, never a repeated draw.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import itertools
import json
import random
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from evaluations.endpoints import EndpointSpec
from evaluations.engine.gate import Gate
from evaluations.engine.replies import PATIENCE, Meaning, meaning
from evaluations.engine.transport import Ask, Reply, Transport
from evaluations.models.protocol import Usage
from evaluations.spec import EvaluationError

T = TypeVar("T")

TRIES = 6  # of one request that fails; waits that the service asks for are not counted
BACKOFF, LONGEST_BACKOFF = 0.25, 20.0  # seconds: doubles with each try, drawn between 0 and that
IN_A_ROW = 10  # requests given up with no answer between them: the service is down
REMEMBERED = 50_000  # answers
GRACE = 30.0  # seconds beyond the endpoint's own time limit, for a broker that says nothing
AT_ONCE = (64, 2048)  # requests handed over at a time, at least and at most
WORTH = 20.0  # seconds of work handed over at a time: what a kill asks again, and a cancel waits for
# What a reply means to the gate; a request that took too long says what a "too many" says.
ENDS = {"ok": "ok", "limited": "limited", "failed": "failed", "endpoint_timeout": "limited"}


@dataclass(frozen=True)
class Request:
    """One thing to ask. `apart` keeps draws apart that would else share an answer, such as a seed."""

    path: str
    body: Any
    rows: int = 1  # examples that it is about
    expected_tokens: int = 0
    apart: int = 0


@dataclass(frozen=True)
class Outcome:
    """What came of it. "unasked": the asking had ended before its turn; `EndpointClient.stopped` says why."""

    kind: Literal["ok", "blocked", "error", "unasked"]
    body: Any = None
    code: str = ""
    reason: str = ""


UNASKED = Outcome("unasked")


class EndpointClient:
    """`ask` may be called from several threads. `identity` is what the service's fingerprint was when asked."""

    def __init__(self, spec: EndpointSpec, connect: Callable[[], Transport]) -> None:
        self.spec = spec
        self.identity = self.question = ""
        self.stopped: EvaluationError | None = None
        self.usage = Usage()
        self.tries = 0  # requests sent, those asked again included
        self._gate = Gate(spec.concurrency, spec.requests_per_second)
        self._jitter = random.Random()  # decides when, never what
        self._ids, self._orders = itertools.count(), itertools.count()
        self._under_way: dict[str, asyncio.Task[Outcome]] = {}
        self._remembered: OrderedDict[str, Outcome] = OrderedDict()
        self._given_up = 0  # in a row
        self._per_second = 0.0
        self._line = _Line(connect)
        self.close = weakref.finalize(self, self._line.close)

    @property
    def at_once(self) -> int:
        """How many requests to hand over at a time: some seconds' worth, as fast as it went so far."""
        least, most = AT_ONCE
        return min(most, max(least, 2 * self.spec.concurrency, int(WORTH * self._per_second)))

    def ask(self, requests: Sequence[Request]) -> list[Outcome]:
        """One outcome per request, in order. Raises what stopped an earlier call; what stops this one is told
        in `stopped`, after everything that was under way has been answered."""
        if self.stopped is not None:
            raise self.stopped
        started, sent = time.monotonic(), self.tries
        outcomes = self._line.run(self._all(requests))
        if (elapsed := time.monotonic() - started) > 0.05 and self.tries > sent:
            self._per_second = sum(o.kind == "ok" for o in outcomes) / elapsed
        return outcomes

    async def _all(self, requests: Sequence[Request]) -> list[Outcome]:
        waiting, started = [], []
        for request in requests:
            key = self._key(request)
            if key in self._remembered:
                self._remembered.move_to_end(key)
                done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
                done.set_result(self._remembered[key])
                waiting.append(done)
                continue
            if key not in self._under_way:
                task = self._under_way[key] = asyncio.create_task(self._one(key, request))
                task.add_done_callback(functools.partial(self._ended, key))
                started.append(task)
            waiting.append(self._under_way[key])
        try:
            return await asyncio.gather(*waiting)
        finally:
            for task in started:
                task.cancel()  # only those that an error or an interrupt has left behind

    def _ended(self, key: str, task: asyncio.Task[Outcome]) -> None:
        del self._under_way[key]

    def _key(self, request: Request) -> str:
        asked = {
            "endpoint": self.spec.url + request.path,
            "fingerprint": self.identity,
            "question": self.question,
            "body": request.body,  # model, messages, parameters, seed
            "sample": request.apart,
        }
        return hashlib.sha256(json.dumps(asked, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    async def _one(self, key: str, request: Request) -> Outcome:
        outcome = await self._answered(request)
        if outcome.kind in ("ok", "blocked"):  # an error may be gone the next time
            self._remembered[key] = outcome
            while len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
        return outcome

    async def _answered(self, request: Request) -> Outcome:
        """Sends one request until it is answered, given up, or nothing may be sent any more."""
        order, failures, again = next(self._orders), 0, 0
        since: float | None = None  # its first try that was no answer
        while True:
            given = await self._gate.enter(order)
            if given is None:
                return UNASKED
            end, pause = "other", None
            try:
                reply = await self._send(request)
                found = meaning(reply, proven=self.usage.queries > 0)
                end = ENDS.get(found.code) or ENDS.get(found.kind, "other")
                if reply.retry_after is not None and found.kind in ("limited", "failed"):
                    pause = reply.retry_after
            except (EvaluationError, ValueError) as error:  # it cannot be written as a frame
                return Outcome("error", code="endpoint_request", reason=str(error)[:300])
            finally:
                self._gate.leave(given, end, pause)  # type: ignore[arg-type]  # of the same literals
            if found.kind == "ok" or found.kind == "blocked":
                self._count(request, reply)
                return Outcome(found.kind, reply.body, found.code, found.message)
            if found.kind == "stop":
                return self._stop(found.code, found.message)
            failures, again = failures + (found.kind == "failed"), again + 1
            since = time.monotonic() if since is None else since
            if found.kind == "error" or failures >= TRIES or time.monotonic() - since > PATIENCE:
                return self._give_up(found)
            if pause is None or pause < BACKOFF:  # to ask for no wait is no leave to ask without end
                wait = min(LONGEST_BACKOFF, BACKOFF * 2 ** min(again, 10))
                await asyncio.sleep(self._jitter.uniform(0, wait))

    async def _send(self, request: Request) -> Reply:
        ask = Ask(
            id=next(self._ids),
            path=request.path,
            body=request.body,
            expected_tokens=request.expected_tokens,
        )
        self.tries += 1
        try:
            async with asyncio.timeout(self.spec.timeout_seconds + GRACE):
                return await (await self._line.transport()).send(ask)
        except TimeoutError:
            return Reply(id=ask.id, refusal="endpoint_timeout", message="No answer came in time.")

    def _count(self, request: Request, reply: Reply) -> None:
        self._given_up = 0
        self.usage.queries += request.rows
        used = reply.body.get("usage") if isinstance(reply.body, dict) else None
        if isinstance(used, dict):
            counts = [used.get(name) for name in ("prompt_tokens", "completion_tokens")]
            self.usage.tokens += sum(n for n in counts if isinstance(n, int) and 0 <= n < 10**9)

    def _give_up(self, found: Meaning) -> Outcome:
        """An example without an answer. Many in a row, or none but those so far, end the asking."""
        proven, said = self.usage.queries > 0, found.message or found.code
        self._given_up += found.kind != "error" or not proven
        if self._given_up >= IN_A_ROW:
            remedy = (
                "Start again when it is well: what was answered is kept."
                if proven
                else "It has answered none: check endpoint.json."
            )
            self._stop(
                "endpoint_rate_limited" if found.kind == "limited" else "endpoint_failing",
                f"The service gave no answer to {self._given_up} requests in a row; the last: {said}. {remedy}",
            )
        return Outcome("error", code=found.code, reason=said)

    def _stop(self, code: str, message: str) -> Outcome:
        if self.stopped is None:
            self.stopped = EvaluationError(code, message)
            self._gate.close()
        return UNASKED


class _Line:
    """The thread with the event loop, and the transport that lives in it. Started when it is first used."""

    def __init__(self, connect: Callable[[], Transport]) -> None:
        self._connect = connect
        self._transport: Transport | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    async def transport(self) -> Transport:
        if self._transport is None:
            self._transport = self._connect()
        return self._transport

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="endpoint", daemon=True)
                self._thread.start()
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:  # an interrupt too ends what is under way
            future.cancel()
            raise

    def close(self) -> None:
        if self._loop is None or self._thread is None or not self._thread.is_alive():
            return
        if self._transport is not None:
            asyncio.run_coroutine_threadsafe(self._transport.close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        self._loop = None
