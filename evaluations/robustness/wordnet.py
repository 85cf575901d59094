"""WordNet 3.0 from the lexical resources: what a word may be replaced by, and what it must not."""

from __future__ import annotations

import functools
import io
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import lemminflect
from nltk.corpus.reader.wordnet import WordNetCorpusReader
from nltk.data import SeekableUnicodeStreamReader

from evaluations.robustness.lexical import demand

DICTIONARY = "nltk_data/corpora/wordnet-3.0"
NOUNS = ("data.noun1", "data.noun2")  # the halves that the package has
UNIVERSAL = {"n": "NOUN", "v": "VERB", "a": "ADJ", "s": "ADJ", "r": "ADV"}


class Irregular(Mapping[str, list[str]]):
    """Irregular forms of one part of speech, from LemmInflect's dictionary in place of WordNet's exception lists."""

    def __init__(self, pos: str) -> None:
        self.upos = UNIVERSAL[pos]
        rules: list[tuple[str, str]] = WordNetCorpusReader.MORPHOLOGICAL_SUBSTITUTIONS[pos]
        self.endings = rules

    def _lemmas(self, form: str) -> list[str]:
        found = list(lemminflect.getAllLemmas(form, self.upos).get(self.upos, ()))
        regular = {form[: -len(old)] + new for old, new in self.endings if form.endswith(old)} | {form}
        return [] if set(found) <= regular else found

    def __contains__(self, form: object) -> bool:
        return isinstance(form, str) and bool(self._lemmas(form))

    def __getitem__(self, form: str) -> list[str]:
        if found := self._lemmas(form):
            return found
        raise KeyError(form)

    def __iter__(self) -> Iterator[str]:
        raise TypeError("irregular forms are looked up, not listed")

    def __len__(self) -> int:
        raise TypeError("irregular forms are looked up, not listed")


class PinnedWordNet(WordNetCorpusReader):  # type: ignore[misc]  # NLTK has no types
    """NLTK's reader over the files of our catalogue, with no other language beside English."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with warnings.catch_warnings():  # that other languages are not there is meant
            warnings.simplefilter("ignore")
            super().__init__(str(folder), None)

    def open(self, file: str) -> Any:
        parts = NOUNS if file == "data.noun" else (file,)
        content = b"\n".join((self._folder / part).read_bytes() for part in parts)
        return SeekableUnicodeStreamReader(io.BytesIO(content), "utf8")

    def map_wn(self, version: str = "wordnet") -> None:
        """No mapping to the version that other languages' data refer to, since there are none."""

    def _load_exception_map(self) -> None:
        self._exception_map = {pos: Irregular(pos) for pos in UNIVERSAL}


class WordNet:
    """Questions about English words. Every answer is kept, since attacks ask about the same words again."""

    def __init__(self, folder: Path) -> None:
        self.reader = PinnedWordNet(folder)

    @functools.cache  # noqa: B019  # one per process
    def senses(self, word: str) -> frozenset[Any]:
        """The synsets of a word in any of its forms."""
        return frozenset(self.reader.synsets(word.lower()))

    @functools.cache  # noqa: B019  # as above
    def forms(self, word: str) -> frozenset[str]:
        """The word and its base forms."""
        low = word.lower()
        return frozenset({low}).union(*(self.reader._morphy(low, pos) for pos in "nvar"))

    @functools.cache  # noqa: B019  # as above
    def antonyms(self, word: str) -> frozenset[str]:
        """What WordNet opposes to any sense of the word, directly or through adjectives like it.

        Only the head of a cluster of like adjectives has antonyms: `superb` is opposed to `bad` through its head.
        """
        near = _and_like(self.senses(word))
        opposite = {other.synset() for sense in near for own in sense.lemmas() for other in own.antonyms()}
        return frozenset(name.lower() for sense in _and_like(opposite) for name in sense.lemma_names())

    def opposed(self, one: str, other: str) -> bool:
        """Whether two words are antonyms in some of their senses and forms."""
        return bool(self.antonyms(one) & self.forms(other) or self.antonyms(other) & self.forms(one))

    def linked(self, one: str, other: str) -> bool:
        """Whether two words share a sense, or have senses one step apart: like adjectives, or kind and kind of."""
        around = _and_like(self.senses(one))
        around |= {near for sense in self.senses(one) for near in (*sense.hypernyms(), *sense.hyponyms())}
        return bool(around & self.senses(other))


def _and_like(senses: frozenset[Any] | set[Any]) -> set[Any]:
    return {*senses, *(near for sense in senses for near in sense.similar_tos())}


@functools.cache
def opened(resources: Path) -> WordNet:
    """WordNet among these resources, once per process."""
    return WordNet(demand("wordnet", resources) / DICTIONARY)
