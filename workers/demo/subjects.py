"""What the demonstration audits: which folder, which table, and the words the report card has about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workers.demo import data
from workers.demo.train_income import income_model
from workers.demo.train_sentiment import sentiment_model


@dataclass(frozen=True)
class Subject:
    """A model with the data it is audited on. The options are those of `auditor model push` and `data push`."""

    model: str
    dataset: str
    trainer: str  # module that trains it
    folder: Callable[[], Path]
    table: Callable[[], Path]
    model_options: tuple[str, ...]
    data_options: tuple[str, ...]


SUBJECTS = (
    Subject(
        model="income",
        dataset="adult",
        trainer="workers.demo.train_income",
        folder=income_model,
        table=lambda: data.adult() / "test.parquet",
        model_options=(
            *("--modality", "tabular", "--risk-tier", "high"),
            *(
                "--description",
                "Estimates whether a person earns more than 50,000 dollars a year; never sees sex or race.",
            ),
            *("--intended-use", "Research on census data of 1994."),
            *("--out-of-scope-use", "Any decision about a person: credit, work, housing, insurance."),
        ),
        data_options=(
            *("--target", data.ADULT_TARGET, "--favourable", data.ADULT_FAVOURABLE),
            *(part for column in data.ADULT_SENSITIVE for part in ("--sensitive", column)),
            *(part for column in data.ADULT_IGNORED for part in ("--ignore", column)),
            *("--held-out", "--licence", "CC BY 4.0", "--source", "UCI Adult, the published test part"),
        ),
    ),
    Subject(
        model="sentiment",
        dataset="film-sentences",
        trainer="workers.demo.train_sentiment",
        folder=sentiment_model,
        table=lambda: data.sentences() / "test.jsonl",
        model_options=(
            *("--modality", "text_classifier", "--language", "en"),
            *(
                "--description",
                "Tells whether a sentence about a film is positive; MiniLM fine-tuned on 3,000 sentences.",
            ),
            *("--intended-use", "Sorting English film reviews for reading."),
            *("--out-of-scope-use", "Texts about people, other languages, other subjects."),
        ),
        data_options=(
            *("--target", "label", "--id", "id", "--language", "en", "--held-out"),
            *(
                "--licence",
                "research use",
                "--source",
                "Pang & Lee 2005, 1,000 sentences held out by a fixed seed",
            ),
        ),
    ),
)
