"""Renders a chat template on short conversations in Jinja's sandbox, in a process of its own, within limits."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from evaluations.intake import template_child
from evaluations.intake.formats.fault import Fault

SECONDS = 3  # of CPU, for all templates of one file
MEMORY = 1 << 30
OUTPUT = 1 << 20  # characters of one prompt; the conversations have a few dozen


def available() -> bool:
    """Whether Jinja is installed; the command line alone comes without it."""
    return importlib.util.find_spec("jinja2") is not None


def refuse_runaways(templates: Sequence[str]) -> None:
    """Raise Fault `template_loop` or `template_dunder` where a template takes too much, or what it may not have.

    One that complains about the conversation, or uses what only its own library has, is left alone.
    """
    program = Path(__file__).with_name("template_child.py")
    try:
        answer = subprocess.run(
            [sys.executable, "-I", str(program), str(SECONDS), str(MEMORY), str(OUTPUT)],
            input=json.dumps(list(templates)),
            capture_output=True,
            text=True,
            timeout=10 * SECONDS,  # the computer may be busy
            check=False,
            env={},
        ).stdout.strip()
    except subprocess.TimeoutExpired:
        answer = ""
    except PermissionError:  # the sandbox of an audit lets nothing start a process, and limits this one
        answer = template_child.tried(templates, OUTPUT)
    if answer == "escapes":
        raise Fault(
            "template_dunder",
            "The chat template reaches for what Jinja's sandbox keeps from it. Use the template that the model was "
            "published with, and read it first.",
        )
    if answer not in ("fine", "absent"):  # "over", or stopped by a limit
        raise Fault(
            "template_loop",
            f"The chat template takes more than {SECONDS} seconds or {MEMORY >> 30} GiB, or writes more than "
            f"{OUTPUT >> 20} million characters, for a short conversation. Use the template that the model was "
            "published with.",
        )
