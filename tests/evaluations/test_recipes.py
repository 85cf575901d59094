"""The recipes: TextAttack's own where they run as they are, substitutes held to WordNet's files and plain MiniLM."""

from __future__ import annotations

import hashlib
import math
import random
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluations import catalogue
from evaluations.models.loader import load
from evaluations.models.protocol import Scores, Usage
from evaluations.robustness import textattack_setup
from evaluations.robustness.lexical import demand
from evaluations.spec import Access, EvaluationError, MetricStatus, Modality, ModelRef
from tests.evaluations import make

DICTIONARY = make.RESOURCES / "nltk_data/corpora/wordnet-3.0"
EVERY = (
    ("robustness.text_char", "deepwordbug"),
    ("robustness.text_char", "pruthi"),
    ("robustness.text_char", "textbugger_variant"),
    ("robustness.text_char", "input_reduction"),
    ("robustness.text_synonym", "pwws"),
    ("robustness.text_synonym", "textfooler_variant"),
)


@pytest.fixture(scope="module", autouse=True)
def prepared() -> None:
    textattack_setup.prepare(make.RESOURCES)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> ModelRef:
    return make.tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def words(prepared: None) -> Any:
    from evaluations.robustness import wordnet

    return wordnet.opened(make.RESOURCES)


@pytest.fixture(scope="module")
def near(prepared: None) -> Any:
    from evaluations.robustness import minilm

    return minilm.near_words(make.RESOURCES)


class Praising:
    """A model that says yes as often as a text has one of its words, and nothing else matters to it."""

    modality = Modality.TEXT_CLASSIFIER
    adapter = "praising/1"
    access = Access.LABEL | Access.PROBS | Access.LOGITS
    labels = ("neg", "pos")
    columns = None
    device = "cpu"
    network = object()

    def __init__(self, *praise: str) -> None:
        self.praise = set(praise)
        self.usage = Usage()

    def probs(self, texts: Any) -> np.ndarray:
        found = np.array([bool(self.praise & set(re.findall(r"\w+", text.lower()))) for text in texts])
        return np.column_stack([np.where(found, 0.1, 0.9), np.where(found, 0.9, 0.1)])

    def predict_proba(self, texts: Any) -> Scores:
        self.usage.queries += len(texts)
        return Scores.checked(self.probs(texts))

    def logits(self, texts: Any) -> Any:
        import torch

        return torch.from_numpy(np.log(self.probs(texts))).float()


def attacked(model: Any, build: Any, texts: list[str], truths: list[int]) -> list[Any]:
    from evaluations.robustness.attacking import attack_texts

    found = dict(attack_texts(model, build, texts, truths, [np.random.default_rng(len(t)) for t in texts]))
    return [found[i] for i in range(len(texts))]


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["deepwordbug", "pruthi", "pwws", "input_reduction"])
def test_recipes_find_the_same_strings_with_the_same_queries_as_textattacks_own(
    bert: ModelRef, recipe: str
) -> None:
    from textattack import attack_recipes
    from textattack.models.wrappers import HuggingFaceModelWrapper

    from evaluations.robustness.recipes import RECIPES

    model = load(bert)
    build = RECIPES[recipe]
    build(SimpleNamespace(model=model.network))  # gives TextAttack WordNet where it needs it
    own = {
        "deepwordbug": attack_recipes.DeepWordBugGao2018,
        "pruthi": attack_recipes.Pruthi2019,
        "pwws": attack_recipes.PWWSRen2019,
        "input_reduction": attack_recipes.InputReductionFeng2018,
    }[recipe]
    theirs = own.build(HuggingFaceModelWrapper(model.network, model.tokenizer))
    table = make.sentences(20)
    truths = [("neg", "pos").index(label) for label in table.label]
    successes = 0
    for text, truth, mine in zip(
        table.text, truths, attacked(model, build, list(table.text), truths), strict=True
    ):
        drawn = int(np.random.default_rng(len(text)).integers(2**32))
        random.seed(drawn)
        np.random.seed(drawn)
        result = theirs.attack(text, truth)
        assert mine.queries == result.num_queries
        kind = type(result).__name__
        shorter = kind == "MaximizedAttackResult" and result.perturbed_text() != result.original_text()
        succeeded = kind == "SuccessfulAttackResult" or shorter
        assert mine.text == (result.perturbed_text() if succeeded else None)
        successes += succeeded
    assert successes >= 3, "the comparison says nothing unless some attacks succeed"


# --- WordNet ---------------------------------------------------------------------------------------


def lines(name: str) -> Iterator[str]:
    """The lines of a dictionary file, but for its licence."""
    for part in ("data.noun1", "data.noun2") if name == "data.noun" else (name,):
        yield from (
            line for line in (DICTIONARY / part).read_text().splitlines() if not line.startswith("  ")
        )


@pytest.mark.parametrize(
    ("pos", "synsets", "strings"),
    [("noun", 82_115, 117_798), ("verb", 13_767, 11_529), ("adj", 18_156, 21_479), ("adv", 3_621, 4_481)],
)
def test_wordnet_has_as_many_words_and_senses_as_princeton_says(pos: str, synsets: int, strings: int) -> None:
    """wnstats(7WN), WordNet 3.0 database statistics."""
    assert sum(1 for _ in lines(f"data.{pos}")) == synsets
    assert sum(1 for _ in lines(f"index.{pos}")) == strings


def test_a_noun_of_either_half_is_found(words: Any) -> None:
    assert any(
        "wheeled vehicle" in sense.definition() or "motor vehicle" in sense.definition()
        for sense in words.senses("car")
    )
    (zucchini, *_) = [sense for sense in words.senses("zucchini") if sense.offset() == 7716358]
    assert zucchini.definition().startswith("small cucumber-shaped vegetable marrow")


@pytest.mark.parametrize(
    ("form", "base"),
    [
        ("told", "tell"),
        ("men", "man"),
        ("children", "child"),
        ("worst", "bad"),
        ("films", "film"),
        ("ran", "run"),
    ],
)
def test_forms_lead_to_their_base(words: Any, form: str, base: str) -> None:
    assert base in words.forms(form)
    assert words.senses(base) & words.senses(form)


def direct_antonyms() -> dict[str, set[str]]:
    """Pairs that the dictionary's pointers `!` name, read from its lines: see wndb(5WN)."""
    senses: dict[tuple[str, str], list[str]] = {}
    pointers = []
    for pos, letter in (("noun", "n"), ("verb", "v"), ("adj", "a"), ("adv", "r")):
        for line in lines(f"data.{pos}"):
            fields = line.split(" | ")[0].split()
            count = int(fields[3], 16)
            named = [re.sub(r"\(\w+\)$", "", name).lower() for name in fields[4 : 4 + 2 * count : 2]]
            senses[letter, fields[0]] = named
            rest = fields[5 + 2 * count :]
            for k in range(int(fields[4 + 2 * count])):
                symbol, offset, kind, numbers = rest[4 * k : 4 * k + 4]
                if symbol == "!":
                    pointers.append(
                        (named[int(numbers[:2], 16) - 1], ("a" if kind == "s" else kind, offset), numbers)
                    )
    pairs: dict[str, set[str]] = {}
    for word, target, numbers in pointers:
        pairs.setdefault(word, set()).add(senses[target][int(numbers[2:], 16) - 1])
    return pairs


def test_near_words_hold_no_antonym_and_would_without_the_filter(near: Any) -> None:
    pairs = direct_antonyms()
    assert "stale" in pairs["fresh"]
    assert "bad" in pairs["good"]
    known = sorted(word for word in pairs if word in near._word2index)
    held = 0
    for word in [*random.Random(0).sample(known, 150), "fresh", "good"]:
        index = near.word2index(word)
        found = {near.index2word(i) for i in near.nearest_neighbours(index, 50)}
        assert not found & pairs[word], word
        likeness = near.embedding_matrix @ near.embedding_matrix[index]
        unfiltered = {near.index2word(int(i)) for i in np.flatnonzero(likeness >= 0.35)}
        assert found <= unfiltered
        held += bool(unfiltered & pairs[word])
    assert held >= 20


def test_antonyms_reach_words_that_are_opposed_through_like_ones(words: Any) -> None:
    assert words.opposed("superb", "bad")
    assert words.opposed("boring", "interesting")
    assert words.opposed("worst", "best")
    assert not words.opposed("funny", "hilarious")
    assert not words.opposed("film", "movie")


# --- MiniLM ----------------------------------------------------------------------------------------


def test_sentence_vectors_are_those_of_the_plain_model_one_text_at_a_time() -> None:
    import torch
    import transformers

    from evaluations.robustness import sentence_vectors

    folder = make.RESOURCES / "minilm"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = transformers.AutoModel.from_pretrained(folder, local_files_only=True).eval()
    texts = ["a fine film", "a rather longer sentence about a film , with a comma", "", "fine"]
    ours = sentence_vectors.encoder(make.RESOURCES).encode([*texts, texts[0]])
    for text, vector in zip(texts, ours[:-1], strict=True):
        with torch.inference_mode():
            mean = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(dim=0)
        assert torch.allclose(vector, mean / mean.norm(), atol=1e-5)
    assert torch.equal(ours[0], ours[-1])


def test_texts_alike_are_nearer_than_others() -> None:
    from evaluations.robustness import sentence_vectors

    base = "the film is a superb and moving story of love"
    pairs = [(base, base.replace("film", other)) for other in ("film", "movie", "banana")]
    same, movie, banana = sentence_vectors.encoder(make.RESOURCES).similarities(pairs)
    assert same == pytest.approx(1, abs=1e-6)
    assert movie > 0.95 > 0.7 > banana


def test_short_texts_pass_as_they_do_in_textattack_without_being_encoded() -> None:
    from textattack.constraints.semantics.sentence_encoders import SentenceEncoder
    from textattack.shared import AttackedText

    from evaluations.robustness import minilm, sentence_vectors

    encoder = sentence_vectors.encoder(make.RESOURCES)
    asked: list[str] = []
    counting = SimpleNamespace(encode=lambda texts: asked.extend(texts) or encoder.encode(texts))
    how: dict[str, Any] = {"window_size": 4, "skip_text_shorter_than_window": True}
    ours = minilm.Likeness(counting, 0.9, **how)  # type: ignore[arg-type]  # it is only asked to encode
    for text in ("a fine film", "a fine film for many people"):
        reference = AttackedText(text)
        changed = [reference.replace_word_at_index(2, word) for word in ("movie", "banana", "picture")]
        passed = list(ours._check_constraint_many(changed, reference))
        scores = [c.attack_attrs["similarity_score"] for c in changed]
        theirs = list(SentenceEncoder._check_constraint_many(ours, changed, reference))
        assert [p.text for p in passed] == [t.text for t in theirs]
        assert scores == [c.attack_attrs["similarity_score"] for c in changed]
    asked.clear()
    ours._check_constraint_many(
        [AttackedText("a fine film").replace_word_at_index(2, "movie")], AttackedText("a fine film")
    )
    assert not asked


# --- adjusted constraints ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "fits"),
    [
        ("film", "flim", True),  # two letters swapped
        ("movie", "moviie", True),
        ("lovely", "lively", True),  # another word, and yet one letter away: what no dictionary is asked
        ("film", "ilm", False),  # its first letter is gone
        ("movie", "movi", False),
        ("wonderful", "wanderfyll", False),
        ("film", "", False),
    ],
)
def test_a_misspelt_word_keeps_its_ends_and_most_of_its_letters(one: str, other: str, fits: bool) -> None:
    from evaluations.robustness.adjusted import misspelt

    assert misspelt(one, other) is fits


@pytest.mark.parametrize(
    ("one", "other", "fits"),
    [
        ("film", "movie", True),
        ("films", "movies", True),
        ("films", "movie", False),  # another number
        ("told", "say", False),  # another tense
        ("good", "bad", False),  # opposed
        ("suit", "courtship", False),  # a synonym in another sense of the word, and not alike
        ("film", "banana", False),
        ("zzz", "film", False),
    ],
)
def test_a_synonym_is_linked_alike_and_inflected_alike(one: str, other: str, fits: bool) -> None:
    from evaluations.robustness.adjusted import synonym

    assert synonym(one, other) is fits


def edits(one: str, other: str) -> int:
    """Levenshtein's distance by his recursion."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        last, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (a != b))
    return row[-1]


def test_adjusted_misspellings_are_few_short_and_inside_words(bert: ModelRef) -> None:
    from evaluations.robustness.recipes import ADJUSTED, RECIPES

    model = load(bert)
    texts = list(make.sentences(40).text)
    truths = model.predict_proba(texts).probs.argmax(axis=1).tolist()
    free = attacked(model, RECIPES["deepwordbug"], texts, truths)
    held = attacked(model, ADJUSTED["deepwordbug"], texts, truths)
    assert sum(f.text is not None for f in held) >= 3
    assert [f.text for f in free] != [h.text for h in held]
    for text, found in zip(texts, held, strict=True):
        if found.text is None:
            continue
        before, after = (re.findall(r"[\w'’-]+", t) for t in (text, found.text))
        assert len(before) == len(after)
        changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
        assert len(changed) <= math.ceil(len(before) / 10)
        for a, b in changed:
            assert len(a) >= 4
            assert (a[0].lower(), a[-1].lower()) == (b[0].lower(), b[-1].lower())
            assert edits(a, b) <= 2


def test_tighter_searches_ask_the_sentence_encoder_last() -> None:
    """It costs more than all other constraints together."""
    from evaluations.robustness.minilm import Likeness
    from evaluations.robustness.recipes import ADJUSTED

    for recipe, build in ADJUSTED.items():
        dear = [isinstance(one, Likeness) for one in build(SimpleNamespace(model=None)).constraints]
        assert dear == sorted(dear), recipe


@pytest.mark.parametrize(
    ("recipe", "old", "new", "can"),
    [
        ("deepwordbug", "a fine film", "a fien film", True),
        ("deepwordbug", "a fine film", "a fine film", False),
        ("deepwordbug", "a fine film " * 10, "another story " * 10, False),
        ("pruthi", "a fine film", "a fine flim", True),
        ("pruthi", "a fine film", "a fien flim", False),
        ("textbugger_variant", "a fine film", "a fi ne film", True),
        ("textbugger_variant", "a fine film", "word " * 20, False),
        ("textbugger_variant", "a fine film", "x" * 600, False),
        ("pwws", "a fine film", "a hunky-dory film", True),
        ("pwws", "a fine film", "a very fine film", False),
        ("textfooler_variant", "a fine film", "a fine " + "x" * 300, False),
        ("input_reduction", "a fine film, indeed", "fine, indeed", True),
        ("input_reduction", "a fine film", "film fine", False),
        ("input_reduction", "a fine film", "a fine film too", False),
    ],
)
def test_texts_that_a_recipe_cannot_have_made_are_told(recipe: str, old: str, new: str, can: bool) -> None:
    from evaluations.robustness.attack_bounds import possible

    assert possible(recipe, old, new) is can


@pytest.mark.parametrize("recipe", [recipe for _, recipe in EVERY])
def test_whatever_a_recipe_makes_passes_as_made_by_it(recipe: str) -> None:
    from evaluations.robustness.attack_bounds import possible
    from evaluations.robustness.recipes import ADJUSTED, RECIPES

    texts = [
        *make.sentences(12).text,
        "a lovely film 電影很好看 indeed",
        "'quoted' co-writer's  film\tisn't -- `good`; e.g. @home *really* snake_case, 10,000 naïve café's",
        "a b cc ddd",
        "rock'n'roll, U.S.-made movie... (2nd) part/half",
    ]
    found = 0
    for build in (RECIPES[recipe], ADJUSTED.get(recipe, RECIPES[recipe])):
        for text, got in zip(texts, attacked(Fickle(*texts), build, texts, [1] * len(texts)), strict=True):
            if got.text is not None:
                found += 1
                assert possible(recipe, text, got.text), (text, got.text)
    assert found >= 8


class Fickle(Praising):
    """Says yes to some texts, and of all others to one in two, for no reason."""

    def probs(self, texts: Any) -> np.ndarray:
        yes = np.array([0.95 if text in self.praise else 0.5 + 0.4 * self.draw(text) for text in texts])
        return np.column_stack([1 - yes, yes])

    @staticmethod
    def draw(text: str) -> float:
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") / 2**31 - 1


def test_pruthis_own_edits_are_within_the_adjusted_constraints() -> None:
    from evaluations.robustness.adjusted import misspelt
    from evaluations.robustness.recipes import pruthi

    attack = pruthi(SimpleNamespace(model=None))
    for word in ("film", "wonderful", "naïve", "co-writer", "A1b2c3"):
        for kind in attack.transformation.transformations:
            for other in kind._get_replacement_words(word):
                assert misspelt(word, other), (word, other)


def test_adjusted_synonyms_leave_the_text_alike() -> None:
    """The model hangs on one word; each search may only replace it by what stands for it."""
    from evaluations.robustness.recipes import ADJUSTED, RECIPES

    text = "the movie was shown again last night to many people"
    model = Praising("movie")
    for recipe in ("pwws", "textfooler_variant"):
        (own,) = attacked(model, RECIPES[recipe], [text], [1])
        (held,) = attacked(model, ADJUSTED[recipe], [text], [1])
        assert own.text is not None
        assert held.text == text.replace("movie", "film")
    suit = "if the tuxedo were a suit it would fit him"
    (own,) = attacked(Praising("suit"), RECIPES["pwws"], [suit], [1])
    (held,) = attacked(Praising("suit"), ADJUSTED["pwws"], [suit], [1])
    assert own.text is not None
    assert held.text is None or "courtship" not in held.text


def test_input_reduction_leaves_what_the_answer_hangs_on() -> None:
    from evaluations.robustness.recipes import RECIPES

    text = "lovely people gave many gorgeous films yesterday"
    (found,) = attacked(Praising("gorgeous"), RECIPES["input_reduction"], [text], [1])
    assert found.text is not None
    left = found.text.split()
    assert "gorgeous" in left
    assert len(left) <= 4
    assert set(left) < set(text.split())


# --- what no attack can change ------------------------------------------------------------------------

ODD = {
    "emoji": "🎬🎉👩‍👩‍👧‍👦 😀",
    "long": "lovely film " * 5_000,
    "empty": "",
    "right_to_left": "فيلم رائع جدا ومؤثر",
    "chinese": "中文電影很好看",
    "nothing_to_attack": "the of and it is",
    "half_chinese": "a lovely film 電影 indeed",
    "control": "\u0000\u200b\u00ad",
}


@pytest.mark.parametrize(("evaluation", "recipe"), EVERY)
def test_odd_texts_end_with_a_status(bert: ModelRef, tmp_path: Path, evaluation: str, recipe: str) -> None:
    model = load(bert)
    table = pd.DataFrame({"id": list(ODD), "text": list(ODD.values())})
    table["label"] = [model.labels[i] for i in model.predict_proba(list(table.text)).probs.argmax(axis=1)]
    asked = make.request(
        evaluation, make.data_ref(table, tmp_path, make.TEXT_ROLES), bert, recipes=[recipe], max_error_rate=0
    )
    result = make.evaluate(catalogue.get(evaluation), model, asked, tmp_path)
    assert (result.coverage.scored, result.coverage.failed, result.coverage.skipped) == (5, 0, 3)
    assert all(m.value is not None or m.reason for m in result.metrics)
    assert "2 texts are written in another script than Latin" in " ".join(result.warnings)
    assert "1 texts are longer than 400 words" in " ".join(result.warnings)
    assert {e.id for e in result.examples} <= {"half_chinese", "nothing_to_attack"}


def test_a_data_set_with_nothing_to_attack_gives_no_numbers(bert: ModelRef, tmp_path: Path) -> None:
    model = load(bert)
    texts = ["中文電影很好看", "電影", "Очень хороший фильм"]
    table = pd.DataFrame({"id": ["a", "b", "c"], "text": texts, "label": list(model.labels[:1]) * 3})
    for evaluation in ("robustness.text_char", "robustness.text_synonym"):
        asked = make.request(evaluation, make.data_ref(table, tmp_path, make.TEXT_ROLES), bert)
        result = make.evaluate(catalogue.get(evaluation), model, asked, tmp_path)
        assert {m.status for m in result.metrics} == {MetricStatus.NOT_ESTIMABLE}
        assert (result.coverage.attempted, result.coverage.skipped) == (3, 3)
        assert "another script" in {m.name: m.reason for m in result.metrics}["attack_success_rate"]


@pytest.mark.parametrize(("evaluation", "recipe"), EVERY)
def test_texts_in_another_language_are_not_attacked(
    bert: ModelRef, tmp_path: Path, evaluation: str, recipe: str
) -> None:
    table = make.sentences(4)
    data = make.data_ref(table, tmp_path, make.TEXT_ROLES, languages=("fr", "de"))
    asked = make.request(evaluation, data, bert, recipes=[recipe])
    with pytest.raises(EvaluationError, match="fr, de") as refused:
        make.evaluate(catalogue.get(evaluation), load(bert), asked, tmp_path)
    assert refused.value.skipped


def test_a_recipe_is_named_once() -> None:
    with pytest.raises(ValueError, match="once"):
        catalogue.get("robustness.text_char").Params.model_validate({"recipes": ["pruthi", "pruthi"]})


def test_missing_and_changed_resources_say_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="make setup") as missing:
        demand("wordnet", tmp_path)
    assert missing.value.code == "resource_missing"
    (tmp_path / "minilm").mkdir()
    for file in (make.RESOURCES / "minilm").iterdir():
        (tmp_path / "minilm" / file.name).write_text("another")
    with pytest.raises(EvaluationError, match="not the expected ones") as changed:
        demand("minilm", tmp_path)
    assert changed.value.code == "resource_changed"


def test_chinese_words_are_split_without_a_cache_that_others_can_write() -> None:
    import tempfile

    import jieba
    from textattack.shared.utils import words_from_text

    assert len(words_from_text("中文電影很好看")) > 1
    assert Path(jieba.dt.tmp_dir).parent == Path(tempfile.gettempdir())
    assert Path(jieba.dt.tmp_dir).stat().st_mode & 0o077 == 0
    assert (Path(jieba.dt.tmp_dir) / "jieba.cache").exists()
