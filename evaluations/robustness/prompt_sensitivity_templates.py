"""Ways of asking the same: six for each kind of task, and how a template is filled in."""

from __future__ import annotations

import re
from collections.abc import Sequence

LIST = "- "  # before each of the choices, one a line
_PLACE = re.compile(r"\{(input|context|choices)\}")

# (kind of task, whether answers are compared by likelihood) -> templates. Each asks for the same with the same help.
BUILT_IN = {
    ("choices", True): (
        "{input}\nAnswer:",
        "Question: {input}\nAnswer:",
        "Q: {input}\nA:",
        "{input}\n\nThe right answer is:",
        "Answer the question.\n\n{input}\n\nAnswer:",
        "Please answer this question: {input}\nMy answer:",
    ),
    ("choices", False): (
        "{input}\n\nOptions:\n{choices}\n\nAnswer with one of the options, word for word, and nothing else.",
        "Answer the question with exactly one of the options below.\n\nQuestion: {input}\n{choices}\nAnswer:",
        "Question: {input}\n\nChoose one:\n{choices}\n\nRepeat your choice and say nothing else:",
        "{choices}\n\nWhich of the options above answers this question? Write only that option.\n{input}",
        "You are taking a test. {input}\nPossible answers:\n{choices}\nThe right one is:",
        "Read the question and give the right answer from the list.\n\n{input}\n\n{choices}\n\nYour answer:",
    ),
    ("labels", True): (
        "Labels:\n{choices}\n\nText: {input}\nLabel:",
        "Classify the text with one of these labels:\n{choices}\n\n{input}\n\nLabel:",
        "{input}\n\nWhich of these fits?\n{choices}\nAnswer:",
        "Text: {input}\nPossible classes:\n{choices}\nClass:",
        "Input: {input}\nOptions:\n{choices}\nOutput:",
        "Read the text and choose its label.\n{choices}\nText: {input}\nThe right label is:",
    ),
    ("labels", False): (
        "{input}\n\nLabels:\n{choices}\n\nAnswer with the one label that fits the text, and nothing else.",
        "Classify the text with exactly one of these labels:\n{choices}\n\nText: {input}\nLabel:",
        "Text: {input}\n\nWhich of these labels fits?\n{choices}\n\nWrite the label only:",
        "{choices}\n\nWhich of the labels above belongs to this text? Write only that label.\n{input}",
        "You are a careful annotator. Give the text one label.\nText: {input}\nLabels:\n{choices}\nYour label:",
        "Read the text and say which class it belongs to.\n\n{input}\n\nClasses:\n{choices}\n\nClass:",
    ),
    ("answers", False): (
        "{input}\nAnswer:",
        "Question: {input}\nAnswer:",
        "Q: {input}\nA:",
        "Answer as briefly as you can.\n\n{input}\n\nAnswer:",
        "Please answer this question: {input}\nShort answer:",
        "{input}\n\nGive the answer and nothing else:",
    ),
}


def filled(template: str, text: str, context: str | None, choices: Sequence[str]) -> str:
    """The prompt of one row. What is filled in is not searched for places again.

    A passage that the template has no place for stands before the input.
    """
    if context is not None and "{context}" not in template:
        text = f"{context}\n\n{text}"
    listed = "\n".join(LIST + choice for choice in choices)
    given = {"input": text, "context": context or "", "choices": listed}
    return _PLACE.sub(lambda place: given[place[1]], template)
