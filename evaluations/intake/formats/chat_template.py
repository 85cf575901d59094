"""Reads chat templates as text, without Jinja: what a prompt never needs and an attack does is refused.

A template is rendered nowhere but in Jinja's sandbox, inside the sandbox that runs the model; this is the
door before it. Loops cannot be bounded by reading alone: `template_trial` renders one with limits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from evaluations.intake.formats.fault import Fault

MAX_TEMPLATE = 256 * 1024
MAX_NUMBER = 10_000  # in code: ranges, repetitions, widths
MAX_LOOPS = 6  # within one another

_OPENER = re.compile(r"\{[{%#]")
_RAW = re.compile(r"\{%[-+]?\s*raw\s*[-+]?%\}")
_ENDRAW = re.compile(r"\{%[-+]?\s*endraw\s*[-+]?%\}")
# A text is one token of Jinja's: an end of the block inside of it does not end the block.
_TEXT = re.compile(r"'((?:[^'\\]|\\.)*+)'|\"((?:[^\"\\]|\\.)*+)\"", re.DOTALL)
_TAG = re.compile(r"[-+]?\s*(\w+)")
_LOADS = {"import", "include", "from", "extends"}
# Ways round Jinja's own rules: attributes by name, objects that know their module, unlimited text.
_NAMES = re.compile(r"\b(attr|lipsum|cycler|joiner|getattr|globals|builtins|environ|popen|subprocess|self)\b")
_FRAMES = (
    r"mro|[gc]i_(?:frame|code)|cr_(?:frame|code)|f_back|f_(?:globals|builtins|locals)|func_globals|tb_frame"
)
_DUNDER = re.compile(rf"\.\s*_|\b__\w+|\b(?:{_FRAMES})\b")
_HIDDEN = re.compile(rf"__[A-Za-z]\w*|\w*[A-Za-z]__|{_FRAMES}")
_DIGITS = re.compile(r"(?<![\w.])\d[\d_]*")
_POWER = re.compile(r"\*\*|<<")


def of_configuration(value: Any, name: str) -> Iterator[str]:
    """The templates that a configuration holds: one, or a list or table of named ones. `name` is the file's."""
    if not isinstance(value, dict):
        return
    # processors write chat_template.json, whose one key it is; older ones hold the texts at the top
    held = [value[key] for key in ("chat_template", "default_chat_template") if key in value]
    if name == "chat_template.json" and not held:
        held = [value]
    for template in (one for item in held for one in _templates(item)):
        if not isinstance(template, str):
            raise Fault("template", "A chat template is not a text. Save the tokenizer again.")
        yield template


def _templates(held: Any) -> Iterator[Any]:
    if held is None:
        return
    if isinstance(held, dict):
        yield from held.values()
    elif isinstance(held, list):
        yield from (one.get("template") if isinstance(one, dict) else one for one in held)
    else:
        yield held


def check(template: str) -> None:
    """Raise Fault `template…` for a template that reaches beyond the conversation that it is given."""
    if len(template) > MAX_TEMPLATE:
        raise _fault("template", f"is longer than {MAX_TEMPLATE // 1024} KiB")
    depth = 0
    for opener, code in _blocks(template):
        _check_code(code)
        tag = _TAG.match(code) if opener == "{%" else None
        if tag is None:
            continue
        if tag[1] in _LOADS:
            raise _fault("template_import", f"loads another template ({tag[1]})")
        depth += {"for": 1, "endfor": -1}.get(tag[1], 0)
        if depth > MAX_LOOPS:
            raise _fault("template_loop", f"has more than {MAX_LOOPS} loops within one another")


def _blocks(template: str) -> Iterator[tuple[str, str]]:
    """The code in a template, as Jinja's lexer splits it: each opener, and what is between it and its end."""
    at = 0
    while found := _OPENER.search(template, at):
        at = found.end()
        if found[0] == "{#":
            at = _after(template, "#}", at)
        elif raw := _RAW.match(template, found.start()):
            end = _ENDRAW.search(template, raw.end())
            if end is None:
                raise _fault("template", "does not end a block")
            at = end.end()
        else:
            end_at = _end_of_code(template, at, "}}" if found[0] == "{{" else "%}")
            yield found[0], template[at:end_at]
            at = end_at + 2


def _end_of_code(template: str, at: int, closing: str) -> int:
    """Where the block ends: not in a text, and with every bracket closed."""
    open_ = 0
    while at < len(template):
        if not open_ and template.startswith(closing, at):
            return at
        if text := _TEXT.match(template, at):
            at = text.end()
            continue
        if template[at] in "'\"":
            break
        open_ += (template[at] in "([{") - (template[at] in ")]}")
        at += 1
    raise _fault("template", "does not end a block")


def _after(template: str, mark: str, at: int) -> int:
    end = template.find(mark, at)
    if end < 0:
        raise _fault("template", "does not end a block")
    return end + len(mark)


def _check_code(code: str) -> None:
    texts = [_unescaped(single or double) for single, double in _TEXT.findall(code)]
    bare = _TEXT.sub("''", code)
    if found := _DUNDER.search(bare) or next((t for t in map(_HIDDEN.fullmatch, texts) if t), None):
        raise _fault("template_dunder", f"reaches for what is inside of Python ({found[0].strip()[:40]!r})")
    if found := _NAMES.search(bare):
        raise _fault("template_dunder", f"uses {found[0]!r}, by which templates escape")
    if any(
        int(digits.replace("_", "")) > MAX_NUMBER for digits in _DIGITS.findall(bare) if len(digits) < 400
    ):
        raise _fault("template_loop", f"counts beyond {MAX_NUMBER:,}")
    if _POWER.search(bare) or any(len(d) >= 400 for d in _DIGITS.findall(bare)):
        raise _fault("template_loop", "raises numbers to powers")


def _unescaped(text: str) -> str:
    """A text of the template as Jinja reads it, so that no escape hides a name."""
    try:
        return text.encode("ascii", "backslashreplace").decode("unicode-escape")
    except UnicodeDecodeError:
        return text


def _fault(code: str, what: str) -> Fault:
    return Fault(
        code,
        f"The chat template {what}. Use the template that the model was published with, and read it first.",
    )
