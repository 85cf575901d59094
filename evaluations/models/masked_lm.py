"""Hugging Face masked language models: the pseudo-log-likelihood of a text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from evaluations.engine.batching import token_budget_batches
from evaluations.engine.continuations import LOGITS, Places, Scored, read
from evaluations.models import hf_folder
from evaluations.models.protocol import Likelihood, Usage
from evaluations.models.text_batches import TOKEN_BUDGET, encode
from evaluations.spec import Access, EvaluationError, Modality, ModelRef


class HuggingFaceMaskedLM:
    """A masked language model in float32."""

    modality: ClassVar[Modality] = Modality.MASKED_LM
    adapter: ClassVar[str] = "masked_lm/1"
    access: ClassVar[Access] = Access.LOGPROBS | Access.LOGITS | Access.EMBED | Access.GRAD | Access.WEIGHTS

    def __init__(self, network: Any, tokenizer: Any, device: str) -> None:
        self.network = network
        self.tokenizer = tokenizer
        self.device = device
        self.longest = hf_folder.longest_of(network.config, tokenizer)
        self.usage = Usage()

    def pseudo_loglikelihoods(
        self, texts: Sequence[str], scored: Sequence[Sequence[int]] | None = None
    ) -> list[Likelihood | None]:
        """Sum of ln p(token | all others) per text; see protocol.MaskedLanguageModel.

        What is longer than the model reads is cut on the right. None where a position of `scored` is not in
        what is left.
        """
        if not len(texts):
            return []
        queries, tokens = self.usage.queries, self.usage.tokens
        encoded = encode(self.tokenizer, texts, self.longest, self.usage, return_special_tokens_mask=True)
        ids = encoded["input_ids"]
        places = [np.flatnonzero(np.asarray(special) == 0) for special in encoded["special_tokens_mask"]]
        wanted: list[list[int] | None] = []
        for i, held in enumerate(places):
            asked = range(len(held)) if scored is None else scored[i]
            inside = all(0 <= k < len(held) for k in asked)
            wanted.append([int(held[k]) for k in asked] if inside else None)
        copies = [(text, place) for text, held in enumerate(wanted) for place in held or ()]
        self.usage.queries = queries + len(texts)
        self.usage.tokens = tokens + sum(len(ids[text]) for text, _ in copies)
        found: dict[tuple[int, int], Scored] = {}
        lengths = [len(ids[text]) for text, _ in copies]
        vocabulary = self.network.config.get_text_config().vocab_size
        budget = min(TOKEN_BUDGET[self.device], max(1, LOGITS[self.device] // vocabulary))
        for batch in token_budget_batches(lengths, budget):
            part = [copies[i] for i in batch]
            found.update(zip(part, self._masked([ids[text] for text, _ in part], part), strict=True))
        return [
            None if held is None else _sum([found[text, place] for place in held])
            for text, held in enumerate(wanted)
        ]

    def _masked(self, rows: Sequence[Sequence[int]], copies: Sequence[tuple[int, int]]) -> list[Scored]:
        """Scores of one masked token per row."""
        import torch

        batch = self.tokenizer.pad(
            {"input_ids": [list(row) for row in rows]}, return_tensors="pt", padding_side="right"
        )
        places = Places.none()
        for row, (_, place) in enumerate(copies):
            places.add([row], [int(batch["input_ids"][row, place])])
            batch["input_ids"][row, place] = self.tokenizer.mask_token_id
        with torch.inference_mode():
            logits = self.network(**batch.to(self.device)).logits
        at = torch.tensor([place for _, place in copies], device=self.device)
        return read(logits[torch.arange(len(copies), device=self.device), at], places)


def _sum(parts: Sequence[Scored]) -> Likelihood | None:
    total = sum(part.logprob for part in parts)
    if not np.isfinite(total):
        return None
    return Likelihood(total, len(parts), all(part.greedy for part in parts))


def load(folder: Path, ref: ModelRef) -> HuggingFaceMaskedLM:
    """The masked language model in a Hugging Face folder. Raises EvaluationError where it is none, or incomplete."""
    hf_folder.config_of(folder)
    tokenizer = hf_folder.tokenizer_of(folder)
    network = hf_folder.network_of(
        folder, "AutoModelForMaskedLM", "Push the masked language model, not the bare encoder."
    )
    if tokenizer.mask_token_id is None:
        raise EvaluationError(
            "model_no_mask",
            "The tokenizer has no mask token, so this is no masked language model.",
            skipped=True,
        )
    hf_folder.give_padding(tokenizer, network.config)
    return HuggingFaceMaskedLM(network, tokenizer, hf_folder.device())
