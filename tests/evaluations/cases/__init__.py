"""How the conformance suite runs each evaluation: one module per evaluation, named area_name, defining CASE."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from evaluations.spec import Evaluation, ModelRef, Role
from tests.evaluations import make


def tabular_stand_in(folder: Path) -> tuple[Any, ModelRef]:
    """A tabular classifier that answers from column x."""
    return make.Answering(make.logistic), make.STAND_IN


@dataclass(frozen=True)
class Case:
    """One evaluation on small data.

    `model` makes the model under audit and its reference, once per session, in a folder of its own.
    `known` names models whose values are known: each a function of the table, with (metric, slice) -> value.
    """

    table: Callable[[int], pd.DataFrame] = make.frame
    roles: dict[str, Role] = field(default_factory=lambda: dict(make.TABULAR_ROLES))
    data: dict[str, Any] = field(default_factory=lambda: {"favourable_label": "yes"})  # more of DataRef
    params: dict[str, Any] = field(default_factory=dict)
    rows: int = 60
    model: Callable[[Path], tuple[Any, ModelRef]] = tabular_stand_in
    parent: Callable[[Path], tuple[Any, ModelRef]] | None = None
    judge: Callable[[Path], tuple[Any, ModelRef]] | None = None
    reference: Callable[[Path], tuple[Any, ModelRef]] | None = None
    reports: frozenset[str] | None = None  # metrics that its parameters ask for; None: all that are declared
    timed: bool = False  # it measures this machine: no two runs are alike
    label: str | None = (
        "label"  # column of class names that the model must know; None: the target is something else
    )
    silent: Callable[[], Any] | None = lambda: make.Answering(make.never)  # a model that never answers
    known: dict[str, tuple[Callable[[pd.DataFrame], Any], dict[tuple[str, str], float]]] = field(
        default_factory=dict
    )


def case_of(evaluation: Evaluation) -> Case:
    module = importlib.import_module(f"tests.evaluations.cases.{evaluation.name.replace('.', '_')}")
    case: Case = module.CASE
    return case


def perfect(table: pd.DataFrame) -> Any:
    """A model that knows the truth of `make.frame`."""
    return make.Answering(make.oracle(table, right=True))


def inverted(table: pd.DataFrame) -> Any:
    """A model that knows the truth and says the opposite."""
    return make.Answering(make.oracle(table, right=False))


def constant(table: pd.DataFrame) -> Any:
    """A model that always says .25 / .75."""
    return make.Answering(make.always(0.25, 0.75))


def everywhere(values: dict[str, float], where: str = "all") -> dict[tuple[str, str], float]:
    """Values by (metric, slice), all on one slice."""
    return {(name, where): value for name, value in values.items()}
