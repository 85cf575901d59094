"""Questions with answers, stand-ins that write, and tiny random encoder–decoders and span models, all made in code."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from evaluations.models.protocol import Generation, Likelihood, Span, Usage
from evaluations.spec import Access, GenerationSettings, Modality, ModelFormat, ModelRef, Role
from tests.evaluations import lm, make

ROLES = {"id": Role.ID, "text": Role.INPUT, "passage": Role.CONTEXT, "target": Role.TARGET}
CHOICE_ROLES = {**ROLES, "choices": Role.CHOICES}
WRITER = ModelRef(
    path="/nowhere", digest="writer", modality=Modality.CAUSAL_LM, format=ModelFormat.SAFETENSORS
)
FINDER = WRITER.model_copy(update={"digest": "finder", "modality": Modality.EXTRACTIVE_QA})
COLOURS = ("red", "green", "blue", "grey")


def questions(n: int) -> pd.DataFrame:
    """n questions about a passage each, with two accepted answers: a sentence and a number."""
    films = [(7 * i) % 23 + 2 for i in range(n)]
    colours = [COLOURS[i % len(COLOURS)] for i in range(n)]
    return pd.DataFrame(
        {
            "id": [f"q{i:04d}" for i in range(n)],
            "text": [f"How many films are in box {i}?" for i in range(n)],
            "passage": [
                f"Box {i} is {colour} and stands in Lisbon. There are {k} films in box {i}. Nobody has seen them."
                for i, (k, colour) in enumerate(zip(films, colours, strict=True))
            ],
            "target": [[f"There are {k} films in box {i}.", str(k)] for i, k in enumerate(films)],
        }
    )


def with_choices(n: int) -> pd.DataFrame:
    """The same questions; two accepted answers and two false ones to choose from."""
    table = questions(n)
    choices = [[*target, f"There are none in box {i}.", "None."] for i, target in enumerate(table.target)]
    return table.assign(choices=choices)


JUDGED_ROLES = {**ROLES, "written": Role.ANSWER, "ann": Role.HUMAN, "bob": Role.HUMAN}
JUDGE = WRITER.model_copy(update={"digest": "judge"})


def judged(n: int) -> pd.DataFrame:
    """The same questions; every third has an answer written before, right and wrong by turns, which people judged."""
    table = questions(n)
    checked = [i % 3 == 0 for i in range(n)]
    right = [i % 2 == 0 for i in range(n)]
    answers = [
        target[0] if good else "No films at all." for target, good in zip(table.target, right, strict=True)
    ]
    verdicts = ["pass" if good else "fail" for good in right]
    return table.assign(
        written=[a if c else None for a, c in zip(answers, checked, strict=True)],
        ann=[v if c else None for v, c in zip(verdicts, checked, strict=True)],
        bob=[v if c and i % 9 else None for i, (v, c) in enumerate(zip(verdicts, checked, strict=True))],
    )


def judged_with_choices(n: int) -> pd.DataFrame:
    """The same, with two accepted answers and two false ones to choose from."""
    return judged(n).assign(choices=with_choices(n).choices)


def strict(prompt: str, seed: int) -> str:
    """A judge that is always right: the answer between the fences is among the accepted ones, or is not."""
    (fence,) = set(re.findall(r"==== [0-9a-f]{16} ====", prompt))
    answer = prompt.split(f"\n{fence}\n")[1]
    accepted = prompt.split("\nAccepted answers: ")[1].split("\n")[0].split(" | ")
    return "PASS" if answer in accepted else "FAIL"


class Writing:
    """A stand-in that writes what `answer` makes of a prompt and a seed; None is an error."""

    modality: ClassVar[Modality] = Modality.CAUSAL_LM
    adapter: ClassVar[str] = "writing/1"
    access: Access = Access.GENERATE
    device = "cpu"

    def __init__(self, answer: Callable[[str, int], str | Generation | None]) -> None:
        self.write = answer
        self.usage = Usage()

    def generate(
        self, prompts: Sequence[str], settings: GenerationSettings, seeds: Sequence[int]
    ) -> list[Generation]:
        self.usage.queries += len(prompts)
        made = [self.write(prompt, seed) for prompt, seed in zip(prompts, seeds, strict=True)]
        return [
            m if isinstance(m, Generation) else Generation("", "error") if m is None else Generation(m)
            for m in made
        ]


class Weighing(Writing):
    """Writes, and gives each continuation the log-probability that `weigh` makes of prompt and continuation."""

    access: Access = Access.GENERATE | Access.LOGPROBS

    def __init__(
        self,
        answer: Callable[[str, int], str | Generation | None],
        weigh: Callable[[str, str], float | None],
    ) -> None:
        super().__init__(answer)
        self.weigh = weigh

    def loglikelihoods(self, pairs: Sequence[tuple[str, str]]) -> list[Likelihood | None]:
        found = [self.weigh(prompt, text) for prompt, text in pairs]
        return [None if value is None else Likelihood(value, 1) for value in found]


class Finding:
    """A stand-in that finds in a passage what `find` makes of question and passage."""

    modality: ClassVar[Modality] = Modality.EXTRACTIVE_QA
    adapter: ClassVar[str] = "finding/1"
    access: ClassVar[Access] = Access.LABEL | Access.GENERATE
    device = "cpu"

    def __init__(self, find: Callable[[str, str], str | None]) -> None:
        self.find = find
        self.usage = Usage()

    def answer(
        self, questions: Sequence[str], contexts: Sequence[str], unanswerable: bool = False
    ) -> list[Span | None]:
        found = [self.find(q, c) for q, c in zip(questions, contexts, strict=True)]
        return [None if text is None else Span(text) for text in found]


def fickle(prompt: str, seed: int) -> str:
    """Words of the prompt in an order of its own, now and then a number, now and then nothing."""
    rng = np.random.default_rng([len(prompt), sum(prompt.encode("utf-8", "surrogatepass"))])
    words = [*prompt.split(), str(rng.integers(30))]
    return " ".join(rng.permutation(words)[: rng.integers(0, 12)].tolist())


def wavering(prompt: str, seed: int) -> str:
    """One of four answers, by the seed."""
    return f"There are {2 + seed % 4} films in the box."


def knowing(table: pd.DataFrame) -> Writing:
    """Writes the first accepted answer to each question of `questions`."""
    return Writing(lambda prompt, seed: _answers(table)[prompt.rsplit("\n\n", 1)[-1]])


def _answers(table: pd.DataFrame) -> dict[str, str]:
    return {text: target[0] for text, target in zip(table.text, table.target, strict=True)}


def stand_in(answer: Callable[[str, int], str | Generation | None]) -> Callable[[Path], tuple[Any, ModelRef]]:
    """A maker for a conformance case."""
    return lambda folder: (Writing(answer), WRITER)


# --- tiny models ----------------------------------------------------------------------------------


def seq2seq(folder: Path, kind: str = "t5", *, seed: int = 0, longest: int = 64, **more: Any) -> ModelRef:
    """A random encoder–decoder ("t5", "bart" or "marian"), as save_pretrained writes it."""
    import torch
    from transformers import AutoConfig, AutoModelForSeq2SeqLM

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = lm.bpe_tokenizer(longest=longest, bos=False)
    words = len(tokenizer)
    common = {"vocab_size": words, "pad_token_id": 0, "eos_token_id": 0, "decoder_start_token_id": 1}
    wide = {
        "d_model": 32,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 48,
        "decoder_ffn_dim": 48,
        "max_position_embeddings": longest,
        "init_std": 0.5,
        "bos_token_id": 0,
        "forced_eos_token_id": 0,
    }
    fields: dict[str, dict[str, Any]] = {
        "t5": {
            "d_model": 32,
            "d_kv": 8,
            "d_ff": 48,
            "num_layers": 1,
            "num_heads": 4,
            "initializer_factor": 3.0,
        },
        "bart": wide,
        "marian": {**wide, "decoder_vocab_size": words},
    }
    torch.manual_seed(seed)
    config = AutoConfig.for_model(kind, **{**common, **fields[kind], **more})
    AutoModelForSeq2SeqLM.from_config(config).eval().save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return ModelRef(
        path=str(folder),
        digest=f"{kind}-{seed}",
        modality=Modality.SEQ2SEQ,
        format=ModelFormat.SAFETENSORS,
        languages=("en",),
    )


def span_model(folder: Path, *, seed: int = 0, longest: int = 64) -> ModelRef:
    """A random BERT that finds answers in passages, as save_pretrained writes it."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForQuestionAnswering

    make.tiny_bert(folder, seed=seed, longest=longest)
    config = BertConfig.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(seed)
    BertForQuestionAnswering(config).eval().save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return ModelRef(
        path=str(folder),
        digest=f"span-{seed}",
        modality=Modality.EXTRACTIVE_QA,
        format=ModelFormat.SAFETENSORS,
        languages=("en",),
    )
