"""Which texts name which group of people, by column or by word, and which label is looked for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evaluations.data import columns
from evaluations.spec import EvaluationError, Role

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.data.dataset import Dataset

NAMED = 0.5  # of annotators: the share from which the Jigsaw competition takes a group as named
MOST_GROUPS = 50
UNSPACED = "\u2e80"  # from here on scripts are mostly written without spaces


@dataclass(frozen=True)
class Group:
    """A group and the (rows,) of the data set that name it; at least one does."""

    name: str
    slice: str
    named: NDArray[np.bool_]


def mentions(data: Dataset, terms: Sequence[str]) -> list[Group]:
    """The groups of the sensitive columns and of the terms that some text names."""
    held = data.ref.columns(Role.SENSITIVE)
    if not held and not terms:
        raise EvaluationError(
            "sensitive_missing",
            "fairness.identity_terms needs a column with the role 'sensitive' that says which group a text names, or "
            "the parameter 'terms' with words to look for. Give one of them.",
            skipped=True,
        )
    groups = [group for column in held for group in _of_column(data, column)]
    groups += [Group(_first(term), f"term={_first(term)}", _holding(data.texts, term)) for term in terms]
    groups = [group for group in groups if group.named.any()]
    if len(groups) > MOST_GROUPS:
        raise EvaluationError(
            "groups_many",
            f"The sensitive columns and terms make {len(groups)} groups; group them into at most {MOST_GROUPS}.",
        )
    return groups


def _of_column(data: Dataset, column: str) -> list[Group]:
    """One group where the column holds shares from 0 to 1 or truth values, else one for each of its values."""
    values, codes = columns.distinct(data.table.column(column))
    shares = [_share(value) for value in values]
    if None not in shares:
        named = np.array([share is not None and share >= NAMED for share in shares], dtype=bool)
        return [Group(column, f"{column}=1", named[codes])]
    return [
        Group(value, f"{column}={value}", codes == code)
        for code, value in sorted(enumerate(values), key=lambda pair: str(pair[1]))
        if value is not None
    ]


def _share(value: str | None) -> float | None:
    """0 … 1, or None for what is no share. A missing value names nobody."""
    if value is None or value.lower() in ("true", "false"):
        return float(value is not None and value.lower() == "true")
    try:
        share = float(value)
    except ValueError:
        return None
    return share if 0 <= share <= 1 else None


def _first(term: str) -> str:
    return term.split("|")[0].strip()


def _holding(texts: Sequence[str], term: str) -> NDArray[np.bool_]:
    """(n,) texts that hold one of the term's forms as a whole word, whatever its case."""
    found = re.compile("|".join(_whole(form.strip()) for form in term.split("|")), re.IGNORECASE)
    return np.array([found.search(text) is not None for text in texts], dtype=bool)


def _whole(form: str) -> str:
    """A pattern of the form with an end of a word on either side, where its script has such ends."""
    before = "" if form[0] >= UNSPACED else r"(?<!\w)"
    after = "" if form[-1] >= UNSPACED else r"(?!\w)"
    return before + re.escape(form) + after


def looked_for(data: Dataset, labels: Sequence[str], positive: str) -> NDArray[np.bool_]:
    """(K,) classes that are looked for. Raises EvaluationError where none is declared, or it is not a class."""
    label = positive or data.ref.favourable_label
    if label is None:
        raise EvaluationError(
            "positive_label_missing",
            "Neither the parameter 'positive_label' says which label is looked for, such as 'toxic', nor the data set "
            "which one is favourable. State one of them.",
        )
    if label not in labels:
        raise EvaluationError(
            "positive_label_unknown",
            f"The label {label!r} is not one of the classes {', '.join(map(repr, labels))}. Correct it.",
        )
    return np.array([(one == label) is bool(positive) for one in labels], dtype=bool)
