"""Hugging Face text classifiers: safetensors only, no remote code, no network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from evaluations.engine.batching import token_budget_batches
from evaluations.models.loader import agreed_labels
from evaluations.models.protocol import Scores, Usage
from evaluations.spec import Access, EvaluationError, Modality, ModelRef

# Padded tokens per forward pass: keeps activations of a base-size encoder well under 1 GB on a CPU.
TOKEN_BUDGET = {"cpu": 8192, "cuda": 65536}
LONGEST = 512  # tokens, where neither tokenizer nor config says how much the model reads


class HuggingFaceTextClassifier:
    """A sequence classifier with one label per text. `labels` are config.id2label, in output order."""

    modality: ClassVar[Modality] = Modality.TEXT_CLASSIFIER
    adapter: ClassVar[str] = "text_hf/1"
    access: ClassVar[Access] = (
        Access.LABEL | Access.PROBS | Access.LOGITS | Access.EMBED | Access.GRAD | Access.WEIGHTS
    )
    columns: tuple[str, ...] | None = None

    def __init__(self, network: Any, tokenizer: Any, labels: tuple[str, ...], device: str) -> None:
        self.network = network
        self.tokenizer = tokenizer
        self.labels = labels
        self.device = device
        self.longest = _longest(network, tokenizer)
        self.usage = Usage()

    def logits(self, texts: Sequence[str]) -> Any:
        """Raw outputs, a float32 CPU tensor of shape (len(texts), K).

        Texts are sorted by length and padded only to the longest of their batch.
        """
        import torch

        encoded = self.tokenizer(list(texts), add_special_tokens=True)
        lengths = [len(ids) for ids in encoded["input_ids"]]
        if max(lengths, default=0) > self.longest:
            self.usage.truncated += sum(n > self.longest for n in lengths)
            encoded = self.tokenizer(
                list(texts), add_special_tokens=True, truncation=True, max_length=self.longest
            )
            lengths = [len(ids) for ids in encoded["input_ids"]]
        self.usage.queries += len(texts)
        self.usage.tokens += sum(lengths)
        out = torch.empty((len(texts), len(self.labels)), dtype=torch.float32)
        for rows in token_budget_batches(lengths, TOKEN_BUDGET[self.device]):
            batch = self.tokenizer.pad(
                {name: [values[i] for i in rows] for name, values in encoded.items()}, return_tensors="pt"
            )
            with torch.inference_mode():
                logits = self.network(**batch.to(self.device)).logits
            out[torch.from_numpy(rows)] = logits.float().cpu()
        return out

    def predict_proba(self, rows: Sequence[str]) -> Scores:
        import torch

        if not len(rows):
            return Scores.blank(0, len(self.labels))
        return Scores.checked(np.asarray(torch.softmax(self.logits(rows).double(), dim=1)))


def load(folder: Path, ref: ModelRef) -> HuggingFaceTextClassifier:
    """The classifier in a Hugging Face folder. Raises EvaluationError where it is not one, or is incomplete."""
    import torch
    import transformers

    config = _config(folder)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        network, info = transformers.AutoModelForSequenceClassification.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError, ImportError) as error:
        raise EvaluationError(
            "model_unreadable",
            f"The model folder could not be loaded ({type(error).__name__}: {str(error)[:300]}). It needs config.json, "
            "model.safetensors and the tokenizer's files, as save_pretrained writes them.",
        ) from error
    missing = sorted(info["missing_keys"]) + sorted(str(k) for k in info.get("mismatched_keys", ()))
    if missing:
        raise EvaluationError(
            "model_incomplete",
            f"{len(missing)} weights are not in the file ({', '.join(missing[:3])}, …) and would be random. "
            "Push the fine-tuned classifier, not the bare encoder.",
        )
    if network.config.num_labels < 2 or config.get("problem_type") in (
        "regression",
        "multi_label_classification",
    ):
        raise EvaluationError(
            "model_not_single_label",
            "The model is a regression or multi-label head; only single-label classifiers are supported yet.",
            skipped=True,
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
        network.config.pad_token_id = tokenizer.pad_token_id
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = network.to(device).eval()
    own = tuple(str(network.config.id2label[i]) for i in range(network.config.num_labels))
    return HuggingFaceTextClassifier(network, tokenizer, agreed_labels(ref, own, len(own)), device)


def _config(folder: Path) -> dict[str, Any]:
    """config.json, refused where it asks for code. Intake refuses it too; this is the last gate."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EvaluationError(
            "model_files",
            "The model folder has no readable config.json. Push the folder that save_pretrained wrote.",
        ) from error
    for name in ("config.json", "tokenizer_config.json"):
        path = folder / name
        if path.is_file() and "auto_map" in path.read_text(encoding="utf-8", errors="replace"):
            raise EvaluationError(
                "model_remote_code",
                f"{name} names code of its own (auto_map), which is never run. Use an architecture of transformers.",
            )
    return dict(config)


def _longest(network: Any, tokenizer: Any) -> int:
    """The longest input in tokens that both the tokenizer and the position embeddings allow."""
    limits = [tokenizer.model_max_length, getattr(network.config, "max_position_embeddings", None)]
    known = [int(n) for n in limits if n and 0 < n < 10**6]
    longest = min(known, default=LONGEST)
    if network.config.model_type in (
        "roberta",
        "xlm-roberta",
        "camembert",
    ):  # positions start after the padding id
        longest = min(longest, network.config.max_position_embeddings - network.config.pad_token_id - 1)
    return longest
