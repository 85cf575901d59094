"""Candidates of planted secrets behind their one prefix against a padded row of the whole text for each."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from evaluations.models.loader import load
from evaluations.privacy.candidate_space import Space, space_of
from tests.benchmarks import multiple_choice
from tests.benchmarks.pairing import alternate
from tests.evaluations import lm

CANARIES, CANDIDATES, PREFIX, DIGITS = 2, 200, 60, 8
LAYERS, WIDTH, VOCABULARY = 4, 256, 8192
BATCH = 8  # rows of theirs: of 8, 16, 32 and 64 the fastest here
TOLERANCE = 1e-4


def measure() -> dict[str, Any]:
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
            heads=4,
            vocabulary=VOCABULARY,
            corpus=multiple_choice.words(),
            initializer_range=0.02,
        )
        model: Any = load(ref)
        network = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        network = network.eval().to(model.device)
    pairs = asked(model.tokenizer)

    def ours() -> list[float]:
        return [found.logprob for found in model.loglikelihoods(pairs)]

    def theirs() -> list[float]:
        return plainly(network, model.tokenizer, pairs)

    away = float(np.abs(np.array(ours()) - np.array(theirs())).max())
    assert away <= TOLERANCE, f"log-likelihoods differ by {away}"
    return {
        "what": f"{CANARIES} secrets of {DIGITS} digits with {CANDIDATES} candidates each, {PREFIX}-token prefixes, "
        f"GPT-2 of {LAYERS} layers, d = {WIDTH}",
        "threads": torch.get_num_threads(),
        "equal": True,
        "largest_difference": away,
        **alternate(ours, theirs, runs=5),
    }


def asked(tokenizer: Any) -> list[tuple[str, str]]:
    """(prefix, candidate) of every canary."""
    rng = np.random.default_rng(0)
    found = []
    for prefix, _, _ in multiple_choice.documents(tokenizer, multiple_choice.ONE)[:CANARIES]:
        words = prefix.split()[:PREFIX]
        space = space_of("".join(map(str, rng.integers(0, 10, DIGITS))), None)
        assert isinstance(space, Space)
        found += [(" ".join(words), " " + text) for text in space.draw(CANDIDATES, rng)]
    return found


def plainly(network: Any, tokenizer: Any, pairs: list[tuple[str, str]]) -> list[float]:
    """Sums of the log-probabilities of the candidate's tokens, as transformers' own forward gives them."""
    found = []
    for start in range(0, len(pairs), BATCH):
        held = pairs[start : start + BATCH]
        before = [len(ids) for ids in tokenizer([prefix for prefix, _ in held])["input_ids"]]
        read = tokenizer(
            [prefix + text for prefix, text in held], padding=True, padding_side="right", return_tensors="pt"
        ).to(network.device)
        with torch.inference_mode():
            logits = network(**read).logits[:, :-1]
        ids, seen = read["input_ids"][:, 1:], read["attention_mask"][:, 1:].clone()
        for row, length in enumerate(before):
            seen[row, : length - 1] = 0
        given = torch.gather(logits, 2, ids[:, :, None])[:, :, 0] - logits.logsumexp(-1)
        found += (given.double() * seen).sum(-1).tolist()
    return found
