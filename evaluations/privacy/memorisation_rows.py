"""Which rows are canaries and which are passages, and where each is cut into what is given and what is to be stated."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations.data import coded_columns, columns
from evaluations.privacy.candidate_space import Space, space_of
from evaluations.privacy.member_column import membership
from evaluations.spec import EvaluationError, Role

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.data.dataset import Dataset
    from evaluations.privacy.memorisation import MemorisationParams

# A word is a run of letters; in scripts that put no space between words, each character.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0e7f"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")


@dataclass(frozen=True)
class Canary:
    """A text that the trainer planted: `prefix` and `secret` stand in the training data one after the other."""

    row: int
    id: str
    prefix: str
    secret: str
    repetitions: int  # 0: a control, never inserted
    space: Space | None  # what the secret was drawn from
    reason: str = ""  # why that cannot be told


@dataclass(frozen=True)
class Passage:
    """A text that the model was trained on, or was not; `suffix` is empty where it is too short to be cut."""

    row: int
    id: str
    member: bool
    prefix: str
    suffix: str


@dataclass(frozen=True)
class Rows:
    """Canaries and passages ascending by example id. A row is one of them, or neither."""

    canaries: list[Canary] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)


def rows_of(data: Dataset, params: MemorisationParams, rows: NDArray[np.int64]) -> Rows:
    """The canaries and passages among `rows`. Raises EvaluationError where the data set can hold neither."""
    repetitions, members = _repetitions(data), _members(data)
    if not any(r is not None for r in repetitions) and not any(m is not None for m in members):
        raise EvaluationError(
            "no_canaries_or_passages",
            "The data set marks neither canaries nor passages. Give a column the role 'repetitions' (how often the "
            "trainer inserted the row's secret, 0 for controls that were never inserted; `auditor data canaries` makes "
            "them up before a training) beside the secret as target, "
            "or a column the role 'member' (1 for texts that the model was trained on, 0 for texts that it was not).",
            skipped=True,
        )
    secrets, lists, found = _secrets(data, repetitions), _lists(data), Rows()
    _check_once_each(data, secrets, repetitions)
    for row in rows[np.argsort(data.ids[rows], kind="stable")].tolist():
        name, text, times, member = str(data.ids[row]), data.texts[row], repetitions[row], members[row]
        if times is not None:
            secret = secrets[row]
            space = space_of(secret, lists[row] if lists else None)
            if isinstance(space, Space) and space.bits < params.space_bits:
                space = (
                    f"its secret is one of only 2^{space.bits:.1f}, and 2^{params.space_bits:g} are asked for"
                )
            known = (space, "") if isinstance(space, Space) else (None, space)
            found.canaries.append(Canary(row, name, text, secret, times, *known))
        elif member is not None:
            cut = cut_at_words(text, params.prefix_words, params.suffix_words)
            found.passages.append(Passage(row, name, member, *cut))
    return found


def cut_at_words(text: str, before: int, after: int) -> tuple[str, str]:
    """The first `before` words as they are written, and the `after` words that follow; ("", "") if there are fewer."""
    ends = []
    for word in _WORD.finditer(text):
        ends.append(word.end())
        if len(ends) == before + after:
            return text[: ends[before - 1]], text[ends[before - 1] : ends[-1]]
    return "", ""


def words_of(text: str) -> list[str]:
    return _WORD.findall(text)


def _members(data: Dataset) -> list[bool | None]:
    return [None if math.isnan(said) else said == 1 for said in membership(data).tolist()]


def _repetitions(data: Dataset) -> list[int | None]:
    said = coded_columns.read(data, Role.REPETITIONS)
    if said is None:
        return [None] * data.rows
    return [None if math.isnan(times) else int(times) for times in said.tolist()]


def _secrets(data: Dataset, repetitions: list[int | None]) -> list[str]:
    """The target of each row as text; "" where there is none."""
    if not any(r is not None for r in repetitions):
        return [""] * data.rows
    held = data.ref.columns(Role.TARGET)
    if not held:
        raise EvaluationError(
            "target_missing",
            "Canaries need a column with the role 'target': the secret that follows the row's input in the training "
            "data. Give the column its role.",
        )
    return _texts(data, held[0])


def _check_once_each(data: Dataset, secrets: list[str], repetitions: list[int | None]) -> None:
    """Copies of one canary would count as so many: a few of them could pass what many would fail."""
    seen: dict[tuple[str, str], int] = {}
    for row, times in enumerate(repetitions):
        if times is None or not secrets[row].strip():
            continue
        first = seen.setdefault((data.texts[row], secrets[row]), row)
        if first != row:
            raise EvaluationError(
                "canary_twice",
                f"Rows {str(data.ids[first])[:60]!r} and {str(data.ids[row])[:60]!r} hold the same canary. Keep one "
                "row of each, and put into the column of repetitions how often it was inserted.",
            )


def _lists(data: Dataset) -> list[list[str] | None] | None:
    """The words that each row's secret may be made of, or None where no column lists them."""
    held = data.ref.columns(Role.CHOICES)
    if not held:
        return None
    values = data.table.column(held[0]).to_pylist()
    return [_words(value) for value in values]


def _words(value: Any) -> list[str] | None:
    if not isinstance(value, list) or not value:
        return None
    return [columns.label_text(word) or "" for word in value]


def _texts(data: Dataset, column: str) -> list[str]:
    values = data.table.column(column).to_pylist()
    return [one if isinstance(one, str) else columns.label_text(one) or "" for one in values]
