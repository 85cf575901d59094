"""Searches side by side: what one finds depends on no other, and is what TextAttack finds one by one."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from evaluations.engine.first_token import first_token_alone
from evaluations.engine.lockstep import Work, ask, side_by_side
from evaluations.models.loader import load
from evaluations.models.protocol import Scores, Usage
from evaluations.robustness import textattack_setup
from evaluations.spec import Access, EvaluationError, Modality
from tests.evaluations import kinds, make

# --- the scheduler ------------------------------------------------------------------------------------


class Lengths:
    """Answers with the length of each text, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def __call__(self, texts: list[str]) -> list[int]:
        self.asked.append(texts)
        if "bad" in texts:
            raise ValueError("cannot read this")
        return [len(text) for text in texts]


def works(*runs: Callable[[], Any], size: int = 1) -> Iterator[Work[Any]]:
    return (Work(run, seed, size) for seed, run in enumerate(runs))


def results(*runs: Callable[[], Any], most: int = 9, room: int = 99) -> dict[int, Any]:
    return dict(side_by_side(works(*runs), most, room))


def test_what_all_ask_is_answered_in_one_go_and_each_text_once() -> None:
    lengths = Lengths()

    def twice(*texts: str) -> list[int]:
        first = ask(lengths, texts)
        return [*first, *ask(lengths, ["again", texts[0]])]

    assert results(partial(twice, "a", "bb"), partial(twice, "bb", "ccc")) == {
        0: [1, 2, 5, 1],
        1: [2, 3, 5, 2],
    }
    assert lengths.asked == [["a", "bb", "ccc"], ["again", "a", "bb"]]


def test_without_a_scheduler_an_answer_comes_at_once() -> None:
    assert ask(Lengths(), ["abc"]) == [3]


def test_each_search_draws_from_its_own_generators_whatever_the_company() -> None:
    lengths = Lengths()

    def draw(rounds: int) -> list[float]:
        drawn = []
        for _ in range(rounds):
            drawn += [random.random(), float(np.random.random())]  # what TextAttack draws from
            ask(lengths, ["a"])
        return drawn

    random.seed(5)
    np.random.seed(5)
    outside = random.getstate(), np.random.get_state()[1].tolist()
    runs = [partial(draw, n) for n in (3, 1, 4)]
    together = results(*runs)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == outside
    for seed, run in enumerate(runs):
        ((_, alone),) = side_by_side(iter([Work(run, seed, 1)]), 9, 99)
        assert together[seed] == alone
        assert alone[0] == random.Random(seed).random()
        assert alone[1] == np.random.RandomState(seed).random_sample()
    assert results(*runs, most=1) == together


def test_what_breaks_one_search_ends_it_alone() -> None:
    lengths = Lengths()

    def about(text: str) -> int:
        return int(ask(lengths, [text])[0])

    def breaks() -> None:
        ask(lengths, ["x"])
        raise IndexError("no such word")

    got = results(partial(about, "good"), partial(about, "bad"), breaks, partial(about, "fine"))
    assert (got[0], got[3]) == (4, 4)
    assert isinstance(got[1], ValueError)
    assert isinstance(got[2], IndexError)


@pytest.mark.parametrize("error", [MemoryError(), OSError(), EvaluationError("budget", "It is used up.")])
def test_what_is_no_fault_of_an_example_ends_all(error: Exception) -> None:
    ended = []

    def waits() -> None:
        try:
            ask(Lengths(), ["a"])
        finally:
            ended.append(True)

    def fails(texts: list[str]) -> list[int]:
        raise error

    def asks() -> None:
        ask(fails, ["b"])

    def raises() -> None:
        raise error

    for last in (asks, raises):
        ended.clear()
        with pytest.raises(type(error)):
            results(waits, waits, last)
        assert len(ended) == 2, "the others were closed"


def test_who_stops_listening_ends_all() -> None:
    ended = []

    def waits() -> None:
        try:
            while True:
                ask(Lengths(), ["a"])
        finally:
            ended.append(True)

    found = side_by_side(works(waits, lambda: 7, waits), 9, 99)
    assert next(found) == (1, 7)
    found.close()
    assert ended == [True]  # the third had not begun


def test_no_more_are_active_than_there_is_room_for() -> None:
    active, peak = [0], [0]

    def counted() -> None:
        active[0] += 1
        peak[0] = max(peak[0], active[0])
        for _ in range(3):
            ask(Lengths(), ["a"])
        active[0] -= 1

    def most_active(most: int, room: int, size: int) -> int:
        peak[0] = 0
        assert len(list(side_by_side(works(*[counted] * 7, size=size), most, room))) == 7
        return peak[0]

    assert most_active(most=3, room=99, size=1) == 3
    assert most_active(most=9, room=10, size=4) == 2
    assert most_active(most=9, room=10, size=50) == 1, "one too large is let in by itself"


def test_a_round_may_end_everything() -> None:
    rounds = []

    def cancel() -> None:
        rounds.append(True)
        if len(rounds) == 3:
            raise EvaluationError("cancelled", "Enough.")

    def waits() -> None:
        while True:
            ask(Lengths(), ["a"])

    with pytest.raises(EvaluationError, match="Enough"):
        list(side_by_side(works(waits), 9, 99, cancel))


# --- attacks ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bert")
    make.tiny_bert(folder)
    return folder


@pytest.fixture(scope="module")
def bert(folder: Path) -> Any:
    textattack_setup.prepare(make.RESOURCES)
    return load(kinds.reference(folder, Modality.TEXT_CLASSIFIER))


def rng_of(text: str) -> np.random.Generator:
    return np.random.default_rng(len(text))


def attack(model: Any, recipe: str, texts: Sequence[str], truths: Sequence[int]) -> dict[str, Any]:
    """By text, what was found or the kind of error."""
    from evaluations.robustness.attacking import attack_texts
    from evaluations.robustness.recipes import RECIPES

    found = attack_texts(model, RECIPES[recipe], texts, truths, [rng_of(text) for text in texts])
    return {texts[i]: type(got) if isinstance(got, Exception) else got for i, got in found}


def one_by_one(wrapper: Any, recipe: str, texts: Sequence[str], truths: Sequence[int]) -> dict[str, Any]:
    """The same by TextAttack alone."""
    from textattack.attack_results import SkippedAttackResult, SuccessfulAttackResult

    from evaluations.robustness.attacking import Attacked
    from evaluations.robustness.recipes import RECIPES

    attack, found = RECIPES[recipe](wrapper), {}
    for text, truth in zip(texts, truths, strict=True):
        seed = int(rng_of(text).integers(2**32))
        random.seed(seed)
        np.random.seed(seed)  # what TextAttack draws from
        attack.clear_cache()
        result = attack.attack(text, truth)
        won = isinstance(result, SuccessfulAttackResult)
        found[text] = Attacked(
            result.perturbed_text() if won else None,
            int(result.num_queries),
            isinstance(result, SkippedAttackResult),
        )
    return found


def sentences(n: int) -> tuple[list[str], list[int]]:
    table = make.sentences(n)
    return list(table.text), [int(label == "pos") for label in table.label]


@pytest.mark.parametrize(
    "recipe", ["deepwordbug", "input_reduction", pytest.param("pwws", marks=pytest.mark.slow)]
)
def test_strings_flags_and_queries_are_those_of_textattack_one_by_one(bert: Any, recipe: str) -> None:
    from textattack.models.wrappers import HuggingFaceModelWrapper

    texts, truths = sentences(24)
    together = attack(bert, recipe, texts, truths)
    alone = one_by_one(HuggingFaceModelWrapper(bert.network, bert.tokenizer), recipe, texts, truths)
    assert together == alone
    outcomes = {(a.skipped, a.text is not None) for a in alone.values()}
    assert {(True, False), (False, True)} <= outcomes, (
        "the comparison says nothing of attacks without outcomes"
    )


def test_order_and_company_change_nothing(bert: Any) -> None:
    texts, truths = sentences(16)
    together = attack(bert, "deepwordbug", texts, truths)
    assert attack(bert, "deepwordbug", texts[::-1], truths[::-1]) == together
    assert attack(bert, "deepwordbug", texts[5:8], truths[5:8]) == {
        text: together[text] for text in texts[5:8]
    }


class Told:
    """A model that offers answers alone: the probabilities that `answer` gives each text, None for no answer."""

    labels = ("neg", "pos")
    columns = None
    access = Access.LABEL | Access.PROBS
    modality = Modality.TEXT_CLASSIFIER
    adapter: ClassVar[str] = "told/1"
    device = "cpu"

    def __init__(self, answer: Callable[[str], Sequence[float] | None]) -> None:
        self.answer = answer
        self.usage = Usage()

    def predict_proba(self, rows: Sequence[str]) -> Scores:
        return Scores.checked(
            np.array([self.answer(row) or (np.nan, np.nan) for row in rows], dtype=np.float64)
        )


def test_an_onnx_model_is_attacked_by_its_probabilities(bert: Any, folder: Path, tmp_path: Path) -> None:
    from textattack.models.wrappers import ModelWrapper

    model: Any = load(kinds.to_onnx(folder, tmp_path / "onnx"))

    class Wrapper(ModelWrapper):  # type: ignore[misc]  # TextAttack has no types
        def __init__(self) -> None:
            self.model = model

        def __call__(self, texts: list[str]) -> Any:
            return model.predict_proba(texts).probs

    texts, truths = sentences(10)
    found = attack(model, "deepwordbug", texts, truths)
    assert found == one_by_one(Wrapper(), "deepwordbug", texts, truths)
    assert any(got.text for got in found.values())


def test_a_model_that_names_a_class_alone_can_be_attacked(bert: Any) -> None:
    model = Told(lambda text: (0.0, 1.0) if "good" in text.lower() else (1.0, 0.0))
    found = attack(model, "deepwordbug", ["a good film", "a great film"], [1, 1])
    won = found["a good film"]
    assert won.text is not None
    assert "good" not in won.text
    assert found["a great film"].skipped


def test_probabilities_that_hardly_add_up_to_one_are_not_taken_for_raw_outputs(bert: Any) -> None:
    from evaluations.robustness.attacking import Victim

    model = Told(lambda text: (0.2, 0.8004))
    (row,) = Victim(model)(["a text"])
    assert row.tolist() == pytest.approx([0.2 / 1.0004, 0.8004 / 1.0004])
    assert float(row.sum()) == pytest.approx(1, abs=1e-12)


def test_a_text_without_an_answer_ends_its_own_attack_with_an_error(bert: Any) -> None:
    from evaluations.robustness.answering import NoAnswer

    model = Told(lambda text: None if "[UNK]" in text and "film" in text else (0.1, 0.9))
    found = attack(model, "deepwordbug", ["lovely film", "lovely story"], [1, 1])
    assert found["lovely film"] is NoAnswer
    assert found["lovely story"].text is None
    assert not found["lovely story"].skipped


class Service(Told):
    """A model behind an endpoint whose budget ends after so many texts."""

    question = identity = ""
    stopped: EvaluationError | None = None
    at_once = 2

    def __init__(self, budget: int) -> None:
        super().__init__(lambda text: (0.1, 0.9))
        self.left = budget
        self.most = 0

    def predict_proba(self, rows: Sequence[str]) -> Scores:
        self.most = max(self.most, len(rows))
        self.left -= len(rows)
        if self.left < 0:
            self.stopped = EvaluationError("endpoint_budget", "The budget of requests is used up.")
            return Scores.blank(len(rows), 2)
        return super().predict_proba(rows)

    def probe(self, data: object) -> dict[str, str | tuple[float, ...]]:
        return {}


def test_a_service_is_asked_in_portions_and_its_budget_ends_the_run(bert: Any) -> None:
    texts, truths = sentences(6)
    service = Service(10**6)
    assert len(attack(service, "deepwordbug", texts, [1] * 6)) == 6
    assert service.most == 2
    with pytest.raises(EvaluationError, match="used up"):
        attack(Service(20), "deepwordbug", texts, truths)


ODD = {
    "only emoji": "🎬🍿 😀😀 🎉",
    "empty": "",
    "blanks": " \n\t ",
    "right to left": "זה סרט טוב מאוד وهذا فيلم رائع",
    "Chinese": "这部电影非常好看,我很喜欢。",
    "stopwords alone": "it is not the one",
    "half of a character": "a good \ud83c film",
    "10,000 words": "the of and to " * 2500,
}


@pytest.mark.parametrize("recipe", ["deepwordbug", pytest.param("pwws", marks=pytest.mark.slow)])
def test_odd_texts_end_with_an_outcome_or_an_error_of_their_own(bert: Any, recipe: str) -> None:
    from evaluations.robustness.attacking import Attacked

    texts = [*ODD.values(), "a good film"]
    readable = [t for t in texts if t.isprintable() or t.isspace()]
    truths = [0] * len(texts)
    truths[-1] = int(bert.predict_proba(["a good film"]).probs.argmax())
    found = attack(bert, recipe, texts, truths)
    assert set(found) == set(texts)
    for text in readable:
        assert isinstance(found[text], Attacked), text
    assert isinstance(found[ODD["half of a character"]], type), "an error, not an outcome"
    assert found["a good film"] == attack(bert, recipe, ["a good film"], truths[-1:])["a good film"]


def test_closing_early_restores_what_attacks_change(bert: Any) -> None:
    from textattack.shared import attacked_text

    from evaluations.robustness.attacking import attack_texts
    from evaluations.robustness.recipes import RECIPES

    before, state = attacked_text.words_from_text, random.getstate()
    texts, truths = sentences(8)
    found = attack_texts(bert, RECIPES["deepwordbug"], texts, truths, [rng_of(t) for t in texts])
    next(found)
    found.close()
    assert attacked_text.words_from_text is before
    assert random.getstate() == state
    assert not bert.network.base_model.encoder.layer[-1].attention._forward_hooks


def test_words_are_remembered_as_textattack_splits_them() -> None:
    textattack_setup.prepare(make.RESOURCES)
    from textattack.shared.utils import words_from_text

    from evaluations.robustness.word_memory import remembering

    strings = [
        *ODD.values(),
        "don't",
        "'quoted'",
        "e-mail@x.com",
        "a b",
        "O'Neill's",
        "",
        "x" * 60,
        "电影 film",
    ]
    for string in strings * 2:
        assert remembering(string) == words_from_text(string)
    remembering("film").append("changed")
    assert remembering("film") == ["film"]


def test_sentences_that_several_searches_compare_are_encoded_together() -> None:
    import torch

    from evaluations.robustness import sentence_vectors

    asked: list[list[str]] = []

    class Noting(sentence_vectors.Encoder):
        def __init__(self) -> None:
            self._kept = OrderedDict()

        def _encode(self, sentences: list[str]) -> Any:
            asked.append(sentences)
            return torch.tensor([[float(len(s))] for s in sentences])

    encoder = Noting()
    got = results(partial(encoder.encode, ["a", "bb", "a"]), partial(encoder.encode, ["bb", "ccc"]))
    assert [got[0].ravel().tolist(), got[1].ravel().tolist()] == [[1, 2, 1], [2, 3]]
    assert encoder.encode(["ccc", "dddd"]).ravel().tolist() == [3, 4]
    assert asked == [["a", "bb", "ccc"], ["dddd"]]


# --- the last layer -----------------------------------------------------------------------------------

KINDS = ("Bert", "Roberta", "XLMRoberta", "Camembert", "Electra", "DistilBert")


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_token_alone_gives_the_same_answers(kind: str) -> None:
    import torch
    import transformers

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    if kind == "DistilBert":
        sizes = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32}
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=60, pad_token_id=1, initializer_range=0.5, **sizes
    )
    network = getattr(transformers, f"{kind}ForSequenceClassification")(config).eval()
    ids = torch.randint(2, 60, (3, 9))
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0
    with torch.inference_mode():
        whole = network(input_ids=ids, attention_mask=mask).logits
        with first_token_alone(network):
            spared = network(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        after = network(input_ids=ids, attention_mask=mask, output_hidden_states=True)
    assert spared.hidden_states[-1].shape[1] == 1, "nothing was spared"
    assert after.hidden_states[-1].shape[1] == 9, "it is undone"
    torch.testing.assert_close(spared.logits, whole, rtol=1e-5, atol=1e-6)
    assert (whole[0] - whole[1]).abs().max() > 1e-3, "answers that do not differ say nothing"


def test_a_network_that_is_not_known_is_left_alone() -> None:
    import torch

    network = torch.nn.Linear(2, 2)
    with first_token_alone(network):
        assert not network._forward_pre_hooks
