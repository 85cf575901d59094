"""What OpenAI-compatible services answer: texts, why they ended, log-probabilities, and what they call themselves."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from evaluations.engine.endpoint_client import Outcome
from evaluations.models.protocol import Generation
from evaluations.models.tool_calls import ToolCall, calls_of
from evaluations.spec import GenerationSettings

STOPS = 4  # that such services take; all are looked for in the answer again
PROBE_TOKENS = 12


def sampling(settings: GenerationSettings, seed: int, limit_field: str) -> dict[str, Any]:
    """The parameters of one request. A seed goes along only where something is drawn."""
    body: dict[str, Any] = {limit_field: settings.max_new_tokens, "temperature": settings.temperature}
    if settings.temperature > 0:
        body |= {"top_p": settings.top_p, "seed": seed % 2**31}
    if settings.stop:
        body["stop"] = list(settings.stop[:STOPS])
    return body


def generation(outcome: Outcome, stop: Sequence[str]) -> Generation:
    """One text. What is no completion is an error; a content filter's block is typed, before or after the text."""
    if outcome.kind == "blocked":
        return Generation("", "blocked", outcome.reason)
    if outcome.kind != "ok":
        return Generation("", "error", outcome.reason or "It was not asked.")
    choice = first_choice(outcome.body)
    if choice is None:
        return Generation("", "error", "The service's answer holds no choice.")
    ended = str(choice.get("finish_reason") or "")
    if ended.lower().startswith("content_filter"):
        return Generation("", "blocked", "The provider's content filter withheld the answer.")
    text = _text(choice)
    if text is None:
        return Generation("", "error", "The service's answer holds no text.")
    counts = outcome.body.get("usage")
    read, written = (_count(counts, name) for name in ("prompt_tokens", "completion_tokens"))
    return Generation(
        cut_at(text, stop),
        prompt_tokens=read,
        output_tokens=written,
        cut=ended == "length",
        logprob=_logprob(choice),
    )


def calls_in(outcome: Outcome) -> tuple[ToolCall, ...]:
    """The tools that a chat answer calls, in the form of today or in the older one of a single function."""
    choice = first_choice(outcome.body) if outcome.kind == "ok" else None
    message = choice.get("message") if choice else None
    if not isinstance(message, dict):
        return ()
    older = message.get("function_call")
    return calls_of(message.get("tool_calls")) + calls_of([older] if older else [])


def first_choice(body: Any) -> dict[str, Any] | None:
    choices = body.get("choices") if isinstance(body, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return None
    return choices[0]


def cut_at(text: str, stop: Sequence[str]) -> str:
    """`text` up to the first of `stop`."""
    ends = [text.find(s) for s in stop if s and s in text]
    return text[: min(ends)] if ends else text


def calls_itself(bodies: Iterable[Any]) -> dict[str, str]:
    """The model's and the system's names in the replies: all that occur."""
    found = {}
    for part, name in (("model", "model"), ("system", "system_fingerprint")):
        said = {body.get(name) for body in bodies if isinstance(body, dict)}
        texts = sorted(s for s in said if isinstance(s, str) and s)
        if texts:
            found[part] = " ".join(texts)[:500]
    return found


def _text(choice: dict[str, Any]) -> str | None:
    """Of a completion, or of a chat message: plain, or in parts."""
    if isinstance(choice.get("text"), str):
        return str(choice["text"])
    message = choice.get("message")
    if not isinstance(message, dict):
        return None
    content = message.get("content", "")
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(part for part in parts if isinstance(part, str))
    if content is None:  # it wrote a refusal, or nothing
        content = message.get("refusal") or ""
    return content if isinstance(content, str) else None


def _logprob(choice: dict[str, Any]) -> float | None:
    """The sum over the generated tokens of a chat answer, where the service tells it."""
    told = choice.get("logprobs")
    tokens = told.get("content") if isinstance(told, dict) else None
    if not isinstance(tokens, list):
        return None
    total = 0.0
    for token in tokens:
        value = token.get("logprob") if isinstance(token, dict) else None
        if not isinstance(value, int | float) or not math.isfinite(value):
            return None
        total += value
    return total


def _count(counts: Any, name: str) -> int:
    value = counts.get(name) if isinstance(counts, dict) else None
    return value if isinstance(value, int) and value >= 0 else 0
