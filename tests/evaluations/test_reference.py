"""The page of the documentation says what the evaluations say of themselves."""

from __future__ import annotations

from pathlib import Path

from evaluations import catalogue, reference

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "evaluations.md"


def test_the_page_is_that_of_the_catalogue() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference.page(), (
        "Make it again: python -m evaluations reference > docs/reference/evaluations.md"
    )


def test_every_evaluation_and_metric_is_on_it() -> None:
    page = reference.page()
    for name in catalogue.BUILT_IN:
        assert f"## {name}\n" in page
        assert all(f"| `{spec.name}` |" in page for spec in catalogue.get(name).metrics)
