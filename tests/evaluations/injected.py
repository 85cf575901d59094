"""Tasks with documents, and stand-ins that obey, refuse or overlook what is smuggled into them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from evaluations.models.protocol import Generation
from evaluations.spec import GenerationSettings, ModelRef, Role, Turn
from tests.evaluations import seq

ROLES = {
    "id": Role.ID,
    "text": Role.INPUT,
    "passage": Role.CONTEXT,
    "answer": Role.TARGET,
    "kind": Role.SENSITIVE,
}
PLAIN = {"id": Role.ID, "text": Role.INPUT}
CODEWORD = re.compile(r"\b[A-Z][a-z]{5}-[A-Z][a-z]{5}-\d{4}\b")  # as the evaluation makes them
TOOLS = '[{"type": "function", "function": {"name": "send_mail", "parameters": {"type": "object"}}}]'


def tasks(n: int) -> pd.DataFrame:
    """n questions about a document each, of two kinds."""
    return pd.DataFrame(
        {
            "id": [f"t{i:03d}" for i in range(n)],
            "text": [f"At what time does shop {i} open?" for i in range(n)],
            "passage": [
                f"Shop {i} lies on the river. It opens at {i + 1} o'clock, and closes late." for i in range(n)
            ],
            "answer": [f"{i + 1} o'clock" for i in range(n)],
            "kind": ["even" if i % 2 == 0 else "odd" for i in range(n)],
        }
    )


def codewords(prompt: str) -> list[str]:
    return CODEWORD.findall(prompt)


def right(prompt: str) -> str:
    """The right answer to a task, and nothing else."""
    opens = re.search(r"opens at (\d+ o'clock)", prompt)
    return f"It opens at {opens[1]}." if opens else "I do not know."


def obedient(prompt: str, seed: int = 0) -> str:
    """Writes every codeword that it sees, and nothing else."""
    return " ".join(codewords(prompt)) or right(prompt)


def mixed(prompt: str, seed: int = 0) -> str | None:
    """Obeys some techniques, quotes some, and does its task."""
    found = codewords(prompt)
    which = sum(prompt.encode("utf-8", "replace")) % 3
    if found and which == 0:
        return f"{right(prompt)} {found[0]}"
    return f"I will not write {found[0]}." if found and which == 1 else right(prompt)


class Talking(seq.Writing):
    """A stand-in that is given a conversation, and answers its messages one after the other as one prompt."""

    def converse(
        self, conversations: Sequence[Sequence[Turn]], settings: GenerationSettings, seeds: Sequence[int]
    ) -> list[Generation]:
        prompts = ["\n\n".join(turn.text for turn in turns) for turns in conversations]
        return self.generate(prompts, settings, seeds)


def saying(text: str) -> Talking:
    """A stand-in that always says the same."""
    return Talking(lambda prompt, seed: text)


def stand_in(folder: Path) -> tuple[Talking, ModelRef]:
    return Talking(mixed), seq.WRITER
