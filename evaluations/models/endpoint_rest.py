"""Plain REST predictors: classifiers and regressors asked and read as a mapping says."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from evaluations.endpoints import RestMapping
from evaluations.engine.endpoint_client import EndpointClient, Outcome, Request
from evaluations.models import rest_mapping
from evaluations.models.endpoint import EndpointModel
from evaluations.models.loader import agreed_labels
from evaluations.models.protocol import Model, Predictions, Scores
from evaluations.spec import Access, EvaluationError, Modality, ModelRef

if TYPE_CHECKING:
    from evaluations.data.dataset import Dataset

PROBED = 4  # rows of the data set that are asked for before and after a run


class RestModel(EndpointModel, ABC):
    """What classifiers and regressors share: rows in batches, and the rows at fault found by halving."""

    adapter: ClassVar[str] = "endpoint_rest/1"

    def __init__(self, client: EndpointClient, ref: ModelRef, mapping: RestMapping) -> None:
        super().__init__(client, ref)
        self.mapping = mapping
        self.columns = mapping.columns or None
        self.width = 1  # numbers per row

    @property
    def at_once(self) -> int:
        return self.client.at_once * self.mapping.rows_per_request

    def probe(self, data: Dataset) -> dict[str, str | tuple[float, ...]]:
        """The answers to the first rows by id: the same rows whatever their order in the file."""
        rows = np.argsort(data.ids, kind="stable")[:PROBED]
        found = self._entries(data.inputs(rows, self.columns))
        told = iter(self._vectors([entry for entry in found if entry is not None]))
        answers = {
            str(data.ids[row]): tuple(float(x) for x in next(told))
            for row, entry in zip(rows, found, strict=True)
            if entry is not None
        }
        return {name: answer for name, answer in answers.items() if np.isfinite(answer).all()}

    @abstractmethod
    def _vectors(self, found: Sequence[Any]) -> Any:
        """(n, …) numbers of the entries of n rows."""

    def _entries(self, inputs: Any) -> list[Any | None]:
        """What the reply holds for each row; None where the service gave no answer."""
        columns = list(inputs.columns) if hasattr(inputs, "columns") else []
        rows = rest_mapping.json_rows(inputs)
        found: list[Any | None] = [None] * len(rows)
        size = self.mapping.rows_per_request
        pending = [range(start, min(start + size, len(rows))) for start in range(0, len(rows), size)]
        while pending:
            outcomes = self.client.ask([self._request(rows, part, columns) for part in pending])
            again: list[range] = []
            for part, outcome in zip(pending, outcomes, strict=True):
                if outcome.kind == "ok":
                    self._read(outcome, part, found)
                elif outcome.code == "endpoint_refused" and len(part) > 1:  # one row spoils all: find it
                    middle = part.start + len(part) // 2
                    again += [range(part.start, middle), range(middle, part.stop)]
            pending = again if self.stopped is None else []
        return found

    def _request(self, rows: list[Any], part: range, columns: list[str]) -> Request:
        body = rest_mapping.fill(self.mapping.body, rows[part.start : part.stop], columns)
        return Request(self.mapping.path, body, rows=len(part))

    def _read(self, outcome: Outcome, part: range, found: list[Any | None]) -> None:
        try:
            answers = rest_mapping.entries(outcome.body, self.mapping.answers, len(part), self.width)
        except rest_mapping.Unreadable as error:
            raise EvaluationError(
                "endpoint_mapping",
                f"The service answered something else than endpoint.json says: {error}. Correct rest.answers, or "
                "rest.body.",
            ) from error
        for row, answer in zip(part, answers, strict=True):
            found[row] = answer


class RestClassifier(RestModel):
    """Probabilities, or one-hot rows where the service names a label alone (`access` then lacks PROBS)."""

    def __init__(self, client: EndpointClient, ref: ModelRef, mapping: RestMapping) -> None:
        super().__init__(client, ref, mapping)
        self.labels = agreed_labels(ref, (), len(ref.labels))
        self.access = Access.LABEL | Access.PROBS if mapping.gives == "probs" else Access.LABEL
        self.width = len(self.labels) if mapping.gives == "probs" else 1

    def predict_proba(self, rows: Any) -> Scores:
        found = self._entries(rows)
        probs = np.full((len(found), len(self.labels)), np.nan)
        answered = [i for i, entry in enumerate(found) if entry is not None]
        if answered:
            probs[answered] = self._vectors([found[i] for i in answered])
        return Scores.checked(probs)

    def _vectors(self, found: Sequence[Any]) -> Any:
        read = rest_mapping.probabilities if self.mapping.gives == "probs" else rest_mapping.chosen
        return read(found, self.labels)


class RestRegressor(RestModel):
    """One number per row."""

    access: ClassVar[Access] = Access.LABEL

    def predict(self, rows: Any) -> Predictions:
        found = self._entries(rows)
        values = np.full(len(found), np.nan)
        answered = [i for i, entry in enumerate(found) if entry is not None]
        if answered:
            values[answered] = self._vectors([found[i] for i in answered])[:, 0]
        return Predictions(values, ~np.isfinite(values))

    def _vectors(self, found: Sequence[Any]) -> Any:
        return rest_mapping.numbers(found)[:, None]


def load(client: EndpointClient, ref: ModelRef) -> Model:
    mapping = client.spec.rest
    assert mapping is not None  # the specification has been validated
    regression = ref.modality is Modality.TABULAR_REGRESSION
    if regression != (mapping.gives == "values"):
        raise EvaluationError(
            "endpoint_spec",
            f"A {ref.modality} model gives {'values' if regression else 'probs or labels'}, and endpoint.json says "
            f"that this one gives {mapping.gives}. Correct rest.gives, or the kind of model.",
        )
    return RestRegressor(client, ref, mapping) if regression else RestClassifier(client, ref, mapping)
