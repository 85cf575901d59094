"""Masked language models: pseudo-log-likelihoods against masking one token at a time by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from evaluations.models.loader import load
from evaluations.spec import EvaluationError, ModelRef
from tests.evaluations import lm, make


@pytest.fixture(scope="module")
def ref(tmp_path_factory: pytest.TempPathFactory) -> ModelRef:
    return lm.masked_lm(tmp_path_factory.mktemp("bert"))


@pytest.fixture
def model(ref: ModelRef) -> Any:
    return load(ref)


def by_hand(model: Any, text: str) -> list[float]:
    """ln p of each token of one text, the others left as they are."""
    ids = model.tokenizer(text, truncation=True, max_length=64)["input_ids"]
    found = []
    for place in range(1, len(ids) - 1):  # without [CLS] and [SEP]
        masked = [*ids[:place], model.tokenizer.mask_token_id, *ids[place + 1 :]]
        with torch.no_grad():
            logits = model.network(torch.tensor([masked], device=model.device)).logits[0, place].double()
        found.append(float(torch.log_softmax(logits, -1)[ids[place]]))
    return found


def test_every_token_is_masked_alone(model: Any) -> None:
    texts = [*make.sentences(5).text, "good", "naïve 🎬", "plot " * 90]
    for text, found in zip(texts, model.pseudo_loglikelihoods(texts), strict=True):
        expected = by_hand(model, text)
        assert found.logprob == pytest.approx(sum(expected), abs=1e-4)
        assert found.tokens == len(expected)
    assert model.usage.queries == len(texts)
    assert model.usage.truncated == 1


def test_only_the_tokens_asked_for_are_scored(model: Any) -> None:
    text = "the film was good"
    expected = by_hand(model, text)
    first, none, outside = model.pseudo_loglikelihoods([text] * 3, [(0, 3), (), (4,)])
    assert first.logprob == pytest.approx(expected[0] + expected[3], abs=1e-4)
    assert (none.logprob, none.tokens) == (0.0, 0)
    assert outside is None


def test_no_text_and_nothing_in_a_text_are_carried(model: Any) -> None:
    assert model.pseudo_loglikelihoods([]) == []
    (empty,) = model.pseudo_loglikelihoods([""])
    assert empty.tokens == 0


def test_a_model_whose_tokenizer_has_no_mask_is_refused(tmp_path: Path, ref: ModelRef) -> None:
    import shutil

    shutil.copytree(ref.path, tmp_path / "model")
    lm.bpe_tokenizer().save_pretrained(tmp_path / "model")
    with pytest.raises(EvaluationError, match="no mask token"):
        load(ref.model_copy(update={"path": str(tmp_path / "model")}))
