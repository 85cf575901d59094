"""OpenAI-compatible chat endpoints: texts, and labels parsed from texts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from evaluations.engine.endpoint_client import EndpointClient, Outcome, Request
from evaluations.models.endpoint import EndpointModel, expected_tokens
from evaluations.models.label_parsing import label_of
from evaluations.models.loader import agreed_labels
from evaluations.models.openai_replies import PROBE_TOKENS, calls_in, calls_itself, generation, sampling
from evaluations.models.protocol import Generation, Model, Scores
from evaluations.models.tool_calls import ToolCall
from evaluations.models.transcripts import messages
from evaluations.spec import Access, GenerationSettings, Modality, ModelRef, Turn

if TYPE_CHECKING:
    from evaluations.data.dataset import Dataset

PATH = "/chat/completions"
INSTRUCTION = (
    "Classify the user's text. Answer with exactly one of the following labels and nothing else:\n{labels}"
)
LABEL_TOKENS = 32  # a label and a little around it
# Asked before and after a run. Short, with one likely answer each, so that only another model answers otherwise.
PROBES = {
    "capital": "Name the capital of Australia. Answer with one word.",
    "number": "Continue the sequence with the next number only: 2, 6, 12, 20, 30,",
    "echo": "Repeat exactly: xK9-émß-中 7",
    "style": "Write one short sentence about rain.",
}


class ChatModel(EndpointModel):
    """A chat model that writes. The prompt is one user message, after `settings.system` if there is one."""

    adapter: ClassVar[str] = "endpoint_chat/1"
    access: ClassVar[Access] = Access.GENERATE

    def generate(
        self, prompts: Sequence[str], settings: GenerationSettings, seeds: Sequence[int]
    ) -> list[Generation]:
        outcomes = self._ask(prompts, settings, seeds)
        return [generation(outcome, settings.stop) for outcome in outcomes]

    def converse(
        self, conversations: Sequence[Sequence[Turn]], settings: GenerationSettings, seeds: Sequence[int]
    ) -> list[Generation]:
        given = [messages(turns, settings.system) for turns in conversations]
        return [generation(outcome, settings.stop) for outcome in self._send(given, settings, seeds)]

    def generate_with_tools(
        self,
        prompts: Sequence[str],
        tools: Sequence[dict[str, Any]],
        settings: GenerationSettings,
        seeds: Sequence[int],
    ) -> list[tuple[Generation, tuple[ToolCall, ...]]]:
        outcomes = self._ask(prompts, settings, seeds, tools)
        return [(generation(outcome, settings.stop), calls_in(outcome)) for outcome in outcomes]

    def probe(self, data: Dataset) -> dict[str, str | tuple[float, ...]]:
        settings = GenerationSettings(max_new_tokens=PROBE_TOKENS)
        outcomes = self._ask(list(PROBES.values()), settings, [0] * len(PROBES))
        written = [generation(outcome, ()) for outcome in outcomes]
        answers = {name: g.text for name, g in zip(PROBES, written, strict=True) if g.status == "ok"}
        return {**calls_itself([o.body for o in outcomes]), **answers}

    def _ask(
        self,
        prompts: Sequence[str],
        settings: GenerationSettings,
        seeds: Sequence[int],
        tools: Sequence[dict[str, Any]] = (),
    ) -> list[Outcome]:
        system = [{"role": "system", "content": settings.system}] if settings.system else []
        given = [[*system, {"role": "user", "content": prompt}] for prompt in prompts]
        return self._send(given, settings, seeds, tools)

    def _send(
        self,
        given: Sequence[list[dict[str, str]]],
        settings: GenerationSettings,
        seeds: Sequence[int],
        tools: Sequence[dict[str, Any]] = (),
    ) -> list[Outcome]:
        requests = []
        described = json.dumps(tools, ensure_ascii=False) if tools else ""
        for told, seed in zip(given, seeds, strict=True):
            body: dict[str, Any] = {
                "model": self.spec.model,
                "messages": told,
                **sampling(settings, seed, self.spec.limit_field),
            }
            if self.spec.logprobs:
                body["logprobs"] = True
            if tools:
                body["tools"] = list(tools)
            read = "".join(message["content"] for message in told) + described
            tokens = expected_tokens(read, settings.max_new_tokens)
            requests.append(
                Request(PATH, body, expected_tokens=tokens, apart=seed if settings.temperature > 0 else 0)
            )
        return self.client.ask(requests)


class ChatClassifier(ChatModel):
    """A chat model that names a label. It gives labels and no probabilities, which `access` says: the one-hot rows
    of `predict_proba` hold a choice, not a confidence. An answer that is no label is an error row.
    """

    adapter: ClassVar[str] = "endpoint_chat_label/1"
    access: ClassVar[Access] = Access.LABEL | Access.GENERATE

    def __init__(self, client: EndpointClient, ref: ModelRef) -> None:
        super().__init__(client, ref)
        self.labels = agreed_labels(ref, (), len(ref.labels))
        told = client.spec.instruction or INSTRUCTION
        self.settings = GenerationSettings(
            max_new_tokens=LABEL_TOKENS, system=told.replace("{labels}", "\n".join(self.labels))
        )

    def predict_proba(self, rows: Sequence[str]) -> Scores:
        probs = np.full((len(rows), len(self.labels)), np.nan)
        for i, given in enumerate(self.generate(rows, self.settings, [0] * len(rows))):
            named = label_of(given.text, self.labels) if given.status == "ok" else None
            if named is not None:
                probs[i] = np.eye(len(self.labels))[named]
        return Scores.checked(probs)


def load(client: EndpointClient, ref: ModelRef) -> Model:
    return ChatClassifier(client, ref) if ref.modality is Modality.TEXT_CLASSIFIER else ChatModel(client, ref)
