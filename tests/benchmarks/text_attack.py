"""DeepWordBug and PWWS side by side against TextAttack one by one, as shipped and with its padding mended.

The model is MiniLM with a head trained on film sentences. Every timed run must find the same strings with the same
flags and query counts. Alone the figures against TextAttack as shipped come from one run each, and those of PWWS on
long texts too: they take minutes. Give parts, such as `deepwordbug:short:patched`, in TEXT_ATTACK_PARTS to run those.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evaluations.models.loader import load
from evaluations.robustness import textattack_setup
from evaluations.spec import Modality, ModelFormat, ModelRef
from tests.benchmarks.pairing import alternate
from tests.evaluations import make
from workers.demo import data as demo_data
from workers.demo.cache import fetched

LABELS = ("negative", "positive")
SHORT, LONG = (12, 25), 190  # tokens, without the two that every text gets
TRAINED_ON = 1_500
RUNS = {  # recipe:texts:against
    "deepwordbug:short:patched": 5,
    "pwws:short:patched": 5,
    "deepwordbug:long:patched": 3,
    "pwws:long:patched": 1,
    "deepwordbug:short:shipped": 1,
    "pwws:short:shipped": 1,
}
Found = list[tuple[bool, str | None, int]]  # per text: skipped, the string that changed the answer, queries


@dataclass(frozen=True)
class Text:
    text: str
    truth: int


def measure() -> dict[str, Any]:
    textattack_setup.prepare(make.RESOURCES)
    asked = os.environ.get("TEXT_ATTACK_PARTS", " ".join(RUNS)).split()
    with tempfile.TemporaryDirectory() as folder:
        model: Any = load(_trained(Path(folder)))
    texts = {"short": _short(model.tokenizer), "long": _long(model.tokenizer)}
    parts = {}
    for part in asked:
        recipe, which, against = part.split(":")
        parts[part] = _timed(model, recipe, texts[which], against, RUNS[part])
        print(json.dumps({part: parts[part]}), file=sys.stderr, flush=True)

    def worst(*ending: str) -> Any:
        return min((one["ratio"] for part, one in parts.items() if part.endswith(ending)), default=None)

    return {
        "what": "DeepWordBug and PWWS on MiniLM, 50 texts of 12-25 tokens, 20 of about 200; ratio = short, patched",
        "equal": True,
        "ratio": worst("short:patched"),
        "ratio_shipped": worst("short:shipped"),
        "ratio_long": worst("long:patched"),
        "parts": parts,
    }


def _timed(model: Any, recipe: str, texts: Sequence[Text], against: str, runs: int) -> dict[str, Any]:
    """Both sides, alternating. Asserts of every run that it found what the first one found."""
    from evaluations.robustness.recipes import RECIPES

    found: list[Found] = []
    ours = _ours(model, RECIPES[recipe], texts)
    theirs = _theirs(model, RECIPES[recipe], texts, shipped=against == "shipped")

    def noted(side: Callable[[], Found]) -> Callable[[], None]:
        return lambda: found.append(side())

    times = alternate(noted(ours), noted(theirs), runs)
    assert len(found) == 2 * runs
    for one in found:
        assert one == found[0], (
            f"{recipe} found other strings, or asked differently often: {_differing(found)}"
        )
    skipped = sum(s for s, _, _ in found[0])
    succeeded = sum(text is not None for _, text, _ in found[0])
    return {
        "succeeded": succeeded,
        "failed": len(texts) - skipped - succeeded,
        "skipped": skipped,
        "queries": sum(q for _, _, q in found[0]),
        **times,
    }


def _differing(found: list[Found]) -> list[Any]:
    return [runs for runs in zip(*found, strict=True) if len(set(runs)) > 1][:3]


def _ours(model: Any, build: Any, texts: Sequence[Text]) -> Callable[[], Found]:
    from evaluations.robustness.attacking import attack_texts

    def run() -> Found:
        found: dict[int, tuple[bool, str | None, int]] = {}
        rngs = [np.random.default_rng(i) for i in range(len(texts))]
        for i, got in attack_texts(model, build, [t.text for t in texts], [t.truth for t in texts], rngs):
            if isinstance(got, Exception):
                raise got
            found[i] = got.skipped, got.text, got.queries
        return [found[i] for i in range(len(texts))]

    return run


def _theirs(model: Any, build: Any, texts: Sequence[Text], shipped: bool) -> Callable[[], Found]:
    import torch
    from textattack.attack_results import SkippedAttackResult, SuccessfulAttackResult
    from textattack.models.wrappers import HuggingFaceModelWrapper

    class Patched(HuggingFaceModelWrapper):  # type: ignore[misc]  # TextAttack has no types
        """TextAttack's own wrapper, padded to the longest text of its batch."""

        def __call__(self, texts: Sequence[str]) -> Any:
            batch = self.tokenizer(
                texts,
                padding=True,
                truncation=True,
                max_length=self.tokenizer.model_max_length,
                return_tensors="pt",
            ).to(self.model.device)
            with torch.no_grad():
                return self.model(**batch).logits.cpu()

    attack = build((HuggingFaceModelWrapper if shipped else Patched)(model.network, model.tokenizer))

    def run() -> Found:
        found = []
        for i, one in enumerate(texts):
            seed = int(np.random.default_rng(i).integers(2**32))  # as ours draws it
            random.seed(seed)
            np.random.seed(seed)
            attack.clear_cache()
            result = attack.attack(one.text, one.truth)
            won = isinstance(result, SuccessfulAttackResult)
            found.append(
                (
                    isinstance(result, SkippedAttackResult),
                    result.perturbed_text() if won else None,
                    int(result.num_queries),
                )
            )
        return found

    return run


def _sentences(part: str) -> list[Text]:
    lines = (demo_data.sentences() / f"{part}.jsonl").read_text(encoding="utf-8").splitlines()
    return [Text(row["text"], LABELS.index(row["label"])) for row in map(json.loads, lines)]


def _tokens(tokenizer: Any, text: str) -> int:
    return len(tokenizer(text, add_special_tokens=False)["input_ids"])


def _short(tokenizer: Any) -> list[Text]:
    fewest, most = SHORT
    return [t for t in _sentences("test") if fewest <= _tokens(tokenizer, t.text) <= most][:50]


def _long(tokenizer: Any) -> list[Text]:
    """Sentences of one label joined until they have about 200 tokens: ten texts of each."""
    found = []
    for label in range(len(LABELS)):
        text, made = "", 0
        for sentence in _sentences("test"):
            if sentence.truth == label and made < 10:
                text = f"{text} {sentence.text}".strip()
                if _tokens(tokenizer, text) >= LONG:
                    found.append(Text(text, label))
                    text, made = "", made + 1
    return found


def _trained(folder: Path) -> ModelRef:
    """MiniLM with a logistic head on its frozen first token: some answers are wrong, some near the boundary."""
    import torch
    import transformers
    from sklearn.linear_model import LogisticRegression

    transformers.utils.logging.disable_progress_bar()
    encoder = fetched("minilm")
    network = transformers.AutoModelForSequenceClassification.from_pretrained(
        encoder, local_files_only=True, use_safetensors=True, num_labels=2, id2label=dict(enumerate(LABELS))
    ).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(encoder, local_files_only=True)
    train = _sentences("train")[:TRAINED_ON]
    seen = []
    for start in range(0, len(train), 32):
        texts = [t.text for t in train[start : start + 32]]
        batch = tokenizer(texts, padding=True, truncation=True, max_length=64, return_tensors="pt")
        with torch.inference_mode():
            seen.append(network.base_model(**batch).pooler_output)
    head = LogisticRegression(max_iter=1000).fit(torch.cat(seen).numpy(), [t.truth for t in train])
    weight, bias = torch.tensor(head.coef_[0]).float(), torch.tensor(head.intercept_[0]).float()
    with torch.no_grad():
        network.classifier.weight.copy_(torch.stack([-weight / 2, weight / 2]))
        network.classifier.bias.copy_(torch.stack([-bias / 2, bias / 2]))
    network.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return ModelRef(
        path=str(folder),
        digest="sentiment",
        modality=Modality.TEXT_CLASSIFIER,
        format=ModelFormat.SAFETENSORS,
        labels=LABELS,
        languages=("en",),
    )
