"""YAML as lm-evaluation-harness writes it, without what could run code or grow: no Python, no aliases. Light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

MAX_TEXT = 200_000  # characters


@dataclass(frozen=True)
class Python:
    """A call of Python that a file asks for: `!function utils.process_docs`. It is never made."""

    name: str


class _Loader(yaml.SafeLoader):
    """Plain values, and the names of Python functions."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise ValueError("The task uses a YAML alias (*name). Write out what it stands for.")
        return super().compose_node(parent, index)


def _name_function(loader: Any, node: Any) -> Python:
    return Python(str(node.value)[:200])


_Loader.add_constructor("!function", _name_function)


def mapping(text: str) -> dict[str, Any]:
    """The mapping that a YAML text is. Raises ValueError that says what to mend."""
    if len(text) > MAX_TEXT:
        raise ValueError(f"The task has more than {MAX_TEXT:,} characters.")
    try:
        found = yaml.load(text, Loader=_Loader)  # a SafeLoader that takes less
    except yaml.YAMLError as error:
        raise ValueError(f"The task is no YAML: {str(error)[:300]}.") from error
    except RecursionError as error:
        raise ValueError("The task nests too deeply.") from error
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise ValueError("The task is no YAML mapping, such as `output_type: multiple_choice`.")
    return found
