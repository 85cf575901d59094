"""OpenAI-compatible completions endpoints: texts, and log-likelihoods where the prompt's can be echoed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from evaluations.engine.endpoint_client import EndpointClient, Outcome, Request
from evaluations.models import transcripts
from evaluations.models.endpoint import EndpointModel, expected_tokens
from evaluations.models.openai_replies import PROBE_TOKENS, calls_itself, first_choice, generation, sampling
from evaluations.models.protocol import Generation, Likelihood, Model, TokenLogprobs
from evaluations.spec import Access, EvaluationError, GenerationSettings, ModelRef, Turn

if TYPE_CHECKING:
    from evaluations.data.dataset import Dataset

PATH = "/completions"
# Asked before and after a run: beginnings that most models continue in one way.
PROBES = {
    "capital": "The capital of Australia is",
    "number": "1, 2, 3, 4, 5,",
    "alphabet": "a b c d e f g",
    "style": "Once upon a time",
}
TIE = 1e-9  # nats


class CompletionsModel(EndpointModel):
    """A language model that continues a prompt. It has no system message: `settings.system` is not used."""

    adapter: ClassVar[str] = "endpoint_completions/1"

    @property
    def access(self) -> Access:
        return Access.GENERATE | Access.LOGPROBS if self.spec.logprobs else Access.GENERATE

    def generate(
        self, prompts: Sequence[str], settings: GenerationSettings, seeds: Sequence[int]
    ) -> list[Generation]:
        requests = [
            Request(
                PATH,
                {"model": self.spec.model, "prompt": prompt, **sampling(settings, seed, "max_tokens")},
                expected_tokens=expected_tokens(prompt, settings.max_new_tokens),
                apart=seed if settings.temperature > 0 else 0,
            )
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]
        return [generation(outcome, settings.stop) for outcome in self.client.ask(requests)]

    def converse(
        self, conversations: Sequence[Sequence[Turn]], settings: GenerationSettings, seeds: Sequence[int]
    ) -> list[Generation]:
        """As plain transcripts: the service tells no chat template."""
        prompts = [transcripts.plain(turns, settings.system) for turns in conversations]
        made = self.generate(prompts, transcripts.ending(settings), seeds)
        return [replace(g, text=g.text.strip()) for g in made]

    def loglikelihoods(self, pairs: Sequence[tuple[str, str]]) -> list[Likelihood | None]:
        """As the protocol says. The service tokenises and knows how much it reads: a pair that is too long for it
        has no answer, nor has a continuation of an empty context unless `start_token` is given.
        """
        asked = []
        for context, continuation in pairs:
            kept = context.rstrip()
            asked.append((kept, context[len(kept) :] + continuation))
        return self._scored(asked)

    def rolling_loglikelihoods(self, texts: Sequence[str]) -> list[Likelihood | None]:
        """As the protocol says, in one window: a text longer than the service reads has no answer. Needs
        `start_token`, without which the first token of a text has no probability.
        """
        if not self.spec.start_token:
            raise EvaluationError(
                "endpoint_start_token",
                "A whole text can be scored only after a start token. Give its text as start_token in endpoint.json, "
                "such as <|endoftext|>.",
                skipped=True,
            )
        return self._scored([("", text) for text in texts])

    def token_logprobs(self, texts: Sequence[str]) -> list[TokenLogprobs | None]:
        """As the protocol says, without means and spreads; from the second token on where no `start_token` is given.
        A text longer than the service reads has no answer.
        """
        start = self.spec.start_token
        outcomes = iter(self._echoed([start + text for text in texts if text]))
        return [_by_token(next(outcomes), start + text, len(start)) if text else None for text in texts]

    def probe(self, data: Dataset) -> dict[str, str | tuple[float, ...]]:
        settings = GenerationSettings(max_new_tokens=PROBE_TOKENS)
        requests = [
            Request(PATH, {"model": self.spec.model, "prompt": p, **sampling(settings, 0, "max_tokens")})
            for p in PROBES.values()
        ]
        outcomes = self.client.ask(requests)
        written = [generation(outcome, ()) for outcome in outcomes]
        answers = {name: g.text for name, g in zip(PROBES, written, strict=True) if g.status == "ok"}
        return {**calls_itself([o.body for o in outcomes]), **answers}

    def _scored(self, pairs: Sequence[tuple[str, str]]) -> list[Likelihood | None]:
        whole = [(context or self.spec.start_token, continuation) for context, continuation in pairs]
        outcomes = self._echoed([context + continuation for context, continuation in whole])
        return [
            _likelihood(outcome, context + continuation, len(context))
            for outcome, (context, continuation) in zip(outcomes, whole, strict=True)
        ]

    def _echoed(self, prompts: Sequence[str]) -> list[Outcome]:
        """Replies that hold the prompt with its log-probabilities."""
        if not self.spec.logprobs:
            raise EvaluationError(
                "endpoint_no_logprobs",
                "The endpoint offers no log-probabilities of a prompt. Where it does (echo with logprobs), say so: "
                "logprobs: true in endpoint.json.",
                skipped=True,
            )
        requests = [
            Request(
                PATH,
                {
                    "model": self.spec.model,
                    "prompt": prompt,
                    "max_tokens": 1,  # not every service takes 0; what it adds is left out below
                    "temperature": 0,
                    "logprobs": 1,
                    "echo": True,
                },
                expected_tokens=expected_tokens(prompt, 1),
            )
            for prompt in prompts
        ]
        outcomes = self.client.ask(requests)
        answered = [outcome for outcome in outcomes if outcome.kind == "ok"]
        if answered and not any(_told(outcome.body) for outcome in answered):
            raise EvaluationError(
                "endpoint_no_logprobs",
                "endpoint.json says that the service offers log-probabilities of a prompt, and it answered without "
                "any. Say logprobs: false, or register a service that does.",
            )
        return outcomes


@dataclass(frozen=True)
class _Token:
    start: int  # character of the prompt
    logprob: float | None
    best: float | None  # of the most probable token in its place


def _likelihood(outcome: Outcome, prompt: str, start: int) -> Likelihood | None:
    """The sum over the tokens of the prompt that begin at character `start` or later; None where one is not told."""
    if outcome.kind != "ok":
        return None
    tokens = [token for token in _tokens(outcome.body, prompt) if start <= token.start < len(prompt)]
    if not tokens:
        return None
    total, greedy = 0.0, True
    for token in tokens:
        if token.logprob is None:
            return None
        total += token.logprob
        greedy &= token.best is not None and token.logprob >= token.best - TIE
    return Likelihood(total, len(tokens), greedy)


def _by_token(outcome: Outcome, prompt: str, start: int) -> TokenLogprobs | None:
    """The tokens from character `start` of the prompt on, less a first one after nothing. None where one lacks."""
    if outcome.kind != "ok":
        return None
    tokens = [token for token in _tokens(outcome.body, prompt) if start <= token.start < len(prompt)]
    values = [token.logprob for token in tokens]
    if values[:1] == [None] and not start:
        values = values[1:]
    told = [value for value in values if value is not None]
    return TokenLogprobs(np.array(told)) if told and len(told) == len(values) else None


def _tokens(body: Any, prompt: str) -> list[_Token]:
    """The tokens of an echoed prompt and of what follows. Empty where the reply holds none, or none that fit."""
    told = _told(body)
    names, values, offsets, tops = (
        told.get(name) for name in ("tokens", "token_logprobs", "text_offset", "top_logprobs")
    )
    if not (isinstance(names, list) and isinstance(values, list) and isinstance(offsets, list)):
        return []
    if not isinstance(tops, list):
        tops = [None] * len(names)
    if not len(names) == len(values) == len(offsets) == len(tops) or not all(
        isinstance(offset, int) for offset in offsets
    ):
        return []
    shift = _shown_start(names, offsets, prompt)
    return [
        _Token(offset - shift, _finite(value), _best(top))
        for offset, value, top in zip(offsets, values, tops, strict=True)
    ]


def _told(body: Any) -> dict[str, Any]:
    """The log-probabilities in a reply; empty where it holds none."""
    choice = first_choice(body)
    told = choice.get("logprobs") if choice else None
    return told if isinstance(told, dict) else {}


def _shown_start(names: list[Any], offsets: list[int], prompt: str) -> int:
    """Characters of a start token that the service put before the prompt and counts (vLLM): 0 where there is none."""
    if len(names) < 2 or not all(isinstance(name, str) for name in names[:2]):
        return 0
    counted = offsets[1] - offsets[0] == len(names[0])
    return len(names[0]) if counted and not prompt.startswith(names[0]) and prompt.startswith(names[1]) else 0


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _best(top: Any) -> float | None:
    values = [_finite(value) for value in top.values()] if isinstance(top, dict) else []
    return max((value for value in values if value is not None), default=None)


def load(client: EndpointClient, ref: ModelRef) -> Model:
    return CompletionsModel(client, ref)
