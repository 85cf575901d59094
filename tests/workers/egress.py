"""A small HTTP server that tells what reached it, and a child's end of the pipe, for the tests of the broker."""

from __future__ import annotations

import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from evaluations.endpoints import EndpointSpec, RestMapping
from evaluations.engine.transport import Ask, Reply, decode_reply, encode, frame_length
from workers.egress.addresses import Address
from workers.egress.broker import Broker

LOOPBACK = (ipaddress.ip_network("127.0.0.1/32"),)
Answer = Callable[[str, Any], tuple[int, dict[str, str], bytes]]  # (path, body) -> status, headers, content


@dataclass
class Received:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Server:
    port: int
    received: list[Received] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def echo(path: str, body: Any) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Type": "application/json"}, json.dumps({"asked": body}).encode()


@contextmanager
def serving(
    answer: Answer = echo, host: str = "127.0.0.1", port: int = 0, certificate: Path | None = None
) -> Iterator[Server]:
    """A server in a thread of this process; with a certificate (and key, PEM) it speaks TLS."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            content = self.rfile.read(length)
            body = json.loads(content) if content else None
            found.received.append(Received(self.command, self.path, dict(self.headers), body))
            status, headers, reply = answer(self.path, body)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(reply)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply)

        do_GET = do_POST

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        def handle_error(self, request: object, address: object) -> None:
            pass  # a client that hangs up is what some tests are about

    server = Quiet((host, port), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    found = Server(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def rest(url: str, **more: Any) -> EndpointSpec:
    return EndpointSpec(protocol="rest", url=url, rest=RestMapping(), **more)


def resolver(*answers: Sequence[str]) -> tuple[Callable[[str, int], Any], list[str]]:
    """Gives one answer after another, the last for ever; and the list of names that it was asked for."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[Address]:
        asked.append(host)
        answer = answers[min(len(asked), len(answers)) - 1]
        return [ipaddress.ip_address(each) for each in answer]

    return resolve, asked


class Child:
    """The sandbox's end: sends frames as they are given, and reads replies."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    def send(self, ask: Ask) -> None:
        self._socket.sendall(encode(ask))

    def send_raw(self, fields: dict[str, Any]) -> None:
        content = json.dumps(fields).encode()
        self._socket.sendall(len(content).to_bytes(4, "big") + content)

    def reply(self) -> Reply:
        return decode_reply(self._read(frame_length(self._read(4))))

    def ask(self, path: str = "", body: Any = None, **more: Any) -> Reply:
        """Sends what the child's own types would refuse, too."""
        self.send_raw({"id": 1, "path": path, "body": body, **more})
        return self.reply()

    def hung_up(self) -> bool:
        return self._socket.recv(1) == b""

    def _read(self, count: int) -> bytes:
        content = b""
        while len(content) < count:
            part = self._socket.recv(count - len(content))
            if not part:
                raise EOFError
            content += part
        return content


@contextmanager
def brokered(spec: EndpointSpec, **options: Any) -> Iterator[Child]:
    """A running broker and the child that asks it."""
    broker = Broker(spec, **options)
    broker.start()
    try:
        yield Child(broker.child_end)
    finally:
        broker.stop()
