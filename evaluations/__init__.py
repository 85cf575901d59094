"""Evaluations of machine-learning models: pure Python, no service, no database.

`evaluations.run(...)` from a notebook; `python -m evaluations` from a shell.
"""

from __future__ import annotations

from typing import Any


def run(evaluations: Any, model: Any, data: Any, **options: Any) -> Any:
    """Evaluates `model` on `data`: see `evaluations.local.run`, which loads when this is called."""
    from evaluations.local import run as run_locally

    return run_locally(evaluations, model, data, **options)
