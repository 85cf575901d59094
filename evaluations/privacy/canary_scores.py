"""How much each canary looks like training data to the model: asked of the model, read back beside the coins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations import likelihoods, records, scoring
from evaluations.privacy import coins
from evaluations.spec import Access, Coverage, EvaluationError, Modality, Role, Shard, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.privacy.dp_audit import AuditParams

LEAST = 1e-300  # of a probability, so that its logarithm is finite


@dataclass(frozen=True)
class Canaries:
    """Canaries ascending by example id: a score that is higher for what looks like training data (NaN: no answer)."""

    ids: NDArray[np.str_]
    scores: NDArray[np.float64]
    included: NDArray[np.bool_]

    @property
    def n(self) -> int:
        return len(self.scores)

    @property
    def missing(self) -> int:
        return int(np.isnan(self.scores).sum())

    def only(self, keep: NDArray[np.bool_]) -> Canaries:
        return Canaries(self.ids[keep], self.scores[keep], self.included[keep])

    def coverage(self) -> Coverage:
        return Coverage(attempted=self.n, scored=self.n - self.missing, failed=self.missing)


def write_shard(model: Any, data: Dataset, params: AuditParams, ctx: Context, shard: Shard) -> ShardState:
    """Asks about the canaries of a shard; no other row is needed."""
    every, _ = coins.canaries(data)
    rows = np.intersect1d(every, records.all_rows(data, shard))
    if data.modality is not Modality.CAUSAL_LM:
        _check(model, Access.PROBS)
        return scoring.score_shard(model, data, ctx, rows)
    _check(model, Access.LOGPROBS)
    if data.ref.columns(Role.TARGET):
        pairs = [[(data.texts[i], params.delimiter + str(data.truth[i]))] for i in rows]
        return likelihoods.of_pairs(model, data, ctx, rows, pairs)
    return likelihoods.of_texts(model, data, ctx, rows, [[data.texts[i]] for i in rows])


def _check(model: Any, access: Access) -> None:
    if access not in model.access:
        raise EvaluationError(
            "no_access",
            f"privacy.dp_audit needs {str(access.name).lower()} of the model, which this format does not give.",
            skipped=True,
        )


def collect(states: Sequence[ShardState], data: Dataset, ctx: Context) -> Canaries:
    """The canaries' scores, checked, beside how their coins fell."""
    every, included = coins.canaries(data)
    rows = records.rows_by_id(data, every)
    fell = included[np.searchsorted(every, rows)]
    if data.modality is Modality.CAUSAL_LM:
        return Canaries(data.ids[rows], _per_byte(states, data, rows), fell)
    scored = scoring.collect(states, data, ctx, every)
    return Canaries(data.ids[rows], _log_odds(scored), fell)


def _log_odds(scored: scoring.Scored) -> NDArray[np.float64]:
    """ln p − ln(1 − p) of the true class: ranks as the loss does, and still tells p = 1 − 1e-20 from 1 − 1e-10."""
    at = np.arange(scored.n)
    others = scored.probs.copy()
    others[at, scored.truth] = 0
    p, rest = scored.probs[at, scored.truth], others.sum(axis=1)
    return np.asarray(np.log(np.maximum(p, LEAST)) - np.log(np.maximum(rest, LEAST)))


def _per_byte(states: Sequence[ShardState], data: Dataset, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """ln p of each text, or of its target, over its bytes."""
    held = likelihoods.collect(states, data, rows, [1] * len(rows))
    told = [str(data.truth[i]) if data.ref.columns(Role.TARGET) else data.texts[i] for i in rows]
    sizes = np.array([max(1, len(text.encode("utf-8", "surrogatepass"))) for text in told])
    return np.array([np.nan if one is None else one[0] for one in held], dtype=np.float64) / sizes
