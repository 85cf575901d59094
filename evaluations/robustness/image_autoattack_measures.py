"""The metrics of robustness.image_autoattack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evaluations import stats
from evaluations.records import not_estimable, too_many_errors
from evaluations.robustness.image_autoattack_flags import not_checked, square_advantage
from evaluations.robustness.image_autoattack_scores import Outcomes, proportion_of
from evaluations.spec import Metric

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.robustness.image_autoattack import ImageAutoAttackParams

NO_CHECKS = "The model was right on none of the checked examples, so there was nothing to attack."


def measure(outcomes: Outcomes, flags: int, params: ImageAutoAttackParams) -> list[Metric]:
    """Every metric; `flags` is how many were raised."""
    attacks = outcomes.attacks
    n = outcomes.n
    every: NDArray[np.bool_] = np.ones(n, dtype=bool)
    reason = too_many_errors(int(outcomes.error.sum()), n, params.max_error_rate)
    single = ("clean_accuracy", "robust_accuracy", "gradient_masking_flags", "zero_gradients", "square_advantage",
              "unbounded_accuracy", "saved_successes")  # fmt: skip
    if reason:
        after = [not_estimable("accuracy_after", n, reason, slice=f"attack={name}") for name in attacks]
        return [*(not_estimable(name, n, reason) for name in single), *after]
    found = [
        _of("clean_accuracy", proportion_of(outcomes.right, outcomes, every)),
        _of("robust_accuracy", proportion_of(outcomes.standing(attacks), outcomes, every)),
        _flags(outcomes, flags),
    ]
    for k, name in enumerate(attacks):
        standing = proportion_of(outcomes.standing(attacks[: k + 1]), outcomes, every)
        found.append(_of("accuracy_after", standing, f"attack={name}"))
    if outcomes.right.any():
        found.append(_of("zero_gradients", proportion_of(outcomes.zero_gradient, outcomes, outcomes.right)))
    else:
        found.append(not_estimable("zero_gradients", 0, "The model was wrong on every sampled example."))
    advantage = square_advantage(outcomes)
    if advantage is None:
        found += [
            not_estimable(name, int(outcomes.check.sum()), NO_CHECKS)
            for name in ("square_advantage", "unbounded_accuracy")
        ]
    else:
        unbounded = proportion_of(outcomes.unbounded, outcomes, outcomes.check)
        found += [_of("square_advantage", advantage), _of("unbounded_accuracy", unbounded)]
    kept = np.array([files is not None for files in outcomes.files])
    if kept.any():
        found.append(_of("saved_successes", proportion_of(outcomes.saved, outcomes, kept)))
    else:
        found.append(not_estimable("saved_successes", 0, "No attack succeeded."))
    return found


def _flags(outcomes: Outcomes, flags: int) -> Metric:
    """What was not looked for was not found to be absent."""
    reason = not_checked(outcomes)
    if reason:
        return not_estimable("gradient_masking_flags", outcomes.n, reason)
    return Metric(name="gradient_masking_flags", value=flags, n=outcomes.n)


def _of(name: str, estimate: stats.Estimate, slice: str = "all") -> Metric:
    return Metric(
        name=name,
        value=estimate.value,
        interval=estimate.interval,
        n=estimate.n,
        n_effective=estimate.n_effective if estimate.n_effective != estimate.n else None,
        slice=slice,
    )
