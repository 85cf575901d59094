"""Run as a program, with limits: renders chat templates from standard input on short conversations, in Jinja's sandbox.

The file is standard library and Jinja alone. It renders as transformers does (utils/chat_template_utils.py).
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Sequence
from typing import Any

USER = {"role": "user", "content": "Hello"}
REPLY = {"role": "assistant", "content": "Hi, how can I help?"}
SYSTEM = {"role": "system", "content": "Be brief."}
WORD = {"type": "string", "description": "A word."}
TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "Looks it up.",
        "parameters": {"type": "object", "properties": {"word": WORD}, "required": ["word"]},
    },
}
CASES: tuple[tuple[list[Any], list[Any] | None], ...] = (
    ([USER], None),
    ([SYSTEM, USER, REPLY, USER], None),
    ([USER, REPLY, USER], [TOOL]),
)


def main(seconds: str, memory: str, most: str) -> None:
    """Print what `tried` says of the templates on standard input."""
    templates = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds)))
    resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print(tried(templates, int(most)))


def tried(templates: Sequence[str], most: int) -> str:
    """What they do: "fine", "over" (too much of anything), "escapes", or "absent" where Jinja is not installed.

    Only what they write is limited here.
    """
    try:
        import jinja2.ext
        from jinja2.exceptions import SecurityError, TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ImportError:
        return "absent"

    def complain(message: str) -> None:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols]
    )
    environment.globals["raise_exception"] = complain
    environment.globals["strftime_now"] = lambda form: "26 July 2024"
    for text in templates:
        for messages, tools in CASES:
            given = {"messages": messages, "tools": tools, "documents": None, "add_generation_prompt": True}
            size = 0
            try:
                for piece in environment.from_string(text).generate(given, bos_token="<s>", eos_token="</s>"):
                    size += len(piece)
                    if size > most:
                        return "over"
            except (MemoryError, RecursionError, OverflowError):
                return "over"
            except SecurityError:
                return "escapes"
            except Exception:  # noqa: BLE001  # it complains, or wants what only its own library has
                continue
    return "fine"


if __name__ == "__main__":
    main(*sys.argv[1:])
