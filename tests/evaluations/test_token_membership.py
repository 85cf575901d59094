"""Membership of texts in an overfitted language model, its reference, and a model that never saw them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluations import catalogue
from evaluations.models.loader import load
from evaluations.spec import Metric, ModelRef, Role
from tests.evaluations import lm, make

pytestmark = pytest.mark.slow
ROLES = {"id": Role.ID, "text": Role.INPUT, "seen": Role.MEMBER}
EACH = 200  # members, and non-members


def sentences(n: int, seed: int) -> list[str]:
    """Four to twelve words, each drawn by itself: only a model that read a text can foresee it."""
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(make.WORDS, rng.integers(4, 13))) for _ in range(n)]


MEMBERS, OTHERS, ELSEWHERE = (sentences(EACH, seed) for seed in (1, 2, 3))


def trained(folder: Path, texts: list[str], seed: int, epochs: int) -> ModelRef:
    """A two-layer GPT-2 that read the texts `epochs` times."""
    import torch
    import transformers

    ref = lm.causal_lm(folder, seed=seed, width=64, longest=64, vocabulary=330, corpus=texts,
                       initializer_range=0.02, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0)  # fmt: skip
    network: Any = transformers.AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    network.train()
    best = torch.optim.AdamW(network.parameters(), lr=5e-3, weight_decay=0.0)
    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        for batch in np.array_split(rng.permutation(len(texts)), len(texts) // 20):
            read = tokenizer([lm.END + texts[i] for i in batch], padding=True, return_tensors="pt")
            labels = read["input_ids"].masked_fill(read["attention_mask"] == 0, -100)
            network(**read, labels=labels).loss.backward()
            best.step()
            best.zero_grad()
    network.eval().save_pretrained(folder, safe_serialization=True)
    return ref


def attacks(model: ModelRef, reference: ModelRef | None, folder: Path) -> dict[str, Metric]:
    """The area under the curve of each attack."""
    evaluation = catalogue.get("privacy.membership")
    table = pd.DataFrame({"text": MEMBERS + OTHERS, "seen": [1] * EACH + [0] * EACH})
    table["id"] = [f"t{i:04d}" for i in range(len(table))]
    data = make.data_ref(table, folder, ROLES)
    # so few rows cannot show that the two kinds are alike: here they are so by construction
    asked = make.request(evaluation.name, data, model, blind_limit=1.0).model_copy(
        update={"reference": reference}
    )
    result = make.evaluate(
        evaluation, load(model), asked, folder, reference=load(reference) if reference else None
    )
    return {m.slice.removeprefix("attack="): m for m in result.metrics if m.name == "attack_auc"}


def test_an_overfitted_model_gives_its_texts_away_and_one_that_read_others_does_not(tmp_path: Path) -> None:
    model = trained(tmp_path / "model", MEMBERS, seed=1, epochs=30)
    reference = trained(tmp_path / "reference", ELSEWHERE, seed=2, epochs=8)
    found = attacks(model, reference, tmp_path)
    for name in ("loss", "zlib", "min_k", "min_k_pp", "reference_ratio", "rmia"):
        interval = found[name].interval
        assert interval is not None
        assert interval.low > 0.65, name
    innocent = attacks(reference, None, tmp_path)
    assert {"loss", "zlib", "min_k", "min_k_pp"} < set(innocent)
    assert not {"reference_ratio", "rmia"} & set(innocent)
    for name, metric in innocent.items():
        assert metric.interval is not None
        assert metric.interval.low <= 0.55, name  # what a fair split may show of six attacks by chance
