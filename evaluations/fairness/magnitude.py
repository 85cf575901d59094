"""How far a score lies from its neutral value, whichever way: what a two-sided demand is held against."""

from __future__ import annotations

from evaluations.records import not_estimable
from evaluations.spec import Metric, MetricStatus

HOW = "its interval is what the score's own interval becomes, so that it lies below a limit where that lies within ±"


def magnitude(name: str, score: Metric, neutral: float = 0.0) -> Metric:
    """|score − neutral|. The interval reaches from 0, or the end nearer to neutral, to the end farther from it.

    It is the image of the score's interval, so it covers at least as often.
    """
    if score.status is not MetricStatus.OK or score.value is None or score.interval is None:
        return not_estimable(name, score.n, score.reason or "The score has no interval.")
    low, high = score.interval.low - neutral, score.interval.high - neutral
    ends = {"low": max(0.0, low, -high), "high": max(abs(low), abs(high))}
    return score.model_copy(
        update={
            "name": name,
            "value": abs(score.value - neutral),
            "interval": score.interval.model_copy(update=ends),
        }
    )
