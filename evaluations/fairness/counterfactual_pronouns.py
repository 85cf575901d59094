"""He, she and they in each other's place, in the right form; a text whose grammar is not certain is left alone."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from evaluations.fairness import counterfactual_words as words


@dataclass(frozen=True)
class Edit:
    """Characters [start, stop) of a text become `new`."""

    start: int
    stop: int
    old: str
    new: str


@dataclass(frozen=True)
class Word:
    text: str  # in lower case, without what is contracted with it
    start: int
    stop: int
    clitic: str  # "'s" of "he's", "" where nothing is
    gap: str  # what stands between it and the next word


_WORD = re.compile(r"(?<!\w)[^\W\d_]+(?:[-'’][^\W\d_]+)*(?!\w)")
_CLITIC = re.compile(r"^(.+?)(n['’]t|['’](?:s|ll|d|re|ve|m))$", re.IGNORECASE)
_ENDS = tuple(".,;:!?…)—–]")
_HE, _SHE, _THEY = (
    frozenset(("he", "him", "his", "himself")),
    frozenset(("she", "her", "hers", "herself")),
    frozenset(("they", "them", "their", "theirs", "themselves", "themself")),
)

# After these "her" is a person, not whose something is; after "his" it stands alone. None of them begins a noun phrase
# after a possessive: not will, can, may, back, not, so.
_FUNCTION = frozenset(
    "a an the this that these those and but or if whether because while until since when where why how what who whom "  # noqa: SIM905  # words read better so
    "with without from to in on at for of by about after before into through during is was were are would could "
    "should has had did does he she it they we you i me us them yesterday today tomorrow again here there".split()
)
# Single things and people that no verb is called like: with none before it, "her" is whose they are.
_POSSESSED = frozenset(
    "family friend car job life career apartment bedroom kitchen office desk team boss colleague neighbour neighbor "  # noqa: SIM905  # words read better so
    "manager teacher doctor lawyer computer laptop salary degree opinion idea decision application story novel album "
    "childhood birthday hometown city country company business child baby own late former entire".split()
)
# What may be given to her too, or is a verb: whose it is only where a preposition or a form of be stands before.
_PERHAPS = frozenset(
    "eyes hands hair face head hand house home book books work friends children parents students colleagues voice "  # noqa: SIM905  # words read better so
    "room phone name letters money clothes things new old first last best favourite favorite next dog cat skills "
    "results ideas patients customers clients film movie performance experience age interview report".split()
)
_BEFORE = frozenset(
    "in of at on from by about to into under behind near against through for with is are was were".split()  # noqa: SIM905  # words read better so
)
_CALLING = frozenset(
    "call calls called make makes made name names named elect elected appoint appointed consider considered".split()  # noqa: SIM905  # words read better so
)
_OF_HIS = re.compile(
    r"\b(?:a|an|any|some|no|this|that|these|those|one|two|three|several|many|few|all)\s+(?:[\w-]+\s+){1,3}of\s+(?:his|her)\b",
    re.IGNORECASE,
)

# Verbs that read alike after he and they, and those whose form follows.
_ALIKE = frozenset(
    "will would can could shall should must may might did had said went came took got made knew thought saw told left "  # noqa: SIM905  # words read better so
    "felt gave found kept began became brought bought built chose drew drove ate fell fought flew forgot grew held "
    "heard hid led lost meant met paid ran rose sat sent sang slept spoke spent stood taught threw understood woke won "
    "wrote read".split()
)
FOLLOWS = {"is": "are", "was": "were", "has": "have", "does": "do"}
VERBS = (*FOLLOWS, *FOLLOWS.values())
_JOINING = frozenset(("and", "but", "or", "then", "who", "nor", "yet"))
LONGEST = 100  # words that are looked through for the end of a sentence
_PAST = re.compile(r"^[a-z]{2,}[^e]ed$")  # not "need", "feed", "exceed"


@functools.lru_cache(maxsize=1)  # every kind of swap reads the same text
def words_of(text: str) -> tuple[Word, ...]:
    found = list(_WORD.finditer(text))
    read = []
    for match, after in itertools.zip_longest(found, found[1:]):
        split = _CLITIC.match(match[0])
        read.append(
            Word(
                (split[1] if split else match[0]).lower(),
                match.start(),
                match.start() + len(split[1] if split else match[0]),
                split[2].lower().replace("’", "'") if split else "",
                text[match.end() : after.start() if after else len(text)],
            )
        )
    return tuple(read)


def gender_of(read: Sequence[Word]) -> str:
    """ "he", "she", "both" where pronouns of both occur, "" where none does."""
    he, she = (any(word.text in forms for word in read) for forms in (_HE, _SHE))
    return "both" if he and she else "he" if he else "she" if she else ""


def says_gender(read: Sequence[Word]) -> bool:
    """Whether a word that is no pronoun says a gender."""
    return any(word.text in words.GENDERED for word in read)


def edits(text: str, read: Sequence[Word], target: str) -> list[Edit] | None:
    """What makes every pronoun of the text that of `target`; None where a form or a verb is not certain.

    All pronouns must be of one other gender: "they" is never a source, for it may be several people.
    """
    if gender_of(read) in ("both", "", target) or _OF_HIS.search(text):
        return None
    if target == "they" and any(word.text in _THEY for word in read):
        return None
    found = []
    for i, word in enumerate(read):
        if word.text not in _HE | _SHE:
            continue
        role = _role(text, read, i)
        new = words.PRONOUNS[role].get(target) if role else None
        if new is None:
            return None
        found.append(_edit(text, word, new))
        if role == "subject" and target == "they":
            verb = _agreeing(read, i)
            if verb is None:
                return None
            found += [_edit(text, read[i + 1], verb)] if verb else []
    return found


def chinese(text: str) -> tuple[str, str, str] | None:
    """(from, to, text with 他 and 她 exchanged), or None where there is none, both, or another word with 他."""
    has = [name for name, sign in words.CHINESE.items() if sign in text]
    if len(has) != 1 or any(part in text for part in (*words.CHINESE_OTHER, *words.CHINESE_GENDERED)):
        return None
    (source,) = has
    target = "she" if source == "he" else "he"
    return source, target, text.replace(words.CHINESE[source], words.CHINESE[target])


def like(model: str, form: str) -> str:
    """`form` in capitals where `model` is, or with a capital where it has one."""
    if len(model) > 1 and model.isupper():
        return form.upper()
    return form[0].upper() + form[1:] if model[:1].isupper() else form


def applied(text: str, changes: list[Edit]) -> str:
    parts, at = [], 0
    for edit in sorted(changes, key=lambda e: e.start):
        parts += [text[at : edit.start], edit.new]
        at = edit.stop
    return "".join([*parts, text[at:]])


def _edit(text: str, word: Word, new: str) -> Edit:
    old = text[word.start : word.stop]
    return Edit(word.start, word.stop, old, like(old, new))


def _role(text: str, read: Sequence[Word], i: int) -> str | None:
    """Which of PRONOUNS' forms a pronoun is, or None where it could be another."""
    word = read[i]
    if word.clitic and word.text not in ("he", "she"):
        return None
    if word.text in ("he", "she"):
        return "subject"
    if word.text in ("himself", "herself"):
        return "reflexive"
    if word.text in ("him", "hers"):
        return "object" if word.text == "him" else "alone"
    follows = read[i + 1].text if i + 1 < len(read) else ""
    ends = not follows or word.gap.strip().startswith(_ENDS)
    if word.gap.strip() and not ends:  # a quotation or a bracket
        return None
    if ends or follows in _FUNCTION:
        return "alone" if word.text == "his" else "object"
    if word.text == "his":
        return "determiner"
    return "determiner" if _is_whose(text, read, i, follows) else None


def _is_whose(text: str, read: Sequence[Word], i: int, follows: str) -> bool:
    """Whether "her" before a noun or an adjective says whose it is."""
    before = read[i - 1] if i else None
    if before is None or before.gap.strip().endswith((".", "!", "?")):
        return text[read[i].start].isupper()
    if follows in _POSSESSED:
        return before.text not in _CALLING
    return follows in _PERHAPS and before.text in _BEFORE and not before.gap.strip()


def _agreeing(read: Sequence[Word], i: int) -> str | None:
    """The form that the verb after subject i takes with "they", "" where it stays; None where it is not certain."""
    word = read[i]
    before = read[i - 1] if i else None
    if before is not None and before.text in FOLLOWS and not before.gap.strip():  # "was she"
        return None
    if word.clitic:
        return "" if word.clitic in ("'ll", "'d") else None  # "'s" is is, or has
    if i + 1 == len(read) or word.gap.strip() or not _stays_alone(read, i + 1):
        return None
    verb = read[i + 1]
    if verb.text in FOLLOWS:
        return FOLLOWS[verb.text]
    return "" if verb.text in _ALIKE or _PAST.match(verb.text) else None


def _stays_alone(read: Sequence[Word], verb: int) -> bool:
    """Whether no second verb of the same subject can follow: "she was tired and goes home"."""
    joined = False
    for k in range(verb, min(verb + LONGEST, len(read))):
        if k > verb:
            joined = joined or read[k].text in _JOINING
            if joined and (read[k].text in FOLLOWS or read[k].text.endswith("s")):
                return False
        if any(stop in read[k].gap for stop in ".!?\n"):
            return True
        joined = joined or any(stop in read[k].gap for stop in ",;:—–(")
    return len(read) <= verb + LONGEST
