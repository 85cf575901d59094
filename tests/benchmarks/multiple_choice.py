"""Multiple choice against lm-eval's own HFLM at its best batch size: same weights, same texts, equal answers first."""

from __future__ import annotations

import logging
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from evaluations.models.loader import load
from tests.benchmarks.pairing import alternate
from tests.evaluations import lm

DOCUMENTS, CHOICES, CONTEXT = 200, 4, 300
LONGER, ONE = (5, 12), (1, 1)  # tokens of a choice, at least and at most
LAYERS, WIDTH, VOCABULARY = 6, 384, 8192
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)
TRIED = 12  # documents on which lm-eval's batch size is chosen
TOLERANCE = 1e-4


def measure() -> dict[str, Any]:
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return measured()
    finally:
        torch.set_num_threads(threads)


def measured() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        ref = lm.causal_lm(
            Path(folder),
            longest=512,
            width=WIDTH,
            layers=LAYERS,
            heads=6,
            vocabulary=VOCABULARY,
            corpus=words(),
            initializer_range=0.02,
        )
        model: Any = load(ref)
        network = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    peer = Peer(network, model.tokenizer)
    longer, one = documents(model.tokenizer, LONGER), documents(model.tokenizer, ONE)
    return {
        "what": f"{DOCUMENTS} documents of {CHOICES} choices, {CONTEXT}-token contexts, GPT-2 of {LAYERS} layers, "
        f"d = {WIDTH}, {len(model.tokenizer)} tokens",
        "threads": torch.get_num_threads(),
        **compare(model, peer, longer),
        "one_token": compare(model, peer, one),
    }


class Peer:
    """lm-eval over the same weights, as transformers loads them."""

    def __init__(self, network: Any, tokenizer: Any) -> None:
        self.network, self.tokenizer = network, tokenizer

    def harness(self, batch_size: int) -> Any:
        from lm_eval.models.huggingface import HFLM

        return HFLM(pretrained=self.network, tokenizer=self.tokenizer, batch_size=batch_size, device="cpu")

    def best_batch_size(self, pairs: list[tuple[str, str]]) -> int:
        """Its fastest batch size on some of the documents, by the median of three."""
        asked = instances(pairs)
        spent: dict[int, list[float]] = {size: [] for size in BATCH_SIZES}
        for _ in range(3):
            for size in BATCH_SIZES:
                theirs = self.harness(size)
                start = time.process_time()
                theirs.loglikelihood(asked, disable_tqdm=True)
                spent[size].append(time.process_time() - start)
        return min(BATCH_SIZES, key=lambda size: float(np.median(spent[size])))


def compare(model: Any, peer: Peer, held: list[tuple[str, list[str], int]]) -> dict[str, Any]:
    """Equality of every log-likelihood and of both accuracies, then both times."""
    pairs = [(context, " " + choice) for context, choices, _ in held for choice in choices]
    batch_size = peer.best_batch_size(pairs[: TRIED * CHOICES])
    theirs, asked = peer.harness(batch_size), instances(pairs)

    def run_ours() -> list[float]:
        return [found.logprob for found in model.loglikelihoods(pairs)]

    def run_theirs() -> list[float]:
        return [logprob for logprob, _ in theirs.loglikelihood(asked, disable_tqdm=True)]

    mine, other = np.array(run_ours()), np.array(run_theirs())
    away = float(np.abs(mine - other).max())
    assert away <= TOLERANCE, f"log-likelihoods differ by {away}"
    lengths = np.array([[len(choice) for choice in choices] for _, choices, _ in held])
    right = [answer for _, _, answer in held]
    accuracies = {}
    for name, scale in (("acc", np.ones_like(lengths)), ("acc_norm", lengths)):
        of = [float((np.argmax(x.reshape(-1, CHOICES) / scale, 1) == right).mean()) for x in (mine, other)]
        assert of[0] == of[1], f"{name} differs: {of}"
        accuracies[name] = of[0]
    return {
        "equal": True,
        "largest_difference": away,
        **accuracies,
        "their_batch_size": batch_size,
        **alternate(run_ours, run_theirs, runs=5),
    }


def instances(pairs: list[tuple[str, str]]) -> list[Any]:
    from lm_eval.api.instance import Instance

    return [Instance("loglikelihood", {}, pair, i % CHOICES) for i, pair in enumerate(pairs)]


# --- texts ------------------------------------------------------------------------------------------


def words() -> list[str]:
    """Texts over so many made-up words that a vocabulary of 8,192 tokens fills."""
    rng = np.random.default_rng(0)
    syllables = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er", "il", "on")]
    made = ["".join(rng.choice(syllables, rng.integers(2, 4))) for _ in range(9000)]
    return [" ".join(made[i : i + 60]) for i in range(0, len(made), 60)] * 3


def documents(tokenizer: Any, tokens: tuple[int, int]) -> list[tuple[str, list[str], int]]:
    """(context, choices, index of the right one), of the lengths asked for in tokens; one context ends in a space."""
    rng = np.random.default_rng(1)
    whole = [
        text[1:]
        for text in tokenizer.batch_decode([[k] for k in range(len(tokenizer))])
        if text.startswith(" ") and text[1:].isalpha()
    ]
    found = []
    for number in range(DOCUMENTS):
        context = " ".join(rng.choice(whole, CONTEXT))
        choices = [
            " ".join(rng.choice(whole, rng.integers(tokens[0], tokens[1] + 1))) for _ in range(CHOICES)
        ]
        found.append((context + " " * (number == DOCUMENTS - 1), choices, int(rng.integers(CHOICES))))
    return found
