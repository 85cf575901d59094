"""How many requests may be under way, and when: a clock of the test's own, no service."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from evaluations.engine import gate
from evaluations.engine.gate import Gate, Pass

FREE = 1e9  # a pace that holds nobody back, so that none is learned


class Clock:
    """Seconds that pass only when a test says so."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(gate, "time", found)
    return found


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


class Crowd:
    """Requests that wait at a gate, more than it ever lets in."""

    def __init__(self, door: Gate, size: int = 1500) -> None:
        self.door = door
        self.waiting = [asyncio.create_task(door.enter(order)) for order in range(size)]

    async def let_in(self) -> list[Pass]:
        """Those that may send since the last time."""
        for _ in range(3):
            await asyncio.sleep(0)
        done = [task for task in self.waiting if task.done()]
        self.waiting = [task for task in self.waiting if not task.done()]
        return [given for given in map(asyncio.Task.result, done) if given is not None]

    async def round(self, clock: Clock, end: Any = "ok", seconds: float = 0.1) -> int:
        """As many as are let in, all ending alike after `seconds`."""
        passes = await self.let_in()
        clock.now += seconds
        for given in passes:
            self.door.leave(given, end)
        return len(passes)


async def one(door: Gate) -> Pass:
    given = await door.enter(0)
    assert given is not None
    return given


def test_the_limit_doubles_until_the_first_overload_and_then_grows_by_one_a_round(clock: Clock) -> None:
    async def work() -> None:
        crowd = Crowd(Gate(largest=100, per_second=FREE))
        assert [await crowd.round(clock) for _ in range(4)] == [4, 8, 16, 32]
        assert crowd.door.limit == 64
        await crowd.round(clock, "limited")
        assert crowd.door.limit == pytest.approx(64 * 0.7)  # once for all that were sent before
        before = crowd.door.limit
        rounds = [await crowd.round(clock) for _ in range(4)]
        assert sum(rounds) >= before
        assert before < crowd.door.limit == pytest.approx(before + sum(rounds) / before, abs=1)

    run(work())


def test_the_limit_stays_between_one_and_what_the_endpoint_allows(clock: Clock) -> None:
    async def work() -> None:
        crowd = Crowd(Gate(largest=6, per_second=FREE))
        for _ in range(5):
            await crowd.round(clock)
        assert crowd.door.limit == 6
        for _ in range(40):
            await crowd.round(clock, "limited")
            clock.now += 1
        assert crowd.door.limit == 1

    run(work())


def test_a_failure_now_and_then_is_no_overload_and_a_quarter_of_all_is(clock: Clock) -> None:
    async def work(every: int) -> float:
        door = Gate(largest=16)
        for number in range(400):
            given = await one(door)
            clock.now += 0.1
            door.leave(given, "failed" if number % every == 0 else "ok")
        return door.limit

    limits = {every: asyncio.run(work(every)) for every in (20, 3)}
    assert limits[20] >= 4
    assert limits[3] < 2


def test_answers_that_take_twice_as_long_lower_the_limit(clock: Clock) -> None:
    async def work() -> None:
        crowd = Crowd(Gate(largest=8, per_second=FREE))
        for _ in range(20):
            await crowd.round(clock)
        assert crowd.door.limit == 8
        for _ in range(3):
            await crowd.round(clock, seconds=0.4)
        assert crowd.door.limit < 8

    run(work())


def test_the_pace_at_which_a_service_let_requests_through_is_learned_and_then_grows(clock: Clock) -> None:
    async def work() -> None:
        door = Gate(largest=16)
        for _ in range(250):  # 25 a second for ten seconds
            given = await one(door)
            clock.now += 0.04
            door.leave(given, "ok")
        given = await one(door)
        door.leave(given, "limited")
        assert 1 / door._seconds_each(clock.now) == pytest.approx(25, rel=0.02)
        assert 1 / door._seconds_each(clock.now + 20) == pytest.approx(25 * 1.1, rel=0.02)

    run(work())


def test_those_who_wait_are_let_in_by_their_order_and_nobody_after_the_end(clock: Clock) -> None:
    async def work() -> None:
        door = Gate(largest=1)
        first = await one(door)
        came: list[int] = []

        async def wait(order: int) -> None:
            given = await door.enter(order)
            if given is not None:
                came.append(order)
                door.leave(given, "ok")

        waiting = [asyncio.create_task(wait(order)) for order in (5, 3, 4)]
        await asyncio.sleep(0)
        waiting[2].cancel()
        door.leave(first, "ok")
        await asyncio.gather(*waiting, return_exceptions=True)
        assert came == [3, 5]
        assert door.busy == 0
        door.close()
        assert await door.enter(0) is None

    run(work())
