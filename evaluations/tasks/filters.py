"""From the texts of an example to its answer, as lm-evaluation-harness's filters of the same names have it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evaluations.spec import EvaluationError
from evaluations.tasks import choice_regex, patterns
from evaluations.tasks.definition import Pipeline, Step

Texts = list[Any]


def answer_of(pipeline: Pipeline, texts: Sequence[str], doc: Mapping[str, Any]) -> Any:
    """What the pipeline makes of the texts of one row. Raises EvaluationError where it leaves several."""
    held: Any = list(texts)
    for step in pipeline.steps:
        if not isinstance(held, list):  # take_first has been: its answer goes on alone
            held = _apply(step, [held], doc)[0]
        elif step.function == "take_first":
            held = held[0]
        else:
            held = _apply(step, held, doc)
    if isinstance(held, list):
        if len(held) > 1:
            raise EvaluationError(
                "answers_many",
                f"The filters {pipeline.name!r} leave {len(held)} answers to an example. End them with take_first or "
                "majority_vote.",
            )
        held = held[0]
    return held


def _apply(step: Step, texts: Texts, doc: Mapping[str, Any]) -> Texts:
    if step.function == "multi_choice_regex":
        return choice_regex.letters_of([str(text) for text in texts], doc, **step.arguments)
    return STEPS[step.function](texts, **step.arguments)


def _first_k(texts: Texts, k: int) -> Texts:
    if len(texts) < k:
        raise EvaluationError(
            "answers_few", f"take_first_k asks for {k} texts, and there are {len(texts)}. Raise `repeats`."
        )
    return texts[:k]


def _majority(texts: Texts) -> Texts:
    """The most frequent text, the first of those that are equally frequent."""
    return [Counter(texts).most_common(1)[0][0]]


def _extracted(texts: Texts, regex_pattern: str, group_select: int, fallback: str) -> Texts:
    return [_match(patterns.found(regex_pattern, text), group_select, fallback) for text in texts]


def _match(found: list[Any], group_select: int, fallback: str) -> str:
    if not -len(found) <= group_select < len(found):
        return fallback
    match = found[group_select]
    if isinstance(match, tuple):
        match = next((group for group in match if group), fallback)
    return str(match).strip()


STEPS: dict[str, Callable[..., Texts]] = {
    "take_first": lambda texts: texts[:1],
    "take_first_k": _first_k,
    "majority_vote": _majority,
    "lowercase": lambda texts: [str(text).lower() for text in texts],
    "uppercase": lambda texts: [str(text).upper() for text in texts],
    "remove_whitespace": lambda texts: [str(text).strip() for text in texts],
    "regex": _extracted,
    "map": lambda texts, mapping_dict, default_value=None: [
        mapping_dict.get(t, default_value) for t in texts
    ],
}
