"""The TextAttack recipes that we run, by name. Needs `textattack_setup.prepare` before it is imported.

Those named variants have substitutes for what cannot be had offline (`minilm.py`, `wordnet.py`, `adjusted.py`):
their numbers do not compare with published ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textattack import Attack
from textattack.attack_recipes import (
    DeepWordBugGao2018,
    InputReductionFeng2018,
    Pruthi2019,
    PWWSRen2019,
)
from textattack.constraints.pre_transformation import RepeatModification, StopwordModification
from textattack.constraints.semantics import WordEmbeddingDistance
from textattack.goal_function_results import GoalFunctionResultStatus
from textattack.goal_functions import InputReduction, UntargetedClassification
from textattack.search_methods import GreedyWordSwapWIR
from textattack.transformations import (
    CompositeTransformation,
    WordSwap,
    WordSwapEmbedding,
    WordSwapHomoglyphSwap,
    WordSwapNeighboringCharacterSwap,
    WordSwapRandomCharacterDeletion,
    WordSwapRandomCharacterInsertion,
)
from textattack.transformations.word_swaps import word_swap_wordnet

from evaluations.robustness import adjusted, minilm, sentence_vectors, textattack_setup, wordnet
from evaluations.robustness.attacking import Build

# As in TextAttack's own table, which cannot be read without that file.
PLAIN = "-9876543210'abcdefghijklmnopqrstuvwxyz"
ALIKE = "˗৭Ȣ𝟕бƼᏎƷᒿlO`ɑЬϲԁе𝚏ɡհіϳ𝒌ⅼｍոорԛⲅѕ𝚝սѵԝ×уᴢ"


def deepwordbug(wrapper: Any) -> Any:
    """DeepWordBug as published: four character edits, greedy by importance, edit distance ≤ 30."""
    return DeepWordBugGao2018.build(wrapper)


def pruthi(wrapper: Any) -> Any:
    """Pruthi as TextAttack has it: one misspelt word of four letters or more, first and last letter kept."""
    return Pruthi2019.build(wrapper)


def input_reduction(wrapper: Any) -> Any:
    """Input reduction as published: words are left out as long as the answer stays.

    Not an attack: it succeeds wherever a word can go, and finds how many can.
    """
    attack = InputReductionFeng2018.build(wrapper)
    goal = Shorter(wrapper, maximizable=True)
    return Attack(goal, _constraints(attack), attack.transformation, ToTheEnd("delete"))


def pwws(wrapper: Any) -> Any:
    """PWWS as TextAttack has it: WordNet synonyms, in the order of saliency times effect."""
    words = wordnet.opened(textattack_setup.resources()).reader
    word_swap_wordnet.wordnet = words  # TextAttack asks this global name, and downloads where it is not there
    word_swap_wordnet.nltk = _NoDownload
    return PWWSRen2019.build(wrapper)


def textfooler_variant(wrapper: Any) -> Any:
    """TextFooler with near words of MiniLM that WordNet does not oppose, LemmInflect's parts of speech, and MiniLM
    for likeness, at the paper's threshold of .84 (angular, in windows of 15 words, not for shorter texts)."""
    folder = textattack_setup.resources()
    near = minilm.near_words(folder)
    return Attack(
        UntargetedClassification(wrapper),
        [
            RepeatModification(),
            StopwordModification(),
            WordEmbeddingDistance(embedding=near, min_cos_sim=minilm.LEAST_COSINE),
            adjusted.NoAntonym(),
            adjusted.WordFits(adjusted.same_class),
            minilm.Likeness(
                sentence_vectors.encoder(folder),
                0.840845057,
                metric="angular",
                compare_against_original=False,
                window_size=15,
                skip_text_shorter_than_window=True,
            ),
        ],
        WordSwapEmbedding(max_candidates=50, embedding=near),
        GreedyWordSwapWIR(wir_method="delete"),
    )


def textbugger_variant(wrapper: Any) -> Any:
    """TextBugger's five bugs with near words of MiniLM that WordNet does not oppose, and MiniLM likeness ≥ .8."""
    folder = textattack_setup.resources()
    inside = {"random_one": True, "skip_first_char": True, "skip_last_char": True}
    return Attack(
        UntargetedClassification(wrapper),
        [
            RepeatModification(),
            StopwordModification(),
            minilm.Likeness(sentence_vectors.encoder(folder), 0.8),
        ],
        CompositeTransformation(
            [
                WordSwapRandomCharacterInsertion(letters_to_insert=" ", **inside),
                WordSwapRandomCharacterDeletion(**inside),
                WordSwapNeighboringCharacterSwap(**inside),
                LookAlikes(),
                WordSwapEmbedding(max_candidates=5, embedding=minilm.near_words(folder)),
            ]
        ),
        GreedyWordSwapWIR(wir_method="delete"),
    )


class LookAlikes(WordSwapHomoglyphSwap):  # type: ignore[misc]  # TextAttack has no types
    """TextAttack's swap of letters for look-alikes, without a file for another attack, which it does not ship."""

    def __init__(self) -> None:
        WordSwap.__init__(self)
        self.homos = dict(zip(PLAIN, ALIKE, strict=True))
        self.random_one = False


class Shorter(InputReduction):  # type: ignore[misc]  # TextAttack has no types
    """TextAttack's goal, which divides by the number of words."""

    def _get_score(self, model_output: Any, attacked_text: Any) -> Any:
        return super()._get_score(model_output, attacked_text) if self.initial_attacked_text.num_words else 0


class ToTheEnd(GreedyWordSwapWIR):  # type: ignore[misc]  # TextAttack has no types
    """A search that has succeeded wherever it got, so that what it found is handed over."""

    def perform_search(self, initial_result: Any) -> Any:
        found = super().perform_search(initial_result)
        if found.attacked_text.num_words < initial_result.attacked_text.num_words:
            found.goal_status = GoalFunctionResultStatus.SUCCEEDED
        return found


class _NoDownload:
    """In place of NLTK where TextAttack would download what we have."""

    @staticmethod
    def download(name: str) -> bool:
        return False


def with_more(build: Build, more: Callable[[], list[Any]]) -> Build:
    """The same attack under more constraints: another search, not a choice among what the first one found."""

    def tighter(wrapper: Any) -> Any:
        attack = build(wrapper)
        return Attack(
            attack.goal_function,
            sorted([*_constraints(attack), *more()], key=_dear),
            attack.transformation,
            attack.search_method,
        )

    return tighter


def _dear(constraint: Any) -> bool:
    """Whether a constraint asks the sentence encoder: those come last, of what the others let pass. All must hold, so
    that the order among these two kinds decides nothing."""
    return isinstance(constraint, minilm.Likeness)


def _constraints(attack: Any) -> list[Any]:
    return [*attack.pre_transformation_constraints, *attack.constraints]


RECIPES: dict[str, Build] = {
    "deepwordbug": deepwordbug,
    "pruthi": pruthi,
    "input_reduction": input_reduction,
    "textbugger_variant": textbugger_variant,
    "pwws": pwws,
    "textfooler_variant": textfooler_variant,
}
ADJUSTED: dict[str, Build] = {
    "deepwordbug": with_more(deepwordbug, adjusted.few_misspelt),
    "pruthi": pruthi,  # its own constraints are these already, so that one search serves both
    "textbugger_variant": with_more(textbugger_variant, adjusted.few_misspelt_or_synonyms),
    "pwws": with_more(pwws, adjusted.true_synonyms),
    "textfooler_variant": with_more(textfooler_variant, adjusted.true_synonyms),
}
