"""Tools as OpenAI-compatible services name them: what is offered in a request, and what a reply calls."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ToolCall:
    """One call that a model asks for. `arguments` is what it wrote: JSON, if it keeps to the form."""

    name: str
    arguments: str


def offered(text: str) -> list[dict[str, Any]]:
    """The tools of a JSON list, each with a name. Raises ValueError that says what is wrong."""
    try:
        tools = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"The tools are no JSON: {error}.") from error
    if not isinstance(tools, list) or not tools:
        raise ValueError("The tools must be a JSON list with at least one tool.")
    for number, tool in enumerate(tools, 1):
        if not name_of(tool):
            raise ValueError(
                f'Tool {number} has no name. Write {{"type": "function", "function": {{"name": …, "parameters": …}}}}.'
            )
    return tools


def name_of(tool: Any) -> str:
    function = tool.get("function") if isinstance(tool, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else ""


def calls_of(listed: Any) -> tuple[ToolCall, ...]:
    """The calls in a reply's `tool_calls`, or in a log of the same form or of {"name", "arguments"} alone."""
    found = []
    for call in listed if isinstance(listed, list) else ():
        if not isinstance(call, dict):
            continue
        function = call.get("function", call)
        function = function if isinstance(function, dict) else call
        name, arguments = function.get("name"), function.get("arguments", "")
        if isinstance(name, str) and name:
            found.append(ToolCall(name, arguments if isinstance(arguments, str) else _written(arguments)))
    return tuple(found)


def _written(arguments: Any) -> str:
    try:
        return json.dumps(arguments, ensure_ascii=False)
    except (ValueError, RecursionError):  # nested too deep, or a number too long to write
        return ""
