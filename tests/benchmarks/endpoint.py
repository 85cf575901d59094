"""Asking an endpoint of unknown capacity: our client against one with fixed concurrency and a fixed pause.

The service is a process of its own: a bucket of 50 requests a second that holds one second's worth,
429 with Retry-After in whole seconds when it is empty, 100 ms to each answer, and 503 without
Retry-After for 5 % of what the bucket let through: about 95 % of the bucket can be answers.
Neither client is told the rate. Both run at the same time, each against a service of its own.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import numpy as np
import pyarrow as pa

from evaluations.endpoints import EndpointSpec
from evaluations.engine.direct import DirectTransport
from evaluations.engine.endpoint_client import EndpointClient
from evaluations.engine.score_store import ScoreStore
from evaluations.models.endpoint_chat import ChatModel
from evaluations.spec import GenerationSettings, Modality, ModelFormat, ModelRef

RATE, LATENCY, FAILING = 50, 0.1, 20  # one of 20 fails
WARM_UP, MEASURED = 10, 60  # seconds
EXAMPLES = 3_600  # more than the bucket lets through until the end
CONCURRENCY = 16
NAIVE_PAUSE = 1.0  # seconds after a failure


def measure() -> dict[str, Any]:
    prompts = [f"example {i}" for i in range(EXAMPLES)]
    with server() as ours_url, server() as naive_url:
        answers: dict[str, list[str]] = {}
        naive = threading.Thread(target=lambda: answers.update(naive=asyncio.run(_naive(naive_url, prompts))))
        naive.start()
        answers["ours"] = _ours(ours_url, prompts)
        naive.join()
        stats = {name: _stats(url) for name, url in (("ours", ours_url), ("naive", naive_url))}
    expected = [f"heard {prompt}" for prompt in prompts]
    for name, found in stats.items():
        assert answers[name] == expected, f"{name}: an answer is missing or belongs to another example"
        assert found["different_served"] == EXAMPLES, f"{name}: an example was lost"
        assert found["most_often_served"] == 1, f"{name}: an example was answered twice"
    rates = {name: _per_second(found["times"]) for name, found in stats.items()}
    return {
        "what": f"{RATE} requests/s bucket, {LATENCY:g} s latency, one 503 in {FAILING}, {MEASURED} s after "
        f"{WARM_UP} s of warm-up; answers against the bucket, of which {1 - 1 / FAILING:.0%} can be reached",
        "equal": True,
        "ratio": round(rates["ours"] / RATE, 3),
        "naive_ratio": round(rates["naive"] / RATE, 3),
        "ours_answers_per_second": round(rates["ours"], 2),
        "naive_answers_per_second": round(rates["naive"], 2),
        "ours_refused_429": stats["ours"]["statuses"].get("429", 0),
        "naive_refused_429": stats["naive"]["statuses"].get("429", 0),
    }


def _ours(url: str, prompts: list[str]) -> list[str]:
    """As a run does it: through the store, in the portions that the adapter chooses."""
    spec = EndpointSpec(protocol="openai_chat", url=url, model="tiny", concurrency=CONCURRENCY)
    ref = ModelRef(path="", digest="", modality=Modality.CAUSAL_LM, format=ModelFormat.ENDPOINT)
    model = ChatModel(EndpointClient(spec, lambda: DirectTransport(spec, "")), ref)

    def ask(rows: np.ndarray) -> pa.Table:
        made = model.generate([prompts[i] for i in rows], GenerationSettings(), [0] * len(rows))
        return pa.table({"text": pa.array([g.text if g.status == "ok" else None for g in made], pa.string())})

    ids = np.array([str(i) for i in range(len(prompts))])
    found = ScoreStore().answers("key", ids, ask, chunk=lambda: model.at_once, ended=lambda: model.stopped)
    model.client.close()
    return [str(text) for text in found.column("text").to_pylist()]


async def _naive(url: str, prompts: list[str]) -> list[str]:
    """A semaphore, and a second's sleep after whatever was no answer."""
    places = asyncio.Semaphore(CONCURRENCY)
    async with httpx.AsyncClient() as client:

        async def one(prompt: str) -> str:
            body = {"model": "tiny", "messages": [{"role": "user", "content": prompt}]}
            async with places:
                while (reply := await client.post(f"{url}/chat/completions", json=body)).status_code != 200:
                    await asyncio.sleep(NAIVE_PAUSE)
            return str(reply.json()["choices"][0]["message"]["content"])

        return await asyncio.gather(*map(one, prompts))


@contextmanager
def server() -> Iterator[str]:
    faults = {"rate": RATE, "latency": LATENCY, "failing": FAILING}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.endpoint_server", json.dumps(faults)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def _stats(url: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(url.removesuffix("/v1") + "/stats").json()
    return found


def _per_second(times: list[float]) -> float:
    """Answers in the measured seconds, counted by the service from its first."""
    assert times[-1] >= WARM_UP + MEASURED, "the examples ran out before the time was over"
    return sum(WARM_UP <= t < WARM_UP + MEASURED for t in times) / MEASURED
