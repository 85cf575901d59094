"""Endpoints against real ones: `transformers serve` with a local model, and real tokens and log-probabilities."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluations.merge import merge_request
from evaluations.models.endpoint import load
from evaluations.runner import run_request
from evaluations.spec import (
    DataRef,
    EvaluationError,
    GenerationSettings,
    Modality,
    ModelFormat,
    ModelRef,
    Role,
)
from tests.endpoint_server import Answer, completion, serving
from tests.evaluations import make
from tests.real_server import chat_model, transformers_serve

pytestmark = pytest.mark.slow

PROMPTS = ["the film is good", "a dull plot", "naïve—“ﬁlm” 🎬", "the film is good"]


@dataclass(frozen=True)
class Local:
    """A tiny model in a folder, and the same in memory."""

    folder: Path
    tokenizer: Any
    network: Any

    def continued(self, ids: list[int], tokens: int) -> str:
        import torch

        with torch.inference_mode():
            out = self.network.generate(
                torch.tensor([ids]), max_new_tokens=tokens, do_sample=False, pad_token_id=0
            )
        return str(self.tokenizer.decode(out[0, len(ids) :], skip_special_tokens=True))

    def logprobs(self, ids: list[int]) -> np.ndarray:
        """(n, V): ln p of each token of the vocabulary at each place; the first place has none."""
        import torch

        with torch.inference_mode():
            found = torch.log_softmax(self.network(torch.tensor([ids])).logits[0].double(), dim=-1)
        return np.vstack([np.full(found.shape[1], np.nan), found.numpy()])


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Local:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = chat_model(tmp_path_factory.mktemp("served") / "tiny-lm")
    return Local(
        folder, AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).eval()
    )


@pytest.fixture(scope="module")
def url(local: Local, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with transformers_serve(local.folder, tmp_path_factory.mktemp("log")) as address:
        yield address


def described(folder: Path, url: str, model: str, **spec: Any) -> ModelRef:
    folder.mkdir(exist_ok=True)
    (folder / "endpoint.json").write_text(json.dumps({"url": url, "model": model, **spec}))
    return ModelRef(
        path=str(folder), digest="served", modality=Modality.CAUSAL_LM, format=ModelFormat.ENDPOINT
    )


@contextmanager
def loaded(ref: ModelRef) -> Iterator[Any]:
    model: Any = load(Path(ref.path), ref)
    try:
        yield model
    finally:
        model.client.close()


def test_a_served_chat_model_writes_what_the_same_model_writes_here(
    local: Local, url: str, tmp_path: Path
) -> None:
    ref = described(tmp_path, url, str(local.folder), protocol="openai_chat")
    with loaded(ref) as model:
        found = model.generate(PROMPTS, GenerationSettings(max_new_tokens=8), [0] * len(PROMPTS))
        for prompt, written in zip(PROMPTS, found, strict=True):
            ids = local.tokenizer(f"user: {prompt}\nassistant:")["input_ids"]
            assert (written.status, written.text) == ("ok", local.continued(ids, 8))
            assert written.prompt_tokens == len(ids)
        assert model.usage.queries == 3  # two of the prompts are the same
        different = [local.tokenizer(f"user: {p}\nassistant:")["input_ids"] for p in PROMPTS[:3]]
        assert model.usage.tokens == sum(map(len, different)) + sum(g.output_tokens for g in found[:3])


def test_a_served_completions_model_continues_as_here_and_offers_no_log_probabilities(
    local: Local, url: str, tmp_path: Path
) -> None:
    """`transformers serve` 5.23 takes echo and logprobs and ignores them."""
    ref = described(tmp_path, url, str(local.folder), protocol="openai_completions", logprobs=True)
    with loaded(ref) as model:
        found = model.generate(PROMPTS, GenerationSettings(max_new_tokens=8), [0] * len(PROMPTS))
        for prompt, written in zip(PROMPTS, found, strict=True):
            assert written.text == local.continued(local.tokenizer(prompt)["input_ids"], 8)
        with pytest.raises(EvaluationError, match="answered without"):
            model.loglikelihoods([("the film", " is good")])


def test_a_whole_run_against_the_server_is_confirmed_and_merged(
    local: Local, url: str, tmp_path: Path
) -> None:
    ref = described(tmp_path / "model", url, str(local.folder), protocol="openai_chat")
    expected = [
        local.continued(local.tokenizer(f"user: {p}\nassistant:")["input_ids"], 6).strip()
        for p in PROMPTS[:3]
    ]
    table = pd.DataFrame(
        {"id": ["a", "b", "c"], "text": PROMPTS[:3], "answer": [expected[0], expected[1], "something else"]}
    )
    data: DataRef = make.data_ref(table, tmp_path, {"id": Role.ID, "text": Role.INPUT, "answer": Role.TARGET})
    request = make.request("quality.generation", data, ref, settings={"max_new_tokens": 6})
    out = tmp_path / "out"
    out.mkdir()
    run_request(request, out)
    result = merge_request(request, out, out)
    assert len(result.environment["endpoint"]) == 64
    assert result.coverage.scored == 3
    assert result.cost.queries == 3 + 2 * 4


def test_what_the_server_refuses_is_an_error_in_its_own_words(local: Local, url: str, tmp_path: Path) -> None:
    ref = described(tmp_path, url, "no-such-model", protocol="openai_chat")
    with loaded(ref) as model:
        found = model.generate(["a"], GenerationSettings(), [0])
        assert found[0].status == "error"
        assert "no-such-model" in found[0].reason


def test_log_likelihoods_by_echo_are_those_of_the_model_itself(local: Local, tmp_path: Path) -> None:
    """The reply is made as OpenAI's and vLLM's are, from the real tokens of a real model."""

    def handler(path: str, body: Any) -> Answer:
        encoded = local.tokenizer(body["prompt"], return_offsets_mapping=True)
        ids, starts = encoded["input_ids"], [start for start, _ in encoded["offset_mapping"]]
        table = local.logprobs(ids)
        ids, starts = [*ids, int(table[-1].argmax())], [*starts, len(body["prompt"])]
        names = [local.tokenizer.decode([i]) for i in ids]
        told = {
            "tokens": names,
            "token_logprobs": [None, *(float(table[n, i]) for n, i in enumerate(ids) if n)],
            "text_offset": starts,
            "top_logprobs": [None, *({"best": float(row.max())} for row in table[1:])],
        }
        return 200, {}, completion({"text": "".join(names), "logprobs": told})

    pairs = [
        ("the film is", " good"),
        ("the film is ", "good and not boring"),
        ("a plot", " naïve—“ﬁlm” 🎬"),
        ("🎬", " the"),
    ]
    with serving(handler) as service:
        ref = described(tmp_path, service.url, "m", protocol="openai_completions", logprobs=True)
        with loaded(ref) as model:
            found = model.loglikelihoods(pairs)
    for (context, continuation), likelihood in zip(pairs, found, strict=True):
        kept = context.rstrip()
        ids = local.tokenizer(context + continuation)["input_ids"]
        first = len(local.tokenizer(kept)["input_ids"])
        table = local.logprobs(ids)
        expected = [table[n, ids[n]] for n in range(first, len(ids))]
        assert likelihood.tokens == len(expected)
        assert likelihood.logprob == pytest.approx(sum(expected), abs=1e-9)
        assert likelihood.greedy == all(table[n].argmax() == ids[n] for n in range(first, len(ids)))
