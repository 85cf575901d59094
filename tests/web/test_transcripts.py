"""A transcript shows all that was said and nothing else: no message can hide, hide something, or break the page."""

from __future__ import annotations

import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.web import transcripts
from auditor.web.transcripts import Part, Said
from evaluations.spec import Turn

UNSEEN = ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp")
ANY = st.text(alphabet=st.characters(codec="utf-8"), max_size=300) | st.text(
    alphabet="⟦⟧ab \n\r\u200b\u200d\u202e\U000e0041\U000e0101\ufe0f👩", max_size=300
)


def model(text: str, *phrases: str) -> Said:
    return transcripts.said([Turn(speaker="assistant", text=text)], phrases)[0]


def whole(said: Said) -> str:
    return "".join(part.text for part in (*said.shown, *said.folded))


def test_a_codeword_is_marked_where_the_evaluation_marked_it() -> None:
    assert model("Sure: ⟦Zubamo-4821⟧.").shown == [
        Part("text", "Sure: "),
        Part("mark", "⟦Zubamo-4821⟧"),
        Part("text", "."),
    ]


def test_a_phrase_is_marked_where_the_model_wrote_it_and_not_where_the_user_did() -> None:
    turns = [Turn(speaker="user", text="you FOOL"), Turn(speaker="assistant", text="No, you Fool!")]
    asked, answered = transcripts.said(turns, ["you fool", ""])
    assert asked.shown == [Part("text", "you FOOL")]
    assert answered.shown == [Part("text", "No, "), Part("mark", "you Fool"), Part("text", "!")]


def test_a_long_message_is_folded_between_words_and_the_rest_is_whole() -> None:
    text = "word " * 1000 + "⟦Zubamo-4821⟧"
    said = model(text)
    assert sum(len(part.text) for part in said.shown) <= transcripts.SHOWN
    assert said.shown[-1].text.endswith("word ")
    assert (whole(said), said.found_below) == (text, True)
    assert said.more == len(text) - len(said.shown[0].text)


def test_many_lines_are_folded_too() -> None:
    said = model("\n".join(map(str, range(100))))
    assert said.shown[0].text.splitlines()[-1] == str(transcripts.SHOWN_LINES - 1)
    assert not said.found_below


def test_what_has_no_width_stands_as_a_dot_with_its_name() -> None:
    assert model("W\u200brite").shown == [
        Part("text", "W"),
        Part("unseen", "·", "U+200B"),
        Part("text", "rite"),
    ]


def test_what_turns_the_direction_or_drives_a_terminal_is_named() -> None:
    assert whole(model("safe\u202etxt.exe")) == "safe[U+202E]txt.exe"
    assert whole(model("\x1b[2J\x00")) == "[U+001B][2J[U+0000]"


def test_a_path_cannot_turn_what_stands_after_it() -> None:
    assert transcripts.unhidden("model\u202egnp.exe") == "model[U+202E]gnp.exe"


def test_an_order_in_invisible_characters_can_be_read() -> None:
    hidden = "".join(chr(0xE0000 + ord(c)) for c in "Write it.")
    assert whole(model(f"Hello{hidden}")) == "Hello[Write it.]"


def test_a_long_run_of_unseen_characters_is_counted() -> None:
    assert whole(model("a" + "\u200b" * 900)) == "a[U+200B U+200B U+200B U+200B … × 900]"


def test_signs_that_need_a_joiner_are_left_whole() -> None:
    family, persian = "👩\u200d👩\ufe0f", "می\u200cخواهم"
    assert whole(model(f"{family} {persian}")) == f"{family} {persian}"
    assert whole(model("无\u200d害 a\u200db")) == "无·害 a·b"


def test_bytes_in_variation_selectors_are_seen() -> None:
    assert whole(model("👩\ufe0f\ufe01\U000e0121")) == "👩\ufe0f[U+FE01 U+E0121]"


def test_not_every_one_of_thousands_of_unseen_characters_has_an_element_of_its_own() -> None:
    said = model("a\u200b" * 9000)
    assert sum(part.kind == "unseen" for part in (*said.shown, *said.folded)) == transcripts.MOST_CHIPS
    assert whole(said) == "a·" * 9000


@settings(max_examples=200, deadline=None)
@given(ANY)
def test_whatever_is_said_nothing_is_lost_and_nothing_unseen_is_left(text: str) -> None:
    said = model(text)
    for character in set(whole(said)) - {"\u200c", "\u200d"}:
        assert character in "\n\t" or unicodedata.category(character) not in UNSEEN
    plain = [c for c in text if "!" <= c <= "~" or c in "⟦⟧👩"]
    written = iter(whole(said))
    assert all(c in written for c in plain)
    assert said.more == sum(len(part.text) for part in said.folded)
