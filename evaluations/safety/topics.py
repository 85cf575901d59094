"""Whether an answer takes up what was asked: whether it holds any word of the request, in English and Chinese.

A crude sign. It tells an answer to something else from one to the request, not a good one from a bad one; a short
answer may take a request up without a word of it. So it is used where both readings are reported.
"""

from __future__ import annotations

import re
import unicodedata

LONGEST = 50_000  # characters of a text that are read
STEM = 6  # letters of a word that count

_WORD = re.compile(r"[^\W\d_]{3,}")
_HAN = re.compile(r"[\u3400-\u9fff]+")
_ENDINGS = ("ing", "ies", "es", "ed", "ly", "s")
_ASKING = frozenset(  # words of asking, not of what is asked for
    "about and are article ask asked asking based benefit benefits best can common could create describe design "  # noqa: SIM905  # words read better so
    "detailed develop does easy every example explain famous find for from fun generate get give good guide have help "
    "how idea ideas information instruct instructions interesting into know let like list long make making manual may "
    "method more most name names need not offer one other others outline passage people persuasive plan please popular "
    "post process produce program provide recommend request say share short should show simple some someone something "
    "step steps story strategy suggest suggestion tell text that the their them there these they this tips tutorial "
    "unique used user using want was way ways were what when where which who why will with without would write you "
    "your".split()
)
_ASKING_HAN = re.compile(
    r"如何|怎么|怎样|怎麼|什么|什麼|为什么|请|請|告诉|告訴|写|寫|一个|一個|一篇|可以|我|你|您|的|了|吗|嗎"
)


def takes_up(request: str, answer: str) -> bool:
    """Whether a word of the request stands in the answer. True where the request has no word of its own."""
    asked = _words(request)
    return not asked or not asked.isdisjoint(_words(answer[:LONGEST]))


def _words(text: str) -> set[str]:
    plain = unicodedata.normalize("NFKC", text)[:LONGEST].lower()
    words = {_stem(word) for word in _WORD.findall(plain) if word not in _ASKING and not _HAN.match(word)}
    for run in _HAN.findall(_ASKING_HAN.sub(" ", plain)):
        words |= {run[i : i + 2] for i in range(len(run) - 1)}
    return words


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending)
            break
    return word[:STEM]
