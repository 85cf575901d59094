"""Signs that the attack failed and not the model's weakness: what AutoAttack warns of, with bounds against chance.

The list is that of Croce & Hein's implementation (flags of AutoAttack) and of Carlini et al. 2019, arXiv 1902.06705.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evaluations import stats
from evaluations.robustness.image_autoattack_scores import Outcomes, proportion_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHANCE = 0.01  # a share that may be: a flag needs a lower bound above it
DIFFERENT = 1e-3  # of two passes over the same image, relative to the largest output
ONE = 1e-4  # how near to 1 probabilities sum
LEAST_CHECKED = 10  # images right before: of fewer, no difference that Square makes is beyond chance

RANDOMISED = (
    "Randomised model: two passes over the same image gave different outputs, and attacks that follow gradients are "
    "led astray. Switch off what is random at inference."
)
SOFTMAX = (
    "The model gives probabilities where raw outputs are expected: its gradients vanish, and robust accuracy looks too "
    "good. Register it without its last softmax."
)
ZERO = (
    "Zero gradients: for {share:.0%} of the images that the model gets right, the gradient vanishes everywhere. "
    "Attacks that follow gradients cannot see the model's weakness."
)
SQUARE = (
    "Square, which uses no gradients, beats attacks that follow them: the model hides its gradients, and robust "
    "accuracy looks too good."
)
UNBOUNDED = (
    "Without a bound on the perturbation {share:.0%} of the checked images still withstood: the attack fails, "
    "whatever the model."
)


def warnings_of(outcomes: Outcomes) -> list[str]:
    """One sentence per flag that is raised."""
    found = []
    if randomised(outcomes):
        found.append(RANDOMISED)
    if gives_probabilities(outcomes.outputs):
        found.append(SOFTMAX)
    if beyond_chance(outcomes.zero_gradient, outcomes, outcomes.right):
        share = outcomes.zero_gradient[outcomes.right].mean()
        found.append(ZERO.format(share=share))
    if square_beats_gradients(outcomes):
        found.append(SQUARE)
    if beyond_chance(outcomes.unbounded, outcomes, outcomes.check):
        share = outcomes.unbounded[outcomes.check & ~outcomes.error].mean()
        found.append(UNBOUNDED.format(share=share))
    return found


def not_checked(outcomes: Outcomes) -> str:
    """Why it cannot be said that there is no flag, or "" where every check was made."""
    if not outcomes.right.any():
        return "The model was wrong on every sampled example, so there was nothing to check."
    if outcomes.without_outputs:
        return f"The model gave no raw outputs for {outcomes.without_outputs} of the images that it answered."
    checked = int((outcomes.check & outcomes.right).sum())
    if checked < LEAST_CHECKED:
        return (
            f"Only {checked} of the checked images were right before the attack; to tell hidden gradients from "
            f"chance takes {LEAST_CHECKED}. Take more examples."
        )
    return ""


def randomised(outcomes: Outcomes) -> bool:
    largest = 1 + np.abs(outcomes.outputs).max(initial=0)
    return bool(np.abs(outcomes.outputs - outcomes.outputs_again).max(initial=0) > DIFFERENT * largest)


def gives_probabilities(outputs: NDArray[np.float64]) -> bool:
    between = len(outputs) > 0 and outputs.min() >= 0 and outputs.max() <= 1
    return bool(between and (np.abs(outputs.sum(axis=1) - 1) <= ONE).all())


def beyond_chance(hits: NDArray[np.bool_], outcomes: Outcomes, among: NDArray[np.bool_]) -> bool:
    """Whether the lower bound of the share of hits lies above what chance may bring."""
    if not (among & ~outcomes.error).any():
        return False
    return proportion_of(hits, outcomes, among).interval.low > CHANCE


def square_beats_gradients(outcomes: Outcomes) -> bool:
    """Square alone against the first gradient attack on the same images, and Square on what all the others left."""
    advantage = square_advantage(outcomes)
    left_to_square = outcomes.attack == "square"
    every: NDArray[np.bool_] = np.ones(outcomes.n, dtype=bool)
    return (advantage is not None and advantage.interval.low > 0) or beyond_chance(
        left_to_square, outcomes, every
    )


def square_advantage(outcomes: Outcomes) -> stats.Estimate | None:
    """Robust accuracy under APGD-CE alone less that under Square alone, on the checked examples."""
    check = outcomes.check
    if not (check & outcomes.right).any():  # nothing was attacked
        return None
    withstood_square = outcomes.right & ~outcomes.square_alone
    clusters = None if outcomes.clusters is None else outcomes.clusters[check]
    return stats.paired_proportions(
        outcomes.standing(("apgd_ce",))[check], withstood_square[check], clusters, ~outcomes.error[check]
    )
