"""Turns the downloaded Adult and Pang & Lee files into the tables that are trained on and audited."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import Any

from workers.demo.cache import fetched, made

ADULT_COLUMNS = (
    "age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship",
    "race", "sex", "capital_gain", "capital_loss", "hours_per_week", "native_country", "income",
)  # fmt: skip
ADULT_NUMBERS = ("age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week")
ADULT_SENSITIVE = ("sex", "race")
ADULT_TARGET = "income"
ADULT_IGNORED = ("fnlwgt",)  # a survey weight, not a fact about the person
ADULT_FAVOURABLE = ">50K"

SENTENCE_SEED = 20051
SENTENCES_HELD_OUT = 1000
SENTENCE_LABELS = {"1": "positive", "-1": "negative"}


def adult() -> Path:
    """A folder with train.parquet (32,561 rows) and test.parquet (16,281), split as published."""
    source = fetched("adult")
    return made("adult", [Path(__file__), source / "adult.data", source / "adult.test"], _make_adult)


def _make_adult(folder: Path) -> None:
    source = fetched("adult")
    for name, target in (("adult.data", "train.parquet"), ("adult.test", "test.parquet")):
        _adult_frame(source / name).to_parquet(folder / target, index=False)


def _adult_frame(path: Path) -> Any:
    """One published file as a frame: `?` is missing, labels without the dot that adult.test puts behind them."""
    import pandas as pd

    frame = pd.read_csv(
        path,
        names=list(ADULT_COLUMNS),
        skipinitialspace=True,
        na_values=["?"],
        comment="|",  # the first line of adult.test
        dtype={name: "int64" if name in ADULT_NUMBERS else "str" for name in ADULT_COLUMNS},
    )
    frame[ADULT_TARGET] = frame[ADULT_TARGET].str.rstrip(".")
    return frame


def sentences() -> Path:
    """A folder with train.jsonl (3,000) and test.jsonl (1,000), half positive: {"id", "text", "label"}."""
    source = fetched("pang-lee")
    return made("sentences", [Path(__file__), *source.iterdir()], _make_sentences)


def _make_sentences(folder: Path) -> None:
    """The file is sorted by class: shuffle each class by a fixed seed and hold out the same number of each."""
    with (fetched("pang-lee") / "pang-lee-sentences.csv").open(encoding="utf-8-sig", newline="") as lines:
        rows = [
            {"id": f"pl-{number:04}", "text": text.strip(), "label": SENTENCE_LABELS[label]}
            for number, (label, text) in enumerate(csv.reader(lines))
        ]
    order = random.Random(SENTENCE_SEED)
    train: list[dict[str, str]] = []
    test: list[dict[str, str]] = []
    for label in sorted(SENTENCE_LABELS.values()):
        of_class = [row for row in rows if row["label"] == label]
        order.shuffle(of_class)
        held_out = SENTENCES_HELD_OUT // len(SENTENCE_LABELS)
        test += of_class[:held_out]
        train += of_class[held_out:]
    for name, part in (("train.jsonl", train), ("test.jsonl", test)):
        order.shuffle(part)
        with (folder / name).open("w", encoding="utf-8") as out:
            out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in part)
