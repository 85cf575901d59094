"""Text and token classifiers exported to ONNX beside their configuration and tokenizer, int8 ones included."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy import special

from evaluations.models import hf_folder, tagger, text_batches
from evaluations.models.loader import agreed_labels
from evaluations.models.onnx_session import Logits, open_session
from evaluations.models.protocol import Scores, Usage
from evaluations.models.text_hf import refuse_other_heads
from evaluations.spec import Access, Modality, ModelRef

if TYPE_CHECKING:
    from numpy.typing import NDArray

ADAPTER = "onnx_text/1"


class OnnxTextClassifier:
    """A sequence classifier in ONNX. `labels` are config.id2label, in output order."""

    modality: ClassVar[Modality] = Modality.TEXT_CLASSIFIER
    adapter: ClassVar[str] = ADAPTER
    access: ClassVar[Access] = Access.LABEL | Access.PROBS | Access.LOGITS
    columns: tuple[str, ...] | None = None
    device = "cpu"

    def __init__(self, forward: Logits, tokenizer: Any, labels: tuple[str, ...], longest: int) -> None:
        self.forward = forward
        self.tokenizer = tokenizer
        self.labels = labels
        self.longest = longest
        self.usage = Usage()

    def predict_proba(self, rows: Sequence[str]) -> Scores:
        if not len(rows):
            return Scores.blank(0, len(self.labels))
        return self._forward(text_batches.encode(self.tokenizer, rows, self.longest, self.usage))

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        encoded = self.tokenizer(list(texts), truncation=True, max_length=self.longest)
        return [list(ids) for ids in encoded["input_ids"]]

    def probs_of_ids(self, ids: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        encoded = text_batches.encoded_ids(ids, self.usage)
        if "token_type_ids" in self.forward.inputs:
            encoded["token_type_ids"] = [[0] * len(one) for one in ids]
        return self._forward(encoded).probs

    def _forward(self, encoded: Any) -> Scores:
        scores = Scores.blank(len(encoded["input_ids"]), len(self.labels))
        for held, batch in text_batches.batches(self.tokenizer, encoded, self.device, "np"):
            logits = self.forward(batch).astype(np.float64)
            scores.put(held, Scores.checked(special.softmax(logits, axis=1)))
        return scores


def load(folder: Path, ref: ModelRef) -> OnnxTextClassifier | tagger.Tagger:
    """The classifier or tagger in the folder's one .onnx file, with config.json and the tokenizer beside it."""
    raw = hf_folder.config_of(folder)
    config = hf_folder.settings_of(folder)
    session = open_session(folder)
    own = hf_folder.own_labels(config)
    if ref.modality is Modality.TOKEN_CLASSIFIER:
        forward = Logits(session, rank=3)
        tokenizer = tagger.word_tokenizer(folder, config.model_type)
        hf_folder.give_padding(tokenizer, config)
        labels = agreed_labels(ref, own, forward.outputs or len(own))
        longest = hf_folder.longest_of(config, tokenizer)
        return tagger.Tagger(ADAPTER, Access.LABEL, tokenizer, labels, longest, forward, tensors="np")
    forward = Logits(session, rank=2)
    refuse_other_heads(config.num_labels, raw.get("problem_type"))
    tokenizer = hf_folder.tokenizer_of(folder)
    hf_folder.give_padding(tokenizer, config)
    return OnnxTextClassifier(
        forward,
        tokenizer,
        agreed_labels(ref, own, forward.outputs or len(own)),
        hf_folder.longest_of(config, tokenizer),
    )
