"""Runs many searches side by side, each written as if alone, and answers in one go what all of them ask.

A search is an ordinary function. Where it calls `ask` it waits (in a greenlet, all in one thread) until every other
active search asks too or has ended; the answers then come from one call. Each search keeps its own state of the
global generators of `random` and NumPy, so that order and company change nothing of what it draws.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from greenlet import GreenletExit, getcurrent, greenlet

from evaluations.spec import EvaluationError

T = TypeVar("T")
Answer = Callable[[list[str]], Sequence[Any]]  # one answer per text, which depends on that text alone

ENDS_ALL = (MemoryError, OSError, EvaluationError)  # no fault of one example


@dataclass(frozen=True)
class Work(Generic[T]):
    """A search that has not begun. `size` is its share of what may be active at once."""

    run: Callable[[], T]
    seed: int  # of both global generators, below 2**32
    size: int


@dataclass(frozen=True)
class _Asked:
    answer: Answer
    texts: list[str]


class _Search(greenlet):  # type: ignore[misc]  # greenlet has no types
    """A search under way."""

    def __init__(self, position: int, work: Work[Any]) -> None:
        super().__init__(work.run)
        self.position = position
        self.size = work.size
        self.seed = work.seed
        self.drawn: tuple[Any, Any] | None = None  # where its generators stand; None before it begins

    def go_on(self, given: Any = None) -> Any:
        """Until it asks or ends: what it asks, or its result. `given` is an answer, or an exception to be raised."""
        outside = random.getstate(), np.random.get_state()
        begun = self.drawn is not None
        if self.drawn is None:
            random.seed(self.seed)
            np.random.seed(self.seed)
        else:
            _set_generators(self.drawn)
        try:
            if isinstance(given, BaseException):
                return self.throw(given)
            return self.switch(given) if begun else self.switch()
        finally:
            self.drawn = random.getstate(), np.random.get_state()
            _set_generators(outside)


def ask(answer: Answer, texts: Sequence[str]) -> Sequence[Any]:
    """The answer to each text: with those of every other active search, or at once where there is no scheduler."""
    here = getcurrent()
    if isinstance(here, _Search) and here.parent is not None:
        given: Sequence[Any] = here.parent.switch(_Asked(answer, list(texts)))
        return given
    return answer(list(texts))


def side_by_side(
    works: Iterator[Work[T]],
    most: int,
    room: int,
    each_round: Callable[[], None] = lambda: None,
) -> Iterator[tuple[int, T | Exception]]:
    """(position, result or what broke it) of each search as it ends, in any order.

    At most `most` searches are active, and their sizes add up to at most `room`, or there is but one. What ends all
    of them is raised; so is what `each_round` raises, which is called before each round of answers. Closing the
    iterator ends the active ones.
    """
    upcoming = enumerate(works)
    ahead = next(upcoming, None)
    waiting: dict[_Search, _Asked] = {}
    try:
        while waiting or ahead is not None:
            while ahead is not None and _fits(ahead[1], waiting, most, room):
                search = _Search(*ahead)
                yield from _step(search, None, waiting)
                ahead = next(upcoming, None)
            each_round()
            for search, given in _answers(waiting):
                del waiting[search]
                yield from _step(search, given, waiting)
    finally:
        for search in waiting:
            search.throw(GreenletExit)


def _fits(work: Work[Any], active: dict[_Search, _Asked], most: int, room: int) -> bool:
    return not active or (len(active) < most and sum(s.size for s in active) + work.size <= room)


def _step(search: _Search, given: Any, waiting: dict[_Search, _Asked]) -> Iterator[tuple[int, Any]]:
    """Lets one search go on. Yields where it ended."""
    try:
        said = search.go_on(given)
    except ENDS_ALL:
        raise
    except Exception as error:  # noqa: BLE001  # the fault of this search alone
        yield search.position, error
        return
    if search.dead:
        yield search.position, said
    else:
        waiting[search] = said


def _answers(waiting: dict[_Search, _Asked]) -> list[tuple[_Search, Any]]:
    """What each search asked for, or the exception to be raised there."""
    askers: dict[Answer, list[_Search]] = {}
    for search, asked in waiting.items():
        askers.setdefault(asked.answer, []).append(search)
    given: dict[_Search, Any] = {}
    for answer, searches in askers.items():
        given |= _answered(answer, searches, waiting)
    return [(search, given[search]) for search in waiting]


def _answered(answer: Answer, searches: list[_Search], waiting: dict[_Search, _Asked]) -> dict[_Search, Any]:
    """One answer to all, or, where some text is at fault, to each search by itself."""
    try:
        return _together(answer, searches, waiting)
    except ENDS_ALL:
        raise
    except Exception as error:  # noqa: BLE001  # raised where it was asked
        if len(searches) == 1:
            return {searches[0]: error}
        return {s: given for one in searches for s, given in _answered(answer, [one], waiting).items()}


def _together(
    answer: Answer, searches: list[_Search], waiting: dict[_Search, _Asked]
) -> dict[_Search, list[Any]]:
    texts = list(dict.fromkeys(itertools.chain.from_iterable(waiting[s].texts for s in searches)))
    found = dict(zip(texts, answer(texts), strict=True))
    return {search: [found[text] for text in waiting[search].texts] for search in searches}


def _set_generators(state: tuple[Any, Any]) -> None:
    random.setstate(state[0])
    np.random.set_state(state[1])
