"""The half of efficiency.latency that holds the model: arrivals, clocks, records."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from evaluations.efficiency.latency import BACK_TO_BACK, FIRST_TOKENS, WARM_UP
from evaluations.models.calling import WRITING, call
from evaluations.models.protocol import Remote
from evaluations.spec import GenerationSettings, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.efficiency.latency import LatencyParams

AT_ONCE = 64  # requests under way to an endpoint, which has its own queue
SCHEMA = pa.schema(
    {
        "example_id": pa.string(),
        "phase": pa.string(),  # back_to_back, arriving or first_token
        "arrived": pa.float64(),  # seconds since the phase began
        "answered": pa.float64(),
        "ok": pa.bool_(),
        "tokens": pa.int64(),  # written
    }
)


@dataclass(frozen=True)
class Request:
    phase: str
    arrived: float
    answered: float
    ok: bool
    tokens: int


def time_shard(model: Any, data: Dataset, params: LatencyParams, ctx: Context) -> ShardState:
    """Warms up, asks back to back, asks for one token where the model writes, then lets requests arrive."""
    order = ctx.rng("requests").permutation(data.by_id)
    ends = time.monotonic() + params.most_seconds
    remote = isinstance(model, Remote)
    if remote:
        model.question = "latency"  # answers given before, under another question, are not taken from memory

    def ask(number: int, settings: GenerationSettings = params.settings) -> tuple[bool, int]:
        ctx.stop_if_cancelled()
        return call(model, data, order[number % len(order)][None], settings)

    for number in range(WARM_UP):
        ask(number)
    found = _back_to_back("back_to_back", ask, BACK_TO_BACK, ends)
    if data.modality in WRITING:
        one = params.settings.model_copy(update={"max_new_tokens": 1})
        found += _back_to_back("first_token", lambda n: ask(n, one), FIRST_TOKENS, ends)
    capacity = BACK_TO_BACK / max(
        1e-9, sum(r.answered - r.arrived for r in found if r.phase == "back_to_back")
    )
    rate = params.requests_per_second or params.load * capacity
    gaps = ctx.rng("arrivals").exponential(1 / rate, params.requests)
    # An endpoint is asked each row once: a second time its answer would come from memory.
    arrivals = np.cumsum(gaps)[: max(1, data.rows - WARM_UP - BACK_TO_BACK) if remote else None]
    arriving = _served_elsewhere if remote else _served_here
    found += arriving(lambda n: ask(n + WARM_UP + BACK_TO_BACK), arrivals, ends, ctx)
    return ShardState(_table(found))


def _back_to_back(
    phase: str, ask: Callable[[int], tuple[bool, int]], count: int, ends: float
) -> list[Request]:
    began, found = time.monotonic(), []
    for number in range(count):
        start = time.monotonic()
        if start > ends:
            break
        ok, tokens = ask(number)
        found.append(Request(phase, start - began, time.monotonic() - began, ok, tokens))
    return found


def _served_here(
    ask: Callable[[int], tuple[bool, int]], arrivals: NDArray[np.float64], ends: float, ctx: Context
) -> list[Request]:
    """One server: each request is asked when it arrives, or as soon as those before it are done. The wait counts."""
    began, found = time.monotonic(), []
    for number, due in enumerate(arrivals):
        wait = began + due - time.monotonic()
        if wait > 0:
            time.sleep(wait)  # until the request arrives: that is what is measured
        if (
            time.monotonic() > ends
        ):  # who waits by now gets no answer: leaving them out would flatter the slow
            over = time.monotonic() - began
            waiting = [due for due in arrivals[number:].tolist() if due <= ends - began]
            found += [Request("arriving", due, over, False, 0) for due in waiting]
            break
        ok, tokens = ask(number)
        found.append(Request("arriving", float(due), time.monotonic() - began, ok, tokens))
        ctx.progress(number + 1, len(arrivals), "timing")
    return found


def _served_elsewhere(
    ask: Callable[[int], tuple[bool, int]], arrivals: NDArray[np.float64], ends: float, ctx: Context
) -> list[Request]:
    """An endpoint has a queue of its own: each request is sent when it arrives, whatever is under way."""
    began, pending = time.monotonic(), []

    def answer(number: int) -> Request:
        ok, tokens = ask(number)
        return Request("arriving", float(arrivals[number]), time.monotonic() - began, ok, tokens)

    with ThreadPoolExecutor(AT_ONCE) as workers:
        for number, due in enumerate(arrivals):
            wait = began + due - time.monotonic()
            if wait > 0:
                time.sleep(wait)  # until the request arrives
            if time.monotonic() > ends:
                break
            pending.append(workers.submit(answer, number))
            ctx.progress(number + 1, len(arrivals), "timing")
        return [future.result() for future in pending]


def _table(found: list[Request]) -> pa.Table:
    return pa.table(
        [
            [f"request-{i:06d}" for i in range(len(found))],
            *([getattr(r, name) for r in found] for name in SCHEMA.names[1:]),
        ],
        schema=SCHEMA,
    )
