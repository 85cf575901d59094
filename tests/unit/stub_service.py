"""A stand-in for the service's API, in this process: enough of its rules to test the command line against."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import httpx

from auditor.core.canonical import canonical_json, files_digest

PREFIX = "/api/v1/"
TOKEN = "audp_test"


def problem(status: int, code: str, detail: str, errors: tuple[dict[str, str], ...] = ()) -> httpx.Response:
    body = {"type": "about:blank", "status": status, "code": code, "detail": detail, "errors": list(errors)}
    return httpx.Response(
        status, json={**body, "request_id": "req-1"}, headers={"Content-Type": "application/problem+json"}
    )


@dataclass
class Service:
    """Answers requests; `log` holds each as (method, path). `fail` is asked first and may answer instead."""

    audit_states: list[dict[str, Any]] = field(default_factory=list)
    cards: dict[str, dict[str, Any]] = field(default_factory=dict)
    gate: dict[str, Any] = field(default_factory=dict)
    failures: list[Any] = field(default_factory=list)  # responses or exceptions, used up first
    fail_on: str = ""  # method whose requests use them up; "" is any
    log: list[tuple[str, str]] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    models: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    datasets: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    bodies: list[Any] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    upload: dict[str, Any] = field(default_factory=dict)
    arrived: dict[str, bytes] = field(default_factory=dict)
    chunks: list[tuple[str, int, int]] = field(default_factory=list)

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix(PREFIX)
        self.log.append((request.method, path))
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return problem(401, "invalid_token", "The token is not known.")
        if self.failures and self.fail_on in ("", request.method):
            failure = self.failures.pop(0)
            if isinstance(failure, Exception):
                raise failure
            assert isinstance(failure, httpx.Response)
            return failure
        if request.method == "POST":
            self.keys.append(request.headers["Idempotency-Key"])
        return self.route(request, path)

    def route(self, request: httpx.Request, path: str) -> httpx.Response:
        kind, _, rest = path.partition("/")
        if path == "me":
            teams = [{"name": "Credit", "role": "engineer"}]
            return httpx.Response(200, json={"name": "Erin", "teams": teams, "scopes": ["read", "submit"]})
        if kind in ("models", "datasets"):
            return self.registry(request, getattr(self, kind), rest)
        if kind == "uploads":
            return self.uploads(request, rest)
        if kind == "audits":
            return self.audits(request, rest)
        if kind == "cards":
            number, _, form = rest.partition("/")
            if number not in self.cards:
                return problem(404, "not_found", f"There is no report card “{number}” that you can see.")
            card = self.cards[number]
            content = {
                "": card,
                "bundle": {"schema": "evidence-bundle/1", "card": card, "proof": {}},
                "ml-bom": {"bomFormat": "CycloneDX"},
            }
            return httpx.Response(
                200, content=b"%PDF-1.7" if form == "pdf" else canonical_json(content[form])
            )
        if path == "gate":
            assert request.url.params["digest"].startswith("sha256:")
            return httpx.Response(200, json=self.gate)
        return problem(404, "not_found", f"There is nothing at {path}.")

    def registry(
        self, request: httpx.Request, known: dict[str, list[dict[str, str]]], name: str
    ) -> httpx.Response:
        if request.method == "POST":
            body = json.loads(request.content)
            self.bodies.append(body)
            known.setdefault(body["name"], [])
            return httpx.Response(201, json=body)
        if name not in known:
            return problem(404, "not_found", f"There is no “{name}” that you can see.")
        return httpx.Response(200, json={"name": name, "versions": known[name]})

    def uploads(self, request: httpx.Request, rest: str) -> httpx.Response:
        if request.method == "POST" and not rest:
            self.upload, self.arrived = json.loads(request.content), {}
            return httpx.Response(201, json={"id": "upl_1", "received": {}})
        number, _, action = rest.partition("/")
        if not self.upload or number != "upl_1":
            return problem(404, "not_found", "There is no upload.")
        if request.method == "GET":
            sizes = {
                f["path"]: len(self.arrived.get(f["path"], b"")) for f in self.upload["manifest"]["files"]
            }
            return httpx.Response(200, json={"id": "upl_1", "received": sizes})
        if request.method == "PUT":
            path, offset = action.removeprefix("files/"), int(request.headers["Upload-Offset"])
            before = self.arrived.get(path, b"")
            if offset != len(before):
                return problem(409, "wrong_offset", f"{len(before)} bytes have arrived.")
            self.arrived[path] = before + request.content
            self.chunks.append((path, offset, len(request.content)))
            return httpx.Response(204)
        files = self.upload["manifest"]["files"]
        assert all(hashlib.sha256(self.arrived[f["path"]]).hexdigest() == f["sha256"] for f in files)
        if self.upload["kind"] == "model":
            digest, known = files_digest(files), self.models
        else:
            digest, known = f"sha256:{files[0]['sha256']}", self.datasets
        known[self.upload["name"]].append({"version": self.upload["manifest"]["version"], "digest": digest})
        return httpx.Response(201, json={"digest": digest})

    def audits(self, request: httpx.Request, rest: str) -> httpx.Response:
        if request.method == "POST" and not rest:
            body = json.loads(request.content)
            self.bodies.append(body)
            if body["dry_run"]:
                takes = {
                    "queries": 1000,
                    "requests": 40,
                    "input_tokens": 25_000,
                    "output_tokens": 16_000,
                    "cost": 0.125,
                    "seconds": 95,
                }
                item = {
                    "item": "groups",
                    "evaluation": "fairness.group",
                    "version": "1",
                    "refusal": "",
                    "takes": takes,
                    "smallest_detectable_effect": 0.0443,
                }
                plan = {
                    "items": [item],
                    "takes": takes,
                    "currency": "USD",
                    "warnings": ["No credential is stored for https://models.test: requests go without one."],
                    "seed": 1,
                    "digest": "sha256:5eed",
                }
                return httpx.Response(200, json=plan)
            return httpx.Response(
                202, json=self.audit_states[0], headers={"Location": f"{PREFIX}audits/aud_1"}
            )
        if request.method == "POST" and rest.endswith("/keep-attacks"):
            self.bodies.append(json.loads(request.content))
            kept = {
                "dataset": "mine",
                "version": "2",
                "rows": 15,
                "digest": "sha256:5eed",
                "added": 12,
                "known": 3,
            }
            return httpx.Response(201, json=kept)
        if request.method == "POST":
            return httpx.Response(202, json={**self.audit_states[0], "status": "cancelling"})
        state = self.audit_states[0]
        etag = f'"{hashlib.sha256(canonical_json(state)).hexdigest()}"'
        if request.headers.get("If-None-Match") == etag:
            del self.audit_states[0]  # the next question finds it changed
            return httpx.Response(304, headers={"Retry-After": "3"})
        return httpx.Response(200, json=state, headers={"ETag": etag, "Retry-After": "3"})
