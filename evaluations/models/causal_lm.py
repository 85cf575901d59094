"""Hugging Face causal language models: log-likelihoods and generation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from evaluations.engine import continuations, token_spread
from evaluations.engine.continuations import Request
from evaluations.engine.multiple_choice import Scorer
from evaluations.models import causal_generation, hf_folder
from evaluations.models.causal_tokens import Tokens, windows
from evaluations.models.protocol import Generation, Likelihood, TokenLogprobs, Usage
from evaluations.spec import Access, EvaluationError, GenerationSettings, Modality, ModelRef, Turn

LONGEST = 2048  # tokens, where neither tokenizer nor configuration says how much the model reads


class HuggingFaceCausalLM:
    """A causal language model in float32. `longest` is how many tokens it reads at once."""

    modality: ClassVar[Modality] = Modality.CAUSAL_LM
    adapter: ClassVar[str] = "causal_lm/1"
    access: ClassVar[Access] = (
        Access.LOGPROBS | Access.GENERATE | Access.LOGITS | Access.EMBED | Access.GRAD | Access.WEIGHTS
    )

    def __init__(self, network: Any, tokenizer: Any, device: str) -> None:
        self.network = network
        self.tokenizer = tokenizer
        self.device = device
        self.tokens = Tokens(tokenizer, hf_folder.longest_of(network.config, tokenizer, LONGEST))
        self.scorer = Scorer(network, device)
        self.usage = Usage()

    def loglikelihoods(self, pairs: Sequence[tuple[str, str]]) -> list[Likelihood | None]:
        """ln p(continuation | context) per pair; see protocol.LanguageModel.

        None for a continuation that holds no token, or more than the model reads.
        """
        encoded = self.tokens.pairs(pairs, self.usage)
        asked = [request for request in encoded if request is not None]
        scored = iter(self.scorer(asked))
        self._count(len(pairs), asked)
        return [
            _likelihood([next(scored)], len(request.continuation)) if request is not None else None
            for request in encoded
        ]

    def rolling_loglikelihoods(self, texts: Sequence[str]) -> list[Likelihood | None]:
        """ln p(text) per text; see protocol.LanguageModel. A start token is read and never scored."""
        cut = [windows(ids, self.tokens.start, self.tokens.longest) for ids in self.tokens.plain(texts)]
        asked = [request for requests in cut for request in requests or ()]
        scored = iter(continuations.score(self.network, asked, self.device))
        self._count(len(texts), asked)
        return [
            None
            if requests is None
            else _likelihood([next(scored) for _ in requests], sum(len(r.continuation) for r in requests))
            for requests in cut
        ]

    def token_logprobs(self, texts: Sequence[str]) -> list[TokenLogprobs | None]:
        """ln p of each token, with its mean and spread; see protocol.TokenLanguageModel."""
        encoded = self.tokens.beginnings(texts, self.usage)
        asked = [request for request in encoded if request is not None]
        scored = iter(token_spread.score(self.network, asked, self.device))
        self._count(len(texts), asked)
        return [next(scored) if request is not None else None for request in encoded]

    def generate(
        self, prompts: Sequence[str], settings: GenerationSettings, seeds: Sequence[int]
    ) -> list[Generation]:
        """One text per prompt; see protocol.Generator."""
        return self._written(causal_generation.generate(self, prompts, settings, seeds))

    def converse(
        self, conversations: Sequence[Sequence[Turn]], settings: GenerationSettings, seeds: Sequence[int]
    ) -> list[Generation]:
        """The next message of each conversation, through the folder's chat template; without one as a plain
        transcript, `transcripts.plain`. Too long a one loses its beginning. See protocol.Conversationalist."""
        return self._written(causal_generation.converse(self, conversations, settings, seeds))

    def _written(self, made: list[Generation]) -> list[Generation]:
        self.usage.queries += len(made)
        self.usage.tokens += sum(g.prompt_tokens + g.output_tokens for g in made)
        return made

    def _count(self, queries: int, asked: Sequence[Request]) -> None:
        self.usage.queries += queries
        self.usage.tokens += sum(len(r.context) + len(r.continuation) for r in asked)


def _likelihood(parts: Sequence[continuations.Scored], tokens: int) -> Likelihood | None:
    """The sum of the parts; None where it is no number, as with weights that overflow."""
    total = sum(part.logprob for part in parts)
    if not -float("inf") < total <= 0.001:  # a little above 0 by rounding
        return None
    return Likelihood(min(total, 0.0), tokens, all(part.greedy for part in parts))


def load(folder: Path, ref: ModelRef) -> HuggingFaceCausalLM:
    """The language model in a Hugging Face folder. Raises EvaluationError where it is not one, or is incomplete."""
    hf_folder.config_of(folder)
    tokenizer = hf_folder.tokenizer_of(folder)
    network = hf_folder.network_of(
        folder, "AutoModelForCausalLM", "Push the whole language model, its output layer included."
    )
    hf_folder.give_padding(tokenizer, network.config)
    refuse_lookahead(network, hf_folder.device())
    fuse_activations(network)
    network.generation_config = causal_generation.only_its_end(network, tokenizer)
    return HuggingFaceCausalLM(network, tokenizer, hf_folder.device())


def refuse_lookahead(network: Any, device: str) -> None:
    """Raises `model_not_causal` where a later token changes what is predicted before it, as with a bare BERT."""
    import torch

    with torch.inference_mode():
        logits = network(input_ids=torch.tensor([[0, 1, 0, 0], [0, 1, 0, 1]], device=device)).logits[:, :3]
    if not torch.allclose(logits[0], logits[1], rtol=1e-3, atol=1e-3, equal_nan=True):
        raise EvaluationError(
            "model_not_causal",
            "The model looks ahead: a later token changes what it predicts before it. Register it as the masked_lm "
            "that it is, or push a model that is trained to predict the next token.",
            skipped=True,
        )


def fuse_activations(network: Any) -> None:
    """Puts one kernel in the place of a GELU written out in eight, which is a tenth of GPT-2's time on a CPU."""
    from transformers.activations import FastGELUActivation, GELUTanh, NewGELUActivation

    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, NewGELUActivation | FastGELUActivation):
                setattr(module, name, GELUTanh())
