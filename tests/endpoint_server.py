"""A local model service with faults to order: latency, a token bucket with 429s, random 503s. It counts what it served.

`serving(...)` runs one in a thread; `python -m tests.endpoint_server '{"rate": 50}'` in a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil
from typing import Any

Answer = tuple[int, dict[str, str], Any]  # status, headers, JSON
Handler = Callable[[str, Any], Answer]

REASONS = {200: "OK"}


@dataclass
class Faults:
    """What the service does wrong, or does to protect itself."""

    rate: float | None = None  # requests per second; beyond them 429 with Retry-After in whole seconds
    burst: float = 1.0  # seconds' worth of requests that the bucket holds
    latency: float = 0.0  # seconds from a request to its answer
    failing: int = 0  # of as many admitted requests one, in a random place, ends with 503 without Retry-After
    seed: int = 0


@dataclass
class Service:
    """One server. `seen` holds (path, body) of every request that came, `served` how often each was answered 200."""

    handler: Handler
    faults: Faults = field(default_factory=Faults)
    seen: list[tuple[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    served: Counter[str] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)  # of each 200, monotonic
    busy: int = 0
    busiest: int = 0
    port: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.faults.seed)
        self._tokens = self._capacity = (self.faults.rate or 0) * self.faults.burst
        self._filled = time.monotonic()
        self._block: list[bool] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def start(self) -> asyncio.Server:
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    def _admitted(self) -> bool:
        if self.faults.rate is None:
            return True
        now = time.monotonic()
        self._tokens = min(self._capacity, self._tokens + (now - self._filled) * self.faults.rate)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _fails(self) -> bool:
        if not self._block and self.faults.failing:
            self._block = [True] + [False] * (self.faults.failing - 1)
            self._random.shuffle(self._block)
        return self._block.pop() if self._block else False

    async def _answer(self, path: str, body: Any) -> Answer:
        if path == "/stats":
            return 200, {}, self.stats()
        self.seen.append((path, body))
        if not self._admitted():
            assert self.faults.rate is not None
            wait = ceil((1 - self._tokens) / self.faults.rate)
            return 429, {"Retry-After": str(wait)}, {"error": {"message": "too many requests"}}
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        await asyncio.sleep(self.faults.latency)
        self.busy -= 1
        if self._fails():
            return 503, {}, {"error": {"message": "unavailable"}}
        status, headers, answer = self.handler(path.removeprefix("/v1"), body)
        if status == 200:
            self.served[json.dumps([path, body], sort_keys=True)] += 1
            self.times.append(time.monotonic())
        return status, headers, answer

    def stats(self) -> dict[str, Any]:
        first = self.times[0] if self.times else 0.0
        return {
            "statuses": dict(self.statuses),
            "times": [round(t - first, 3) for t in self.times],
            "most_often_served": max(self.served.values(), default=0),
            "different_served": len(self.served),
        }

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                fields = {
                    k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)
                }
                content = await reader.readexactly(int(fields.get("content-length", 0)))
                self.headers.append(fields)
                status, more, answer = await self._answer(
                    head[0].split(" ")[1], json.loads(content) if content else None
                )
                self.statuses[status] += 1
                raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}", f"Content-Length: {len(raw)}"]
                lines += [f"{name}: {value}" for name, value in more.items()]
                writer.write("\r\n".join([*lines, "", ""]).encode() + raw)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def chat(answer: Callable[[str], str], model: str = "tiny", **more: Any) -> Handler:
    """A chat service that answers the last message with `answer` of it."""

    def handler(path: str, body: Any) -> Answer:
        if path != "/chat/completions":
            return 404, {}, {"error": {"message": f"no {path}"}}
        asked = body["messages"][-1]["content"]
        return (
            200,
            {},
            completion({"message": {"role": "assistant", "content": answer(asked)}}, model, asked, **more),
        )

    return handler


def completion(choice: dict[str, Any], model: str = "tiny", asked: str = "", **more: Any) -> dict[str, Any]:
    """The body of an answer with one choice; one token per word was read, and two were written."""
    usage = {"prompt_tokens": len(asked.split()), "completion_tokens": 2}
    return {
        "model": model,
        "choices": [{"index": 0, "finish_reason": "stop", **choice}],
        "usage": {**usage, "total_tokens": sum(usage.values())},
        **more,
    }


@contextmanager
def serving(handler: Handler, faults: Faults | None = None) -> Iterator[Service]:
    """A service in a thread of its own, until the end of the block."""
    service = Service(handler, faults or Faults())
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(service.start(), loop).result(10)
    try:
        yield service
    finally:
        asyncio.run_coroutine_threadsafe(_stop(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _stop(server: asyncio.Server) -> None:
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def main() -> None:
    """Serves until standard input ends; the first line of output is the port."""
    service = Service(chat(lambda asked: f"heard {asked}"), Faults(**json.loads(sys.argv[1])))

    async def serve() -> None:
        server = await service.start()
        print(service.port, flush=True)
        async with server:
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

    asyncio.run(serve())


if __name__ == "__main__":
    main()
