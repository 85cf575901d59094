"""Signals of membership from a language model's tokens, against the papers' formulas written out plainly."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from evaluations.context import Context
from evaluations.data import dataset
from evaluations.engine import token_spread
from evaluations.models.causal_lm import HuggingFaceCausalLM
from evaluations.models.loader import load
from evaluations.models.protocol import TokenLogprobs
from evaluations.privacy import token_signals
from evaluations.spec import EvaluationError, Modality, Role, ShardState
from tests.evaluations import lm, make

TEXTS = [
    "The film was really quite good and the plot is never dull",
    "a lovely story " * 40,  # longer than the model reads
    "naïve 🎬 ﬁlm—中文",
    "The plot and the actor, the actor and the plot.",
]
SHORT = ["", "a", " ", "it", "ok.", "\n"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceCausalLM:
    found = load(lm.causal_lm(tmp_path_factory.mktemp("gpt2")))
    assert isinstance(found, HuggingFaceCausalLM)
    return found


def data_of(texts: list[str], folder: Path) -> dataset.Dataset:
    table = pd.DataFrame({"id": [f"e{i:03d}" for i in range(len(texts))], "text": texts})
    ref = make.data_ref(table, folder, {"id": Role.ID, "text": Role.INPUT})
    return dataset.read(ref, Modality.CAUSAL_LM)


def context(data: dataset.Dataset, folder: Path) -> Context:
    return Context(make.request("quality.perplexity", data.ref), folder)


def plainly(model: HuggingFaceCausalLM, text: str, share: float = 0.2) -> dict[str, float]:
    """The papers' own arithmetic (softmax, E[x²] − μ², sort, mean), in double precision, one text at a time."""
    start = model.tokens.start
    assert start is not None
    ids = [start, *model.tokens.plain([text])[0]][: model.tokens.longest + 1]
    with torch.no_grad():
        logits = model.network(torch.tensor([ids[:-1]], device=model.device)).logits[0].double().cpu()
    probs, log_probs = torch.softmax(logits, -1), torch.log_softmax(logits, -1)
    own = log_probs.gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
    mu = (probs * log_probs).sum(-1)
    sigma = (probs * log_probs.square()).sum(-1) - mu.square()
    k = max(1, int(len(own) * share))
    standard = (own - mu) / sigma.sqrt()
    return {
        "loss": -float(own.mean()),
        "zlib": -float(own.sum()) / len(zlib.compress(text.encode())),
        "min_k": float(np.sort(own.numpy())[:k].mean()),
        "min_k_pp": float(np.sort(standard.numpy())[:k].mean()),
    }


def signals(model: Any, texts: list[str], folder: Path) -> dict[str, np.ndarray]:
    data = data_of(texts, folder)
    rows = np.arange(data.rows)
    state = token_signals.run(model, data, context(data, folder), rows)
    return token_signals.collect([state], data, rows)


def test_the_signals_are_those_of_the_papers_formulas(model: HuggingFaceCausalLM, tmp_path: Path) -> None:
    found = signals(model, TEXTS, tmp_path)
    for i, text in enumerate(TEXTS):
        for name, value in plainly(model, text).items():
            assert found[name][i] == pytest.approx(value, abs=2e-4), (name, text)


@pytest.mark.parametrize("kind", lm.KINDS)
def test_tokens_and_their_spread_are_those_of_each_text_alone(kind: str, tmp_path: Path) -> None:
    model = load(lm.causal_lm(tmp_path, kind))
    assert isinstance(model, HuggingFaceCausalLM)
    for text, told in zip(TEXTS, model.token_logprobs(TEXTS), strict=True):
        assert told is not None
        assert told.logprobs.mean() == pytest.approx(-plainly(model, text)["loss"], abs=1e-4)
        lowest = np.sort(token_signals.standardised(told))[: max(1, len(told.logprobs) // 5)].mean()
        assert lowest == pytest.approx(plainly(model, text)["min_k_pp"], abs=2e-4)


def test_the_tokens_sum_to_the_rolling_log_likelihood(model: HuggingFaceCausalLM) -> None:
    texts = [TEXTS[0], *TEXTS[2:]]
    whole = model.rolling_loglikelihoods(texts)
    for told, likelihood in zip(model.token_logprobs(texts), whole, strict=True):
        assert told is not None
        assert likelihood is not None
        assert len(told.logprobs) == likelihood.tokens
        assert told.logprobs.sum() == pytest.approx(likelihood.logprob, abs=1e-4)


def same(one: TokenLogprobs | None, other: TokenLogprobs | None, tolerance: float) -> None:
    assert one is not None
    assert other is not None
    for name in ("logprobs", "means", "sds"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=tolerance)


def test_what_stands_in_the_same_batch_changes_nothing(model: HuggingFaceCausalLM) -> None:
    first, *others = model.token_logprobs([TEXTS[0], *SHORT, *TEXTS, *reversed(TEXTS)])
    same(first, model.token_logprobs([TEXTS[0]])[0], 1e-5)
    same(first, others[-1], 1e-5)
    for one, text in zip(others[len(SHORT) : -len(TEXTS)], TEXTS, strict=True):
        same(one, model.token_logprobs([text])[0], 1e-5)


def test_slices_of_the_logits_are_read_like_the_whole(
    model: HuggingFaceCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = model.token_logprobs(TEXTS[:1])[0]
    monkeypatch.setattr(token_spread, "SLICE", 1000)  # two tokens at a time
    same(model.token_logprobs(TEXTS[:1])[0], whole, 1e-9)


def test_texts_of_one_to_three_tokens_have_finite_signals_and_an_empty_one_has_none(
    model: HuggingFaceCausalLM, tmp_path: Path
) -> None:
    lengths = [len(ids) for ids in model.tokens.plain(SHORT)]
    assert lengths[0] == 0
    assert set(lengths[1:]) <= {1, 2, 3}
    found = signals(model, SHORT, tmp_path)
    for values in found.values():
        assert np.isnan(values[0])
        assert np.isfinite(values[1:]).all()


def test_without_a_start_token_the_first_token_is_not_scored(
    model: HuggingFaceCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_start = model.token_logprobs(["it is", "a"])
    monkeypatch.setattr(model.tokens, "start", None)
    without = model.token_logprobs(["it is", "a", ""])
    assert with_start[0] is not None
    assert without[0] is not None
    assert len(without[0].logprobs) == len(with_start[0].logprobs) - 1
    assert without[1:] == [None, None]


def test_a_certain_or_uniform_distribution_has_no_spread_and_gives_no_nan() -> None:
    logits = torch.zeros(1, 4, 50)
    logits[0, 1, 7] = 500.0  # certain, and its token comes
    logits[0, 2, 7] = 500.0  # certain, and another comes
    logits[0, 3, 5] = -float("inf")  # forbidden
    places = token_spread.Places([0, 1, 2, 3], [3, 7, 3, 0], [0])
    own, means, sds = token_spread.read(logits, places)
    assert own == pytest.approx([-np.log(50), 0.0, -500.0, -np.log(49)])
    assert means == pytest.approx([-np.log(50), 0.0, 0.0, -np.log(49)])
    assert sds == pytest.approx(np.zeros(4))
    scores = token_signals.standardised(TokenLogprobs(own, means, sds))
    assert scores[[0, 1, 3]] == pytest.approx(np.zeros(3), abs=1e-6)
    assert np.isfinite(scores[2])
    assert scores[2] < -1e6


def test_a_spread_far_from_the_mean_keeps_its_digits() -> None:
    rng = np.random.default_rng(5)
    logits = torch.tensor(rng.normal(scale=1e-3, size=(1, 3, 50_000)), dtype=torch.float32)
    logits[0, 1] *= 1000
    logits[0, 2, 0] = 18.0
    exact = torch.log_softmax(logits[0].double(), -1)
    mean = (exact.exp() * exact).sum(-1)
    spread = (exact.exp() * (exact - mean[:, None]).square()).sum(-1).sqrt()
    _, means, sds = token_spread.read(logits, token_spread.Places([0, 1, 2], [0, 1, 2], [0]))
    assert means == pytest.approx(mean.numpy(), abs=1e-6)
    assert sds == pytest.approx(spread.numpy(), rel=1e-4)


def test_weights_that_overflow_give_no_answer(model: HuggingFaceCausalLM, tmp_path: Path) -> None:
    places = token_spread.Places([0], [0], [0])
    assert np.isnan(token_spread.read(torch.full((1, 1, 5), float("inf")), places)).any()
    broken = TokenLogprobs(np.array([-1.0, np.nan]), np.zeros(2), np.ones(2))
    assert set(token_signals.of_tokens("a b", broken).values()) == {None}
    assert set(token_signals.of_tokens("a b", TokenLogprobs(np.array([-1e300]))).values()) == {None}


def test_a_service_that_tells_no_spread_has_every_signal_but_one() -> None:
    found = token_signals.of_tokens("a film", TokenLogprobs(np.array([-1.0, -3.0])))
    assert found == {"loss": 2.0, "zlib": 4.0 / 14, "min_k": -3.0, "min_k_pp": None}


def test_the_answers_are_shared_between_evaluations(model: HuggingFaceCausalLM, tmp_path: Path) -> None:
    data = data_of(TEXTS, tmp_path)
    ctx, rows = context(data, tmp_path), np.arange(len(TEXTS))
    first = token_signals.run(model, data, ctx, rows)
    before = model.usage.queries
    again = token_signals.run(model, data, ctx, rows[::-1])
    assert model.usage.queries == before
    assert again.records.take(rows[::-1]).equals(first.records)


def test_higher_is_more_member_like_for_each_signal() -> None:
    likely = token_signals.of_tokens("a film", TokenLogprobs(np.array([-0.1]), np.array([-3.0]), np.ones(1)))
    unlikely = token_signals.of_tokens(
        "a film", TokenLogprobs(np.array([-9.0]), np.array([-3.0]), np.ones(1))
    )
    turned = token_signals.member_scores(
        {name: np.array([likely[name], unlikely[name]], dtype=np.float64) for name in likely}
    )
    for name, (more, less) in turned.items():
        assert more > less, name


@pytest.mark.parametrize(
    "bad",
    [
        {"loss": [np.nan, 1.0]},
        {"loss": [np.inf, 1.0]},
        {"loss": [-1.0, 1.0]},
        {"zlib": [-1.0, 1.0]},
        {"min_k": [1.0, -1.0]},
        {"min_k_pp": [1e40, 0.0]},
        {"loss": [None, 1.0]},  # the others of its row are there
        {"zlib": [None, 1.0]},
    ],
)
def test_records_that_no_honest_run_writes_are_refused(bad: dict[str, list[Any]], tmp_path: Path) -> None:
    data = data_of(TEXTS[:2], tmp_path)
    honest = {"loss": [1.0, 2.0], "zlib": [0.1, 0.2], "min_k": [-3.0, -4.0], "min_k_pp": [None, 0.5]}
    rows = np.arange(2)

    def state(columns: dict[str, list[Any]]) -> ShardState:
        arrays = {name: pa.array(values, pa.float64()) for name, values in columns.items()}
        return ShardState(pa.table({"example_id": data.ids.tolist(), **arrays}))

    found = token_signals.collect([state(honest)], data, rows)
    assert found["loss"].tolist() == [1.0, 2.0]
    assert np.isnan(found["min_k_pp"]).tolist() == [True, False]
    with pytest.raises(EvaluationError, match="no signals"):
        token_signals.collect([state({**honest, **bad})], data, rows)
