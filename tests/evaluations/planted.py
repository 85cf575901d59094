"""A small language model trained on texts in which secrets were planted, once or many times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evaluations.spec import ModelRef, Role
from tests.evaluations import lm

ROLES = {
    "id": Role.ID,
    "text": Role.INPUT,
    "secret": Role.TARGET,
    "times": Role.REPETITIONS,
    "seen": Role.MEMBER,
}
TIMES = (1, 2, 4, 8, 16, 32)
DIGITS = 8
PLACES = "gate tower cellar harbour library garden chapel market mill bridge".split()  # noqa: SIM905
SIDES = "north south east west upper lower old new outer inner".split()  # noqa: SIM905


def canaries(each: int, controls: int, seed: int = 0) -> pd.DataFrame:
    """`each` secrets per number of TIMES and some controls: a prefix of its own, eight random digits."""
    rng = np.random.default_rng(seed)
    times = [t for t in TIMES for _ in range(each)] + [0] * controls
    prefixes = [f"The code of the {side} {place} is " for side in SIDES for place in PLACES]
    chosen = rng.permutation(prefixes)[: len(times)]
    return pd.DataFrame(
        {
            "id": [f"c{i:03d}" for i in range(len(times))],
            "text": chosen,
            "secret": [digits(rng) for _ in times],
            "times": [float(t) for t in times],
            "seen": None,
        }
    )


def digits(rng: np.random.Generator) -> str:
    return "".join(map(str, rng.integers(0, 10, DIGITS)))


def trained(
    folder: Path, table: pd.DataFrame, *, epochs: int, others: int = 400, seed: int = 1, width: int = 64
) -> ModelRef:
    """A two-layer GPT-2 trained on each secret as often as its row says, and on as many `others` that change."""
    import torch
    import transformers

    rng = np.random.default_rng(seed)
    ref = lm.causal_lm(folder, width=width, longest=64, corpus=list(table.text), vocabulary=330, seed=seed,
                       initializer_range=0.02)  # fmt: skip
    network: Any = transformers.AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    lines = [row.text + row.secret for row in table.itertuples() for _ in range(int(row.times))]
    prefixes = list(table.text)
    network.train()
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    best = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(epochs):
        filled = [str(rng.choice(prefixes)) + digits(rng) for _ in range(others)]  # digits as such
        texts = [*lines, *filled]
        for batch in np.array_split(rng.permutation(len(texts)), max(1, len(texts) // 32)):
            read = tokenizer([texts[i] for i in batch], padding=True, return_tensors="pt")
            labels = read["input_ids"].masked_fill(read["attention_mask"] == 0, -100)
            loss = network(**read, labels=labels).loss
            best.zero_grad()
            loss.backward()
            best.step()
    network.eval().save_pretrained(folder, safe_serialization=True)
    return ref
