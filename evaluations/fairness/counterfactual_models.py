"""The models that fairness.counterfactual asks: about rows as they are, asked again, and with their swaps."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from evaluations import generating, written_labels
from evaluations.fairness import counterfactual_refusals as refusals
from evaluations.fairness.counterfactual_columns import Flip, Flipper
from evaluations.fairness.counterfactual_swaps import Versions
from evaluations.robustness import tabular_asking
from evaluations.scoring import PROBS, probs_column, read_probs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.fairness.counterfactual import CounterfactualParams

    Answers = tuple[NDArray[np.float64], NDArray[np.bool_], list[int | None]]  # (n, K), missing, words


class Table:
    """Asks a model of tables."""

    def __init__(self, model: Any, data: Dataset, ctx: Context, flipper: Flipper) -> None:
        self.model, self.data, self.ctx, self.flipper = model, data, ctx, flipper

    def clean(self, rows: NDArray[np.int64], has: NDArray[np.int64], again: int) -> Answers:
        scores = self.ctx.predictions(self.model, self.data, rows[has], again)
        return scores.probs, scores.errors, [None] * len(has)

    def swapped(self, rows: NDArray[np.int64], where: NDArray[np.int64], swaps: Sequence[Flip]) -> Answers:
        def ask(positions: NDArray[np.int64]) -> pa.Table:
            frame = self.flipper.frame(
                [int(rows[where[k]]) for k in positions], [swaps[k] for k in positions]
            )
            scores = tabular_asking.scores_of(self.model, frame)
            return pa.table({"probs": probs_column(scores.probs, scores.errors)})

        said = [
            f"{self.data.ids[rows[i]]}:{_digest(repr(sorted(s.values.items())))}"
            for i, s in zip(where, swaps, strict=True)
        ]
        table = self.ctx.answers(
            self.model, "counterfactual", np.array(said, dtype=np.str_), ask, "asking about swaps", PROBS
        )
        return *read_probs(table.column("probs"), len(self.model.labels)), [None] * len(swaps)


class Classified:
    """Asks a classifier of texts."""

    def __init__(self, model: Any, data: Dataset, ctx: Context, found: Sequence[Versions]) -> None:
        self.model, self.data, self.ctx, self.found = model, data, ctx, found

    def clean(self, rows: NDArray[np.int64], has: NDArray[np.int64], again: int) -> Answers:
        """Shares the pass over the data set with other evaluations, but for templates."""
        plain = np.array([self.found[i].text == self.data.texts[rows[i]] for i in has], dtype=bool)
        probs: NDArray[np.float64] = np.full((len(has), len(self.model.labels)), np.nan)
        errors: NDArray[np.bool_] = np.ones(len(has), dtype=bool)
        if plain.any():
            scores = self.ctx.predictions(self.model, self.data, rows[has[plain]], again)
            probs[plain], errors[plain] = scores.probs, scores.errors
        if not plain.all():
            filled = has[~plain]
            texts = [self.found[i].text for i in filled]
            probs[~plain], errors[~plain] = self._texts(rows[filled], texts, again)
        return probs, errors, [None] * len(has)

    def swapped(self, rows: NDArray[np.int64], where: NDArray[np.int64], swaps: Sequence[Any]) -> Answers:
        return *self._texts(rows[where], [swap.text for swap in swaps], 0), [None] * len(swaps)

    def _texts(
        self, rows: NDArray[np.int64], texts: Sequence[str], again: int
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        def ask(positions: NDArray[np.int64]) -> pa.Table:
            scores = self.model.predict_proba([texts[i] for i in positions])
            return pa.table({"probs": probs_column(scores.probs, scores.errors)})

        said = [f"{i}:{_digest(text)}" for i, text in zip(self.data.ids[rows], texts, strict=True)]
        more = {"sample": again} if again else {}
        table = self.ctx.answers(
            self.model,
            "probs_of_texts",
            np.array(said, dtype=np.str_),
            ask,
            "asking about swaps",
            PROBS,
            **more,
        )
        return read_probs(table.column("probs"), len(self.model.labels))


class Written:
    """Asks a language model, and reads its text for the label that it names, or for a refusal."""

    def __init__(
        self,
        model: Any,
        data: Dataset,
        params: CounterfactualParams,
        ctx: Context,
        labels: Sequence[str],
        found: Sequence[Versions],
    ) -> None:
        self.model, self.data, self.params, self.ctx = model, data, params, ctx
        self.labels, self.found = labels, found

    def clean(self, rows: NDArray[np.int64], has: NDArray[np.int64], again: int) -> Answers:
        return self._ask(rows[has], [self.found[i].text for i in has], again)

    def swapped(self, rows: NDArray[np.int64], where: NDArray[np.int64], swaps: Sequence[Any]) -> Answers:
        return self._ask(rows[where], [swap.text for swap in swaps], 0)

    def _ask(self, rows: NDArray[np.int64], texts: Sequence[str], again: int) -> Answers:
        prompts = generating.prompts(self.data, rows, self.params.prompt, texts)
        written = self.ctx.generations(self.model, self.data.ids[rows], prompts, self.params.settings, again)
        if self.labels is refusals.LABELS:
            return *refusals.read(written), refusals.lengths(written)
        return *written_labels.read(written, self.params, self.labels), [None] * len(written)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
