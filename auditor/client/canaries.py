"""Makes up canaries: sentences that no training data hold, each with a secret drawn at random, inserted so many times.

Whoever can tell a planted secret from others of its kind has it from the training alone, as long as nothing else
hints at it. So each canary has an invented name that no other shares in either of its words, all of one length, and no
prefix begins another. A secret is drawn character by character from the operating system's randomness, out of
exactly those strings that privacy.memorisation compares it with.
"""

from __future__ import annotations

import math
import re
import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass

from auditor.client.exits import ClientError

PATTERN = "The access code of {name} is {secret}"
SECRET = "dddd-dddd-dd"
DRAWN = {"d": string.digits, "a": string.ascii_lowercase, "A": string.ascii_uppercase}
SPACE_BITS = 20  # below which privacy.memorisation leaves a canary out
LONGEST = 1000  # characters of a secret or pattern
MOST_CANARIES = 10_000
MOST_LINES = 1_000_000
SYLLABLES = 3  # of each word of a name
_ALPHANUMERIC = re.compile("[0-9A-Za-z]")


@dataclass(frozen=True)
class Canary:
    """`prefix`, `secret` and `rest` are inserted one after the other, `repetitions` times."""

    id: str
    prefix: str
    secret: str
    rest: str
    repetitions: int

    @property
    def text(self) -> str:
        return self.prefix + self.secret + self.rest

    def row(self) -> dict[str, str | int]:
        return {"id": self.id, "text": self.prefix, "secret": self.secret, "repetitions": self.repetitions}


def planned(repetitions: str, each: int, controls: int) -> list[int]:
    """How often each canary is inserted; controls, which are not, come last."""
    try:
        times = [int(one) for one in repetitions.split(",")]
    except ValueError:
        times = []
    if not times or min(times) < 1 or len(set(times)) != len(times):
        raise ClientError(
            f"--repetitions {repetitions!r}: give different whole numbers from 1 on, such as 1,2,4,8,16,32."
        )
    if len(times) * each + controls > MOST_CANARIES or sum(times) * each > MOST_LINES:
        raise ClientError(
            f"That makes {len(times) * each + controls:,} canaries on {sum(times) * each:,} lines. At most "
            f"{MOST_CANARIES:,} canaries and {MOST_LINES:,} lines are written: repeat less, or plant fewer of each."
        )
    return [t for t in times for _ in range(each)] + [0] * controls


def check_pattern(pattern: str) -> None:
    name, secret = pattern.find("{name}"), pattern.find("{secret}")
    if pattern.count("{name}") != 1 or pattern.count("{secret}") != 1 or name > secret:
        raise ClientError(
            f"--pattern {pattern[:80]!r} must hold {{name}} once and after it {{secret}} once, like: {PATTERN}"
        )
    if len(pattern) > LONGEST or any("\ud800" <= letter <= "\udfff" for letter in pattern):
        raise ClientError(f"--pattern {pattern[:40]!r}… must be text of at most {LONGEST} characters.")
    before, after = pattern.replace("{name}", "x").split("{secret}")
    if _ALPHANUMERIC.match(before[-1]) or _ALPHANUMERIC.match(after):
        raise ClientError(
            f"--pattern {pattern[:80]!r}: put a space or a sign between {{secret}} and the letters beside it, or the "
            "model reads both as one word."
        )


def check_secret(form: str) -> None:
    kept = set(form) - set(DRAWN)
    if odd := sorted(kept - set(string.punctuation) - {" "}):
        raise ClientError(
            f"--secret {form[:80]!r}: write d for a digit, a and A for a small and a capital letter, with spaces and "
            f"punctuation between. The audit takes every letter and digit of a secret for one drawn at random, so "
            f"{odd[0]!r} cannot be fixed; put it into the pattern."
        )
    if not form or len(form) > LONGEST or form[0] not in DRAWN or form[-1] not in DRAWN:
        raise ClientError(
            f"--secret {form[:80]!r} must begin and end with d, a or A, and have at most {LONGEST} characters."
        )
    if (possible := size(form)) < 2**SPACE_BITS:
        raise ClientError(
            f"--secret {form!r} is one of only 2^{math.log2(possible):.1f} strings, and the audit leaves out what is "
            f"one of fewer than 2^{SPACE_BITS}. Make it longer: seven digits, or five letters, suffice."
        )


def size(form: str) -> int:
    """How many secrets have this form."""
    return math.prod(len(DRAWN.get(letter, " ")) for letter in form)


def draw(times: Sequence[int], patterns: Sequence[str], forms: Sequence[str]) -> list[Canary]:
    """One canary per number of repetitions. Patterns and forms take turns, so that each is repeated as often."""
    for pattern in patterns:
        check_pattern(pattern)
    for form in forms:
        check_secret(form)
    turns = [(pattern, form) for form in forms for pattern in patterns]
    words, drawn = _words(2 * len(times)), set[str]()
    found = []
    for number, repetitions in enumerate(times):
        pattern, form = turns[number % len(turns)]
        prefix, rest = pattern.split("{secret}")
        name = f"{words[2 * number]} {words[2 * number + 1]}"
        secret = _secret(form)
        while secret in drawn:
            secret = _secret(form)
        drawn.add(secret)
        found.append(
            Canary(f"canary-{number + 1:04}", prefix.replace("{name}", name), secret, rest, repetitions)
        )
    return found


def lines(canaries: Sequence[Canary]) -> list[str]:
    """What is to be inserted, in random order."""
    found = [canary.text for canary in canaries for _ in range(canary.repetitions)]
    secrets.SystemRandom().shuffle(found)
    return found


def _secret(form: str) -> str:
    return "".join(secrets.choice(DRAWN[letter]) if letter in DRAWN else letter for letter in form)


def _word() -> str:
    pairs = (secrets.choice("bdfghklmnprstvwz") + secrets.choice("aeiou") for _ in range(SYLLABLES))
    return "".join(pairs).capitalize()


def _words(count: int) -> list[str]:
    """`count` different words."""
    found: dict[str, None] = {}  # a set would put them in another order in each process
    while len(found) < count:
        found[_word()] = None
    return list(found)
