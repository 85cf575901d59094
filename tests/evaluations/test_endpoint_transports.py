"""The two ways to an endpoint: straight from a notebook, and through a socket to a broker."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from evaluations.endpoints import EndpointSpec, RestMapping
from evaluations.engine import direct, pipe
from evaluations.engine.direct import DirectTransport
from evaluations.engine.transport import (
    BROKER_FD,
    Ask,
    Reply,
    decode_ask,
    encode,
    frame_length,
    retry_after_of,
)
from evaluations.models import endpoint
from evaluations.spec import EvaluationError, Modality, ModelFormat, ModelRef
from tests.endpoint_server import Answer, Service, chat, serving


def spec_of(service: Service, **more: Any) -> EndpointSpec:
    return EndpointSpec(protocol="openai_chat", url=service.url, model="tiny", **more)


def sent(spec: EndpointSpec, *asks: Ask) -> list[Reply]:
    async def all_of_them() -> list[Reply]:
        transport = DirectTransport(spec, "secret-of-tests")
        try:
            return list(await asyncio.gather(*map(transport.send, asks)))
        finally:
            await transport.close()

    return asyncio.run(all_of_them())


@pytest.fixture
def nothing_sent_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct, "_bound", {})


@pytest.mark.parametrize(
    ("written", "secret"),
    [
        ("", ""),
        ("alone", "alone"),
        ("https://host.example=mine==", "mine=="),
        ("https://other.example=theirs https://HOST.example:443/=mine", "mine"),
        ("https://other.example=theirs", ""),
        ("http://host.example=mine https://host.example:8443=mine https://host.example:no=mine", ""),
        ("https://host.example=mine alone", "mine"),
    ],
)
def test_a_secret_with_an_address_goes_there_alone(
    written: str, secret: str, monkeypatch: pytest.MonkeyPatch, nothing_sent_yet: None
) -> None:
    monkeypatch.setenv("AUDITOR_ENDPOINT_KEY", written)
    spec = EndpointSpec(protocol="openai_chat", url="https://host.example/v1", model="m")
    assert direct.credential_for(spec) == secret


def test_a_bare_secret_goes_to_one_service_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, nothing_sent_yet: None
) -> None:
    """Such as the audited model's, where another provider's model judges."""
    monkeypatch.setenv("AUDITOR_ENDPOINT_KEY", "sk-hunter2-hunter2")
    monkeypatch.delenv(BROKER_FD, raising=False)

    def loaded(url: str) -> None:
        spec = EndpointSpec(protocol="openai_chat", url=url, model="m")
        (tmp_path / "endpoint.json").write_text(spec.model_dump_json(by_alias=True))
        ref = ModelRef(
            path=str(tmp_path), digest="d", modality=Modality.CAUSAL_LM, format=ModelFormat.ENDPOINT
        )
        endpoint.load(tmp_path, ref)

    for same in ("https://a.example/v1", "https://a.example/v2"):
        loaded(same)
    with pytest.raises(EvaluationError) as refused:
        loaded("https://b.example/v1")
    assert refused.value.code == "credential_origin"
    assert "hunter2" not in refused.value.message
    monkeypatch.setenv("AUDITOR_ENDPOINT_KEY", "sk-another")
    loaded("https://b.example/v1")


QUESTION = {"messages": [{"role": "user", "content": "hello"}]}


def test_a_direct_request_carries_the_credential_and_returns_status_wait_and_body() -> None:
    def handler(path: str, body: Any) -> Answer:
        return 418, {"Retry-After": "7"}, {"path": path, "body": body}

    with serving(handler) as service:
        (reply,) = sent(spec_of(service), Ask(id=3, path="/chat/completions", body=QUESTION))
        assert reply == Reply(
            id=3, status=418, retry_after=7.0, body={"path": "/chat/completions", "body": QUESTION}
        )
        assert service.headers[0]["authorization"] == "Bearer secret-of-tests"


def test_a_redirect_is_not_followed() -> None:
    with serving(chat(str)) as other:

        def handler(path: str, body: Any) -> Answer:
            return 307, {"Location": other.url + path}, {}

        with serving(handler) as service:
            (reply,) = sent(spec_of(service), Ask(id=1, path="/chat/completions", body=QUESTION))
        assert reply.status == 307
        assert not other.seen


def test_a_service_that_is_not_there_or_does_not_answer_is_typed() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        spec = EndpointSpec(protocol="openai_chat", url=url, model="tiny")
        (reply,) = sent(spec, Ask(id=1, path="/x", body={}))
        assert reply.refusal == "endpoint_unreachable"
        taken.listen(1)
        (reply,) = sent(spec.model_copy(update={"timeout_seconds": 0.2}), Ask(id=1, path="/x", body={}))
        assert reply.refusal == "endpoint_timeout"


def test_an_answer_that_is_no_json_is_handed_over_as_text() -> None:
    with serving(lambda path, body: (502, {}, b"<html>bad gateway</html>")) as service:
        (reply,) = sent(spec_of(service), Ask(id=1, path="/x", body={}))
    assert reply.body == "<html>bad gateway</html>"


@pytest.mark.parametrize("path", ["chat", "@evil.example/x", " /a", "/a#b", "/a\n", "/a b", "\\\\evil"])
def test_a_path_that_could_lead_elsewhere_is_no_request(path: str) -> None:
    with pytest.raises(ValidationError):
        Ask(id=1, path=path)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/v1",
        "https://user:secret@host/v1",
        "https://host/v1?key=secret",
        "https://host/v1#part",
        "//host/v1",
        "host/v1",
    ],
)
def test_an_address_holds_no_secret_and_is_http(url: str) -> None:
    with pytest.raises(ValidationError):
        EndpointSpec(protocol="openai_chat", url=url, model="m")


@pytest.mark.parametrize(
    "url", ["https://host/v1 beta", "https://host/é", "https://hést", "https://ho\nst", " https://host"]
)
def test_an_address_that_could_not_be_sent_as_it_is_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="%20"):
        EndpointSpec(protocol="openai_chat", url=url, model="m")


def test_endpoint_json_says_what_does_not_fit_together() -> None:
    with pytest.raises(ValidationError, match="rest"):
        EndpointSpec(protocol="rest", url="https://host")
    with pytest.raises(ValidationError, match="Name the model"):
        EndpointSpec(protocol="openai_chat", url="https://host")
    with pytest.raises(ValidationError, match="where the inputs go"):
        RestMapping(body={"fixed": 1})
    spec = EndpointSpec(protocol="openai_chat", url="https://Host.example:8443/v1/", model="m")
    assert spec.origin == ("https", "host.example", 8443)
    assert EndpointSpec.model_validate_json(spec.model_dump_json(by_alias=True)) == spec


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "12"}, 12.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 10.0),  # RFC 9110, 10.2.3
        ({"retry-after": "soon"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"}, None),
        ({"retry-after": "2", "retry-after-ms": "250"}, 0.25),
    ],
)
def test_a_wait_is_read_in_every_form(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_of(headers, now=1445412470.0) == seconds  # ten seconds before that date


# --- through the pipe --------------------------------------------------------------------------------


@contextmanager
def broker(answer: Any, batch: int = 1) -> Iterator[socket.socket]:
    """A stand-in for the supervisor's broker: reads `batch` frames, and answers them in a random order."""
    ours, theirs = socket.socketpair()

    def run() -> None:
        with ours, ours.makefile("rb") as stream, suppress(OSError):  # the other end may have gone
            while True:
                asks = []
                for _ in range(batch):
                    if len(head := stream.read(4)) < 4:
                        return
                    asks.append(decode_ask(stream.read(frame_length(head))))
                random.Random(1).shuffle(asks)
                for ask in asks:
                    frame = answer(ask)
                    if frame is None:
                        return
                    ours.sendall(frame)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield theirs
    finally:
        theirs.close()
        thread.join(10)


def through(end: socket.socket, *asks: Ask) -> list[Reply]:
    async def all_of_them() -> list[Reply]:
        transport = pipe.PipeTransport(end)
        try:
            return list(await asyncio.gather(*map(transport.send, asks)))
        finally:
            await transport.close()

    return asyncio.run(all_of_them())


def test_replies_find_their_requests_in_any_order_also_large_ones() -> None:
    def answer(ask: Ask) -> bytes:
        return encode(Reply(id=ask.id, status=200, body={"heard": ask.body, "padding": "é" * 200_000}))

    with broker(answer, batch=8) as end:
        replies = through(end, *(Ask(id=i, path="/x", body={"number": i}) for i in range(16)))
    assert [reply.body["heard"]["number"] for reply in replies] == list(range(16))


@pytest.mark.parametrize(
    "frame",
    [None, b"\xff\xff\xff\xff", b"\x00\x00\x00\x02{}", b"\x00\x00\x00\x03abc"],
    ids=["it ends", "too large", "no reply", "no JSON"],
)
def test_a_broker_that_ends_or_speaks_something_else_answers_nothing_more(frame: bytes | None) -> None:
    with broker(lambda ask: frame) as end:
        replies = through(end, Ask(id=1, path="/x"), Ask(id=2, path="/x"))
    assert [reply.refusal for reply in replies] == ["endpoint_unreachable"] * 2


def test_the_broker_is_found_by_the_number_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with broker(lambda ask: encode(Reply(id=ask.id, status=204))) as end:
        monkeypatch.setenv(BROKER_FD, str(end.detach()))

        async def one() -> Reply:
            transport = pipe.broker()
            try:
                return await transport.send(Ask(id=5, path="/x"))
            finally:
                await transport.close()

        assert asyncio.run(one()) == Reply(id=5, status=204)
    for wrong in ("", "x", "99999"):
        monkeypatch.setenv(BROKER_FD, wrong)
        with pytest.raises(EvaluationError, match="names no socket"):
            pipe.broker()


def test_a_frame_is_its_length_and_json() -> None:
    frame = encode(Ask(id=1, path="/x", body={"a": [1, "é"]}))
    assert frame_length(frame[:4]) == len(frame) - 4
    assert json.loads(frame[4:])["body"] == {"a": [1, "é"]}
    with pytest.raises(EvaluationError, match="larger than"):
        encode(Ask(id=1, path="/x", body="x" * 33 * 2**20))
