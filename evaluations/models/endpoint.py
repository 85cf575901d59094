"""Models that are served elsewhere: endpoint.json decides the adapter, the surroundings the way there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from evaluations.endpoints import EndpointSpec
from evaluations.engine.endpoint_client import EndpointClient
from evaluations.engine.transport import BROKER_FD, Transport
from evaluations.models.loader import one_file
from evaluations.spec import EvaluationError, Modality, ModelRef

if TYPE_CHECKING:
    from evaluations.models.protocol import Model

LARGEST = 2**20  # bytes of endpoint.json
TEXT_BYTES_PER_TOKEN = 2  # at least, so that a token budget is rarely reached by surprise


class EndpointModel:
    """What every adapter of an endpoint has. Its answers come through `client`; see `protocol.Remote`."""

    device: str = "endpoint"
    columns: tuple[str, ...] | None = None

    def __init__(self, client: EndpointClient, ref: ModelRef) -> None:
        self.client = client
        self.spec = client.spec
        self.modality = ref.modality
        self.usage = client.usage

    @property
    def question(self) -> str:
        return self.client.question

    @question.setter
    def question(self, asked: str) -> None:
        self.client.question = asked

    @property
    def identity(self) -> str:
        return self.client.identity

    @identity.setter
    def identity(self, digest: str) -> None:
        self.client.identity = digest

    @property
    def at_once(self) -> int:
        return self.client.at_once

    @property
    def stopped(self) -> EvaluationError | None:
        return self.client.stopped


def load(folder: Path, ref: ModelRef, connect: Callable[[], Transport] | None = None) -> Model:
    """The model that the folder's endpoint.json describes, over `connect` or the way that is there."""
    spec = read_spec(folder)
    client = EndpointClient(spec, connect or _way(spec))
    if spec.protocol == "openai_completions" and ref.modality in (Modality.CAUSAL_LM, Modality.SEQ2SEQ):
        from evaluations.models import endpoint_completions

        return endpoint_completions.load(client, ref)
    if spec.protocol == "openai_chat" and ref.modality in (
        Modality.CAUSAL_LM,
        Modality.SEQ2SEQ,
        Modality.TEXT_CLASSIFIER,
    ):
        from evaluations.models import endpoint_chat

        return endpoint_chat.load(client, ref)
    if spec.protocol == "rest" and ref.modality in (
        Modality.TEXT_CLASSIFIER,
        Modality.IMAGE_CLASSIFIER,
        Modality.TABULAR,
        Modality.TABULAR_REGRESSION,
    ):
        from evaluations.models import endpoint_rest

        return endpoint_rest.load(client, ref)
    raise EvaluationError(
        "model_unsupported",
        f"A {ref.modality} model behind the protocol {spec.protocol} is not supported. openai_chat serves causal_lm, "
        "seq2seq and text_classifier; openai_completions causal_lm and seq2seq; rest classifiers and regressors.",
        skipped=True,
    )


def read_spec(folder: Path) -> EndpointSpec:
    """endpoint.json of the folder. Raises EvaluationError `endpoint_spec` that names the field to mend."""
    path = one_file(folder, "endpoint.json")
    if path.stat().st_size > LARGEST:
        raise EvaluationError(
            "endpoint_spec", "endpoint.json is larger than 1 MiB. Describe the endpoint alone."
        )
    try:
        return EndpointSpec.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise EvaluationError(
            "endpoint_spec",
            f"endpoint.json is not valid: {where}: {first['msg']}. Correct it and push again.",
        ) from error


def expected_tokens(text: str, generated: int) -> int:
    """About the most that a request may cost: what a budget of tokens is held against beforehand."""
    return len(text.encode("utf-8", "replace")) // TEXT_BYTES_PER_TOKEN + 16 + generated


def _way(spec: EndpointSpec) -> Callable[[], Transport]:
    if BROKER_FD in os.environ:
        from evaluations.engine.pipe import broker

        return broker
    from evaluations.engine.direct import DirectTransport, credential_for

    secret = credential_for(spec)
    return lambda: DirectTransport(spec, secret)
