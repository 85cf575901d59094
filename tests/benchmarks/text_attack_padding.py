"""DeepWordBug behind our dynamic padding against TextAttack's own wrapper, which pads to the model's maximum."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from evaluations.models.loader import load
from evaluations.robustness import textattack_setup
from tests.benchmarks.pairing import alternate
from tests.evaluations import make

EXAMPLES = 6
LONGEST = 512  # as usual encoders have it


def measure() -> dict[str, Any]:
    textattack_setup.prepare(make.RESOURCES)
    from textattack.attack_recipes import DeepWordBugGao2018
    from textattack.models.wrappers import HuggingFaceModelWrapper

    from evaluations.robustness.attacking import DynamicPaddingWrapper, attack_one
    from evaluations.robustness.recipes import deepwordbug

    with tempfile.TemporaryDirectory() as folder:
        model: Any = load(make.tiny_bert(Path(folder), longest=LONGEST, width=128))
    table = make.sentences(EXAMPLES)
    truth = [
        int(k) for k in model.predict_proba(list(table.text)).probs.argmax(axis=1)
    ]  # so that none is skipped
    ours = deepwordbug(DynamicPaddingWrapper(model))
    theirs = DeepWordBugGao2018.build(HuggingFaceModelWrapper(model.network, model.tokenizer))

    def run_ours() -> list[tuple[str | None, int]]:
        found = [
            attack_one(ours, t, y, np.random.default_rng(i))
            for i, (t, y) in enumerate(zip(table.text, truth, strict=True))
        ]
        return [(f.text, f.queries) for f in found]

    def run_theirs() -> list[tuple[str | None, int]]:
        found = []
        for i, (text, y) in enumerate(zip(table.text, truth, strict=True)):
            seed = int(np.random.default_rng(i).integers(2**32))
            random.seed(seed)
            np.random.seed(seed)
            theirs.clear_cache()
            result = theirs.attack(text, y)
            won = type(result).__name__ == "SuccessfulAttackResult"
            found.append((result.perturbed_text() if won else None, int(result.num_queries)))
        return found

    mine, other = run_ours(), run_theirs()
    assert mine == other, "the two wrappers found different strings or asked differently often"
    return {
        "what": f"{EXAMPLES} short texts, two-layer BERT, maximum length {LONGEST}",
        "equal": True,
        "queries": sum(q for _, q in mine),
        **alternate(run_ours, run_theirs),
    }
