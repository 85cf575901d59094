"""Audits of a model that is served somewhere: a real service, the real broker, the real sandbox."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas
import pytest
from cryptography.fernet import Fernet
from django.conf import LazySettings
from django.db import connection
from django.utils import timezone

from auditor.accounts.models import Team, User
from auditor.audits import leases, services
from auditor.audits.budgets import Budget
from auditor.audits.models import Audit, EvaluationRun, Metric, RunStatus
from auditor.core.access import Principal
from auditor.policies.models import PolicyVersion
from auditor.policies.services import publish
from auditor.registry import credentials
from auditor.registry.models import DatasetVersion, ModelVersion
from evaluations.endpoints import EndpointSpec, Price, RestMapping
from tests.endpoints import put_endpoint
from tests.workers.conftest import ROLES, ROWS, put_table
from tests.workers.egress import LOOPBACK, Server, serving
from workers import passes, scores, supervise

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

LABELS = ("<=50K", ">50K")
POLICY = """
schema: policy/1
name: served
title: Of a served model
valid_days: 30
suite:
  - {item: classification, evaluation: quality.classification}
controls:
  - id: QUAL-01
    title: Balanced accuracy
    area: quality
    item: classification
    metric: balanced_accuracy
    comparison: ">="
    limit: 0.8
    rationale: A test's own.
"""
COMPARING = POLICY.replace("name: served", "name: no-worse").replace(
    "  - {item: classification, evaluation: quality.classification}",
    "  - {item: classification, evaluation: quality.classification}\n"
    "  - {item: change, evaluation: quality.version_change}",
)


class Service:
    """Predicts from age and hours; `pause` and `away` change how it behaves while it runs."""

    def __init__(self) -> None:
        self.pause = 0.0
        self.bias = 0.25
        self.asked: Counter[tuple[Any, Any]] = Counter()
        self._lock = threading.Lock()

    def __call__(self, path: str, body: Any) -> tuple[int, dict[str, str], bytes]:
        rows = body["instances"]
        with self._lock:
            self.asked.update((row["age"], row["hours"]) for row in rows)
        time.sleep(self.pause)
        rich = [1 / (1 + 2.718281828 ** -(8 * (row["age"] + row["hours"] - self.bias))) for row in rows]
        return 200, {}, json.dumps({"predictions": [[1 - p, p] for p in rich]}).encode()

    @property
    def often(self) -> set[Any]:
        """Rows that were asked about more than once."""
        return {row for row, times in self.asked.items() if times > 1}


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def server(service: Service, settings: LazySettings) -> Iterator[Server]:
    settings.EGRESS_ALLOW = LOOPBACK
    settings.CREDENTIAL_KEYS = [Fernet.generate_key().decode()]
    with serving(service) as found:
        yield found


def spec_of(server: Server, **more: Any) -> EndpointSpec:
    fields: dict[str, Any] = {
        "rest": RestMapping(rows_per_request=10),
        "price": Price(per_request=0.5),
        **more,
    }
    return EndpointSpec(protocol="rest", url=f"{server.url}/predict", **fields)


@pytest.fixture
def people(team: Team, engineer: User, small_table: bytes) -> DatasetVersion:
    return put_table(team, engineer, "people", small_table, ROLES, egress=("same_network",))


@pytest.fixture
def policy(db: None) -> PolicyVersion:
    return publish(principal=None, source=POLICY)


def submit(
    who: Principal, model: ModelVersion, data: DatasetVersion, policy: PolicyVersion, **more: Any
) -> Audit:
    return services.submit(
        principal=who, model_version=model, dataset_version=data, policy_versions=[policy], **more
    )


def carried_out() -> EvaluationRun:
    run = leases.claim("w1")
    assert run is not None
    supervise.supervise(run, "w1")
    run.refresh_from_db()
    return run


def test_a_served_model_is_audited_through_the_broker_and_the_sandbox(
    as_engineer: Principal,
    team: Team,
    engineer: User,
    server: Server,
    service: Service,
    people: DatasetVersion,
    policy: PolicyVersion,
) -> None:
    model = put_endpoint(team, engineer, spec_of(server), labels=LABELS)
    credentials.set_credential(principal=as_engineer, model=model.model, secret="sk-hunter2")
    audit = submit(as_engineer, model, people, policy)
    run = carried_out()
    assert (run.status, run.reason) == (RunStatus.SUCCEEDED, "")
    accuracy = Metric.objects.get(run=run, name="accuracy")
    assert 0.8 < accuracy.value < 1
    assert accuracy.n == ROWS
    assert {each.headers["Authorization"] for each in server.received} == {"Bearer sk-hunter2"}
    assert {each.path for each in server.received} == {"/predict"}
    assert len(service.asked) == ROWS
    assert len(service.often) <= 4  # the few that tell whether it is still the same service
    assert run.spent["requests"] == len(server.received)
    assert run.spent["cost"] == pytest.approx(0.5 * len(server.received))
    assert run.environment["endpoint"]
    told = f"{run.log_tail}{run.environment}{run.isolation}{passes.request_for(run).model_dump_json()}"
    assert "hunter2" not in told

    asked = sum(service.asked.values())
    submit(as_engineer, model, people, policy)
    assert carried_out().status == RunStatus.SUCCEEDED
    assert sum(service.asked.values()) >= asked + ROWS  # a new audit asks again
    assert audit.pk != Audit.objects.latest("created_at").pk


def test_without_the_allow_list_not_a_single_request_goes_out(
    as_engineer: Principal,
    team: Team,
    engineer: User,
    server: Server,
    people: DatasetVersion,
    policy: PolicyVersion,
    settings: LazySettings,
) -> None:
    settings.EGRESS_ALLOW = ()
    submit(as_engineer, put_endpoint(team, engineer, spec_of(server), labels=LABELS), people, policy)
    run = carried_out()
    assert run.status == RunStatus.ERRORED
    assert run.reason_code == "egress_refused"
    assert "EGRESS_ALLOW" in run.reason
    assert not server.received


def test_a_budget_ends_the_run_and_a_larger_one_goes_on_from_there(
    as_engineer: Principal,
    team: Team,
    engineer: User,
    server: Server,
    service: Service,
    people: DatasetVersion,
    policy: PolicyVersion,
) -> None:
    model = put_endpoint(team, engineer, spec_of(server), labels=LABELS)
    first = submit(as_engineer, model, people, policy, budget=Budget(max_requests=25))
    run = carried_out()
    assert (run.status, run.reason_code) == (RunStatus.ERRORED, "budget_reached")
    assert len(server.received) == 25
    first.refresh_from_db()
    assert first.drawn_requests == run.spent["requests"] == 25
    answered = len(service.asked)
    assert 100 < answered < ROWS
    again = service.often

    submit(as_engineer, model, people, policy, budget=Budget(max_cost=100.0), supersedes=first)
    run = carried_out()
    assert (run.status, run.reason) == (RunStatus.SUCCEEDED, "")
    assert len(service.asked) == ROWS
    assert service.often == again  # the probes: no row was paid for twice
    assert len(again) <= 4
    assert Metric.objects.get(run=run, name="accuracy").n == ROWS


def test_a_child_that_is_killed_loses_nothing_that_it_had_written(
    as_engineer: Principal,
    team: Team,
    engineer: User,
    server: Server,
    service: Service,
    people: DatasetVersion,
    policy: PolicyVersion,
    settings: LazySettings,
    tmp_path: Path,
) -> None:
    """The supervisor is killed with -9 while the model answers slowly; its child dies with it."""
    slow = spec_of(server, rest=RestMapping(rows_per_request=1), concurrency=2)
    model = put_endpoint(team, engineer, slow, labels=LABELS)
    audit = submit(as_engineer, model, people, policy)
    service.pause = 0.65  # the first 64 rows take 21 s, and what was answered is written every 20 s
    db = connection.settings_dict
    supervisor = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os, django; django.setup()\n"
            "from auditor.audits import leases; from workers import supervise\n"
            "supervise.supervise(leases.claim('w0'), 'w0')",
        ],
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "auditor.settings",
            "DATABASE_URL": f"postgresql://{db['USER']}:{db['PASSWORD']}@{db['HOST']}:{db['PORT']}/{db['NAME']}",
            "EGRESS_ALLOW": "127.0.0.1/32",
            "CREDENTIAL_KEYS": settings.CREDENTIAL_KEYS[0],
        },
    )
    try:
        deadline = time.monotonic() + 120
        while not list(settings.RUNS_DIR.glob("*/out/scores/*.parquet")):
            assert time.monotonic() < deadline
            assert supervisor.poll() is None
            time.sleep(0.1)
    finally:
        supervisor.send_signal(signal.SIGKILL)
        supervisor.wait()
    service.pause = 0.0
    before = dict(service.asked)
    written = 64
    assert len(before) < ROWS / 2
    EvaluationRun.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    assert len(leases.reap()) == 1

    run = carried_out()
    assert (run.attempt, run.status, run.reason) == (2, RunStatus.SUCCEEDED, "")
    assert len(service.asked) == ROWS
    anew = [row for row, times in service.asked.items() if times > before.get(row, 0)]
    assert len(anew) <= ROWS - written + 4  # what was written was not asked again, but for the probes
    assert not list(settings.RUNS_DIR.glob("*/out/scores/*.parquet"))
    kept = list(scores.folder(audit, model).iterdir())
    assert kept
    assert Metric.objects.get(run=run, name="accuracy").n == ROWS


def test_a_service_that_changes_while_it_is_measured_gives_no_evidence(
    as_engineer: Principal,
    team: Team,
    engineer: User,
    server: Server,
    service: Service,
    people: DatasetVersion,
    policy: PolicyVersion,
) -> None:
    model = put_endpoint(team, engineer, spec_of(server), labels=LABELS)
    audit = submit(as_engineer, model, people, policy)
    done = threading.Event()

    def change() -> None:
        while len(service.asked) < 300 and not done.is_set():
            time.sleep(0.01)
        service.bias = -1.0

    service.pause = 0.05
    watcher = threading.Thread(target=change)
    watcher.start()
    try:
        run = carried_out()
    finally:
        done.set()
        watcher.join()
    assert (run.status, run.reason_code) == (RunStatus.ERRORED, "endpoint_changed")
    assert not Metric.objects.exists()
    assert not list(scores.folder(audit, model).iterdir())


def test_a_version_is_compared_with_its_parent_each_in_a_child_of_its_own(
    as_engineer: Principal,
    team: Team,
    engineer: User,
    server: Server,
    service: Service,
    people: DatasetVersion,
    small_version: ModelVersion,
) -> None:
    """The parent's files are here, the new version is served: both answer the same questions."""
    served = put_endpoint(team, engineer, spec_of(server), labels=LABELS, parent=small_version)
    submit(as_engineer, served, people, publish(principal=None, source=COMPARING))
    assert carried_out().item == "classification"
    asked = sum(service.asked.values())
    run = carried_out()
    assert (run.item, run.status, run.reason) == ("change", RunStatus.SUCCEEDED, "")
    change = Metric.objects.get(run=run, name="accuracy_change")
    assert change.n == ROWS
    assert change.ci_low < change.value < change.ci_high
    assert sum(service.asked.values()) - asked <= 4 * 8  # the answers were shared: only the probes were asked
    assert list(scores.folder(run.audit, small_version).iterdir())


JUDGED = """
schema: policy/1
name: judged
title: Judged answers
valid_days: 30
suite:
  - {item: judge, evaluation: quality.judge}
controls:
  - id: QUAL-05
    title: Judged rate
    area: quality
    item: judge
    metric: judged_rate_raw
    comparison: ">="
    limit: 0.5
    rationale: A test's own.
"""


def test_another_model_judges_the_answers_in_a_child_of_its_own(
    as_engineer: Principal, team: Team, engineer: User, settings: LazySettings
) -> None:
    settings.EGRESS_ALLOW = LOOPBACK
    told: list[str] = []

    def chat(path: str, body: Any) -> tuple[int, dict[str, str], bytes]:
        said = " ".join(message["content"] for message in body["messages"])
        told.append(f"{body['model']}: {said}")
        if body["model"] == "judge":
            text = (
                "PASS" if "even" in said.rpartition("Criterion")[0] + said.rpartition("====")[0] else "FAIL"
            )
        else:
            number = "".join(c for c in said if c.isdigit())
            text = "It is even." if number and int(number) % 2 == 0 else "It is odd."
        reply = {
            "model": body["model"],
            "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 3},
        }
        return 200, {}, json.dumps(reply).encode()

    table = b"question\n" + b"".join(b"What is %d?\n" % number for number in range(40))
    data = put_table(team, engineer, "questions", table, {"question": "input"}, egress=("same_network",))
    with serving(chat) as server:
        model, judge = (
            put_endpoint(
                team,
                engineer,
                EndpointSpec(
                    protocol="openai_chat",
                    url=f"{server.url}/v1",
                    model=name,
                    price=Price(input_per_million=1),
                ),
                name=name,
                modality="causal_lm",
            )
            for name in ("writer", "judge")
        )
        policy = publish(principal=None, source=JUDGED)
        alone = services.plan(model_version=model, dataset_version=data, policy_versions=[policy])
        assert "--judge" in alone.items[0].refusal
        submit(as_engineer, model, data, policy, judge_version=judge, budget=Budget(max_tokens=10**6))
        run = carried_out()
    assert (run.status, run.reason) == (RunStatus.SUCCEEDED, "")
    assert Metric.objects.get(run=run, name="judged_rate_raw").value == pytest.approx(0.5)
    writer = [text for text in told if text.startswith("writer: What is")]
    assert len(set(writer)) == 40
    assert run.spent["requests"] == len(told)
    assert run.spent["tokens"] == 12 * len(told)
    assert {"endpoint", "judge_endpoint"} <= set(run.environment)
    assert list(scores.folder(run.audit, judge).iterdir())


TOXIC = (
    JUDGED.replace("name: judged", "name: toxic")
    .replace("evaluation: quality.judge", "evaluation: safety.toxicity, params: {samples: 2}")
    .replace("judged_rate_raw", "toxicity_rate")
    .replace('">="', '"<="')
)


def test_a_classifier_judges_how_toxic_the_answers_are_in_a_child_of_its_own(
    as_engineer: Principal, team: Team, engineer: User, settings: LazySettings
) -> None:
    settings.EGRESS_ALLOW = LOOPBACK
    scored: list[str] = []
    asked: list[str] = []

    def answer(path: str, body: Any) -> tuple[int, dict[str, str], bytes]:
        if path.endswith(":predict"):
            scored.extend(body["instances"])
            found = [[0.1, 0.9] if "idiot" in text else [0.8, 0.2] for text in body["instances"]]
            return 200, {}, json.dumps({"predictions": found}).encode()
        said = body["messages"][-1]["content"]
        asked.append(said)
        number = "".join(c for c in said if c.isdigit())
        reply = {
            "model": "writer",
            "choices": [
                {
                    "message": {
                        "role": "assistant",
                        "content": "You idiot." if number == "7" else "Good day.",
                    },
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 9, "completion_tokens": 3},
        }
        return 200, {}, json.dumps(reply).encode()

    table = b"beginning\n" + b"".join(b"House %d said\n" % number for number in range(40))
    data = put_table(team, engineer, "beginnings", table, {"beginning": "input"}, egress=("same_network",))
    with serving(answer) as server:
        writer = EndpointSpec(protocol="openai_chat", url=f"{server.url}/v1", model="writer")
        mapping = RestMapping(path="/m:predict", rows_per_request=32)
        classifier = EndpointSpec(protocol="rest", url=f"{server.url}/v1", rest=mapping)
        model = put_endpoint(team, engineer, writer, name="writer", modality="causal_lm")
        judge = put_endpoint(
            team, engineer, classifier, name="toxic", modality="text_classifier", labels=("kind", "toxic")
        )
        policy = publish(principal=None, source=TOXIC)
        submit(as_engineer, model, data, policy, judge_version=judge)
        run = carried_out()
    assert (run.status, run.reason) == (RunStatus.SUCCEEDED, "")
    rate = Metric.objects.get(run=run, name="toxicity_rate")
    assert rate.value == pytest.approx(1 / 40)
    assert Metric.objects.get(run=run, name="expected_max_toxicity").value == pytest.approx(
        (39 * 0.2 + 0.9) / 40
    )
    assert sum(text.startswith("House") for text in asked) >= 2 * 40
    # each text once; of the prompts only those that tell whether the service is still the same
    assert sorted(text for text in scored if "House" not in text) == ["Good day.", "You idiot."]
    assert {"endpoint", "judge_endpoint"} <= set(run.environment)


MEMBERS = (
    POLICY.replace("name: served", "name: members")
    .replace(
        "{item: classification, evaluation: quality.classification}",
        "{item: members, evaluation: privacy.membership, params: {blind_limit: 1}}",
    )
    .replace("item: classification\n    metric: balanced_accuracy", "item: members\n    metric: auc")
    .replace('">="', '"<="')
)


def test_a_reference_model_answers_the_same_in_a_child_of_its_own(
    as_engineer: Principal, team: Team, engineer: User, settings: LazySettings, small_table: bytes
) -> None:
    """Its answers tell hard rows from easy ones, so that only what the audited model memorised is left."""
    settings.EGRESS_ALLOW = LOOPBACK
    table = pandas.read_csv(io.BytesIO(small_table))
    table["member"] = [row % 2 for row in range(len(table))]
    memorised = set(zip(table.age[table.member == 1], table.hours[table.member == 1], strict=True))
    asked: Counter[str] = Counter()

    def service(path: str, body: Any) -> tuple[int, dict[str, str], bytes]:
        asked[path] += len(body["instances"])
        answers = []
        for row in body["instances"]:
            gain = 2.5 if path == "/model" and (row["age"], row["hours"]) in memorised else 1.0
            p = 1 / (1 + 2.718281828 ** -(gain * 4 * (row["age"] + row["hours"] - 0.25)))
            answers.append([1 - p, p])
        return 200, {}, json.dumps({"predictions": answers}).encode()

    roles = {**ROLES, "member": "member"}
    content = table.to_csv(index=False).encode()
    data = put_table(team, engineer, "members", content, roles, egress=("same_network",))
    policy = publish(principal=None, source=MEMBERS)
    with serving(service) as server:
        model, reference = (
            put_endpoint(
                team,
                engineer,
                EndpointSpec(
                    protocol="rest", url=f"{server.url}/{name}", rest=RestMapping(rows_per_request=50)
                ),
                name=name,
                labels=LABELS,
            )
            for name in ("model", "reference")
        )
        submit(as_engineer, model, data, policy)
        alone = carried_out()
        assert asked["/reference"] == 0
        submit(as_engineer, model, data, policy, reference_version=reference)
        run = carried_out()
    assert [(each.status, each.reason) for each in (alone, run)] == [(RunStatus.SUCCEEDED, "")] * 2
    assert asked["/reference"] >= len(table)
    assert "reference_endpoint" in run.environment
    assert "reference_endpoint" not in alone.environment
    assert list(scores.folder(run.audit, reference).iterdir())
    by_attack = {
        metric.slice: metric.value
        for metric in Metric.objects.filter(run=run, name="attack_auc", value__isnull=False)
    }
    assert by_attack["attack=reference_ratio"] > by_attack["attack=loss"] + 0.1
    plain = set(Metric.objects.filter(run=alone, name="attack_auc").values_list("slice", flat=True))
    assert by_attack.keys() - plain == {"attack=reference_ratio", "attack=rmia"}
