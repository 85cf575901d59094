"""Renders a chat template on short conversations in Jinja's sandbox, in a process of its own, within limits."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence

from auditor.registry.formats.fault import Fault

SECONDS = 3  # of CPU, for all templates of one file
MEMORY = 1 << 30
OUTPUT = 1 << 20  # characters of one prompt; the conversations have a few dozen
_OVER, _ESCAPES = "over", "escapes"


def available() -> bool:
    """Whether Jinja is installed; the command line alone comes without it."""
    return importlib.util.find_spec("jinja2") is not None


def refuse_runaways(templates: Sequence[str]) -> None:
    """Raise Fault `template_loop` or `template_dunder` where a template takes too much, or what it may not have.

    One that complains about the conversation, or uses what only its own library has, is left alone.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", _CHILD, str(SECONDS), str(MEMORY), str(OUTPUT)],
            input=json.dumps(list(templates)),
            capture_output=True,
            text=True,
            timeout=SECONDS + 7,
            check=False,
            env={},
        )
    except subprocess.TimeoutExpired:
        raise _over() from None
    if done.returncode or done.stdout.strip() == _OVER:
        raise _over()
    if done.stdout.strip() == _ESCAPES:
        raise Fault(
            "template_dunder",
            "The chat template reaches for what Jinja's sandbox keeps from it. Use the template that the model was "
            "published with, and read it first.",
        )


def _over() -> Fault:
    return Fault(
        "template_loop",
        f"The chat template takes more than {SECONDS} seconds or {MEMORY >> 30} GiB, or writes more than "
        f"{OUTPUT >> 20} million characters, for a short conversation. Use the template that the model was published "
        "with.",
    )


# As transformers renders them (utils/chat_template_utils.py), but for the limits.
_CHILD = f"""
import json, resource, sys
seconds, memory, output = map(int, sys.argv[1:])
templates = json.load(sys.stdin)
import jinja2, jinja2.ext
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment
user, reply = {{"role": "user", "content": "Hello"}}, {{"role": "assistant", "content": "Hi, how can I help?"}}
tool = {{"type": "function", "function": {{"name": "look_up", "description": "Looks it up.", "parameters":
        {{"type": "object", "properties": {{"word": {{"type": "string", "description": "A word."}}}}, "required": ["word"]}}}}}}
cases = [([user], None), ([{{"role": "system", "content": "Be brief."}}, user, reply, user], None), ([user, reply, user], [tool])]
def complain(message):
    raise jinja2.exceptions.TemplateError(message)
environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols])
environment.globals["raise_exception"] = complain
environment.globals["strftime_now"] = lambda form: "26 November 2026"
resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
answer = ""
for text in templates:
    for messages, tools in cases:
        size = 0
        try:
            for piece in environment.from_string(text).generate(
                messages=messages, tools=tools, documents=None, add_generation_prompt=True, bos_token="<s>", eos_token="</s>"
            ):
                size += len(piece)
                if size > output:
                    answer = "{_OVER}"
                    break
        except (MemoryError, RecursionError, OverflowError):
            answer = "{_OVER}"
        except SecurityError:
            answer = "{_ESCAPES}"
        except Exception:
            pass
    if answer:
        break
print(answer)
"""
