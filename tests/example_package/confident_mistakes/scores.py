"""The number of example.confident_mistakes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evaluations import stats
from evaluations.scoring import Scored, not_estimable, too_many_errors
from evaluations.spec import Metric

if TYPE_CHECKING:
    from confident_mistakes.evaluation import ConfidentParams


def confident_error_rate(scored: Scored, params: ConfidentParams) -> Metric:
    """A row without an answer may be a confident mistake or none: it widens the interval on both sides."""
    if reason := too_many_errors(scored, params.max_error_rate):
        return not_estimable("confident_error_rate", scored.n, reason)
    answered = scored.answered()
    sure = answered.probs.max(axis=1) >= params.sure
    if not sure.any():
        reason = f"The model never gave a probability of {params.sure:g} or more."
        return not_estimable("confident_error_rate", scored.n, reason)
    wrong = sure & (answered.predicted != answered.truth)
    part = stats.Proportion(int(wrong.sum()), int(sure.sum()), scored.n - answered.n)
    return Metric(
        name="confident_error_rate", value=part.value, interval=part.interval(), n=part.n + part.unknown
    )
