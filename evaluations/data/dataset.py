"""A data set beside the roles of its columns: what the model is fed, and the truth it is held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from evaluations.data import columns, reading
from evaluations.data.columns import label_text, names_of
from evaluations.spec import DataRef, EvaluationError, Modality, Role

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["MISSING_GROUP", "Dataset", "label_text", "read"]

MISSING_GROUP = "(missing)"
TEXT = (
    Modality.TEXT_CLASSIFIER,
    Modality.MASKED_LM,
    Modality.CAUSAL_LM,
    Modality.SEQ2SEQ,
    Modality.EXTRACTIVE_QA,
)  # one input column of texts

SINGLE = (
    Role.ID,
    Role.CONTEXT,
    Role.CHOICES,
    Role.CLUSTER,
    Role.SPLIT,
    Role.USER,
    Role.ITEM,
    Role.ANSWER,
    Role.MEMBER,
    Role.RANDOMISED_INCLUSION,
    Role.REPETITIONS,
)  # roles that at most one column has
PROMPTED = (Modality.CAUSAL_LM, Modality.SEQ2SEQ)  # a prompt may be made of several input columns


@dataclass(frozen=True)
class Dataset:
    """Rows with an id each. `table` holds every column that has a role in use; what has none is not read."""

    ref: DataRef
    modality: Modality
    ids: NDArray[np.str_]
    table: pa.Table

    @property
    def rows(self) -> int:
        return len(self.ids)

    @cached_property
    def by_id(self) -> NDArray[np.int64]:
        """Row numbers ascending by example id."""
        return np.argsort(self.ids, kind="stable")

    # --- what the model is fed ------------------------------------------------------------------

    def inputs(self, rows: NDArray[np.int64], wanted: tuple[str, ...] | None) -> Any:
        """What the model is fed: texts, lists of words, images as bytes, or a frame of the columns `wanted`.

        None means all input columns. A frame may hold sensitive columns that the model names, never the target.
        """
        if self.modality in TEXT:
            return [self.texts[i] for i in rows]
        if self.modality is Modality.TOKEN_CLASSIFIER:
            return [self.words[i] for i in rows]
        if self.modality is Modality.IMAGE_CLASSIFIER:
            return self.images(rows)
        return self.frame(rows, wanted)

    @cached_property
    def texts(self) -> list[str]:
        """The one input column, as text: prompts, questions, sentences."""
        return columns.texts(self.table, self._one(Role.INPUT), self.ids)

    @cached_property
    def words(self) -> list[tuple[str, ...]]:
        """The one input column, as lists of words."""
        return columns.lists(self.table, self._one(Role.INPUT), self.ids)

    @cached_property
    def contexts(self) -> list[str] | None:
        """The passages, or None where no column has that role."""
        held = self.ref.columns(Role.CONTEXT)
        return columns.texts(self.table, held[0], self.ids) if held else None

    @cached_property
    def choices(self) -> list[tuple[str, ...]]:
        """The answers to choose from, per row."""
        return columns.lists(self.table, self._one(Role.CHOICES), self.ids)

    def images(self, rows: NDArray[np.int64]) -> list[bytes]:
        """Encoded image files (PNG, JPEG, …) of `rows`."""
        column = self.table.column(self._one(Role.INPUT)).take(rows)
        if pa.types.is_struct(column.type):
            return [bytes((value or {}).get("bytes") or b"") for value in column.to_pylist()]
        if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
            raise EvaluationError(
                "image_expected",
                f"Column {self._one(Role.INPUT)!r} holds {column.type}, but this model reads images as bytes. "
                "Pack the folder: python -m evaluations.data.pack FOLDER data.parquet.",
            )
        return [bytes(value or b"") for value in column.to_pylist()]

    def frame(self, rows: NDArray[np.int64], wanted: tuple[str, ...] | None) -> pd.DataFrame:
        """The rows as a frame of the columns that the model names (None: all input columns)."""
        offered = self.ref.columns(Role.INPUT)
        if wanted is None:
            wanted = tuple(offered)
        # A model may have been trained on a sensitive column; it never sees target, id or ignored ones.
        usable = {*offered, *self.ref.columns(Role.SENSITIVE)}
        absent = [column for column in wanted if column not in usable]
        if absent:
            raise EvaluationError(
                "model_columns",
                f"The model needs the columns {names_of(absent)}, which are not input columns of the data set "
                f"(input columns: {names_of(offered)}). Give them the role 'input', or choose the right data set.",
            )
        return self.table.select(list(wanted)).take(rows).to_pandas()

    # --- what its answers are held against -------------------------------------------------------

    @cached_property
    def truth(self) -> NDArray[np.str_]:
        """The true label of each row, as text."""
        self._one(Role.TARGET)
        return columns.labels(self.table, self.ref, self.ids)

    @cached_property
    def numeric_truth(self) -> NDArray[np.float64]:
        """The true value of each row, for regression and relevance."""
        self._one(Role.TARGET)
        return columns.numbers(self.table, self.ref, self.ids)

    @cached_property
    def references(self) -> list[tuple[str, ...]]:
        """The accepted answers of each row, at least one; for tagging the tags of its words."""
        return columns.lists(self.table, self._one(Role.TARGET), self.ids)

    def class_indices(self, labels: Sequence[str]) -> NDArray[np.int64]:
        """Row labels as indices into the model's `labels`. Raises `labels_unmatched`, naming both sets."""
        index = {label: i for i, label in enumerate(labels)}
        names, codes = self._classes
        unknown = [name for name in names if name not in index]
        if unknown:
            raise EvaluationError(
                "labels_unmatched",
                f"The data set has the labels {names_of(names)}, the model has {names_of(labels)}: "
                f"{names_of(unknown)} cannot be matched. Register the model with its class names in output order, "
                "or correct the label column.",
            )
        return np.array([index[name] for name in names], dtype=np.int64)[codes]

    @cached_property
    def _classes(self) -> tuple[list[str], NDArray[np.int64]]:
        """The labels that occur, sorted, and which of them each row has."""
        names, codes = np.unique(self.truth, return_inverse=True)
        return names.tolist(), codes

    # --- how rows belong together -----------------------------------------------------------------

    def groups(self, column: str) -> NDArray[np.str_]:
        """The group of each row in a column; missing values are a group of their own."""
        names, codes = columns.distinct(self.table.column(column))
        named = [MISSING_GROUP if name is None else name for name in names]
        return np.array(named, dtype=np.str_)[codes]

    @cached_property
    def clusters(self) -> NDArray[np.str_] | None:
        """Which cluster each row belongs to, or None where rows are independent."""
        held = self.ref.columns(Role.CLUSTER)
        return self.groups(held[0]) if held else None

    @cached_property
    def split(self) -> NDArray[np.str_] | None:
        """The split of each row (train, calibration, test, ood), or None where none is declared."""
        held = self.ref.columns(Role.SPLIT)
        return self.groups(held[0]) if held else None

    def _one(self, role: Role) -> str:
        """The one column with `role`. Raises EvaluationError where there is none, or several."""
        held = self.ref.columns(role)
        if len(held) != 1:
            code = f"{role}_missing" if not held else f"{role}_many"
            raise EvaluationError(
                "text_columns" if role is Role.INPUT and held else code,
                f"Exactly one column must have the role {role.value!r}; found {names_of(held)}. Correct the roles.",
            )
        return held[0]


def read(ref: DataRef, modality: Modality) -> Dataset:
    """The data set at `ref`. Raises EvaluationError that says which column or row to mend."""
    table = reading.read_table(ref, modality)
    missing = [
        column
        for column, role in ref.roles.items()
        if role is not Role.IGNORE and column not in table.column_names
    ]
    if missing:
        raise EvaluationError(
            "column_missing",
            f"The data set has no column {names_of(missing)}. Its columns are {names_of(table.column_names)}. "
            "Correct the column roles.",
        )
    _check_roles(ref)
    if table.num_rows == 0:
        raise EvaluationError("data_empty", "The data set has no rows. Register one with at least one row.")
    table = columns.plain(table)
    data = Dataset(ref=ref, modality=modality, ids=columns.ids(table, ref), table=table)
    if modality in TEXT and not (modality in PROMPTED and len(ref.columns(Role.INPUT)) > 1):
        _ = data.texts  # refuse what is not text before a model is loaded
    elif modality is Modality.TOKEN_CLASSIFIER:
        _ = data.words
    elif modality is Modality.TABULAR and ref.columns(Role.TARGET):
        _ = data.truth
    return data


def _check_roles(ref: DataRef) -> None:
    if len(ref.columns(Role.TARGET)) > 1:
        raise EvaluationError(
            "target_many",
            f"Exactly one column must have the role 'target' (the true label); found "
            f"{names_of(ref.columns(Role.TARGET))}.",
        )
    for role in SINGLE:
        if len(ref.columns(role)) > 1:
            raise EvaluationError(f"{role}_many", f"At most one column may have the role {role.value!r}.")
    if not ref.columns(Role.INPUT) and not ref.columns(Role.USER):
        raise EvaluationError("input_missing", "No column has the role 'input'. Mark what the model is fed.")
