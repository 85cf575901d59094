"""Hugging Face token classifiers (tagging, named entities): one label per word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from evaluations.models import hf_folder, tagger
from evaluations.models.loader import agreed_labels
from evaluations.spec import Access, ModelRef

ADAPTER = "token_classifier_hf/1"


def load(folder: Path, ref: ModelRef) -> tagger.Tagger:
    """The tagger in a Hugging Face folder. Raises EvaluationError where it is not one, or is incomplete."""
    import torch

    config = hf_folder.config_of(folder)
    tokenizer = tagger.word_tokenizer(folder, str(config.get("model_type")))
    network = hf_folder.network_of(
        folder, "AutoModelForTokenClassification", "Push the fine-tuned tagger, not the bare encoder."
    )
    hf_folder.give_padding(tokenizer, network.config)
    device = hf_folder.device()

    def forward(batch: Any) -> Any:
        with torch.inference_mode():
            return np.asarray(network(**batch.to(device)).logits.float().cpu())

    own = hf_folder.own_labels(network.config)
    return tagger.Tagger(
        ADAPTER,
        Access.LABEL | Access.GRAD | Access.WEIGHTS,
        tokenizer,
        agreed_labels(ref, own, len(own)),
        hf_folder.longest_of(network.config, tokenizer),
        forward,
        device=device,
        network=network,
    )
