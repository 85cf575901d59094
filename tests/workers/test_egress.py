"""The broker sends to the registered service alone, whatever the child, the service or the name server try."""

from __future__ import annotations

import ipaddress
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from evaluations.endpoints import EndpointSpec, Price
from evaluations.engine.transport import Ask
from tests.workers.egress import LOOPBACK, Child, Server, brokered, echo, resolver, rest, serving
from workers.egress import targets
from workers.egress.addresses import EgressRefused, special
from workers.egress.broker import Broker, Credential

SECRET = Credential("Authorization", "Bearer sk-hunter2-hunter2", "sk-hunter2-hunter2")


@pytest.fixture
def server() -> Any:
    with serving() as found:
        yield found


# --- the good path -------------------------------------------------------------------------------


def test_a_request_reaches_the_registered_service_with_the_credential(server: Server) -> None:
    with brokered(rest(server.url + "/v1"), allowed=LOOPBACK, credential=SECRET) as child:
        reply = child.ask("/models/m:predict?x=1", {"instances": [1, "é"]})
    assert (reply.status, reply.body, reply.refusal) == (200, {"asked": {"instances": [1, "é"]}}, None)
    (received,) = server.received
    assert (received.method, received.path) == ("POST", "/v1/models/m:predict?x=1")
    assert received.headers["Authorization"] == "Bearer sk-hunter2-hunter2"
    assert received.headers["Host"] == f"127.0.0.1:{server.port}"
    assert set(received.headers) == {
        "Authorization", "Host", "User-Agent", "Accept", "Accept-Encoding", "Content-Type", "Content-Length",
    }  # fmt: skip


def test_many_requests_are_under_way_at_a_time_and_each_gets_its_own_reply() -> None:
    def slow(path: str, body: Any) -> tuple[int, dict[str, str], bytes]:
        time.sleep(0.2)
        return echo(path, body)

    with serving(slow) as server, brokered(rest(server.url, concurrency=8), allowed=LOOPBACK) as child:
        started = time.monotonic()
        for number in range(16):
            child.send(Ask(id=number, path="/", body=number))
        replies = [child.reply() for _ in range(16)]
        elapsed = time.monotonic() - started
    assert {reply.id: reply.body["asked"] for reply in replies} == {n: n for n in range(16)}
    assert 0.4 <= elapsed < 16 * 0.2  # eight at a time, never more


def test_an_error_of_the_service_is_handed_on_with_how_long_to_wait() -> None:
    def busy(path: str, body: Any) -> tuple[int, dict[str, str], bytes]:
        return 429, {"Retry-After": "7", "Set-Cookie": "a=b"}, b"slow down"

    with serving(busy) as server, brokered(rest(server.url), allowed=LOOPBACK) as child:
        reply = child.ask()
    assert (reply.status, reply.retry_after, reply.body) == (429, 7.0, "slow down")
    assert "a=b" not in reply.model_dump_json()


def test_the_environment_names_no_proxy(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "https_proxy"):
            monkeypatch.setenv(name, proxy.url)
        with brokered(rest(server.url), allowed=LOOPBACK) as child:
            assert child.ask().status == 200
        assert not proxy.received


# --- tricks with addresses -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]",
        "[2002:7f00:1::]", "[::127.0.0.1]", "[::]", "0.0.0.0", "169.254.169.254", "[fd00:ec2::254]", "168.63.129.16",
        "100.100.100.200", "10.0.0.1", "192.168.1.1", "172.16.0.1", "[fe80::1]", "224.0.0.1", "[ff02::1]",
        "255.255.255.255", "240.0.0.1", "2130706433", "0x7f000001", "0x7f.1", "017700000001", "0177.0.0.1", "127.1",
        "127.0.0.1.", "localhost", "localhost.",
    ],
)  # fmt: skip
def test_an_address_inside_is_refused_however_it_is_written(host: str, server: Server) -> None:
    with brokered(rest(f"http://{host}:{server.port}")) as child:
        reply = child.ask()
    assert reply.refusal == "egress_refused", reply
    assert reply.message
    assert not server.received


def test_a_name_that_leads_inside_is_refused_though_one_of_its_addresses_is_public(server: Server) -> None:
    resolve, _ = resolver(["93.184.216.34", "127.0.0.1"])
    with brokered(rest(f"https://example.org:{server.port}"), resolve=resolve) as child:
        assert child.ask().refusal == "egress_refused"


def test_rebinding_gains_nothing_what_was_checked_is_connected_to(server: Server) -> None:
    """The name leads to the allowed address when it is checked, and to another machine a moment later."""
    with serving(host="127.0.0.2", port=server.port) as inside:
        resolve, asked = resolver(["127.0.0.1"], ["127.0.0.2"])
        spec = rest(f"http://rebinding.example:{server.port}")
        with brokered(spec, allowed=LOOPBACK, resolve=resolve) as child:
            assert child.ask().status == 200
            assert asked == ["rebinding.example"]  # once for the connection: there is no second look
        assert server.received[0].headers["Host"] == f"rebinding.example:{server.port}"
        with brokered(spec, allowed=LOOPBACK, resolve=resolve) as child:  # a new connection: the new answer
            assert child.ask().refusal == "egress_refused"
        assert not inside.received


def test_an_administrator_can_allow_a_network_and_nothing_beside_it(server: Server) -> None:
    with (
        serving(host="127.0.0.2") as other,
        brokered(rest(f"http://127.0.0.2:{other.port}"), allowed=LOOPBACK) as child,
    ):
        assert child.ask().refusal == "egress_refused"
        assert not other.received


def test_plain_http_to_a_public_address_is_refused() -> None:
    resolve, _ = resolver(["93.184.216.34"])
    with brokered(rest("http://example.org"), resolve=resolve, credential=SECRET) as child:
        reply = child.ask()
    assert reply.refusal == "egress_refused"
    assert "https" in reply.message


def test_rows_that_stay_in_the_network_go_to_no_public_address() -> None:
    resolve, _ = resolver(["93.184.216.34"])
    with brokered(rest("https://example.org"), resolve=resolve, own_network=True) as child:
        reply = child.ask()
    assert reply.refusal == "egress_refused"
    assert "same_network" in reply.message


@pytest.mark.parametrize("address", ["93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946"])
def test_public_addresses_are_not_special(address: str) -> None:
    assert special(ipaddress.ip_address(address)) == ""


# --- tricks with paths ---------------------------------------------------------------------------

PATHS = [
    "//127.0.0.1:1/", "//169.254.169.254/latest", "http://169.254.169.254/", "/http://169.254.169.254/",
    "@169.254.169.254/", "/user:pw@169.254.169.254/", ":1/", "../admin", "/../admin", "/a/../../admin", "/..",
    "/%2e%2e/admin", "/%252e%252e/admin", "/a%2f..%2f..%2fadmin", "/%2f169.254.169.254/", "/\\169.254.169.254/",
    "/%5c%5c169.254.169.254/", "/a\r\nHost: evil\r\n\r\n", "/a%0d%0aHost:%20evil", "/a b", "/a\x00b", "/a%00b",
    "/#fragment", "/%", "/%zz", "/\u2025/admin", "/a?b\r\nc",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_means_another_place_is_refused_with_a_type(path: str, server: Server) -> None:
    with brokered(rest(server.url + "/v1"), allowed=LOOPBACK, credential=SECRET) as child:
        reply = child.ask(path)
        assert reply.refusal == "egress_refused", reply
        assert child.ask("/ok").status == 200  # the pipe goes on
    assert [each.path for each in server.received] == ["/v1/ok"]


@pytest.mark.parametrize("path", PATHS)
def test_paths_are_checked_by_the_broker_itself_and_not_by_the_childs_types_alone(path: str) -> None:
    try:
        joined = targets.target("/v1", path)
    except EgressRefused:
        return
    assert joined.startswith(b"/v1/")  # then it is a place below
    assert b".." not in joined
    assert path == ":1/"


@pytest.mark.parametrize(
    ("base", "path", "joined"),
    [
        ("/v1", "/chat/completions", "/v1/chat/completions"),
        ("", "", "/"),
        ("/v1", "", "/v1"),
        ("/v1/models/m:predict", "", "/v1/models/m:predict"),
        ("/v1", "/m@001:predict".replace("/m@", "/models/m@"), "/v1/models/m@001:predict"),
        ("/openai", "/deployments/d/chat/completions?api-version=2024-10-21",
         "/openai/deployments/d/chat/completions?api-version=2024-10-21"),
        ("/v1", "/a%20b", "/v1/a%20b"),
    ],
)  # fmt: skip
def test_plain_paths_are_joined_to_the_registered_address(base: str, path: str, joined: str) -> None:
    assert targets.target(base, path) == joined.encode()


def test_a_child_can_name_no_host_no_port_and_no_header(server: Server) -> None:
    with serving() as other, brokered(rest(server.url), allowed=LOOPBACK, credential=SECRET) as child:
        for more in (
            {"host": "127.0.0.1", "port": other.port},
            {"url": other.url},
            {"headers": {"Host": "evil", "X-Forwarded-Host": "evil"}},
            {"method": "PUT"},
            {"method": "GET /evil HTTP/1.1\r\nHost: evil\r\n\r\n"},
        ):
            assert child.ask("/", **more).refusal == "egress_refused"
        assert not other.received
    assert not server.received


# --- tricks of the service -----------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_never_followed(status: int) -> None:
    with serving() as inside:

        def away(path: str, body: Any) -> tuple[int, dict[str, str], bytes]:
            return status, {"Location": f"http://127.0.0.1:{inside.port}/admin"}, b""

        with (
            serving(away) as server,
            brokered(rest(server.url), allowed=LOOPBACK, credential=SECRET) as child,
        ):
            reply = child.ask()
        assert reply.refusal == "egress_refused"
        assert "redirect" in reply.message
        assert not inside.received


def test_a_service_that_echoes_the_credential_does_not_tell_it_to_the_sandbox() -> None:
    def told(path: str, body: Any) -> tuple[int, dict[str, str], bytes]:
        escaped = "".join(f"\\u{ord(c):04x}" for c in "sk-hunter2-hunter2")
        return (
            200,
            {},
            f'{{"plain": "key sk-hunter2-hunter2", "escaped": ["{escaped}"], "{escaped}": 1}}'.encode(),
        )

    with serving(told) as server, brokered(rest(server.url), allowed=LOOPBACK, credential=SECRET) as child:
        reply = child.ask()
    assert reply.status == 200
    assert "sk-hunter2-hunter2" not in str(reply.body)
    assert reply.body["plain"] == "key [credential removed]"
    assert "hunter2" not in repr(SECRET)


@contextmanager
def saying(reply: bytes) -> Iterator[str]:
    """A service that answers every connection with these bytes, HTTP or not."""
    listening = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        with suppress(OSError):  # closed at the end
            while True:
                connection, _ = listening.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(reply)

    threading.Thread(target=answer, daemon=True).start()
    with listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 302 Found\r\nLocation: https://x/?key=KEY\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: " + b"x" * 190 + b"KEY\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno header Bearer KEY\r\n\r\n",
        b"KEY HTTP\r\n\r\n",
    ],
    ids=["redirect", "redirect that is cut", "no header", "no HTTP"],
)
@pytest.mark.parametrize("key", ["sk-hunter2-hunter2", "sk'hunter2\\hunter2"])
def test_a_message_about_an_odd_reply_does_not_quote_the_credential(
    reply: bytes, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    credential = Credential("Authorization", f"Bearer {key}", key)
    with (
        saying(reply.replace(b"KEY", key.encode())) as url,
        brokered(rest(url), allowed=LOOPBACK, credential=credential) as child,
    ):
        message = child.ask().message
    assert message
    assert "hunter2" not in message + caplog.text


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        (b"\xff\xfe plain", "\ufffd\ufffd plain"),
        (b'{"a": "\\ud800"}', {"a": "?"}),
        (b"[" * 100_000, "[" * 100_000),
        (b'{"n": ' + b"9" * 5000 + b"}", '{"n": ' + "9" * 5000 + "}"),
        (b"", ""),
    ],
    ids=["no text", "half a surrogate", "nested", "long number", "nothing"],
)
def test_odd_replies_are_handed_on_as_what_they_are(content: bytes, seen: Any) -> None:
    with (
        serving(lambda path, body: (200, {}, content)) as server,
        brokered(rest(server.url), allowed=LOOPBACK) as child,
    ):
        assert child.ask().body == seen


def test_a_reply_nested_beyond_what_a_frame_holds_is_refused() -> None:
    content = b"[" * 400 + b"]" * 400
    with (
        serving(lambda path, body: (200, {}, content)) as server,
        brokered(rest(server.url), allowed=LOOPBACK) as child,
    ):
        assert child.ask().refusal in (None, "endpoint_reply_too_large")
        assert child.ask().refusal in (None, "endpoint_reply_too_large")  # and the pipe goes on


def test_a_reply_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    from workers.egress import replies

    monkeypatch.setattr(replies, "LARGEST", 1000)
    with (
        serving(lambda path, body: (200, {}, b"x" * 1001)) as server,
        brokered(rest(server.url), allowed=LOOPBACK) as child,
    ):
        assert child.ask().refusal == "endpoint_reply_too_large"


def test_all_replies_together_are_cut_too_and_leave_no_room_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    from workers.egress import broker

    monkeypatch.setattr(broker, "ROOM_OF_REPLIES", 1500)
    together = threading.Barrier(2)

    def large(path: str, body: Any) -> tuple[int, dict[str, str], bytes]:
        if body == "held":
            together.wait(5)
            return 200, {"Content-Length": "1001"}, b"x" * 1000  # one more is to come, and never does
        return 200, {}, b"x" * 1000

    with (
        serving(large) as server,
        brokered(rest(server.url, timeout_seconds=1), allowed=LOOPBACK) as child,
    ):
        for number in range(2):
            child.send(Ask(id=number, path="", body="held"))
        found = sorted(str(child.reply().refusal) for _ in range(2))
        assert found == ["endpoint_reply_too_large", "endpoint_timeout"]
        assert child.ask().status == 200


def test_a_service_that_drips_is_left_when_its_time_is_up() -> None:
    def silent(path: str, body: Any) -> tuple[int, dict[str, str], bytes]:
        time.sleep(3)
        return 200, {}, b""

    with (
        serving(silent) as server,
        brokered(rest(server.url, timeout_seconds=0.3), allowed=LOOPBACK) as child,
    ):
        started = time.monotonic()
        assert child.ask().refusal == "endpoint_timeout"
        assert time.monotonic() - started < 2


def test_a_service_that_is_not_there_is_told_apart() -> None:
    with serving() as server:
        url = server.url
    with brokered(rest(url), allowed=LOOPBACK) as child:
        assert child.ask().refusal == "endpoint_unreachable"


def test_a_certificate_is_checked_against_the_registered_name(tmp_path: Path) -> None:
    right, wrong = certificate(tmp_path, "models.example"), certificate(tmp_path, "other.example")
    resolve, _ = resolver(["127.0.0.1"])
    for issued, refusal in ((right, None), (wrong, "endpoint_unreachable")):
        with (
            serving(certificate=issued) as server,
            brokered(
                rest(f"https://models.example:{server.port}"),
                allowed=LOOPBACK,
                authorities=issued,
                resolve=resolve,
            ) as child,
        ):
            reply = child.ask()
            assert reply.refusal == refusal, reply
    with (
        serving(certificate=right) as server,
        brokered(rest(f"https://models.example:{server.port}"), allowed=LOOPBACK, resolve=resolve) as child,
    ):
        assert child.ask().refusal == "endpoint_unreachable"  # nobody vouches for it


def certificate(folder: Path, name: str) -> Path:
    """A self-signed certificate for `name`, with its key."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    path.write_bytes(
        made.public_bytes(Encoding.PEM) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return path


# --- the pipe ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [b"\xff\xff\xff\xff", b"\x00\x00\x00\x03abc", b"\x00\x00\x00\x02[]", b"\x00\x00\x00\x02{}"],
    ids=["too long", "no JSON", "no request", "no number"],
)
def test_a_child_that_speaks_something_else_is_hung_up_on(content: bytes, server: Server) -> None:
    broker = Broker(rest(server.url), allowed=LOOPBACK)
    broker.start()
    broker.child_end.sendall(content)
    assert Child(broker.child_end).hung_up()
    assert broker.stop().requests == 0


def test_stopping_ends_what_is_under_way() -> None:
    def silent(path: str, body: Any) -> tuple[int, dict[str, str], bytes]:
        time.sleep(3)
        return 200, {}, b""

    with serving(silent) as server:
        broker = Broker(rest(server.url), allowed=LOOPBACK)
        broker.start()
        Child(broker.child_end).send(Ask(id=1, path=""))
        while not server.received:
            time.sleep(0.01)
        started = time.monotonic()
        spent = broker.stop()
        assert time.monotonic() - started < 2
    assert spent.requests == 1  # it was sent, and may be charged


@pytest.mark.parametrize("concurrency", [1, 2])
def test_stopping_ends_what_is_under_way_with_no_room_for_more(concurrency: int) -> None:
    released, wallet = threading.Event(), Wallet(requests=100)

    def silent(path: str, body: Any) -> tuple[int, dict[str, str], bytes]:
        released.wait(5)
        return 200, {}, b""

    with serving(silent) as server:
        broker = Broker(rest(server.url, concurrency=concurrency), allowed=LOOPBACK, account=wallet)
        broker.start()
        for number in range(4):
            Child(broker.child_end).send(Ask(id=number, path=""))
        while len(server.received) < concurrency:
            time.sleep(0.01)
        started = time.monotonic()
        spent = broker.stop()
        elapsed = time.monotonic() - started
        released.set()
    assert elapsed < 2
    assert spent.requests == concurrency
    assert wallet.left[0] == 100 - concurrency


def test_large_requests_wait_for_each_other_and_all_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no child can fill the supervisor's memory with what the service has not taken yet."""
    from workers.egress import broker

    monkeypatch.setattr(broker, "ROOM", 1000)
    lock, busy, most = threading.Lock(), 0, 0

    def watched(path: str, body: Any) -> tuple[int, dict[str, str], bytes]:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.05)
        with lock:
            busy -= 1
        return 200, {}, b"{}"

    for size, at_once in ((100, 4), (600, 1), (5000, 1)):
        most = 0
        with (
            serving(watched) as server,
            brokered(rest(server.url, concurrency=4), allowed=LOOPBACK) as child,
        ):
            for number in range(8):
                child.send(Ask(id=number, path="", body="x" * size))
            assert sorted(child.reply().id for _ in range(8)) == list(range(8))
        assert most == at_once


# --- budgets -------------------------------------------------------------------------------------


class Wallet:
    """An account in memory."""

    def __init__(self, requests: int = 10**9, tokens: int = 10**9, cost: float = 1e9) -> None:
        self.left = [requests, tokens, cost]

    def draw(self, amount: Any) -> bool:
        wanted = [amount.requests, amount.tokens, amount.cost]
        if any(have < want for have, want in zip(self.left, wanted, strict=True)):
            return False
        self.left = [have - want for have, want in zip(self.left, wanted, strict=True)]
        return True

    def give_back(self, amount: Any) -> None:
        self.left = [
            have + more
            for have, more in zip(self.left, [amount.requests, amount.tokens, amount.cost], strict=True)
        ]


def counting(path: str, body: Any) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, json.dumps({"usage": {"prompt_tokens": 30, "completion_tokens": 10}}).encode()


PRICED = Price(input_per_million=1_000_000, output_per_million=2_000_000, per_request=5)


def spec_of(server: Server) -> EndpointSpec:
    return rest(server.url, price=PRICED)


@pytest.mark.parametrize(
    ("wallet", "sent"),
    [(Wallet(requests=3), 3), (Wallet(tokens=160), 3), (Wallet(cost=200.0), 2), (Wallet(requests=0), 0)],
    ids=["requests", "tokens", "cost", "nothing at all"],
)
def test_a_budget_is_never_exceeded_and_what_is_left_is_given_back(wallet: Wallet, sent: int) -> None:
    """Each request sets 50 tokens aside and uses 30 and 10: 5 + 30 + 20 of cost, and 5 + 2 * 50 set aside."""
    before = list(wallet.left)
    with serving(counting) as server:
        broker = Broker(spec_of(server), allowed=LOOPBACK, account=wallet)
        broker.start()
        child = Child(broker.child_end)
        refusals = [child.ask(expected_tokens=50).refusal for _ in range(6)]
        spent = broker.stop()
    assert refusals == [None] * sent + ["budget_reached"] * (6 - sent)
    assert len(server.received) == sent
    assert (spent.requests, spent.tokens, spent.cost) == (sent, 40 * sent, 55.0 * sent)
    used = [spent.requests, spent.tokens, spent.cost]
    assert wallet.left == pytest.approx([b - u for b, u in zip(before, used, strict=True)])


def test_tokens_drawn_ahead_draw_no_requests_that_are_not_short() -> None:
    """Otherwise a run whose requests grow would empty the budget that it shares with others."""
    wallet = Wallet(requests=40)
    with serving(counting) as server:
        broker = Broker(spec_of(server), allowed=LOOPBACK, account=wallet)
        broker.start()
        child = Child(broker.child_end)
        for number in range(10):
            assert child.ask(expected_tokens=100 * 2**number).refusal is None
        assert wallet.left[0] == 40 - 16
        broker.stop()


@pytest.mark.parametrize("limit", [{"max_tokens": 40}, {"max_completion_tokens": 10, "n": 4}, {}])
def test_a_child_that_expects_no_tokens_cannot_overspend_by_asking_all_at_once(limit: dict[str, int]) -> None:
    """What a request states itself is set aside; one that states no limit may cost whatever the service likes."""
    wallet, lock, sent = Wallet(tokens=160), threading.Lock(), 0

    def slow(path: str, body: Any) -> tuple[int, dict[str, str], bytes]:
        nonlocal sent
        with lock:
            sent += 1
        time.sleep(0.2)
        return 200, {}, json.dumps({"usage": {"prompt_tokens": 0, "completion_tokens": 40}}).encode()

    with serving(slow) as server:
        spec = EndpointSpec(protocol="openai_chat", url=server.url, model="m", concurrency=32)
        broker = Broker(spec, allowed=LOOPBACK, account=wallet)
        broker.start()
        child = Child(broker.child_end)
        for number in range(32):
            child.send(Ask(id=number, path="/chat", body=limit, expected_tokens=0))
        refusals = [child.reply().refusal for _ in range(32)]
        broker.stop()
    assert refusals.count(None) == sent <= 4
    assert set(refusals) == ({None, "budget_reached"} if limit else {"budget_reached"})
    assert wallet.left[1] == 160 - 40 * sent >= 0


@pytest.mark.parametrize("said", [-(10**6), -1, 10**30])
def test_a_child_cannot_enlarge_its_budget_by_what_it_says(said: int) -> None:
    wallet = Wallet(requests=2, tokens=1000)
    with serving(counting) as server:
        broker = Broker(spec_of(server), allowed=LOOPBACK, account=wallet)
        broker.start()
        child = Child(broker.child_end)
        refusals = [child.ask(expected_tokens=said).refusal for _ in range(4)]
        spent = broker.stop()
    assert refusals.count(None) == spent.requests <= 2
    assert wallet.left[:2] == [2 - spent.requests, 1000 - spent.tokens]


def test_what_is_drawn_while_the_run_is_stopped_is_given_back() -> None:
    drawing = threading.Event()

    class Slow(Wallet):
        def draw(self, amount: Any) -> bool:
            drawing.set()
            time.sleep(0.2)
            return super().draw(amount)

    wallet = Slow(requests=100)
    with serving() as server:
        broker = Broker(rest(server.url), allowed=LOOPBACK, account=wallet)
        broker.start()
        Child(broker.child_end).send(Ask(id=1, path=""))
        assert drawing.wait(5)
        assert broker.stop().requests == 0
    assert wallet.left[0] == 100


def test_a_database_that_is_away_is_told_and_not_waited_for(server: Server) -> None:
    class Away(Wallet):
        def draw(self, amount: Any) -> bool:
            raise ConnectionError("no database")

    with brokered(spec_of(server), allowed=LOOPBACK, account=Away()) as child:
        reply = child.ask()
    assert reply.refusal == "endpoint_unreachable"
    assert not server.received


@pytest.mark.parametrize(
    "answer", ["x" * 8000, {"usage": {}, "a": "x" * 8000}, {"usage": {"total": 1}, "a": "x" * 8000}]
)
def test_a_language_model_that_counts_nothing_is_counted_by_the_length_of_its_answer(answer: Any) -> None:
    spec = {"protocol": "openai_chat", "model": "m"}
    with serving(lambda path, body: (200, {}, json.dumps(answer).encode())) as server:
        broker = Broker(EndpointSpec(url=server.url, **spec), allowed=LOOPBACK, account=Wallet())
        broker.start()
        Child(broker.child_end).ask(body={"max_tokens": 1}, expected_tokens=0)
        assert 1000 <= broker.stop().tokens <= 1005


def test_a_short_word_that_is_no_secret_stays_in_answers() -> None:
    credential = Credential("Authorization", "Bearer EMPTY", "EMPTY")
    with (
        serving(lambda path, body: (200, {}, b'"EMPTY hands"')) as server,
        brokered(rest(server.url), allowed=LOOPBACK, credential=credential) as child,
    ):
        assert child.ask().body == "EMPTY hands"


def test_an_ipv6_address_is_reached_where_it_is_allowed() -> None:
    with serving(host="::1") as server:
        spec = rest(f"http://[::1]:{server.port}")
        with brokered(spec, allowed=[ipaddress.ip_network("::1/128")]) as child:
            assert child.ask().status == 200
        assert server.received[0].headers["Host"] == f"[::1]:{server.port}"


def test_a_service_that_does_not_count_is_counted_at_its_most(server: Server) -> None:
    wallet = Wallet()
    with brokered(spec_of(server), allowed=LOOPBACK, account=wallet) as child:
        child.ask(expected_tokens=50)
    assert wallet.left[1] == 10**9 - 50


def test_a_refused_request_is_free_and_a_failed_one_costs_a_request_alone() -> None:
    with serving(lambda path, body: (503, {}, b"")) as server:
        broker = Broker(spec_of(server), allowed=LOOPBACK, account=Wallet())
        broker.start()
        child = Child(broker.child_end)
        child.ask("/..", expected_tokens=50)
        child.ask("/", expected_tokens=50)
        spent = broker.stop()
    assert (spent.requests, spent.tokens, spent.cost) == (1, 0, 0.0)
