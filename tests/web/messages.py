"""Finds every translatable string of the service, for the test that each has a translation."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import yaml
from babel.messages.extract import DEFAULT_KEYWORDS, extract_python
from django.utils.translation.template import templatize

from auditor.reports.build import RULE
from evaluations import catalogue

REPOSITORY = Path(__file__).resolve().parents[2]
KEYWORDS = {
    **DEFAULT_KEYWORDS,
    "gettext_lazy": None,
    "pgettext_lazy": ((1, "c"), 2),
    "ngettext_lazy": (1, 2),
}
Message = tuple[str, str, str]  # context, text, plural


def of_python() -> Iterator[Message]:
    for path in sorted((REPOSITORY / "auditor").rglob("*.py")):
        if "/client/" in str(path):  # the command line speaks English
            continue
        yield from _read(path.read_bytes())


def of_templates() -> Iterator[Message]:
    for path in sorted((REPOSITORY / "templates").rglob("*.html")):
        code = templatize(path.read_text(encoding="utf-8"), origin=str(path))
        # what was no tag is left as X's and indentation: keep the calls alone, one to a line
        calls = re.findall(
            r"(?:_|n?p?gettext(?:_lazy)?)\((?:[^()\"']|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|\([^()]*\))*\)",
            code,
        )
        yield from _read("\n".join(calls).encode())


def of_catalogue() -> Iterator[Message]:
    """What pages say in the words of an evaluation or of a policy that comes with the service."""
    for evaluation in catalogue.all():
        yield from (("", text, "") for text in (evaluation.title, evaluation.question))
        for spec in evaluation.metrics:
            yield from (("", text, "") for text in (spec.title, spec.plain))
    for path in sorted((REPOSITORY / "auditor" / "policies" / "builtin").glob("*.yaml")):
        policy = yaml.safe_load(path.read_text(encoding="utf-8"))
        yield from (("", text, "") for text in (policy["title"], policy["description"]))
        for control in policy["controls"]:
            yield from (("", text, "") for text in (control["title"], control["rationale"]))
    yield ("", RULE, "")


def everything() -> set[Message]:
    return {m for m in (*of_python(), *of_templates(), *of_catalogue()) if m[1]}


def _read(code: bytes) -> Iterator[Message]:
    for _line, function, texts, _comments in extract_python(io.BytesIO(code), list(KEYWORDS), [], {}):
        parts = [t for t in (texts if isinstance(texts, tuple) else (texts,)) if t is not None]
        if not parts:
            continue
        context = parts.pop(0) if function.removesuffix("_lazy") in ("pgettext", "npgettext") else ""
        yield (context, parts[0], parts[1] if "ngettext" in function or "npgettext" in function else "")
