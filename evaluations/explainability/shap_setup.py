"""Imports shap without its compiler: trees of some hundred leaves need none, and compiling takes ten seconds a run."""

from __future__ import annotations

import sys
import warnings
from typing import Any


def imported() -> Any:
    """The package shap."""
    if "shap" not in sys.modules:
        from numba import config

        settings: Any = config
        before = settings.DISABLE_JIT
        settings.DISABLE_JIT = 1
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # its plots, which nobody draws, use matplotlib's old ways
                import shap
        finally:
            settings.DISABLE_JIT = before
        return shap
    return sys.modules["shap"]
