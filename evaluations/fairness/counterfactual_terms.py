"""Terms of religion, nationality and the like, swapped for one of the same kind in the same place of a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from evaluations.fairness.counterfactual_pronouns import Edit, Word, like, words_of
from evaluations.fairness.counterfactual_words import PEOPLE, TERMS, Term

ARTICLES = ("a", "an")
_BE = frozenset(("is", "are", "was", "were", "am"))
_WHO = frozenset(("he", "she", "i", "they", "we", "you", "who"))
_DEGREE = frozenset("very too so more most less least quite rather how as year years".split())  # noqa: SIM905  # words read better so
# "Sunni Christians", "African Germans" and "East Hispanic people" are no groups.
_NARROWER = frozenset(
    "african native latin italian irish japanese korean arab asian mexican indian chinese cuban south north east "  # noqa: SIM905  # words read better so
    "west central southern northern eastern western southeast orthodox sunni shia sufi zen evangelical catholic "
    "protestant messianic hasidic reform coptic non anti".split()
)
_NOT_YOUNG_OR_OLD = frozenset(
    "boy boys girl girls child children kid kids teenager teenagers youth adult adults colleague colleagues neighbour "  # noqa: SIM905  # words read better so
    "neighbours neighbor neighbors teacher teachers client clients customer customers family families community "
    "communities parent parents".split()
)  # "elderly boy", "old adult"; "old colleague" is a former one, or a long-standing one
_STOP = tuple(".,;:!?…)")


def written(kind: str | None = None) -> list[str]:
    """Every word of a kind of term, or of all, singular and plural."""
    held = [term for name, of in TERMS.items() if kind in (None, name) for term in of]
    return [w for term in held for w in (term.word, term.plural) if w]


def edits(kind: str, text: str) -> Iterator[tuple[str, str, list[Edit]]]:
    """(source, target, changes) for every other group whose term fits wherever the source's stands.

    None where terms of two groups occur, or one in a place that may be about something else than people.
    """
    read = words_of(text)
    forms = {w.lower(): term for term in TERMS[kind] for w in (term.word, term.plural) if w}
    places = [
        i for i, word in enumerate(read) if word.text in forms and _is_term(text, word, forms[word.text])
    ]
    groups = {forms[read[i].text] for i in places}
    if len(groups) != 1:
        return
    (source,) = groups
    slots = [_slot(kind, read, i, source) for i in places]
    if "" in slots:
        return
    for target in TERMS[kind]:
        fits = all(s == "adjective" or (target.noun if s == "noun" else target.plural) for s in slots)
        if target is not source and fits:
            changes = [
                edit
                for i, slot in zip(places, slots, strict=True)
                for edit in _change(text, read, i, source, target, slot)
            ]
            yield source.group, target.group, changes


def fill(text: str, terms: Mapping[str, Term], name: str) -> str:
    """A template with every place filled, and the article before a term that the term takes."""

    def put(match: re.Match[str]) -> str:
        term = terms[match[2]]
        if match[1] is None:
            return capital(term.word) if begins_sentence(text, match.start()) else term.word
        return f"{like(match[1], term.article)} {term.word}"

    filled = re.sub(rf"(?:\b([Aa]n?) +)?\{{({'|'.join(terms)})\}}", put, text)
    return filled.replace("{name}", name)


def begins_sentence(text: str, at: int) -> bool:
    before = text[max(0, at - 20) : at].rstrip().rstrip("\"'“‘(").rstrip()
    return not before or before.endswith((".", "!", "?"))


def capital(word: str) -> str:
    return word[0].upper() + word[1:]


def _is_term(text: str, word: Word, term: Term) -> bool:
    return not term.proper or text[word.start].isupper()


def _slot(kind: str, read: Sequence[Word], i: int, term: Term) -> str:
    """What the term is where it stands: adjective, noun or plural, "" where that is not certain."""
    word, before = read[i], read[i - 1] if i else None
    if word.clitic or (before is not None and before.text in _NARROWER):
        return ""
    if term.plural and word.text == term.plural.lower():
        return "plural"
    if before is not None and before.text in _DEGREE:
        return ""
    after = read[i + 1].text if i + 1 < len(read) and not word.gap.strip() else ""
    if after in PEOPLE and not (kind == "age" and after in _NOT_YOUNG_OR_OLD):
        return "adjective"
    ends = not after and (not word.gap.strip() or word.gap.strip().startswith(_STOP))
    if not ends or before is None or before.gap.strip():
        return ""
    if before.text in _WHO and before.clitic in ("'s", "'m", "'re"):
        return "adjective"
    if before.text in _BE and i > 1 and read[i - 2].text in _WHO and not read[i - 2].gap.strip():
        return "adjective"
    return "noun" if term.noun and before.text in (*ARTICLES, "the") else ""


def _change(text: str, read: Sequence[Word], i: int, source: Term, target: Term, slot: str) -> Iterator[Edit]:
    word, before = read[i], read[i - 1] if i else None
    old = text[word.start : word.stop]
    form = target.plural if slot == "plural" else target.word
    if source.proper and begins_sentence(text, word.start):
        form = capital(form)
    yield Edit(word.start, word.stop, old, _cased(old, form, source))
    if before is not None and before.text in ARTICLES and not before.gap.strip() and slot != "plural":
        yield from _article(text, before, target)


def _cased(old: str, form: str, source: Term) -> str:
    """As the old word is written, but for the capital that a proper one has by itself."""
    if len(old) > 1 and old.isupper():
        return form.upper()
    return form if source.proper else like(old, form)


def _article(text: str, before: Word, target: Term) -> Iterator[Edit]:
    old = text[before.start : before.stop]
    if old.lower() != target.article:
        new = target.article.upper() if old.isupper() and len(old) > 1 else like(old, target.article)
        yield Edit(before.start, before.stop, old, new)
