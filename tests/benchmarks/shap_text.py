"""Our Owen values of token ids against shap.Explainer: on a transformers pipeline, and on a plain batched function.

Same tree, same max_evals, same draws where SHAP breaks ties, MiniLM with a random classification head. SHAP masks
strings, and a cut word is read anew: for this comparison the ids of each coalition are those of SHAP's string.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np

from evaluations.explainability.feature_trees import tree_of_segments
from evaluations.explainability.games import Remembered, ask_ids
from evaluations.explainability.owen import Owen, owen
from evaluations.models.loader import load
from evaluations.spec import Modality
from tests.benchmarks.pairing import alternate
from tests.benchmarks.shared_pass import _untrained
from tests.evaluations.kinds import reference
from workers.demo import data as demo_data

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEXTS = 4
WORDS = (18, 22)
BUDGET = 500  # SHAP's own number
NEAR = 1e-5


def measure() -> dict[str, Any]:
    """On one thread, which is kindest to the side that asks about one text at a time."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _measure()
    finally:
        torch.set_num_threads(threads)


def _measure() -> dict[str, Any]:
    import shap
    import transformers

    transformers.utils.logging.set_verbosity_error()
    texts = sentences()
    with tempfile.TemporaryDirectory() as folder:
        model: Any = load(reference(_untrained(Path(folder)), Modality.TEXT_CLASSIFIER))
        config = model.network.config
        config.label2id = {label: k for k, label in config.id2label.items()}  # SHAP asks for both directions
        pipeline = transformers.pipeline(
            "text-classification", model=model.network, tokenizer=model.tokenizer, top_k=None
        )
    shipped = shap.Explainer(pipeline)
    batched = shap.Explainer(plain_function(model), shap.maskers.Text(model.tokenizer))

    def theirs(explainer: Any) -> list[NDArray[np.float64]]:
        found = []
        for i, text in enumerate(texts):
            with draws_from(i):
                found.append(explainer([text], max_evals=BUDGET, silent=True).values[0])
        return found

    def ours() -> list[Owen]:
        return [explained(model, text, i) for i, text in enumerate(texts)]

    mine, far = ours(), 0.0
    for explainer in (shipped, batched):
        for own, other in zip(mine, theirs(explainer), strict=True):
            far = max(far, float(np.abs(own.values - other).max()))
    assert far <= NEAR, f"values differ by {far}"
    against = {
        "shipped": alternate(ours, lambda: theirs(shipped)),
        "batched": alternate(ours, lambda: theirs(batched)),
    }
    return {
        "what": f"{TEXTS} texts of {WORDS[0]} to {WORDS[1]} words, MiniLM, max_evals {BUDGET}; ratio against "
        "shap.Explainer on the pipeline as shipped, batched_ratio against SHAP on a plain batched function",
        "equal": True,
        "largest_difference": far,
        **against["shipped"],
        **{f"batched_{name}": value for name, value in against["batched"].items()},
    }


def sentences() -> list[str]:
    lines = (demo_data.sentences() / "test.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [str(json.loads(line)["text"]) for line in lines]
    return [text for text in texts if WORDS[0] <= len(text.split()) <= WORDS[1]][:TEXTS]


def explained(model: Any, text: str, seed: int) -> Owen:
    game = AsShapMasks(model, text)
    inner = Remembered(game)  # what SHAP's special tokens do not change is asked once
    tree = tree_of_segments(game.segments, model.tokenizer.sep_token)
    return owen(
        lambda present: inner.outputs(present[:, 1:-1]),
        tree,
        BUDGET,
        np.random.default_rng(seed).standard_normal,
    )


def plain_function(model: Any) -> Any:
    """What a careful user writes: one padded batch for the strings that SHAP hands over."""
    import torch

    def probabilities(strings: Sequence[str]) -> Any:
        batch = model.tokenizer(list(strings), padding=True, return_tensors="pt").to(model.device)
        with torch.inference_mode():
            return torch.softmax(model.network(**batch).logits, dim=1).cpu().numpy()

    return probabilities


@contextlib.contextmanager
def draws_from(seed: int) -> Iterator[None]:
    """SHAP breaks ties with np.random.randn(), unseeded: here with the draws that ours has."""
    with mock.patch("numpy.random.randn", np.random.default_rng(seed).standard_normal):
        yield


class AsShapMasks:
    """A game of the tokens of a text, read as the tokenizer reads the string that shap.maskers.Text makes.

    A run of present tokens is read by itself, since [MASK] parts what stands beside it; each run is read once.
    """

    def __init__(self, model: Any, text: str) -> None:
        self.model = model
        read = model.tokenizer(text, return_offsets_mapping=True)
        offsets = read["offset_mapping"]
        self.segments = [
            text[a : max(b, c)] for (a, b), (c, _) in zip(offsets, [*offsets[1:], (0, 0)], strict=True)
        ]
        self.first, self.last = read["input_ids"][0], read["input_ids"][-1]
        self.mask = model.tokenizer.mask_token_id
        self.features = tuple(self.segments[1:-1])
        self.read: dict[tuple[int, int], list[int]] = {}

    def outputs(self, present: NDArray[np.bool_]) -> NDArray[np.float64]:
        return ask_ids(self.model, [self.ids_of(row) for row in present])

    def ids_of(self, present: NDArray[np.bool_]) -> list[int]:
        ids, start = [self.first], 0
        while start < len(present):
            stop = start + 1
            if not present[start]:
                ids.append(self.mask)
            else:
                while stop < len(present) and present[stop]:
                    stop += 1
                ids += self.run(start, stop)
            start = stop
        return [*ids, self.last]

    def run(self, start: int, stop: int) -> list[int]:
        if (start, stop) not in self.read:
            piece = "".join(self.features[start:stop])
            self.read[start, stop] = self.model.tokenizer(piece, add_special_tokens=False)["input_ids"]
        return self.read[start, stop]
