"""What stands beside an example is said in the reader's language, and what a model or its data say is left alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.utils import translation

from auditor.web import chart_words, example_words, words


@pytest.fixture(autouse=True)
def in_chinese() -> Iterator[None]:
    translation.activate("zh-hans")
    yield
    translation.deactivate()


def test_a_class_that_is_called_no_stays_no() -> None:
    assert example_words.fact_value("answer", "no") == "no"
    assert example_words.fact_value("true_label", "yes") == "yes"
    assert example_words.fact_value("planted_sign_named_first", "no") == "否"
    assert example_words.fact_value("expected", "the same answer") == "同一回答"


def test_numbers_within_words_are_kept() -> None:
    assert example_words.picture_title("Difference, 64 times amplified") == "差异，放大 64 倍"
    assert example_words.fact_name("template_3") == "模板 3"
    assert example_words.feature_name("row 2, column 7") == "第 2 行第 7 列"
    assert "“cat”" in example_words.picture_alt(
        "Blue places speak for cat, orange ones against it; most for it: row 1, column 2"
    )
    assert words.interval_method("wilson_clustered_simultaneous").startswith(
        words.interval_method("wilson_clustered")
    )


@pytest.mark.parametrize(
    "said", ["", "%(n)s", "{value}", "row 2", "Difference, x times amplified", "a\n\x00b"]
)
def test_what_is_not_known_stays_as_it_is(said: str) -> None:
    for translated in (
        example_words.picture_title,
        example_words.picture_alt,
        example_words.feature_name,
        chart_words.chart_title,
    ):
        assert translated(said) == said
    assert example_words.fact_value("test", said) == said
