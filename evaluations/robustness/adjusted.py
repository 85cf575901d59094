"""Tighter constraints on attacks, so that what counts as success still reads as the same text (Morris et al. 2020).

Their thresholds were set by people's judgements, for encoders that we do not have. Ours are a convention; they are
printed with each metric. Grammar is not checked: that would take LanguageTool, which is a Java program.
"""

from __future__ import annotations

import functools
from typing import Any

import lemminflect
from Levenshtein import distance
from textattack.constraints import Constraint
from textattack.constraints.pre_transformation import MaxModificationRate, MinWordLength

from evaluations.robustness import minilm, sentence_vectors, textattack_setup, wordnet
from evaluations.robustness.attack_limits import (
    LIKE_SENTENCE,
    LIKE_WORD,
    MISSPELT_LETTERS,
    MISSPELT_WORDS,
    SHORTEST_WORD,
)


@functools.cache
def readings(word: str) -> frozenset[tuple[str, str]]:
    """(part of speech, Penn tag) that a word form can have, by LemmInflect's dictionary: past tense, plural, …"""
    form = word.lower()
    return frozenset(
        (upos, tag)
        for upos, lemmas in lemminflect.getAllLemmas(form).items()
        for lemma in lemmas
        for tag, forms in lemminflect.getAllInflections(lemma, upos).items()
        if form in forms
    )


def same_inflection(one: str, other: str) -> bool:
    """Whether two words can have the same part of speech and inflection, whichever the sentence gives them."""
    return bool(readings(one) & readings(other))


def same_class(one: str, other: str) -> bool:
    """Whether two words can have the same part of speech, nouns and verbs being one, as TextFooler has it."""
    a, b = ({"NOUN" if upos == "VERB" else upos for upos, _ in readings(w)} for w in (one, other))
    return bool(a & b)


def misspelt(one: str, other: str) -> bool:
    """Whether a word is another one with a letter or two changed inside, so that people still read it.

    Its first and last letters stay (Rawlinson 1976; Pruthi et al. 2019).
    """
    return (
        len(other) > 1
        and one[0].lower() == other[0].lower()
        and one[-1].lower() == other[-1].lower()
        and distance(one, other) <= MISSPELT_LETTERS
    )


def synonym(one: str, other: str) -> bool:
    """Whether a word may stand for another one: linked in WordNet and not opposed, alike, and inflected alike."""
    resources = textattack_setup.resources()
    words = wordnet.opened(resources)
    return (
        same_inflection(one, other)
        and words.linked(one, other)
        and not words.opposed(one, other)
        and minilm.near_words(resources).cosine(one, other) >= LIKE_WORD
    )


class WordFits(Constraint):  # type: ignore[misc]  # TextAttack has no types
    """Every changed word stands in one of the named relations to the original word."""

    def __init__(self, *relations: Any) -> None:
        super().__init__(compare_against_original=True)
        self.relations = relations

    def _check_constraint(self, transformed_text: Any, reference_text: Any) -> bool:
        old, new = reference_text.words, transformed_text.words
        if len(old) != len(new):  # a word was torn apart
            return False
        return all(
            any(fits(old[i], new[i]) for fits in self.relations)
            for i in transformed_text.attack_attrs["newly_modified_indices"]
        )


class NoAntonym(WordFits):
    """No changed word is replaced by an antonym."""

    def __init__(self) -> None:
        super().__init__(
            lambda one, other: not wordnet.opened(textattack_setup.resources()).opposed(one, other)
        )


def few_misspelt() -> list[Any]:
    """One word in ten at most (rounded up), of four letters or more, its first and last letters kept."""
    return [
        MaxModificationRate(max_rate=MISSPELT_WORDS, min_threshold=1),
        MinWordLength(min_length=SHORTEST_WORD),
        WordFits(misspelt),
    ]


def few_misspelt_or_synonyms() -> list[Any]:
    """The same where a word may be replaced by a synonym instead, in a text that still means much the same."""
    return [
        MaxModificationRate(max_rate=MISSPELT_WORDS, min_threshold=1),
        MinWordLength(min_length=SHORTEST_WORD),
        WordFits(misspelt, synonym),
        like_sentence(),
    ]


def true_synonyms() -> list[Any]:
    """Synonyms with the same inflection, in a text that still means much the same."""
    return [WordFits(synonym), like_sentence()]


def like_sentence() -> Any:
    """The whole text against the original one."""
    return minilm.Likeness(sentence_vectors.encoder(textattack_setup.resources()), LIKE_SENTENCE)
