"""Jinja in a sandbox: a template sees the columns of one row, and can reach nothing else."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

import regex
from jinja2 import StrictUndefined, Template, TemplateError, UndefinedError
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from evaluations.spec import EvaluationError
from evaluations.tasks import patterns

MAX_TEXT = 2_000_000  # characters that one template may make


class Environment(ImmutableSandboxedEnvironment):
    """The sandbox, with a bound on what multiplying and powers can make."""

    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**":
            numbers = [side for side in (left, right) if isinstance(side, int | float)]
            large = len(numbers) == 2 and (abs(left) > 2**64 or abs(right) > 64)
        else:
            lengths = [len(side) for side in (left, right) if isinstance(side, str | list | tuple)]
            times = [side for side in (left, right) if isinstance(side, int)]
            large = bool(lengths and times) and lengths[0] * times[0] > MAX_TEXT
        if large:
            raise SecurityError("it makes too long a text or too large a number")
        return super().call_binop(context, operator, left, right)


def regex_replace(text: str, pattern: str, by: str, count: int = 0) -> str:
    return patterns.replaced(pattern, by, text, count)


class Templates:
    """Compiled templates by their text."""

    def __init__(self) -> None:
        self._environment = Environment(
            undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False
        )  # prompts, not pages
        self._environment.filters["regex_replace"] = regex_replace
        self._known: dict[str, Template] = {}

    def render(self, template: str, doc: Mapping[str, Any]) -> str:
        """The text that a template makes of one row. Raises EvaluationError that says what to mend."""
        try:
            if template not in self._known:
                self._known[template] = self._environment.from_string(template)
            text = self._known[template].render(**doc)
        except UndefinedError as error:
            raise EvaluationError(
                "template_column",
                f"The template {template[:80]!r} cannot be filled in: {str(error)[:120]}. The columns with a role are "
                f"{', '.join(map(repr, list(doc)[:20]))}. Give the column a role, or correct the template.",
            ) from error
        except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise _failed(template, error) from error
        except (RecursionError, MemoryError, regex.error) as error:
            raise _failed(template, error) from error
        if len(text) > MAX_TEXT:
            raise EvaluationError(
                "template_failed",
                f"The template {template[:80]!r} makes a text of more than {MAX_TEXT:,} characters.",
            )
        return text


def _failed(template: str, error: BaseException) -> EvaluationError:
    return EvaluationError(
        "template_failed",
        f"The template {template[:80]!r} cannot be filled in: {str(error)[:200] or type(error).__name__}.",
    )


def literal(text: str) -> Any:
    """The Python value that a text spells, such as a list of texts; the text itself where it spells none."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError, TypeError):
        return text
