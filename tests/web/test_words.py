"""Every word of the pages exists in both languages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from tests.web import messages

PO = messages.REPOSITORY / "auditor" / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.po"
PLACEHOLDER = re.compile(r"%\((\w+)\)s|\{(\w+)\}")


@pytest.fixture(scope="module")
def chinese() -> dict[tuple[str, str], tuple[str, ...]]:
    with PO.open("rb") as file:
        catalogue = read_po(file, locale="zh_Hans", abort_invalid=True)
    found = {}
    for message in catalogue:
        texts = message.string if isinstance(message.string, tuple) else (message.string,)
        first = message.id[0] if isinstance(message.id, tuple) else message.id
        found[(message.context or "", str(first))] = tuple(str(t) for t in texts)
    return found


def test_every_translatable_string_has_a_chinese_translation(
    chinese: dict[tuple[str, str], tuple[str, ...]],
) -> None:
    missing = sorted(m[:2] for m in messages.everything() if not all(chinese.get(m[:2], ("",))))
    assert missing == []


def test_no_translation_is_left_over(chinese: dict[tuple[str, str], tuple[str, ...]]) -> None:
    used = {m[:2] for m in messages.everything()} | {("", "")}
    assert sorted(chinese.keys() - used) == []


def test_a_translation_keeps_every_placeholder(chinese: dict[tuple[str, str], tuple[str, ...]]) -> None:
    wrong = {
        text: translations
        for (_context, text), translations in chinese.items()
        if text and any(set(PLACEHOLDER.findall(t)) != set(PLACEHOLDER.findall(text)) for t in translations)
    }
    assert wrong == {}


def test_the_extractor_finds_words_in_templates_and_code() -> None:
    found = {text for _context, text, _plural in messages.everything()}
    assert {
        "What decides this",
        "Cannot tell yet",
        "Balanced accuracy",
        "%(done)s of %(total)s runs ended",
    } <= found


def test_no_template_holds_english_outside_a_translation() -> None:
    loose = []
    for path in sorted(Path(messages.REPOSITORY / "templates").rglob("*.html")):
        text = path.read_text(encoding="utf-8")
        text = re.sub(r"(?s){% blocktranslate.*?{% endblocktranslate %}", "", text)
        text = re.sub(r"(?s)<pre>.*?</pre>|<code>.*?</code>|<kbd>.*?</kbd>", "", text)
        text = re.sub(r"(?s){[%{#].*?[%}#]}|<!.*?>|<[^>]*>", "\n", text)
        loose += [
            f"{path.name}: {line.strip()}" for line in text.splitlines() if re.search(r"[A-Za-z]{3,}", line)
        ]
    assert [line for line in loose if "Model Auditor" not in line] == []
