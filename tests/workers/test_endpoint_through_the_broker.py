"""An adapter of an endpoint and the supervisor's broker at the two ends of their socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evaluations.engine.pipe import PipeTransport
from evaluations.models.endpoint import load, read_spec
from evaluations.spec import GenerationSettings, Modality, ModelFormat, ModelRef
from tests.endpoint_server import Faults, Service, chat, serving
from tests.workers.egress import LOOPBACK
from workers.egress.broker import Broker
from workers.egress.purse import Amount

PROMPTS = [f"prompt {i}" for i in range(200)]


class Wallet:
    """An account with so many requests in it."""

    def __init__(self, requests: int) -> None:
        self.left = requests

    def draw(self, amount: Amount) -> bool:
        if amount.requests > self.left:
            return False
        self.left -= amount.requests
        return True

    def give_back(self, amount: Amount) -> None:
        self.left += amount.requests


@contextmanager
def brokered(service: Service, folder: Path, account: Wallet | None = None, **spec: Any) -> Iterator[Any]:
    described = {"protocol": "openai_chat", "url": service.url, "model": "tiny", **spec}
    (folder / "endpoint.json").write_text(json.dumps(described))
    ref = ModelRef(path=str(folder), digest="d", modality=Modality.CAUSAL_LM, format=ModelFormat.ENDPOINT)
    broker = Broker(read_spec(folder), allowed=LOOPBACK, account=account)
    broker.start()
    model: Any = load(folder, ref, connect=lambda: PipeTransport(broker.child_end.dup()))
    try:
        yield model
    finally:
        model.client.close()
        broker.stop()


def test_every_prompt_is_answered_once_and_in_order_through_a_service_that_fails_now_and_then(
    tmp_path: Path,
) -> None:
    with (
        serving(chat(str), Faults(rate=400, latency=0.005, failing=10)) as service,
        brokered(service, tmp_path) as model,
    ):
        found = model.generate(PROMPTS, GenerationSettings(), [0] * len(PROMPTS))
        assert [g.text for g in found] == PROMPTS
        assert set(service.served.values()) == {1}


def test_a_budget_that_the_broker_holds_keeps_all_answers_that_were_paid_for(tmp_path: Path) -> None:
    with serving(chat(str)) as service, brokered(service, tmp_path, Wallet(75)) as model:
        found = model.generate(PROMPTS, GenerationSettings(), [0] * len(PROMPTS))
        assert sum(g.status == "ok" for g in found) == len(service.seen) == 75
        assert model.stopped.code == "budget_reached"
        assert "budget of requests" in model.stopped.message


def test_an_address_that_the_broker_refuses_ends_the_asking(tmp_path: Path) -> None:
    with serving(chat(str)) as service, brokered(service, tmp_path, url="http://169.254.169.254/v1") as model:
        (found,) = model.generate(["a"], GenerationSettings(), [0])
        assert found.status == "error"
        assert model.stopped.code == "egress_refused"
        assert not service.seen
