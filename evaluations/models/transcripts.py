"""A conversation as a model is given it: as messages with roles, or as a plain transcript where it has no template.

The plain transcript is one paragraph a message, then the beginning of the next one:

    Be brief.

    User: How is tea made?

    Assistant: With hot water.

    User: Go on.

    Assistant:
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from evaluations.spec import GenerationSettings, Turn

USER, ASSISTANT = "User:", "Assistant:"
# What the model was given to read stands in a message of the user's: a role "tool" takes a call that it answers.
READ = {"document": "Document:", "tool": "Output of a tool:"}
# How common templates write that a message begins or ends: after the first sign of such a mark stands a space.
_MARK = re.compile(
    r"<(?=[|｜]|</?SYS>|/?s>|/?(?:bos|eos|unk|pad)>|(?:start|end)_of_(?:turn|text)>|/?(?:system|user|assistant)>)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_RESULTS|TOOL_CALLS)\])",
    re.IGNORECASE,
)


def messages(conversation: Sequence[Turn], system: str = "") -> list[dict[str, str]]:
    """Messages whose roles are system, user and assistant. Neighbours of the same role are one message, since many
    templates take no other order; `system` goes before what the conversation says itself.
    """
    found: list[dict[str, str]] = [{"role": "system", "content": system}] if system else []
    for turn in conversation:
        role = "user" if turn.speaker in READ else turn.speaker
        text = f"{READ[turn.speaker]}\n{turn.text}" if turn.speaker in READ else turn.text
        if found and found[-1]["role"] == role:
            found[-1]["content"] += f"\n\n{text}"
        else:
            found.append({"role": role, "content": text})
    return found


def without_system(given: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """The same messages for a template that knows no system message: it stands at the head of the user's first."""
    told = "\n\n".join(m["content"] for m in given if m["role"] == "system")
    rest = [dict(m) for m in given if m["role"] != "system"]
    first = next((m for m in rest if m["role"] == "user"), None)
    if first is None:
        return [{"role": "user", "content": told}, *rest]
    first["content"] = f"{told}\n\n{first['content']}"
    return rest


def plain(conversation: Sequence[Turn], system: str = "") -> str:
    """The transcript, up to where the assistant's next message begins."""
    names = {"user": f"{USER} ", "assistant": f"{ASSISTANT} ", "system": ""}
    parts = [names[m["role"]] + m["content"] for m in messages(conversation, system)]
    return "\n\n".join([*parts, ASSISTANT])


def ending(settings: GenerationSettings) -> GenerationSettings:
    """Settings for a plain transcript: the message ends where the model would go on as the user."""
    return settings.model_copy(update={"stop": (*settings.stop, f"\n{USER}"), "system": ""})


def unmarked(text: str) -> str:
    """A text that cannot pass for a message of its own. Tokenizers and services read the marks of a template in any
    text as marks; a judge is shown an answer without them, lest the answer speak to it as somebody else."""
    return _MARK.sub(lambda found: f"{found[0]} ", text)


def is_unicode(text: str) -> bool:
    """Whether it can be written down: JSON and templates may hold halves of characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
