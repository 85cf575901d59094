"""How many requests may be under way at an endpoint, and when the next may start: AIMD, pauses, a pace."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

FIRST = 4.0  # requests under way to begin with
LESS = 0.7  # what an overload leaves of the limit
WINDOW = 20  # ends that tell a service that is overloaded from one that fails now and then
FAILING = 0.25  # share of failures among them that counts as an overload
SLOW = 2.0  # times the usual time to answer
BURST = 0.25  # seconds' worth of requests that may be caught up after a wait
OVER = 10.0  # seconds over which the pace that a service bears is measured
FASTER = 0.0005  # a learned pace grows by this share a second, for each second since the last "too many"

# "limited": it said that it is asked too much; "failed": it may be overloaded, or broken now and then
End = Literal["ok", "limited", "failed", "other"]


@dataclass(frozen=True)
class Pass:
    """Leave to send one request."""

    sent: float  # monotonic seconds


@dataclass
class Gate:
    """Additive increase, multiplicative decrease. Those who wait are let in by their order, the lowest first.

    The limit grows by one for each that succeeds until the first overload, then by one a round. An
    overload is an answer that says so, a quarter of the last answers failing, or answers that take
    twice as long as usual; what was sent before the last decrease causes no other.
    Where the service counts requests by time, no number under way is right: an answer that says "too
    many" also sets the pace at which it let requests through, which then grows slowly. Belongs to one
    event loop.
    """

    largest: int
    per_second: float | None = None
    limit: float = field(init=False)
    busy: int = field(default=0, init=False)
    closed: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.limit = min(FIRST, self.largest)
        self._calm = True  # no overload yet
        self._decreased = -1.0  # when the limit was last lowered
        self._paused_until = 0.0
        self._next_token = 0.0
        self._pace: float | None = None  # learned
        self._pace_set = 0.0
        self._through: deque[float] = deque(
            maxlen=20_000
        )  # when the last requests came back that were let through
        self._first = 0.0
        self._ends: deque[bool] = deque(maxlen=WINDOW)  # whether each failed
        self._usual = self._lately = 0.0  # seconds to answer: over about 100 answers, over about 10
        self._answers = self._numbers = 0
        self._waiting: list[tuple[int, int, asyncio.Future[Pass | None]]] = []
        self._timer: asyncio.TimerHandle | None = None

    async def enter(self, order: int) -> Pass | None:
        """Waits for leave to send; None where nothing may be sent any more."""
        future: asyncio.Future[Pass | None] = asyncio.get_running_loop().create_future()
        self._numbers += 1
        heapq.heappush(self._waiting, (order, self._numbers, future))
        self._admit()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.result() is not None:
                self.busy -= 1  # let in, and gone before it heard so
            raise

    def leave(self, given: Pass, end: End, retry_after: float | None = None) -> None:
        """What came of the request that `given` allowed."""
        now = time.monotonic()
        self.busy -= 1
        if end == "limited":
            self._learn_pace(now)
        else:
            self._through.append(now)
            self._first = self._first or given.sent
        self._ends.append(end == "failed")
        slow = end == "ok" and self._is_slow(now - given.sent)
        failing = len(self._ends) == WINDOW and sum(self._ends) >= FAILING * WINDOW
        if retry_after is not None:
            self._paused_until = max(self._paused_until, now + retry_after)
        if end == "limited" or slow or (end == "failed" and failing):
            self._decrease(given, now)
        elif end == "ok" and self.busy + 1 >= int(self.limit):  # the limit was what held others back
            self.limit = min(self.largest, self.limit + (1.0 if self._calm else 1.0 / self.limit))
        self._admit()

    def close(self) -> None:
        """Lets nobody in from here on."""
        self.closed = True
        self._admit()

    def _decrease(self, given: Pass, now: float) -> None:
        self._calm = False
        if given.sent > self._decreased:
            self.limit = max(1.0, self.limit * LESS)
            self._decreased = now
            self._ends.clear()

    def _learn_pace(self, now: float) -> None:
        while self._through and self._through[0] < now - OVER:
            self._through.popleft()
        if self.per_second is None and len(self._through) >= WINDOW:
            self._pace = len(self._through) / min(OVER, now - self._first)
            self._pace_set = now

    def _seconds_each(self, now: float) -> float:
        """Seconds between two requests; 0 where no pace is known."""
        if self.per_second is not None:
            return 1 / self.per_second
        if self._pace is None:
            return 0.0
        return 1 / (self._pace * (1 + FASTER / 2 * (now - self._pace_set) ** 2))

    def _is_slow(self, seconds: float) -> bool:
        self._answers += 1
        self._usual += (seconds - self._usual) / min(self._answers, 100)
        self._lately += (seconds - self._lately) / min(self._answers, 10)
        return self._answers > 20 and self._lately > SLOW * self._usual

    def _admit(self) -> None:
        now = time.monotonic()
        while self._waiting and (self.closed or self.busy < int(self.limit)):
            wait = 0.0 if self.closed else max(self._paused_until, self._next_token) - now
            if wait > 0:
                self._wake_in(wait)
                return
            _, _, future = heapq.heappop(self._waiting)
            if future.done():  # it was cancelled
                continue
            if self.closed:
                future.set_result(None)
                continue
            self._next_token = max(self._next_token, now - BURST) + self._seconds_each(now)
            self.busy += 1
            future.set_result(Pass(now))

    def _wake_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._admit)
