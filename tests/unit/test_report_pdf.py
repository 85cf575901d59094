"""The PDF holds the card's words and files, is archivable and accessible, and survives hostile text."""

from __future__ import annotations

import io
import json
from typing import Any

import pypdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.core.canonical import canonical_json, sha256_hex
from auditor.reports import build, fonts, pdf, printed
from tests import factories
from tests.card_examples import ATTACK_EXAMPLES, GROUP_CHART, HOSTILE, facts, hostile_facts


def proof_of(card: bytes) -> dict[str, Any]:
    """Of the right shape: drawing does not verify."""
    digest = sha256_hex(card)
    return {
        "entry": {"index": 4, "digest": digest, "leaf_hash": "ab" * 32},
        "checkpoint": {"size": 5, "root_hash": "cd" * 32, "time": "2026-11-22T03:00:00Z"},
        "key_id": "ef" * 32,
    }


def draw(card: bytes, examples: list[dict[str, Any]] = ATTACK_EXAMPLES) -> pypdf.PdfReader:
    charts = {("run_3", "selection_rates"): GROUP_CHART}
    return pypdf.PdfReader(io.BytesIO(pdf.render(card, proof_of(card), charts, {"run_4": examples})))


def words(document: pypdf.PdfReader) -> str:
    """All text, with white space and optional breaks evened out."""
    text = " ".join(page.extract_text() for page in document.pages)
    return " ".join(text.replace("\u200b", "").replace("\u00a0", " ").replace("\u00ad", "").split())


CARD = build.canonical(build.build(facts()))


@pytest.fixture(scope="module")
def document() -> pypdf.PdfReader:
    return draw(CARD)


def test_the_first_page_gives_the_verdict_the_reason_and_what_decides(document: pypdf.PdfReader) -> None:
    first = " ".join(document.pages[0].extract_text().split())
    assert "Does not meet policy" in first
    assert "One required control fails, one cannot be told yet, one was not assessed; 1 of 4 pass." in first
    assert "This is the 2nd audit of this model digest." in first
    assert "Selection-rate ratio by sex is 0.320, limit ≥ 0.8" in first
    assert "Cannot tell yet; about 54,000 more examples would settle it." in first


def test_every_number_has_its_plain_sentence(document: pypdf.PdfReader) -> None:
    text = words(document)
    card = json.loads(CARD)
    for measured in [*card["controls"], *card["reported"]]:
        if measured["value"] is not None:
            assert measured["plain"] in text


def test_every_attempt_is_printed_with_its_isolation(document: pypdf.PdfReader) -> None:
    text = words(document)
    assert "Group fairness (groups), attempt 1" in text
    assert "Group fairness (groups), attempt 2" in text
    assert "The worker stopped answering." in text
    assert "filesystem landlock" in text


def test_the_models_that_were_asked_beside_the_audited_one_are_printed(document: pypdf.PdfReader) -> None:
    text = words(document)
    assert "Reference model income-base@1.0, sha256:ba5e" in text
    assert "Judge of answers" not in text  # there was none
    old = facts()
    del old.audit["judge"], old.audit["reference"]  # a card of an earlier release
    assert "Reference model" not in words(draw(build.canonical(build.build(old))))


def test_suppressed_groups_are_named_without_a_number(document: pypdf.PdfReader) -> None:
    assert "Martian 3 not shown not shown not shown" in words(document)


def test_attack_examples_show_before_and_after(document: pypdf.PdfReader) -> None:
    text = words(document)
    assert "a smart , sweet and playful romantic comedy ." in text
    assert "a smrat , sweet and plaful romantic comedy ." in text


def test_card_and_proof_are_attached_byte_for_byte(document: pypdf.PdfReader) -> None:
    assert document.attachments["card.json"] == [CARD]
    assert document.attachments["proof.json"] == [canonical_json(proof_of(CARD))]


def test_it_says_that_it_is_archivable_accessible_and_in_which_language(document: pypdf.PdfReader) -> None:
    metadata = document.trailer["/Root"]["/Metadata"].get_data().decode()
    assert "<pdfaid:part>3</pdfaid:part>" in metadata
    assert "<pdfaid:conformance>A</pdfaid:conformance>" in metadata
    assert "<pdfuaid:part>1</pdfuaid:part>" in metadata
    assert document.trailer["/Root"]["/Lang"] == "en"
    assert document.trailer["/Root"]["/MarkInfo"]["/Marked"]


def test_it_has_bookmarks_and_page_numbers(document: pypdf.PdfReader) -> None:
    titles = [entry["/Title"] for entry in document.outline if not isinstance(entry, list)]
    assert titles[:2] == ["Does not meet policy", "What was audited"]
    assert titles[-1] == "How to verify this document"
    assert f"Page 2 of {len(document.pages)}" in document.pages[1].extract_text()


def test_its_date_is_the_cards(document: pypdf.PdfReader) -> None:
    assert document.metadata is not None
    assert str(document.metadata["/CreationDate"]).startswith("D:20261122")


def test_hostile_text_is_printed_as_text() -> None:
    text = words(draw(build.canonical(build.build(hostile_facts()))))
    assert "#panic() *bold* $x^2$ \\ _u_ `raw` <script>alert(1)</script> @ref = head // no /* no */" in text
    assert "[U+202E]gnp.exe" in text  # an override of direction is shown, not obeyed
    assert "are written as their code points" in text


def test_what_no_font_draws_is_written_as_its_code_point() -> None:
    assert fonts.drawable("a\u0007b\ue000") == "a[U+0007]b[U+E000]"
    assert fonts.drawable("café Ωж ≥") == "café Ωж ≥"


def test_long_words_may_break_and_digests_stay_whole() -> None:
    assert fonts.drawable("W" * 40).replace("\u200b", "") == "W" * 40
    assert "\u200b" in fonts.drawable("W" * 40)
    assert fonts.drawable("sha256:" + "ab" * 32) == "sha256:" + "ab" * 32


def test_attributions_and_pictures_are_printed_and_said_in_words() -> None:
    drawn = draw(CARD, [example.model_dump(mode="json") for example in factories.explained()])
    text = words(drawn)
    assert "For “positive”: thoughtful +0.310, human +0.120, …izing +0.100" in text
    assert "against: …ful −0.220, thou −0.140" in text
    assert "For “>50K”: age +0.210, hours_per_week +0.020; against: education −0.340." in text
    assert "Before (not shown: no plain PNG)" in text
    assert {"Before of the attack", "After of the attack"} <= alternatives(drawn)


def alternatives(document: pypdf.PdfReader) -> set[str]:
    """The text alternatives of its pictures, as the structure tree holds them."""
    found, waiting = set(), [document.trailer["/Root"]["/StructTreeRoot"]]
    while waiting:
        part = waiting.pop()
        if "/Alt" in part:
            found.add(str(part["/Alt"]))
        below = part.get("/K", [])
        below = below if isinstance(below, list) else [below]
        waiting += [
            one.get_object() for one in below if isinstance(one.get_object(), pypdf.generic.DictionaryObject)
        ]
    return found


def test_rows_of_held_out_data_are_not_printed() -> None:
    card = json.loads(CARD)
    card["data"]["held_out"] = True
    text = words(draw(canonical_json(card)))
    assert "a smart , sweet and playful romantic comedy ." not in text
    assert "The data are held out, so none of their rows is printed." in text


@pytest.mark.parametrize("role", ["member", "randomised_inclusion", "repetitions"])
def test_rows_that_the_model_was_trained_on_are_not_printed(role: str) -> None:
    """A text that the model recites, or a secret that was planted, would be given away by the paper."""
    card = json.loads(CARD)
    card["data"]["roles"] = {**card["data"]["roles"], "known": role}
    text = words(draw(canonical_json(card)))
    assert "a smart , sweet and playful romantic comedy ." not in text
    assert "The data tell what the model was trained on, so none of their rows is printed." in text


def test_an_area_of_many_runs_shows_some_examples_of_each() -> None:
    one = ATTACK_EXAMPLES[0]
    runs = [{"id": f"run_{i}", "evaluation_title": f"Attack {i}"} for i in range(5)]
    held = {run["id"]: [{**one, "id": f"{run['id']}-{k}"} for k in range(9)] for run in runs}
    found = printed._examples(runs, held)
    shown = [example["run"] for example in found["examples"]]
    assert [shown.count(f"Attack {i}") for i in range(5)] == [3, 3, 2, 2, 2]
    assert shown == sorted(shown)
    assert "33" in found["more_examples"]


def test_a_text_that_looks_like_a_drawing_is_text() -> None:
    strange = {**ATTACK_EXAMPLES[0], "before": "<svg 😀 />", "after": "<svg ‮>", "changed": []}
    assert "[U+1F600]" in words(draw(CARD, [strange]))


@settings(max_examples=12, deadline=None)
@given(st.text(max_size=60), st.lists(st.characters(), min_size=40, max_size=40).map("".join))
def test_no_text_stops_the_report(name: str, description: str) -> None:
    base = facts()
    encodable = (
        (name + description).encode("utf-8", "replace").decode()
    )  # PostgreSQL holds no lone surrogates
    card = build.canonical(
        build.build(facts(model={**base.model, "description": encodable, "labels": [encodable]}))
    )
    assert len(draw(card).pages) > 3


def test_a_card_that_meets_its_policy_says_that_nothing_stands_in_the_way() -> None:
    passing = [{**c, "outcome": "pass", "reason_code": "interval_keeps_limit"} for c in facts().controls[1:2]]
    text = words(draw(build.canonical(build.build(facts(verdict="meets", controls=passing)))))
    assert "Meets policy" in text
    assert "Every required control passes." in text


def test_long_texts_are_cut_and_say_so() -> None:
    text = printed.page_text(json.loads(CARD), CARD, proof_of(CARD), {}, {})
    assert text["escaped"] is False
    long = build.build(facts(model={**facts().model, "description": HOSTILE * 20}))
    cut = printed.page_text(long, canonical_json(long), proof_of(CARD), {}, {})
    description = dict(map(tuple, cut["model"]))["Description"]
    assert description.endswith("(cut; card.json holds it all)")
