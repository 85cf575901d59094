"""What a run gives to an evaluation: seeds, progress, cancellation, folders, shared predictions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evaluations.spec import (
    Chart,
    Coverage,
    Evaluation,
    EvaluationError,
    EvaluationResult,
    Example,
    Metric,
    Params,
    Progress,
    RunRequest,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.data.dataset import Dataset
    from evaluations.models.protocol import Model, Scores


def _silent(progress: Progress) -> None:
    """Progress that nobody follows, as in a notebook."""


def _never() -> bool:
    return False


@dataclass
class Context:
    """One run's surroundings. Holds no truth and no model."""

    request: RunRequest
    out: Path
    on_progress: Callable[[Progress], None] = _silent
    is_cancelled: Callable[[], bool] = _never
    offset: int = 0  # rows done by earlier shards
    total: int = 0  # rows of the whole run; 0 = only this call's own
    _known: dict[int, Scores] = field(default_factory=dict, repr=False)

    @property
    def seed(self) -> int:
        return self.request.seed

    @property
    def resources(self) -> Path:
        return Path(self.request.resources)

    def rng(self, example_id: str) -> np.random.Generator:
        """A generator for one example. Depends on seed and id alone, so not on shards, order or resume."""
        return np.random.Generator(np.random.PCG64(derive_seed(self.seed, example_id)))

    def progress(self, done: int, total: int, message: str = "") -> None:
        """`done` of this shard's `total` rows are finished."""
        self.on_progress(Progress(done=self.offset + done, total=self.total or total, message=message))

    def cancelled(self) -> bool:
        return self.is_cancelled()

    def stop_if_cancelled(self) -> None:
        if self.is_cancelled():
            raise EvaluationError(
                "cancelled", "The run was cancelled. Start the audit again to measure this."
            )

    def artefact(self, name: str) -> Path:
        """Where to write a file that is kept beside the result."""
        folder = self.out / "artefacts"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / name

    def predictions(self, model: Model, data: Dataset, rows: NDArray[np.int64]) -> Scores:
        """Class probabilities of `rows`: scored once in this process, then reused by every evaluation.

        Returns Scores in the order of `rows`; shape (len(rows), K).
        """
        from evaluations.models.protocol import Scores

        known = self._known.get(id(model))
        if known is None or len(known.errors) != data.rows:
            known = Scores.blank(data.rows, len(model.labels))
            self._known[id(model)] = known
        missing = rows[~known.seen[rows]]
        step = 2048
        for start in range(0, len(missing), step):
            self.stop_if_cancelled()
            some = missing[start : start + step]
            known.put(some, model.predict_proba(data.inputs(some, model.columns)))
            self.progress(len(rows) - len(missing) + min(start + step, len(missing)), len(rows), "scoring")
        return known.take(rows)

    def result(
        self,
        evaluation: Evaluation,
        params: Params,
        *,
        metrics: list[Metric],
        charts: list[Chart],
        coverage: Coverage,
        examples: list[Example] | None = None,
        warnings: list[str] | None = None,
    ) -> EvaluationResult:
        """The result of this request. `python -m evaluations merge` adds environment and cost."""
        return EvaluationResult(
            evaluation=evaluation.name,
            version=evaluation.version,
            params=params.model_dump(mode="json"),
            model_digest=self.request.model.digest,
            data_digest=self.request.data.digest,
            seed=self.seed,
            metrics=tuple(metrics),
            charts=tuple(charts),
            examples=tuple(examples or ()),
            warnings=tuple(warnings or ()),
            coverage=coverage,
        )


def derive_seed(seed: int, name: str) -> int:
    """A 128-bit seed for one named use of `seed`."""
    return int.from_bytes(
        hashlib.sha256(f"{seed}:{name}".encode("utf-8", "surrogatepass")).digest()[:16], "big"
    )
