"""Renders the chat template of a local model: foreign code, in Jinja's sandbox as transformers does, within limits."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from evaluations.models.transcripts import is_unicode, without_system
from evaluations.spec import EvaluationError

STEPS = 1_000_000  # lines and calls of one rendering; honest ones take some hundred a message
TEMPLATE = "<template>"  # the file name that Jinja gives to a compiled template
CHARACTERS = 4_000_000  # of one prompt
ADVICE = "Use the template that the model was published with, and read it first."


class _TooManySteps(BaseException):
    """Not an Exception, so that no `except` on the way stops it."""


def render(tokenizer: Any, given: Sequence[dict[str, str]]) -> tuple[str | None, str]:
    """The prompt of one conversation, or None and what the template says against it.

    A template that refuses a system message is given it within the user's first. Raises `chat_template` for one
    that takes too much, or reaches for what the sandbox keeps from it.
    """
    from jinja2.exceptions import SecurityError

    tries = [list(given)]
    if any(message["role"] == "system" for message in given):
        tries.append(without_system(given))
    complaint = ""
    for messages in tries:
        try:
            with _limited():
                # transformers compiles and renders it in an ImmutableSandboxedEnvironment, and nowhere else
                text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        except (_TooManySteps, MemoryError, RecursionError, OverflowError) as error:
            raise EvaluationError(
                "chat_template", f"The model's chat template takes too much for a conversation. {ADVICE}"
            ) from error
        except SecurityError as error:
            raise EvaluationError(
                "chat_template", f"The model's chat template reaches for what Jinja's sandbox keeps. {ADVICE}"
            ) from error
        except Exception as error:  # noqa: BLE001  # foreign code may raise whatever it likes
            complaint = complaint or str(error)[:200]
            continue
        if not is_unicode(text):
            complaint = complaint or "it writes halves of characters."
            continue
        if len(text) > CHARACTERS:
            raise EvaluationError(
                "chat_template",
                f"The model's chat template writes more than {CHARACTERS:,} characters for a conversation. {ADVICE}",
            )
        return text, ""
    return None, f"The model's chat template does not take this conversation: {complaint}"


@contextmanager
def _limited() -> Iterator[None]:
    """Counts the template's own lines and every call that it leads to, whatever the machine's speed, and ends what
    takes too many. Compiling it first is not counted: that is our code, on a text whose length intake bounds."""
    left, begun = STEPS, False

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal left, begun
        own = frame.f_code.co_filename == TEMPLATE
        begun |= own
        left -= begun
        if left < 0:
            raise _TooManySteps
        return trace if own else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)
