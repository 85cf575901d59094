"""The register of evaluations: name -> instance, light enough for a web process to import."""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.metadata
import logging
import re
from collections.abc import Callable

from evaluations.spec import Evaluation, EvaluationError, MetricSpec

log = logging.getLogger(__name__)
ENTRY_POINTS = "auditor.evaluations"

# name -> module that defines EVALUATION. Sorted as the catalogue page shows them.
BUILT_IN = {
    "quality.classification": "evaluations.quality.classification",
    "quality.tagging": "evaluations.quality.tagging",
    "quality.regression_task": "evaluations.quality.regression_task",
    "quality.ranking": "evaluations.quality.ranking",
    "quality.calibration": "evaluations.quality.calibration",
    "quality.selective_conformal": "evaluations.quality.selective_conformal",
    "quality.ood": "evaluations.quality.ood",
    "quality.slices": "evaluations.quality.slices",
    "quality.version_change": "evaluations.quality.version_change",
    "quality.repeatability": "evaluations.quality.repeatability",
    "quality.data": "evaluations.quality.data",
    "quality.multiple_choice": "evaluations.quality.multiple_choice",
    "quality.generation": "evaluations.quality.generation",
    "quality.perplexity": "evaluations.quality.perplexity",
    "quality.contamination": "evaluations.quality.contamination",
    "quality.lm_task": "evaluations.quality.lm_task",
    "quality.judge": "evaluations.quality.judge",
    "quality.hallucination": "evaluations.quality.hallucination",
    "fairness.group": "evaluations.fairness.group",
    "fairness.calibration": "evaluations.fairness.calibration",
    "fairness.identity_terms": "evaluations.fairness.identity_terms",
    "fairness.ll144": "evaluations.fairness.ll144",
    "fairness.counterfactual": "evaluations.fairness.counterfactual",
    "fairness.bbq": "evaluations.fairness.bbq",
    "fairness.stereotype": "evaluations.fairness.stereotype",
    "robustness.text_char": "evaluations.robustness.text_char",
    "robustness.text_synonym": "evaluations.robustness.text_synonym",
    "robustness.text_behaviour": "evaluations.robustness.text_behaviour",
    "robustness.prompt_sensitivity": "evaluations.robustness.prompt_sensitivity",
    "robustness.image_autoattack": "evaluations.robustness.image_autoattack",
    "robustness.image_blackbox": "evaluations.robustness.image_blackbox",
    "robustness.image_corruption": "evaluations.robustness.image_corruption",
    "robustness.tabular_evasion": "evaluations.robustness.tabular_evasion",
    "robustness.tabular_shift": "evaluations.robustness.tabular_shift",
    "robustness.known_attacks": "evaluations.robustness.known_attacks",
    "explainability.attribution": "evaluations.explainability.attribution",
    "explainability.faithfulness": "evaluations.explainability.faithfulness",
    "explainability.sanity": "evaluations.explainability.sanity",
    "explainability.global": "evaluations.explainability.global_reliance",
    "privacy.membership": "evaluations.privacy.membership",
    "privacy.dp_audit": "evaluations.privacy.dp_audit",
    "privacy.memorisation": "evaluations.privacy.memorisation",
    "privacy.pii_leakage": "evaluations.privacy.pii_leakage",
    "privacy.attribute_inference": "evaluations.privacy.attribute_inference",
    "safety.generation": "evaluations.safety.generation",
    "safety.injection": "evaluations.safety.injection",
    "safety.escalation": "evaluations.safety.escalation",
    "safety.toxicity": "evaluations.safety.toxicity",
    "security.artefact": "evaluations.security.artefact",
    "efficiency.latency": "evaluations.efficiency.latency",
    "efficiency.resources": "evaluations.efficiency.resources",
}


@functools.cache
def _sources() -> dict[str, Callable[[], Evaluation]]:
    """How each evaluation is loaded, by name: the built-in ones, then those that installed packages add."""
    found: dict[str, Callable[[], Evaluation]] = {
        name: functools.partial(_built_in, module) for name, module in BUILT_IN.items()
    }
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        if entry.name in found:
            raise EvaluationError(
                "evaluation_clash",
                f"The package entry point {entry.value!r} names its evaluation {entry.name!r}, which exists "
                f"already. Rename it in the package's {ENTRY_POINTS!r} entry points.",
            )
        found[entry.name] = functools.partial(_installed, entry)
    return found


def _built_in(module: str) -> Evaluation:
    evaluation: Evaluation = importlib.import_module(module).EVALUATION
    return evaluation


def _installed(entry: importlib.metadata.EntryPoint) -> Evaluation:
    """An evaluation of another package. Raises `evaluation_broken` where it cannot be loaded."""
    try:
        evaluation: Evaluation = entry.load()
        named = evaluation.name
    except Exception as error:  # whatever another package's import raises
        raise EvaluationError(
            "evaluation_broken",
            f"The evaluation {entry.name!r} of the package entry point {entry.value!r} could not be loaded "
            f"({type(error).__name__}: {str(error)[:200]}). Mend or remove the package.",
        ) from error
    if named != entry.name:
        raise EvaluationError(
            "evaluation_broken",
            f"The package entry point {entry.name!r} leads to an evaluation that calls itself {named!r}. "
            "Give both the same name.",
        )
    return evaluation


@functools.cache
def _loaded(name: str) -> Evaluation:
    return _sources()[name]()


def names() -> tuple[str, ...]:
    """The name of every evaluation, in the order of the catalogue. Loads none of them."""
    return tuple(_sources())


def all() -> tuple[Evaluation, ...]:
    """Every evaluation, in the order of the catalogue. One of another package that cannot be loaded is left out."""
    found = []
    for name in _sources():
        try:
            found.append(_loaded(name))
        except EvaluationError as error:  # one broken package must not take the others down
            log.warning("%s", error.message)
    return tuple(found)


def get(name: str) -> Evaluation:
    """The evaluation called `name`; no other is loaded. Raises EvaluationError `unknown_evaluation`."""
    if name not in _sources():
        raise EvaluationError(
            "unknown_evaluation", f"There is no evaluation {name!r}. {_suggest(name, list(_sources()))}"
        )
    return _loaded(name)


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
