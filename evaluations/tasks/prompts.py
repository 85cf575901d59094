"""From a row to what the model is asked: lm-evaluation-harness 0.4.13's prompt, character for character."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluations.spec import EvaluationError
from evaluations.tasks.definition import Task, Template
from evaluations.tasks.templates import Templates, literal

Doc = Mapping[str, Any]


@dataclass(frozen=True)
class Truth:
    """What is right for one row: its choices, and which of them, or the accepted texts."""

    choices: tuple[str, ...]
    right: tuple[int, ...]  # positions in `choices`; () where the answer is none of them
    texts: tuple[str, ...]  # accepted texts
    several: bool  # more than one answer may be right


class Prompter:
    """Fills in a task's templates."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self._templates = Templates()

    # --- fields of a row ---------------------------------------------------------------------------

    def _field(self, template: str | None, doc: Doc) -> str:
        """A column's value, or what the template makes; "" without one."""
        if not template:
            return ""
        return str(doc[template]) if template in doc else self._templates.render(template, doc)

    def text(self, doc: Doc, template: Template = None) -> str | int:
        """The question; a number where the question is one of the choices."""
        template = self.task.doc_to_text if template is None else template
        if not isinstance(template, str):
            return template if isinstance(template, int) else str(template)
        if template in doc:
            value = doc[template]
            return value if isinstance(value, int) and not isinstance(value, bool) else str(value)
        text = self._templates.render(template, doc)
        return (
            int(text) if text.isdigit() and text.isascii() and self.task.doc_to_choice is not None else text
        )

    def target(self, doc: Doc, template: Template = None) -> Any:
        """The answer: a text, the position of a choice, or a list of either."""
        template = self.task.doc_to_target if template is None else template
        if not isinstance(template, str):
            return template
        if template in doc:
            return doc[template]
        text = self._templates.render(template, doc)
        if text.isdigit() and text.isascii() and self.task.doc_to_choice is not None:
            return int(text)
        return literal(text) if len(text) >= 2 and text[0] == "[" and text[-1] == "]" else text

    def choices(self, doc: Doc, template: Template = None) -> list[str]:
        template = self.task.doc_to_choice if template is None else template
        if isinstance(template, dict):
            found: Any = list(template.values())
        elif isinstance(template, str):
            found = doc[template] if template in doc else literal(self._templates.render(template, doc))
        else:
            found = template
        if not isinstance(found, list | tuple) or not found or any(str(choice) == "" for choice in found):
            raise EvaluationError(
                "choices_missing",
                f"doc_to_choice gives no list of answers for a row, but {str(found)[:80]!r}. Correct the task, or the "
                "column.",
            )
        return [str(choice) for choice in found]

    # --- what is asked -------------------------------------------------------------------------------

    def contexts(self, doc: Doc, shots: Sequence[Doc]) -> list[str]:
        """The prompt of a row; one per choice where the question is one of the choices."""
        task, prefix = self.task, self._field(self.task.gen_prefix, doc)
        before = self._field(task.description, doc) + "".join(self._shot(shot) for shot in shots)
        question = self.text(doc)
        if isinstance(question, int):
            return [before + _asked(choice, prefix, "") for choice in self.choices(doc)]
        return [before + _asked(question, prefix, task.target_delimiter)]

    def _shot(self, doc: Doc) -> str:
        """A worked example: question, delimiter, answer, delimiter."""
        task, how = self.task, self.task.shots
        question, answer = self.text(doc, how.doc_to_text), self.target(doc, how.doc_to_target)
        prefix = self._field(task.gen_prefix if how.gen_prefix is None else how.gen_prefix, doc)
        chosen = task.doc_to_choice is not None or how.doc_to_choice is not None
        choices = self.choices(doc, how.doc_to_choice) if chosen else []
        if isinstance(question, int):
            question, choices = _at(choices, question), []
        if isinstance(answer, int) and not isinstance(answer, bool) and choices:
            answer = _at(choices, answer)
        elif isinstance(answer, list | tuple):
            answer = answer[0] if answer else ""
        if answer is None or answer == "":
            return _asked(question, prefix, how.target_delimiter)
        between = how.target_delimiter if not prefix or _apart(question, prefix) else ""
        return question + between + _joined(prefix, str(answer)) + how.fewshot_delimiter

    def pairs(self, doc: Doc, contexts: Sequence[str]) -> list[tuple[str, str]]:
        """(context, continuation) to be scored: one, or one per choice, and once more without context for
        mutual information."""
        if self.task.output == "loglikelihood":
            return [(contexts[0], str(self.target(doc)))]
        choices, delimiter = self.choices(doc), self.task.target_delimiter
        if isinstance(self.text(doc), int):  # the choices are in the contexts
            pairs = [(context, f"{delimiter}{self.target(doc)}") for context in contexts]
        else:
            pairs = [(contexts[0], f"{delimiter}{choice}") for choice in choices]
        if self.task.judged_by("acc_mutual_info"):
            pairs += [("", f"{delimiter}{choice}") for choice in choices]
        return pairs

    # --- what is right -------------------------------------------------------------------------------

    def truth(self, doc: Doc) -> Truth:
        choices = self.choices(doc) if self.task.doc_to_choice is not None else []
        question = self.text(doc) if self.task.output == "multiple_choice" else ""
        gold = question if isinstance(question, int) else self.target(doc)
        several = isinstance(gold, list | tuple)
        answers = list(gold) if isinstance(gold, list | tuple) else [gold]
        places = [_place(answer, choices) for answer in answers] if choices else []
        if self.task.output == "generate_until" and choices:
            texts = [choices[place] for place in places if place is not None]
        else:
            texts = [str(answer) for answer in answers]
        # As in lm-eval, one answer that is no choice spoils none of the others.
        right = tuple(place for place in places if place is not None)
        return Truth(tuple(choices), right, tuple(texts), several)


def _place(answer: Any, choices: Sequence[str]) -> int | None:
    """Which choice an answer is: its position, or its text. None where it is none."""
    if isinstance(answer, str):
        if answer in choices:
            return choices.index(answer)
        answer = (
            int(answer) if answer.isdigit() and answer.isascii() else None
        )  # a number in a csv file is a text
    elif isinstance(answer, float) and answer.is_integer():
        answer = int(answer)
    return int(answer) if isinstance(answer, int) and 0 <= answer < len(choices) else None


def _at(choices: Sequence[str], place: int) -> str:
    if not 0 <= place < len(choices):
        raise EvaluationError(
            "choice_unknown",
            f"A row names choice {place}, and has {len(choices)}, counted from 0. Correct the column.",
        )
    return choices[place]


def _asked(question: str, prefix: str, delimiter: str) -> str:
    """A question without its answer, and what the answer shall begin with."""
    return question + (delimiter if prefix and _apart(question, prefix) else "") + prefix


def _apart(before: str, after: str) -> bool:
    """Whether two texts meet without white space."""
    return before != "" and not before[-1].isspace() and not after[:1].isspace()


def _joined(prefix: str, answer: str) -> str:
    """The answer behind its prefix, with a space where they would touch."""
    if not prefix:
        return answer
    return f"{prefix} {answer}" if _apart(prefix, answer) else prefix + answer
