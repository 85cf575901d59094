"""Hugging Face encoder–decoders that translate, summarise or answer: T5, BART, Marian and their like."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from evaluations.engine.batching import token_budget_batches
from evaluations.models import hf_folder
from evaluations.models.protocol import Generation, Usage
from evaluations.models.sampling import SeededTokens, ended_at
from evaluations.models.text_batches import TOKEN_BUDGET
from evaluations.spec import Access, EvaluationError, GenerationSettings, Modality, ModelRef

# What a folder may say of how its model searches: what its authors measured it with. The rest is ours.
SEARCH = (
    "bad_words_ids",
    "begin_suppress_tokens",
    "bos_token_id",
    "decoder_start_token_id",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "eos_token_id",
    "forced_bos_token_id",  # the language to translate into
    "length_penalty",
    "min_length",
    "min_new_tokens",
    "no_repeat_ngram_size",
    "num_beams",
    "pad_token_id",
    "repetition_penalty",
    "suppress_tokens",
)
MOST_BEAMS = 32


class HuggingFaceSeq2Seq:
    """Writes a text for a text. At temperature 0 it searches as its own generation_config says: beams, lengths.

    `network` and `tokenizer` are those of transformers.
    """

    modality: ClassVar[Modality] = Modality.SEQ2SEQ
    adapter: ClassVar[str] = "seq2seq_hf/1"
    access: ClassVar[Access] = Access.GENERATE | Access.GRAD | Access.WEIGHTS

    def __init__(self, network: Any, tokenizer: Any, device: str) -> None:
        self.network = network
        self.tokenizer = tokenizer
        self.device = device
        self.longest = hf_folder.longest_of(network.config, tokenizer)
        self.usage = Usage()

    def generate(
        self, prompts: Sequence[str], settings: GenerationSettings, seeds: Sequence[int]
    ) -> list[Generation]:
        read = [self._encode(prompt) for prompt in prompts]
        encoded = [ids for ids, _ in read]
        made: list[Generation] = [Generation("", "error")] * len(prompts)
        beams = 1 if settings.temperature > 0 else self.network.generation_config.num_beams or 1
        budget = TOKEN_BUDGET[self.device] // beams
        for rows in token_budget_batches([len(ids) + settings.max_new_tokens for ids in encoded], budget):
            texts = self._batch([encoded[i] for i in rows], settings, [seeds[i] for i in rows])
            for i, text in zip(rows, texts, strict=True):
                made[i] = replace(text, shortened=read[i][1])
        return made

    def _encode(self, prompt: str) -> tuple[list[int], bool]:
        """Token ids, and whether some did not fit."""
        ids: list[int] = self.tokenizer(prompt)["input_ids"]
        longer = len(ids) > self.longest
        if longer:
            self.usage.truncated += 1
            ids = self.tokenizer(prompt, truncation=True, max_length=self.longest)["input_ids"]
        return ids or [self._end()], longer

    def _end(self) -> int:
        ends = self.network.generation_config.eos_token_id
        if isinstance(ends, list) and ends:
            ends = ends[0]
        return int(ends if ends is not None else self.tokenizer.pad_token_id)

    def _batch(
        self, encoded: Sequence[list[int]], settings: GenerationSettings, seeds: Sequence[int]
    ) -> list[Generation]:
        import torch

        batch = self.tokenizer.pad({"input_ids": list(encoded)}, return_tensors="pt", padding_side="right")
        config = self._search(settings)
        tokens = SeededTokens(seeds, settings.temperature, settings.top_p)
        with torch.inference_mode():
            found = self.network.generate(
                input_ids=batch["input_ids"].to(self.device),
                attention_mask=batch["attention_mask"].to(self.device),
                generation_config=config,
                logits_processor=[tokens],
            )
        written = found[:, 1:].tolist()  # without the start token
        return [
            self._text(ids, len(read), settings, config.max_new_tokens, bool(broken))
            for ids, read, broken in zip(written, encoded, tokens.broken, strict=True)
        ]

    def _search(self, settings: GenerationSettings) -> Any:
        """How to search: as the model's own configuration says, but for what the settings decide."""
        config = copy.deepcopy(self.network.generation_config)
        most = settings.max_new_tokens
        if positions := getattr(self.network.config, "max_position_embeddings", None):
            most = min(most, positions - 1)
        config.max_new_tokens = most
        config.do_sample = False  # tokens are drawn by SeededTokens
        if settings.temperature > 0:
            config.num_beams = 1
        return config

    def _text(
        self, ids: list[int], read: int, settings: GenerationSettings, most: int, broken: bool
    ) -> Generation:
        ends = self.network.generation_config.eos_token_id
        ends = {ends} if isinstance(ends, int) else set(ends or ())
        length = next((i for i, token in enumerate(ids) if token in ends), len(ids))
        self.usage.queries += 1
        self.usage.tokens += read + length
        if broken:
            return Generation("", "error", "The model's outputs are no numbers.", read, length)
        text, stopped = ended_at(self.tokenizer.decode(ids[:length], skip_special_tokens=True), settings.stop)
        cut = length == len(ids) == most and not stopped
        return Generation(text, prompt_tokens=read, output_tokens=length, cut=cut)


def own_search(network: Any, tokenizer: Any) -> Any:
    """The folder's generation settings, those of SEARCH alone. Raises EvaluationError where they ask for too much."""
    from transformers import GenerationConfig

    own = network.generation_config
    said = {name: value for name in SEARCH if (value := getattr(own, name, None)) is not None}
    said.setdefault("pad_token_id", tokenizer.pad_token_id)
    beams = said.get("num_beams", 1)
    if not isinstance(beams, int) or not 1 <= beams <= MOST_BEAMS:
        raise EvaluationError(
            "model_beams",
            f"generation_config.json asks for {str(beams)[:20]} beams; at most {MOST_BEAMS} are searched. Correct it.",
        )
    return GenerationConfig(**said)


def load(folder: Path, ref: ModelRef) -> HuggingFaceSeq2Seq:
    """The encoder–decoder in a Hugging Face folder. Raises EvaluationError where it is not one, or is incomplete."""
    hf_folder.config_of(folder)
    tokenizer = hf_folder.tokenizer_of(folder)
    network = hf_folder.network_of(
        folder, "AutoModelForSeq2SeqLM", "Push the whole encoder–decoder, not a part of it."
    )
    hf_folder.give_padding(tokenizer, network.config)
    network.generation_config = own_search(network, tokenizer)
    return HuggingFaceSeq2Seq(network, tokenizer, hf_folder.device())
