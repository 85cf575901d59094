"""Finds the keys by which a configuration has a library load code, or another model, from somewhere else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from evaluations.intake.formats.fault import Fault

# Key -> what it would do. An `auto_map` names classes in .py files beside it or in another repository.
_HOOKS = {
    "auto_map": "asks to load code of its own",
    "custom_pipelines": "asks for a pipeline of its own code",
    "custom_pipeline": "asks for a pipeline of its own code",
    "custom_generate": "asks to generate by code of its own",
    "trust_remote_code": "asks to trust code from elsewhere",
    "code_revision": "names a revision of code from elsewhere",
    "kernel_config": "asks for compiled code from elsewhere",
    "use_kernels": "asks for compiled code from elsewhere",
}
_HARMLESS = (None, False)  # of all but auto_map: how libraries write the default


def refuse(value: Any) -> None:
    """Raise Fault `auto_map` or `code_hook` where a configuration asks for code, at any depth."""
    for key, held in items(value):
        if key == "auto_map" or (key in _HOOKS and not any(held is harmless for harmless in _HARMLESS)):
            raise Fault(
                "auto_map" if key == "auto_map" else "code_hook",
                f"The configuration {_HOOKS[key]} ({key}). Use a model class that comes with transformers, and "
                f"remove {key} from the file.",
            )
        # transformers fetches “owner/kernel” as compiled code; its own ways are single words
        if key.endswith(("attn_implementation", "experts_implementation")) and _names_a_repository(held):
            raise Fault(
                "code_hook",
                f"The configuration asks for compiled code from elsewhere ({key}). Remove {key} from the file.",
            )


def _names_a_repository(value: Any) -> bool:
    values = value.values() if isinstance(value, dict) else [value]
    return any(isinstance(one, str) and "/" in one for one in values)


def items(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key of a configuration with what it holds, at any depth."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            yield from item.items()
            pending += item.values()
        elif isinstance(item, list):
            pending += item
