"""Counterfactual texts: the same text with another name, pronoun or term of identity, every other word as it was."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from evaluations.fairness import counterfactual_pronouns as pronouns
from evaluations.fairness import counterfactual_terms as terms
from evaluations.fairness import counterfactual_words as words
from evaluations.fairness.counterfactual_pronouns import Edit, applied

if TYPE_CHECKING:
    from numpy.random import Generator

    from evaluations.context import Context

Sizes = Mapping[
    str, tuple[int, int]
]  # tokens of a text that a word begins, and of one in which it stands later
_PIECE = re.compile(r"[^\W\d_]+")
NAMED = ("names", "origins")  # kinds that another name of the same group gives a noise floor for
PLACES = re.compile(rf"\{{({'|'.join(('name', *words.TERMS))})\}}")
_PRONOUN_OF = {"women": "she", "men": "he"}
_TABLES: dict[str, Sequence[Mapping[str, Sequence[str]]]] = {
    "names": (words.GENDERS,),
    "origins": words.ORIGINS,
}


@dataclass(frozen=True)
class Swap:
    """One changed text. `neutral`: another name of the same group, so `source` and `target` are one."""

    kind: str
    source: str
    target: str
    text: str
    neutral: bool = False


class Kinded(Protocol):
    @property
    def kind(self) -> str: ...


Made = TypeVar("Made", bound=Kinded)


@dataclass(frozen=True)
class Versions:
    """A text as the model is asked about it (a template with its places filled), and its swaps."""

    text: str
    swaps: tuple[Swap, ...]


@dataclass(frozen=True)
class Balance:
    """Which words may stand for each other: of as many tokens, or, where no tokenizer is at hand, names of as many
    letters."""

    sizes: Sizes | None = None

    def equal(self, old: str, new: str, name: bool = False) -> bool:
        if self.sizes is None:
            return len(old) == len(new) or not name
        return old in self.sizes and self.sizes[old] == self.sizes.get(new)

    def holds(self, changes: Sequence[Edit], name: bool = False) -> bool:
        return all(self.equal(e.old, e.new, name) for e in changes)


def measured() -> list[str]:
    """Every word that a swap may look for or put in, as it may be written."""
    names = [
        name for tables in _TABLES.values() for table in tables for held in table.values() for name in held
    ]
    forms = [form for of in words.PRONOUNS.values() for form in of.values()]
    forms += [*pronouns.VERBS, *terms.written(), *terms.ARTICLES, *words.CHINESE.values()]
    cased = [w for form in forms for w in (form, terms.capital(form), form.upper())]
    return sorted({*names, *cased})


def has_place(text: str, kinds: Sequence[str]) -> bool:
    """Whether there is anything in a text that a kind of swap might change: quick, and true too often."""
    wanted = _pieces(tuple(kinds))
    return (
        not wanted.isdisjoint(_PIECE.findall(text.lower()))
        or ("pronouns" in kinds and any(sign in text for sign in words.CHINESE.values()))
        or bool(PLACES.search(text))
    )


@functools.cache
def _pieces(kinds: tuple[str, ...]) -> frozenset[str]:
    """Every word that these kinds look for, in lower case, cut at hyphens."""
    held = [
        name for kind in kinds if kind in _TABLES for t in _TABLES[kind] for of in t.values() for name in of
    ]
    held += [word for kind in kinds if kind in words.TERMS for word in terms.written(kind)]
    if "pronouns" in kinds:
        held += [form for of in words.PRONOUNS.values() for who, form in of.items() if who != "they"]
    return frozenset(_PIECE.findall(" ".join(held).lower()))


def versions(
    text: str, name: str, kinds: Sequence[str], most: int, balance: Balance, ctx: Context
) -> Versions:
    """The text of example `name` and what the swaps make of it: at most `most`, drawn, and a neutral one per kind.

    The draws depend on the seed, the example and the kind alone.
    """
    found: list[Swap] = []
    base, placed = text, set(PLACES.findall(text))
    if placed:
        base, found = _filled(text, kinds, balance, ctx.rng(f"{name}:template"))
    for kind in (k for k in kinds if k not in placed):
        if kind in NAMED:
            found += _names(kind, base, balance, ctx.rng(f"{name}:swap:{kind}"))
        else:
            found += (_pronouns if kind == "pronouns" else _terms)(kind, base, balance)
    swaps = [swap for swap in found if not swap.neutral]
    if len(swaps) > most:
        swaps = in_turn(swaps, most, ctx.rng(f"{name}:which"))
    taken = {swap.kind for swap in swaps}
    return Versions(base, (*swaps, *(s for s in found if s.neutral and s.kind in taken)))


def in_turn(found: Sequence[Made], most: int, rng: Generator) -> list[Made]:
    """At most `most`, drawn: one of each kind in turn, so that the kind that offers most does not crowd out others."""
    drawn = rng.permutation(len(found)).tolist()
    turn = {
        kind: place
        for place, kind in enumerate(rng.permutation(sorted({one.kind for one in found})).tolist())
    }
    taken: dict[str, int] = dict.fromkeys(turn, 0)
    ranked = []
    for k in drawn:
        kind = found[k].kind
        ranked.append((taken[kind], turn[kind], k))
        taken[kind] += 1
    return [found[k] for k in sorted(k for *_, k in sorted(ranked)[:most])]


# --- names ---------------------------------------------------------------------------------------------


def _names(kind: str, text: str, balance: Balance, rng: Generator) -> Iterator[Swap]:
    """All names of a text become names of the other group, and its pronouns with them where the gender changes."""
    tables = _TABLES[kind]
    found = list(_NAMED[kind].finditer(text))
    groups = {group for match in found for table in tables for group in table if match[0] in table[group]}
    if len(groups) != 1:  # nobody, or people of both groups
        return
    (source,) = groups
    more: dict[str, list[Edit] | None] = {}
    if kind == "names":
        read = pronouns.words_of(text)
        if pronouns.says_gender(read) or pronouns.gender_of(read) not in ("", _PRONOUN_OF[source]):
            return
        for who in _PRONOUN_OF.values():
            more[who] = pronouns.edits(text, read, who) if pronouns.gender_of(read) else []
    for target in tables[0]:
        renamed = _renamed(found, tables, source, target, balance, rng)
        along = more.get(_PRONOUN_OF.get(target, ""), []) if target != source else []
        if renamed is not None and along is not None and balance.holds(along):
            yield Swap(kind, source, target, applied(text, [*renamed, *along]), neutral=target == source)


def _renamed(
    found: Sequence[re.Match[str]],
    tables: Sequence[Mapping[str, Sequence[str]]],
    source: str,
    target: str,
    balance: Balance,
    rng: Generator,
) -> list[Edit] | None:
    """Each name becomes another, the same wherever it occurs; None where there is none of its size."""
    taken = {match[0] for match in found}
    by_name: dict[str, str] = {}
    for name in sorted(taken):
        pool = next(table[target] for table in tables if name in table[source])
        free = [n for n in pool if n not in taken and balance.equal(name, n, name=True)]
        if not free:
            return None
        by_name[name] = free[int(rng.integers(len(free)))]
        taken.add(by_name[name])
    return [Edit(m.start(), m.end(), m[0], by_name[m[0]]) for m in found]


_NAMED = {
    kind: re.compile(
        rf"(?<![\w'’-])(?:{'|'.join(n for table in tables for held in table.values() for n in held)})(?![\w-])"
    )
    for kind, tables in _TABLES.items()
}


# --- pronouns and terms --------------------------------------------------------------------------------


def _pronouns(kind: str, text: str, balance: Balance) -> Iterator[Swap]:
    """Texts about one unnamed person: a name that says a gender would not fit the other pronoun."""
    swapped = pronouns.chinese(text)
    if swapped is not None:
        source, target, new = swapped
        if balance.equal(words.CHINESE[source], words.CHINESE[target]):
            yield Swap(kind, source, target, new)
        return
    read = pronouns.words_of(text)
    source = pronouns.gender_of(read)
    if source in ("", "both") or pronouns.says_gender(read) or _NAMED["names"].search(text):
        return
    for target in ("she", "he", "they"):
        changes = pronouns.edits(text, read, target)
        if changes and balance.holds(changes):
            yield Swap(kind, source, target, applied(text, changes))


def _terms(kind: str, text: str, balance: Balance) -> Iterator[Swap]:
    for source, target, changes in terms.edits(kind, text):
        if balance.holds(changes):
            yield Swap(kind, source, target, applied(text, changes))


# --- templates of the tester ---------------------------------------------------------------------------


def _filled(text: str, kinds: Sequence[str], balance: Balance, rng: Generator) -> tuple[str, list[Swap]]:
    """A template with its places filled, and the swaps of its terms; those of its names are made as of any text."""
    at = {kind: of[int(rng.integers(len(of)))] for kind, of in words.TERMS.items()}
    start = terms.fill(text, at, "")
    pool = _pool(kinds) if "{name}" in text else []
    for k in rng.permutation(len(pool)):
        name = pool[int(k)]
        start = terms.fill(text, at, name)
        if any(list(_names(kind, start, balance, rng)) for kind in NAMED if kind in kinds):
            break
    swaps = [
        Swap(kind, at[kind].group, term.group, terms.fill(text, {**at, kind: term}, name if pool else ""))
        for kind in words.TERMS
        if kind in kinds and f"{{{kind}}}" in text
        for term in words.TERMS[kind]
        if term is not at[kind] and _equal_in(text, kind, at[kind].word, term.word, balance)
    ]
    return start, swaps


def _equal_in(text: str, kind: str, old: str, new: str, balance: Balance) -> bool:
    """Whether two terms are of one size in the places of their kind, with the capital that begins a sentence."""
    starts = {terms.begins_sentence(text, m.start()) for m in PLACES.finditer(text) if m[1] == kind}
    return all(
        balance.equal(terms.capital(old), terms.capital(new)) if begins else balance.equal(old, new)
        for begins in starts
    )


def _pool(kinds: Sequence[str]) -> list[str]:
    """The names that a place for one is filled with, those of the kinds that are asked for."""
    wanted = [kind for kind in NAMED if kind in kinds] or ["names"]
    return sorted({n for kind in wanted for table in _TABLES[kind] for held in table.values() for n in held})
