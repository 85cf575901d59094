"""What the audited model, and a reference model, made of the rows of which membership is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from evaluations import scoring
from evaluations.privacy import membership_parts, token_signals
from evaluations.records import rows_by_id
from evaluations.scoring import Scored
from evaluations.spec import Access, Coverage, EvaluationError, Modality, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset

LEAST = 1e-30  # a probability below it is taken for it, so that every loss is finite


@dataclass(frozen=True)
class Answers:
    """One model's answers to n rows, ascending by example id. NaN where there is none."""

    loss: NDArray[np.float64]  # −ln p of the true class, or its mean over the tokens of a text
    margin: NDArray[np.float64]  # ln p of the true class − ln p of the likeliest other one; −loss of a text
    right: NDArray[np.bool_] | None = None  # a language model has no right class
    graded: bool = True  # False: it names a class alone
    signals: dict[str, NDArray[np.float64]] | None = None  # of a language model; higher = more like a member
    classes: NDArray[np.int64] | None = None  # the true class

    @property
    def errors(self) -> NDArray[np.bool_]:
        return np.isnan(self.loss)

    def only(self, keep: NDArray[np.bool_]) -> Answers:
        return replace(
            self,
            loss=self.loss[keep],
            margin=self.margin[keep],
            right=None if self.right is None else self.right[keep],
            signals=None if self.signals is None else {k: v[keep] for k, v in self.signals.items()},
            classes=None if self.classes is None else self.classes[keep],
        )


@dataclass(frozen=True)
class Rows:
    """The rows that are judged, ascending by example id, with both models' answers and their part of the data."""

    rows: NDArray[np.int64]
    member: NDArray[np.bool_]
    part: NDArray[np.int64]
    answers: Answers
    reference: Answers | None
    clusters: NDArray[np.str_] | None  # or copies of one input
    total: int  # rows of the data set
    twice: int  # rows left out, for the same input is there as a member and as a non-member

    @property
    def n(self) -> int:
        return len(self.rows)

    def coverage(self) -> Coverage:
        failed = int(self.answers.errors.sum())
        return Coverage(
            attempted=self.total, scored=self.n - failed, failed=failed, skipped=self.total - self.n
        )


def ask(model: object, data: Dataset, ctx: Context, rows: NDArray[np.int64]) -> ShardState:
    """Answers to those of `rows` of which membership is known."""
    known, _ = membership_parts.known(data)
    rows = rows[np.isin(rows, known)]
    if data.modality is not Modality.CAUSAL_LM:
        return scoring.score_shard(model, data, ctx, rows)  # type: ignore[arg-type]  # a classifier, by its modality
    if Access.LOGPROBS not in model.access:  # type: ignore[attr-defined]  # every model has it
        raise EvaluationError(
            "no_access",
            "Membership is inferred from the probability of each token, which this service does not tell.",
            skipped=True,
        )
    return token_signals.run(model, data, ctx, rows)  # type: ignore[arg-type]  # a language model, by its modality


def collect(states: Sequence[ShardState], data: Dataset, ctx: Context) -> Rows:
    """The records of both models, checked, without the rows that are on both sides, cut into parts."""
    known, said = membership_parts.known(data)
    rows = rows_by_id(data, known)
    member = said[np.searchsorted(known, rows)]
    answers = _answers(states, data, ctx, known)
    reference = None
    if ctx.reference_states:
        if ctx.request.reference is None:
            raise EvaluationError("no_reference", "There are shards of a reference model that is not named.")
        asked = ctx.request.model_copy(update={"model": ctx.request.reference})
        reference = _answers(ctx.reference_states, data, replace(ctx, request=asked), known)
    inputs = membership_parts.inputs_of(data, rows)
    kept = ~membership_parts.on_both_sides(inputs, member)
    rows, member = rows[kept], member[kept]
    clusters = membership_parts.belonging(data, rows, inputs[kept])
    names = data.ids[rows] if clusters is None else clusters
    return Rows(
        rows=rows,
        member=member,
        part=membership_parts.cut(names, member, ctx.seed, "membership parts", membership_parts.ENDS),
        answers=answers.only(kept),
        reference=reference.only(kept) if reference else None,
        clusters=clusters,
        total=data.rows,
        twice=int((~kept).sum()),
    )


def _answers(states: Sequence[ShardState], data: Dataset, ctx: Context, known: NDArray[np.int64]) -> Answers:
    if data.modality is Modality.CAUSAL_LM:
        signals = token_signals.collect(states, data, known)
        return Answers(signals["loss"], -signals["loss"], signals=token_signals.member_scores(signals))
    return of_classifier(scoring.collect(states, data, ctx, known))


def of_classifier(scored: Scored) -> Answers:
    """Losses and margins of classes. ln(1 + others/p) is −ln p, and tells apart what rounds to p = 1."""
    own = np.arange(len(scored.labels)) == scored.truth[:, None]
    mine = np.maximum(np.where(own, scored.probs, 0).sum(axis=1), LEAST)
    others = np.where(own, 0, scored.probs)
    rival = np.maximum(others.max(axis=1), LEAST)
    right = ~scored.errors & (scored.predicted == scored.truth)
    return Answers(
        loss=np.where(scored.errors, np.nan, np.log1p(others.sum(axis=1) / mine)),
        margin=np.where(scored.errors, np.nan, np.log(mine) - np.log(rival)),
        right=right,
        graded=scored.graded,
        classes=scored.truth,
    )
