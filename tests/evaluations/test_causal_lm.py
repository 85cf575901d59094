"""Causal language models: log-likelihoods against the network itself and lm-eval, generation against transformers'."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evaluations.engine import copied_context, multiple_choice, packed_choices
from evaluations.engine.continuations import Request
from evaluations.models.causal_lm import HuggingFaceCausalLM
from evaluations.models.causal_tokens import Tokens, windows
from evaluations.models.loader import load
from evaluations.models.protocol import Usage
from evaluations.spec import EvaluationError, GenerationSettings
from tests.evaluations import lm, make

TEXT = "The film was really quite good and the plot is never dull"
QUESTION = "A lovely story. Is it good? Answer:"
PAIRS = [
    (QUESTION, " good"),
    (QUESTION, " very very bad and boring"),
    (QUESTION, " it"),
    (QUESTION + "  ", "fine"),  # a context that ends in spaces
    (QUESTION + "  ", "not really superb"),
    ("", "The film"),
    ("", " great"),
    (" \n", "great"),
    ("the mo", "vie is bad"),  # the boundary lies inside a token
    ("the mo", "st awful"),
    ("The plot " + "and the plot " * 60, "is dull"),  # longer than the model reads
    ("The plot " + "and the plot " * 60, "is not really dull, never"),
    ("naïve 🎬", " ﬁlm—中文"),
    ("naïve 🎬", " film"),
]


@pytest.fixture(scope="module", params=lm.KINDS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceCausalLM:
    found = load(lm.causal_lm(tmp_path_factory.mktemp(request.param), request.param))
    assert isinstance(found, HuggingFaceCausalLM)
    return found


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> HuggingFaceCausalLM:
    found = load(lm.causal_lm(tmp_path_factory.mktemp("gpt2")))
    assert isinstance(found, HuggingFaceCausalLM)
    return found


def alone(network: Any, context: Sequence[int], continuation: Sequence[int]) -> tuple[float, bool]:
    """ln p(continuation | context) by a pass of the whole network over this one sequence."""
    with torch.no_grad():
        ids = torch.tensor([[*context, *continuation[:-1]]], device=network.device)
        logits = network(ids).logits[0].double().cpu()
    rows = torch.log_softmax(logits, -1)[len(context) - 1 :]
    given = rows.gather(1, torch.tensor(continuation)[:, None])
    return float(given.sum()), bool((rows.argmax(1) == torch.tensor(continuation)).all())


def test_loglikelihoods_are_those_of_each_pair_alone(model: HuggingFaceCausalLM) -> None:
    asked = model.tokens.pairs(PAIRS, Usage())
    for request, found in zip(asked, model.loglikelihoods(PAIRS), strict=True):
        assert request is not None
        assert found is not None
        logprob, greedy = alone(model.network, request.context, request.continuation)
        assert found.logprob == pytest.approx(logprob, abs=1e-4)
        assert (found.greedy, found.tokens) == (greedy, len(request.continuation))


def test_each_architecture_goes_the_fastest_way_that_is_right_for_it(model: HuggingFaceCausalLM) -> None:
    way = {
        "gpt2": packed_choices.score,
        "llama": packed_choices.score,
        "mistral": copied_context.score,  # sliding window
        "gpt_neo": copied_context.score,  # local layers
        "bloom": copied_context.score,  # ALiBi
        "mamba": multiple_choice.plain,  # its reference code cannot go on from a state by several tokens
    }
    assert model.scorer.way is way[model.network.config.model_type]


def test_every_way_gives_the_same_for_many_shapes(model: HuggingFaceCausalLM) -> None:
    rng = np.random.default_rng(3)
    requests = [
        Request(context, tuple(rng.integers(0, 400, k).tolist()))
        for n in (1, 2, 40, 90, 90)
        for context in [tuple(rng.integers(0, 400, n).tolist())]
        for k in (1, 1, 2, 7, 30)
    ]
    for request, found in zip(requests, model.scorer(requests), strict=True):
        assert found.logprob == pytest.approx(
            alone(model.network, request.context, request.continuation)[0], abs=1e-4
        )


def test_many_continuations_are_packed_in_portions(gpt2: HuggingFaceCausalLM) -> None:
    rng = np.random.default_rng(4)
    context = tuple(rng.integers(0, 400, 20).tolist())
    requests = [Request(context, tuple(rng.integers(0, 400, 40).tolist())) for _ in range(25)]
    for request, found in zip(requests, gpt2.scorer(requests), strict=True):
        assert found.logprob == pytest.approx(
            alone(gpt2.network, request.context, request.continuation)[0], abs=1e-4
        )


def test_the_context_of_all_choices_is_read_once(
    gpt2: HuggingFaceCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert gpt2.scorer.way is packed_choices.score
    read: list[int] = []
    embed = gpt2.network.transformer.wte
    monkeypatch.setattr(
        embed, "forward", lambda ids, plain=embed.forward: read.append(ids.numel()) or plain(ids)
    )
    context = tuple(range(1, 101))
    gpt2.scorer([Request(context, (k, k + 1, k + 2)) for k in range(4)])
    assert sum(read) == 100 + 4 * 2


@pytest.mark.parametrize("bos", [False, True])
@pytest.mark.parametrize("kind", ["gpt2", "mistral"])
def test_loglikelihoods_equal_lm_evals(kind: str, bos: bool, tmp_path: Path) -> None:
    model: Any = load(lm.causal_lm(tmp_path, kind, bos=bos))
    theirs = harness(model)
    # It can take neither a blank context nor a boundary whose letters fuse into one token.
    pairs = [pair for pair in PAIRS if pair[0] not in (" \n", "the mo")]
    expected = theirs.loglikelihood([instance("loglikelihood", pair) for pair in pairs], disable_tqdm=True)
    for pair, (logprob, greedy), found in zip(pairs, expected, model.loglikelihoods(pairs), strict=True):
        assert found.logprob == pytest.approx(logprob, abs=1e-4), pair
        assert found.greedy == greedy


def test_rolling_loglikelihoods_equal_lm_evals(gpt2: HuggingFaceCausalLM) -> None:
    texts = [TEXT, "x", " ".join([TEXT] * 12), "中文電影很好看" * 30, TEXT * 2]
    expected = harness(gpt2).loglikelihood_rolling(
        [instance("loglikelihood_rolling", (text,)) for text in texts], disable_tqdm=True
    )
    for logprob, found in zip(expected, gpt2.rolling_loglikelihoods(texts), strict=True):
        assert found is not None
        assert found.logprob == pytest.approx(logprob, abs=5e-4)  # up to 500 tokens


def harness(model: HuggingFaceCausalLM) -> Any:
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=model.network, tokenizer=model.tokenizer, batch_size=4, device="cpu")


def instance(kind: Any, arguments: tuple[str, ...]) -> Any:
    from lm_eval.api.instance import Instance

    return Instance(kind, {}, arguments, 0)


def test_rolling_windows_predict_every_token_once_and_overlap_nowhere() -> None:
    for n in (0, 1, 9, 10, 11, 20, 37):
        ids = list(range(100, 100 + n))
        found = windows(ids, 7, 10)
        assert found is not None
        assert [t for r in found for t in r.continuation] == ids
        assert all(len(r.context) + len(r.continuation) - 1 <= 10 for r in found)
        assert all(r.context == (7,) or r.context[-1] == r.continuation[0] - 1 for r in found)
    assert windows([1], None, 10) is None


def test_a_start_token_is_read_and_never_scored(tmp_path: Path) -> None:
    model: Any = load(lm.causal_lm(tmp_path, bos=True))
    assert model.tokens.read(["the film"])[0][0] == model.tokens.start
    assert model.tokens.read([lm.END + "the film"])[0].count(model.tokens.start) == 1
    ids = model.tokens.plain(["the film"])[0]
    (found,) = model.rolling_loglikelihoods(["the film"])
    assert found.tokens == len(ids)
    assert found.logprob == pytest.approx(alone(model.network, [model.tokens.start], ids)[0], abs=1e-4)


def test_what_cannot_be_scored_is_no_answer(gpt2: HuggingFaceCausalLM) -> None:
    assert gpt2.loglikelihoods([("the film", ""), ("the film", " film" * 300)]) == [None, None]
    (empty,) = gpt2.rolling_loglikelihoods([""])
    assert empty is not None
    assert (empty.logprob, empty.tokens) == (0.0, 0)
    assert gpt2.loglikelihoods([]) == gpt2.rolling_loglikelihoods([]) == gpt2.generate([], GREEDY, []) == []


def test_weights_that_overflow_give_no_answer(tmp_path: Path) -> None:
    model: Any = load(lm.causal_lm(tmp_path))
    with torch.no_grad():
        model.network.transformer.ln_f.weight.fill_(float("inf"))
    assert model.loglikelihoods(PAIRS[:3]) == [None] * 3
    (made,) = model.generate(["the film"], GREEDY, [0])
    assert (made.status, made.text) == ("error", "")


def test_too_long_a_context_loses_tokens_on_the_left_and_is_counted(gpt2: HuggingFaceCausalLM) -> None:
    usage = Usage()
    kept, whole = Tokens(gpt2.tokenizer, 16).pairs([(TEXT * 3, " so"), ("short", " so")], usage)
    assert kept is not None
    assert len(kept.context) + len(kept.continuation) == 17
    assert whole is not None
    assert usage.truncated == 1


# --- generation -----------------------------------------------------------------------------------

GREEDY = GenerationSettings(max_new_tokens=12)
PROMPTS = [*make.sentences(7).text, "", "the film " * 90]


def test_greedy_text_is_that_of_transformers_for_each_prompt_alone(model: HuggingFaceCausalLM) -> None:
    made = model.generate(PROMPTS, GREEDY, [0] * len(PROMPTS))
    for prompt, found in zip(PROMPTS, made, strict=True):
        ids = torch.tensor([model.tokenizer(prompt)["input_ids"][-116:] or [model.tokens.start]])
        out = model.network.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False
        )
        assert found.text == model.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)
        assert found.prompt_tokens == ids.shape[1]


def test_sampled_text_depends_on_the_prompts_own_seed_alone(model: HuggingFaceCausalLM) -> None:
    settings = GenerationSettings(max_new_tokens=8, temperature=1.0, top_p=0.9)
    seeds = list(range(len(PROMPTS)))
    together = model.generate(PROMPTS, settings, seeds)
    assert together[::-1] == model.generate(PROMPTS[::-1], settings, seeds[::-1])
    assert together[:2] == [
        model.generate([p], settings, [s])[0] for p, s in zip(PROMPTS[:2], seeds, strict=False)
    ]
    assert together != model.generate(PROMPTS, settings, [s + 100 for s in seeds])


def test_tokens_are_drawn_with_the_models_probabilities(gpt2: HuggingFaceCausalLM) -> None:
    settings = GenerationSettings(max_new_tokens=1, temperature=1.5)
    n = 3000
    ids = torch.tensor([gpt2.tokenizer("the film")["input_ids"]])
    p = (
        torch.softmax(gpt2.network(ids.to(gpt2.device)).logits[0, -1].double() / 1.5, -1)
        .detach()
        .cpu()
        .numpy()
    )
    texts = np.array(gpt2.tokenizer.batch_decode([[k] for k in range(400)], skip_special_tokens=True))
    made = np.array([g.text for g in gpt2.generate(["the film"] * n, settings, list(range(n)))])
    for token in np.argsort(-p)[:5]:
        expected = p[texts == texts[token]].sum()  # several tokens are part of a letter and read alike
        share = (made == texts[token]).mean()
        assert share == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / n))


def test_only_the_tokens_that_hold_top_p_are_drawn(gpt2: HuggingFaceCausalLM) -> None:
    ids = torch.tensor([gpt2.tokenizer("the film")["input_ids"]])
    first = gpt2.tokenizer.decode([int(gpt2.network(ids.to(gpt2.device)).logits[0, -1].argmax())])
    settings = GenerationSettings(max_new_tokens=1, temperature=1.0, top_p=0.01)
    assert {g.text for g in gpt2.generate(["the film"] * 40, settings, list(range(40)))} == {first}


def test_text_ends_before_a_stop_string_even_inside_a_token(gpt2: HuggingFaceCausalLM) -> None:
    plain = gpt2.generate(PROMPTS, GREEDY, [0] * len(PROMPTS))
    stop = plain[0].text[5:8]
    made = gpt2.generate(
        PROMPTS, GREEDY.model_copy(update={"stop": (stop, "never to be seen")}), [0] * len(PROMPTS)
    )
    for before, after in zip(plain, made, strict=True):
        assert after.text == before.text.split(stop)[0]
        assert after.cut == (stop not in before.text and before.cut)
    assert made[0].output_tokens < plain[0].output_tokens


def test_the_folders_own_generation_settings_change_nothing(tmp_path: Path) -> None:
    ref = lm.causal_lm(tmp_path)
    plain: Any = load(ref)
    (tmp_path / "generation_config.json").write_text(
        '{"do_sample": true, "temperature": 9.0, "repetition_penalty": 5.0, "num_beams": 3, "eos_token_id": 0}'
    )
    other: Any = load(ref)
    assert other.generate(PROMPTS, GREEDY, [0] * len(PROMPTS)) == plain.generate(
        PROMPTS, GREEDY, [0] * len(PROMPTS)
    )


def test_a_system_message_goes_through_the_chat_template(tmp_path: Path) -> None:
    model: Any = load(lm.causal_lm(tmp_path))
    with_system = GREEDY.model_copy(update={"system": "Be kind."})
    assert model.generate(["Hi"], with_system, [0]) == model.generate(
        ["Hi"], GREEDY, [0]
    )  # it has no template
    model.tokenizer.chat_template = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}"
    (made,) = model.generate(["Hi"], with_system, [0])
    assert made == model.generate(["[system] Be kind.\n[user] Hi\n"], GREEDY, [0])[0]


def test_a_model_that_looks_ahead_is_refused(tmp_path: Path) -> None:
    from transformers import BertConfig, BertLMHeadModel

    ref = lm.causal_lm(tmp_path)
    small = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 32}
    BertLMHeadModel(BertConfig(vocab_size=400, initializer_range=0.5, **small)).save_pretrained(tmp_path)
    with pytest.raises(EvaluationError, match="looks ahead"):
        load(ref)


@pytest.mark.parametrize("rotary", ["dynamic", "longrope"])
def test_rotary_embeddings_that_change_with_the_length_share_nothing(rotary: str, tmp_path: Path) -> None:
    factors = (
        {"factor": 2.0} if rotary == "dynamic" else {"short_factor": [1.0] * 4, "long_factor": [2.0] * 4}
    )
    more = {"original_max_position_embeddings": 64, "rope_theta": 10_000.0}
    model: Any = load(
        lm.causal_lm(tmp_path, "llama", rope_parameters={"rope_type": rotary, **factors, **more})
    )
    assert model.scorer.way is multiple_choice.plain


def test_a_model_that_reads_little_is_not_probed(tmp_path: Path) -> None:
    model: Any = load(lm.causal_lm(tmp_path, longest=8))
    assert model.scorer.way is multiple_choice.plain
    assert None not in model.loglikelihoods([("the film", " is"), ("the film", " was good")])


def test_a_bare_body_without_its_head_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    ref = lm.causal_lm(tmp_path, "llama", tie_word_embeddings=False)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EvaluationError, match="would be random"):
        load(ref)
