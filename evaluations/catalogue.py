"""The register of evaluations: name -> instance, light enough for a web process to import."""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.metadata
import re

from evaluations.spec import Evaluation, EvaluationError, MetricSpec

ENTRY_POINTS = "auditor.evaluations"

# name -> module that defines EVALUATION. Sorted as the catalogue page shows them.
BUILT_IN = {
    "quality.classification": "evaluations.quality.classification",
    "quality.calibration": "evaluations.quality.calibration",
    "fairness.group": "evaluations.fairness.group",
    "robustness.text_char": "evaluations.robustness.text_char",
}


@functools.cache
def _register() -> dict[str, Evaluation]:
    """Every evaluation by name: the built-in ones, then those that installed packages add."""
    found: dict[str, Evaluation] = {}
    for name, module in BUILT_IN.items():
        found[name] = importlib.import_module(module).EVALUATION
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        if entry.name in found:
            raise EvaluationError(
                "evaluation_clash",
                f"The package entry point {entry.value!r} names its evaluation {entry.name!r}, which exists "
                f"already. Rename it in the package's {ENTRY_POINTS!r} entry points.",
            )
        found[entry.name] = entry.load()
    return found


def all() -> tuple[Evaluation, ...]:
    """Every evaluation, in the order of the catalogue."""
    return tuple(_register().values())


def get(name: str) -> Evaluation:
    """The evaluation called `name`. Raises EvaluationError `unknown_evaluation` with near matches."""
    register = _register()
    if name not in register:
        raise EvaluationError(
            "unknown_evaluation", f"There is no evaluation {name!r}. {_suggest(name, list(register))}"
        )
    return register[name]


def metric(evaluation: str, name: str) -> MetricSpec:
    """What `evaluation` says of its metric `name`. Raises EvaluationError `unknown_metric`."""
    specs = {spec.name: spec for spec in get(evaluation).metrics}
    if name not in specs:
        raise EvaluationError(
            "unknown_metric", f"{evaluation} has no metric {name!r}. {_suggest(name, list(specs))}"
        )
    return specs[name]


def _suggest(name: str, known: list[str]) -> str:
    words = set(re.split(r"[._]", name.lower()))
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    near += [k for k in known if k not in near and words & set(re.split(r"[._]", k))][: 3 - len(near)]
    if near:
        return f"Did you mean {', '.join(near)}?"
    return f"Known: {', '.join(sorted(known))}."
