"""Questions with choices, and a stand-in language model whose likelihoods and texts are given by a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from evaluations.models.protocol import Generation, Likelihood, Usage
from evaluations.spec import Access, GenerationSettings, Modality, ModelFormat, ModelRef, Role

ROLES = {"id": Role.ID, "text": Role.INPUT, "choices": Role.CHOICES, "answer": Role.TARGET}
SPEAKER = ModelRef(
    path="/nowhere", digest="speaker", modality=Modality.CAUSAL_LM, format=ModelFormat.SAFETENSORS
)
TASK = """
task: colours
output_type: multiple_choice
doc_to_text: "Q: {{text}}\\nA:"
doc_to_target: answer
doc_to_choice: choices
num_fewshot: 2
metric_list:
  - metric: acc
  - metric: acc_norm
  - metric: acc_bytes
  - metric: acc_mutual_info
  - metric: exact_match
  - metric: f1
  - metric: mcc
  - metric: brier_score
"""

Score = Callable[[str, str], Likelihood | float | None]


def questions(n: int) -> pd.DataFrame:
    """n questions of two choices, the right one given as a text; every third the second one."""
    return pd.DataFrame(
        {
            "id": [f"q{i:03d}" for i in range(n)],
            "text": [f"What colour is box {i}?" for i in range(n)],
            "choices": [[f"red{i}", f"pale blue{i}"] for i in range(n)],
            "answer": [f"pale blue{i}" if i % 3 == 0 else f"red{i}" for i in range(n)],
        }
    )


class Speaking:
    """A stand-in whose ln p(continuation | context) is what `score` says, and whose texts are what `write` says."""

    modality: ClassVar[Modality] = Modality.CAUSAL_LM
    adapter: ClassVar[str] = "speaking/1"
    access: Access = Access.GENERATE | Access.LOGPROBS
    device = "cpu"

    def __init__(
        self, score: Score, write: Callable[[str, int], str | None] = lambda prompt, seed: ""
    ) -> None:
        self.score, self.write = score, write
        self.usage = Usage()
        self.asked: list[Any] = []

    def loglikelihoods(self, pairs: Sequence[tuple[str, str]]) -> list[Likelihood | None]:
        self.usage.queries += len(pairs)
        self.asked += pairs
        return [self._likelihood(self.score(context, text)) for context, text in pairs]

    def rolling_loglikelihoods(self, texts: Sequence[str]) -> list[Likelihood | None]:
        self.asked += texts
        return [self._likelihood(self.score("", text)) for text in texts]

    def generate(
        self, prompts: Sequence[str], settings: GenerationSettings, seeds: Sequence[int]
    ) -> list[Generation]:
        self.asked += prompts
        made = [self.write(prompt, seed) for prompt, seed in zip(prompts, seeds, strict=True)]
        return [Generation("", "error") if text is None else Generation(text) for text in made]

    @staticmethod
    def _likelihood(said: Likelihood | float | None) -> Likelihood | None:
        return Likelihood(said, 1) if isinstance(said, float) else said


def fickle(context: str, text: str) -> float:
    """Likelihoods that differ from pair to pair, by a hash of both."""
    import hashlib

    drawn = int.from_bytes(
        hashlib.sha256(f"{context}|{text}".encode("utf-8", "surrogatepass")).digest()[:4], "big"
    )
    return -1.0 - drawn / 2**32


def knowing(table: pd.DataFrame, *, right: bool = True) -> Speaking:
    """A model that finds the right answer likely, or unlikely, whatever the prompt."""
    answers = set(table.answer.dropna())

    def score(context: str, text: str) -> Likelihood:
        good = (text.removeprefix(" ") in answers) is right
        return Likelihood((-0.0001 if good else -50.0) if context else -9.0, 1, good)

    return Speaking(score)


def undecided(table: pd.DataFrame) -> Speaking:
    """A model to which all choices are equally likely."""
    return Speaking(lambda context, text: -2.0)


def share_of_first(n: int) -> float:
    """How often the first choice is right among `questions(n)`."""
    return float(np.mean([i % 3 != 0 for i in range(n)]))
