"""The half of robustness.text_behaviour that holds the model: asks about each text, again, and about its changes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from evaluations import generating, records, scoring, written_labels
from evaluations.data.sampling import stratified_sample
from evaluations.robustness.behaviours import BEHAVIOURS, changed
from evaluations.scoring import PROBS, probs_column, read_probs
from evaluations.spec import Access, EvaluationError, Modality, Shard, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.robustness.text_behaviour import TextBehaviourParams

    Answers = tuple[NDArray[np.float64], NDArray[np.bool_]]  # (n, K) probabilities; where there are none


def sample(data: Dataset, params: TextBehaviourParams, ctx: Context) -> NDArray[np.int64]:
    """The rows whose texts are changed: seeded, the same in run and merge."""
    alike = np.full(data.rows, "")
    return stratified_sample(data.ids, alike, params.examples, ctx.seed)


def tests(params: TextBehaviourParams, favourable: int | None) -> list[str]:
    """The tests that can be made: directional ones need a favourable class."""
    return [*params.invariance, *(params.directional if favourable is not None else ())]


def texts_of(test: str, data: Dataset, rows: NDArray[np.int64], ctx: Context) -> list[str | None]:
    """What a test makes of each text; None where it has nothing to change. Each draws from a generator of its own."""
    behaviour = BEHAVIOURS[test]
    return [changed(behaviour, data.texts[i], ctx.rng(f"{data.ids[i]}:{test}")) for i in rows]


def favourable_of(data: Dataset, params: TextBehaviourParams, labels: Sequence[str]) -> int | None:
    """Index of the favourable class; None where none is named."""
    label = params.favourable or data.ref.favourable_label
    if label is None:
        return None
    if label not in labels:
        raise EvaluationError(
            "favourable_label_unknown",
            f"The favourable class {label[:60]!r} is not one of the classes "
            f"{', '.join(repr(name[:60]) for name in labels[:20])}. Correct it.",
        )
    return list(labels).index(label)


def ask_shard(
    model: Any, data: Dataset, params: TextBehaviourParams, ctx: Context, shard: Shard
) -> ShardState:
    """Probabilities of the text, of the same text again, and of what each test makes of it; null: none."""
    rows = sample(data, params, ctx)[shard.start : shard.stop]
    writes = data.modality is not Modality.TEXT_CLASSIFIER
    labels = written_labels.labels_to_read(data, ctx) if writes else model.labels
    ask = _Written(model, data, params, ctx, labels) if writes else _Classified(model, data, ctx)
    answers = {"probs": ask.clean(rows, 0), "again": ask.clean(rows, 1)}
    for test in tests(params, favourable_of(data, params, labels)):
        texts = texts_of(test, data, rows, ctx)
        has: NDArray[np.int64] = np.flatnonzero([text is not None for text in texts])
        probs: NDArray[np.float64] = np.full((len(rows), len(labels)), np.nan)
        errors: NDArray[np.bool_] = np.ones(len(rows), dtype=bool)
        if len(has):
            probs[has], errors[has] = ask.changed(rows[has], [text for text in texts if text is not None])
        answers[test] = probs, errors
    columns = {name: probs_column(*held) for name, held in answers.items()}
    table = records.table_of(data, rows, columns)
    graded = not writes and Access.PROBS in model.access
    return ShardState(scoring.with_labels(table, labels, graded), {"errors": int(answers["probs"][1].sum())})


class _Classified:
    """Asks a classifier."""

    def __init__(self, model: Any, data: Dataset, ctx: Context) -> None:
        self.model, self.data, self.ctx = model, data, ctx

    def clean(self, rows: NDArray[np.int64], again: int) -> Answers:
        scores = self.ctx.predictions(self.model, self.data, rows, again)
        return scores.probs, scores.errors

    def changed(self, rows: NDArray[np.int64], texts: Sequence[str]) -> Answers:
        def ask(positions: NDArray[np.int64]) -> pa.Table:
            scores = self.model.predict_proba([texts[i] for i in positions])
            return pa.table({"probs": probs_column(scores.probs, scores.errors)})

        ids = [f"{i}:{_digest(text)}" for i, text in zip(self.data.ids[rows], texts, strict=True)]
        asked = np.array(ids, dtype=np.str_)
        table = self.ctx.answers(self.model, "probs_of_texts", asked, ask, "asking about changes", PROBS)
        return read_probs(table.column("probs"), len(self.model.labels))


class _Written:
    """Asks a language model, and reads the label that its text names."""

    def __init__(
        self, model: Any, data: Dataset, params: TextBehaviourParams, ctx: Context, labels: Sequence[str]
    ) -> None:
        self.model, self.data, self.params, self.ctx, self.labels = model, data, params, ctx, labels

    def clean(self, rows: NDArray[np.int64], again: int) -> Answers:
        return self._ask(rows, [self.data.texts[i] for i in rows], again)

    def changed(self, rows: NDArray[np.int64], texts: Sequence[str]) -> Answers:
        return self._ask(rows, texts, 0)

    def _ask(self, rows: NDArray[np.int64], texts: Sequence[str], again: int) -> Answers:
        prompts = generating.prompts(self.data, rows, self.params.prompt, texts)
        written = self.ctx.generations(self.model, self.data.ids[rows], prompts, self.params.settings, again)
        return written_labels.read(written, self.params, self.labels)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
