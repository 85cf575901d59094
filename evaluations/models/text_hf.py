"""Hugging Face text classifiers: safetensors only, no remote code, no network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from evaluations.models import hf_folder, text_batches
from evaluations.models.loader import agreed_labels
from evaluations.models.protocol import Scores, Usage
from evaluations.spec import Access, EvaluationError, Modality, ModelRef

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
        self.longest = hf_folder.longest_of(network.config, tokenizer)
        self.usage = Usage()

    def logits(self, texts: Sequence[str]) -> Any:
        """Raw outputs, a float32 CPU tensor of shape (len(texts), K).

        Texts are sorted by length and padded only to the longest of their batch.
        """
        return self._forward(text_batches.encode(self.tokenizer, texts, self.longest, self.usage))

    def _forward(self, encoded: Any) -> Any:
        import torch

        out = torch.empty((len(encoded["input_ids"]), len(self.labels)), dtype=torch.float32)
        for rows, batch in text_batches.batches(self.tokenizer, encoded, self.device):
            with torch.inference_mode():
                logits = self.network(**batch.to(self.device)).logits
            out[torch.from_numpy(rows)] = logits.float().cpu()
        return out

    def predict_proba(self, rows: Sequence[str]) -> Scores:
        import torch

        if not len(rows):
            return Scores.blank(0, len(self.labels))
        return Scores.checked(np.asarray(torch.softmax(self.logits(rows).double(), dim=1)))

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        encoded = self.tokenizer(list(texts), truncation=True, max_length=self.longest)
        return [list(ids) for ids in encoded["input_ids"]]

    def probs_of_ids(self, ids: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        import torch

        if not len(ids):
            return np.empty((0, len(self.labels)))
        logits = self._forward(text_batches.encoded_ids(ids, self.usage))
        return Scores.checked(np.asarray(torch.softmax(logits.double(), dim=1))).probs


def load(folder: Path, ref: ModelRef) -> HuggingFaceTextClassifier:
    """The classifier in a Hugging Face folder. Raises EvaluationError where it is not one, or is incomplete."""
    config = hf_folder.config_of(folder)
    tokenizer = hf_folder.tokenizer_of(folder)
    network = hf_folder.network_of(
        folder,
        "AutoModelForSequenceClassification",
        "Push the fine-tuned classifier, not the bare encoder.",
    )
    refuse_other_heads(network.config.num_labels, config.get("problem_type"))
    hf_folder.give_padding(tokenizer, network.config)
    own = hf_folder.own_labels(network.config)
    return HuggingFaceTextClassifier(
        network, tokenizer, agreed_labels(ref, own, len(own)), hf_folder.device()
    )


def refuse_other_heads(outputs: int, problem_type: str | None) -> None:
    """Raises `model_not_single_label` for a head whose outputs are no distribution over classes."""
    if outputs < 2 or problem_type in ("regression", "multi_label_classification"):
        raise EvaluationError(
            "model_not_single_label",
            "The model is a regression or multi-label head; only single-label classifiers are supported yet.",
            skipped=True,
        )
