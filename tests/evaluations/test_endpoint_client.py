"""Asking an endpoint many things at once: nothing is lost, doubled or mixed up, and the service's wishes are heard."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from evaluations.endpoints import EndpointSpec
from evaluations.engine import endpoint_client
from evaluations.engine.direct import DirectTransport
from evaluations.engine.endpoint_client import EndpointClient, Request
from evaluations.engine.transport import Ask, Reply
from evaluations.spec import EvaluationError
from tests.endpoint_server import Answer, Faults, Service, chat, serving

PATH = "/chat/completions"


def body(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "tiny", "messages": [{"role": "user", "content": text}], "temperature": 0, **more}


def text_of(outcome: Any) -> str:
    return str(outcome.body["choices"][0]["message"]["content"])


@contextmanager
def asking(service: Service, **more: Any) -> Iterator[EndpointClient]:
    spec = EndpointSpec(protocol="openai_chat", url=service.url, model="tiny", **more)
    client = EndpointClient(spec, lambda: DirectTransport(spec, "secret-of-tests"))
    try:
        yield client
    finally:
        client.close()


class Scripted:
    """A transport that gives the replies of a function, in the order in which requests come."""

    def __init__(self, reply: Any) -> None:
        self.reply, self.asked = reply, 0

    async def send(self, ask: Ask) -> Reply:
        self.asked += 1
        made: Reply = self.reply(self.asked, ask)
        return made.model_copy(update={"id": ask.id})

    async def close(self) -> None:
        pass


@contextmanager
def scripted(reply: Any, **more: Any) -> Iterator[tuple[EndpointClient, Scripted]]:
    spec = EndpointSpec(protocol="openai_chat", url="http://nowhere.invalid/v1", model="tiny", **more)
    transport = Scripted(reply)
    client = EndpointClient(spec, lambda: transport)
    try:
        yield client, transport
    finally:
        client.close()


def fine(text: str = "yes") -> Reply:
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    return Reply(id=0, status=200, body={"choices": [{"message": {"content": text}}], "usage": usage})


def test_answers_come_in_the_order_of_the_questions_each_asked_once_whatever_fails_in_between() -> None:
    faults = Faults(rate=300, latency=0.005, failing=10)
    with serving(chat(lambda asked: asked.upper()), faults) as service, asking(service) as client:
        outcomes = client.ask([Request(PATH, body(f"text {i}")) for i in range(200)])
        assert [text_of(o) for o in outcomes] == [f"TEXT {i}" for i in range(200)]
        assert set(service.served.values()) == {1}
        assert len(service.served) == 200
        assert service.statuses[503] > 0
        assert client.usage.queries == 200
        assert client.usage.tokens == 200 * (2 + 2)  # as the service counts them


def test_no_more_requests_are_under_way_than_the_endpoint_allows() -> None:
    with (
        serving(chat(str), Faults(latency=0.02)) as service,
        asking(service, concurrency=7) as client,
    ):
        client.ask([Request(PATH, body(f"{i}")) for i in range(60)])
        assert 5 <= service.busiest <= 7


def test_a_pace_that_is_given_is_kept() -> None:
    with serving(chat(str)) as service, asking(service, requests_per_second=50) as client:
        started = time.monotonic()
        client.ask([Request(PATH, body(f"{i}")) for i in range(50)])
        assert time.monotonic() - started >= (50 - 0.25 * 50 - 1) / 50


def test_nothing_is_sent_while_the_service_asks_to_wait() -> None:
    times: list[float] = []

    def handler(path: str, asked: Any) -> Answer:
        times.append(time.monotonic())
        if len(times) == 1:
            return 429, {"Retry-After": "1"}, {"error": {"message": "slow down"}}
        return chat(str)(path, asked)

    with serving(handler) as service, asking(service, concurrency=1) as client:
        outcomes = client.ask([Request(PATH, body(f"{i}")) for i in range(3)])
    assert [o.kind for o in outcomes] == ["ok"] * 3
    assert times[1] - times[0] >= 1.0


@pytest.mark.parametrize("wait", [0.0, 0.001])
def test_a_service_that_refuses_and_asks_for_no_wait_is_not_asked_without_end(
    wait: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request that it refuses is taken off the budget."""
    monkeypatch.setattr(endpoint_client, "PATIENCE", 1.0)
    with scripted(lambda n, ask: Reply(id=0, status=429, retry_after=wait)) as (client, transport):
        (outcome,) = client.ask([Request(PATH, body("a"))])
        assert outcome.code == "endpoint_rate_limited"
        assert 2 <= transport.asked <= 20


def test_a_wait_longer_than_patience_ends_the_asking_with_its_reason() -> None:
    with scripted(lambda n, ask: Reply(id=0, status=429, retry_after=86_400.0)) as (client, transport):
        outcomes = client.ask([Request(PATH, body("a"))])
        assert outcomes[0].kind == "unasked"
        assert client.stopped is not None
        assert client.stopped.code == "endpoint_rate_limited"
        assert "86400" in client.stopped.message
        assert transport.asked == 1


def test_identical_questions_under_way_are_asked_once_and_draws_apart_each() -> None:
    with serving(chat(str), Faults(latency=0.01)) as service, asking(service) as client:
        same = client.ask([Request(PATH, body("same")) for _ in range(20)])
        assert {text_of(o) for o in same} == {"same"}
        assert len(service.seen) == 1
        client.ask([Request(PATH, body("drawn", temperature=1), apart=seed) for seed in range(5)])
        assert len(service.seen) == 6


def test_an_answer_is_remembered_within_its_question_and_not_for_another_nor_for_a_changed_service() -> None:
    with serving(chat(str)) as service, asking(service) as client:
        client.question = "the probabilities"
        client.ask([Request(PATH, body("a"))])
        client.ask([Request(PATH, body("a"))])
        assert len(service.seen) == 1
        client.question = "the probabilities, a second time"
        client.ask([Request(PATH, body("a"))])
        assert len(service.seen) == 2
        client.identity = "another fingerprint"
        client.ask([Request(PATH, body("a"))])
        assert len(service.seen) == 3


def test_an_error_is_never_remembered() -> None:
    with scripted(lambda n, ask: Reply(id=0, status=400) if n == 2 else fine()) as (client, transport):
        client.ask([Request(PATH, body("first"))])
        assert client.ask([Request(PATH, body("a"))])[0].kind == "error"
        assert client.ask([Request(PATH, body("a"))])[0].kind == "ok"
        assert transport.asked == 3


def test_a_request_that_keeps_failing_is_given_up_and_is_an_error_of_its_example_alone() -> None:
    def reply(n: int, ask: Ask) -> Reply:
        bad = ask.body["messages"][0]["content"] == "bad"
        return Reply(id=0, status=500, body={"error": {"message": "crash"}}) if bad else fine()

    with scripted(reply) as (client, transport):
        client._jitter.uniform = lambda low, high: 0.0  # type: ignore[method-assign]  # no waiting in a test
        outcomes = client.ask([Request(PATH, body(text)) for text in ("good", "bad", "good too")])
        assert [o.kind for o in outcomes] == ["ok", "error", "ok"]
        assert "500: crash" in outcomes[1].reason
        assert client.stopped is None
        assert transport.asked == 2 + 6


def test_a_budget_that_is_reached_keeps_what_was_answered_and_asks_nothing_more() -> None:
    def reply(n: int, ask: Ask) -> Reply:
        return (
            fine() if n <= 10 else Reply(id=0, refusal="budget_reached", message="500 requests are used up.")
        )

    with scripted(reply, concurrency=3) as (client, transport):
        outcomes = client.ask([Request(PATH, body(f"{i}")) for i in range(100)])
        assert Counter(o.kind for o in outcomes) == {"ok": 10, "unasked": 90}
        assert transport.asked <= 10 + 3
        assert client.stopped is not None
        assert client.stopped.code == "budget_reached"
        assert "supersedes this one with a larger budget" in client.stopped.message
        with pytest.raises(EvaluationError, match="budget"):
            client.ask([Request(PATH, body("one more"))])
        assert transport.asked <= 10 + 3


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply(id=0, status=401, body={"error": {"message": "bad key"}}), "endpoint_unauthorised"),
        (Reply(id=0, status=404, body={"detail": "Not Found"}), "endpoint_not_found"),
        (Reply(id=0, status=307), "endpoint_redirects"),
        (Reply(id=0, status=429, body={"error": {"code": "insufficient_quota"}}), "endpoint_quota"),
        (Reply(id=0, refusal="egress_refused", message="Not allowed."), "egress_refused"),
    ],
)
def test_what_only_a_person_can_mend_ends_the_asking_at_once(reply: Reply, code: str) -> None:
    with scripted(lambda n, ask: reply, concurrency=2) as (client, transport):
        outcomes = client.ask([Request(PATH, body(f"{i}")) for i in range(50)])
        assert {o.kind for o in outcomes} == {"unasked"}
        assert client.stopped is not None
        assert client.stopped.code == code
        assert transport.asked <= 2


def test_a_service_that_refuses_everything_is_not_asked_four_thousand_times() -> None:
    refused = Reply(id=0, status=400, body={"error": {"message": "unknown parameter: seed"}})
    with scripted(lambda n, ask: refused) as (client, transport):
        client.ask([Request(PATH, body(f"{i}")) for i in range(1000)])
        assert client.stopped is not None
        assert client.stopped.code == "endpoint_failing"
        assert "unknown parameter: seed" in client.stopped.message
        assert transport.asked < 40


@pytest.mark.parametrize(
    "error",
    [
        {"code": "content_filter", "message": "filtered"},
        {"code": "400", "innererror": {"code": "ResponsibleAIPolicyViolation"}},
        {"code": "content_policy_violation"},
    ],
)
def test_a_content_filters_block_is_no_error(error: dict[str, Any]) -> None:
    with scripted(lambda n, ask: Reply(id=0, status=400, body={"error": error})) as (client, _):
        assert client.ask([Request(PATH, body("a"))])[0].kind == "blocked"


def test_a_request_that_cannot_be_written_is_an_error_of_its_example() -> None:
    with scripted(lambda n, ask: fine(ask.model_dump_json())) as (client, _):
        outcomes = client.ask([Request(PATH, body("half \ud800 a pair")), Request(PATH, body("whole"))])
        assert [o.kind for o in outcomes] == ["error", "ok"]


def test_several_threads_may_ask_at_once_and_share_what_is_the_same() -> None:
    with serving(chat(str), Faults(latency=0.05)) as service, asking(service) as client:

        def ask(number: int) -> list[str]:
            texts = ["shared", f"own {number}"]
            return [text_of(o) for o in client.ask([Request(PATH, body(text)) for text in texts])]

        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(ask, range(8)))
        assert found == [["shared", f"own {number}"] for number in range(8)]
        assert len(service.seen) == 9


def test_an_interrupt_ends_what_is_under_way_and_the_next_question_is_answered() -> None:
    with serving(chat(str), Faults(latency=0.3)) as service, asking(service, concurrency=2) as client:
        waiting = asyncio.run_coroutine_threadsafe

        def interrupted(work: Any, loop: Any) -> Any:
            future = waiting(work, loop)
            future.result = lambda: (_ for _ in ()).throw(KeyboardInterrupt)  # type: ignore[method-assign,assignment]
            return future

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(asyncio, "run_coroutine_threadsafe", interrupted)
            with pytest.raises(KeyboardInterrupt):
                client.ask([Request(PATH, body(f"{i}")) for i in range(50)])
        assert text_of(client.ask([Request(PATH, body("after"))])[0]) == "after"
        assert len(service.seen) < 10


def test_the_client_ends_its_thread() -> None:
    before = threading.active_count()
    with scripted(lambda n, ask: fine()) as (client, _):
        client.ask([Request(PATH, body("a"))])
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
