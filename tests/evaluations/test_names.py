"""Names as slices and charts hold them."""

from __future__ import annotations

import pytest

from evaluations.names import LONGEST, LONGEST_SHORT, short, shorts, visible


def test_long_names_that_begin_alike_are_told_apart_and_fit_a_slice() -> None:
    names = ["a" * 500 + end for end in "xyz"]
    held = shorts(names)
    assert len(set(held)) == 3
    assert max(map(len, held)) <= LONGEST_SHORT < 200 - len("sensitive=")
    assert short("income", 4) == "income"


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        (" the", "␣the"),
        ("the", "the"),
        ("", "(empty)"),
        ("  ", "␣␣"),
        ("a b", "a b"),
        ("\n", "\\u000a"),
        ("x\u202ey", "x\\u202ey"),
        ("\x00" * 200, ("\\u0000" * 20)[:LONGEST]),
        ("a" * (LONGEST - 1) + " b", "a" * (LONGEST - 1) + "␣"),
    ],
)
def test_tokens_show_what_they_are_made_of(token: str, shown: str) -> None:
    assert visible(token) == shown
    assert visible(visible(token)) == shown
