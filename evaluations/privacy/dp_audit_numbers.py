"""The numbers of privacy.dp_audit: guesses about canaries, and what the right ones among them prove."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evaluations import stats
from evaluations.privacy.one_run import epsilon_lower_bound, p_value
from evaluations.records import not_estimable, too_many_errors
from evaluations.spec import Interval, Metric

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.privacy.canary_scores import Canaries
    from evaluations.privacy.dp_audit import AuditParams

NAMES = ("epsilon_lower_bound", "refuted", "claim_p", "guess_accuracy")
SHARES = (
    0.02,
    0.05,
    0.1,
    0.2,
    0.3,
    0.5,
    0.75,
    1.0,
)  # of the canaries of one half, of which the best is taken
POINTS = 40  # of the chart


@dataclass(frozen=True)
class Found:
    """What was guessed. `reason` says why nothing can be; `right[k]` counts the right of 2k guesses, k = 0, 1, …"""

    canaries: int
    guesses: int
    right: NDArray[np.int64]
    share: float
    reason: str = ""

    @property
    def hits(self) -> int:
        return int(self.right[self.guesses // 2])


def audit(scored: Canaries, params: AuditParams, ctx: Context) -> Found:
    """Guesses about the canaries that count, as many as was fixed beforehand or chosen on the other half."""
    drawn = np.array([ctx.rng(f"canary:{i}").random() for i in scored.ids])  # breaks ties, and halves
    share, counted, ties = params.guessed, scored, drawn
    if params.choose == "half":
        first = np.argsort(np.argsort(drawn, kind="stable")) < scored.n // 2
        share = _best_share(scored.only(first), drawn[first], params)
        counted, ties = scored.only(~first), drawn[~first]
    right = right_guesses(counted, ties)
    guesses = 2 * min(int(share * counted.n / 2 + 1e-9), len(right) - 1)
    reason = too_many_errors(scored.missing, scored.n, params.max_error_rate)
    if not reason and 0.5**guesses > params.beta:
        needed = math.ceil(math.log2(1 / params.beta))
        reason = (
            f"{guesses} guesses about {counted.n} canaries prove nothing even if all are right; it takes at least "
            f"{needed + needed % 2}. Insert more canaries, or guess a larger share of them."
        )
    return Found(counted.n, guesses, right, share, reason)


def right_guesses(scored: Canaries, ties: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many of 2k guesses are right, for k = 0, 1, …: the k highest scores guessed in, the k lowest out.

    Canaries without an answer are not guessed. `ties` orders equal scores, whatever their coins.
    """
    known = np.flatnonzero(~np.isnan(scored.scores))
    order = known[np.lexsort((ties[known], scored.scores[known]))]
    half = len(order) // 2
    out, inside = order[:half], order[::-1][:half]
    hits = (~scored.included[out]).astype(np.int64) + scored.included[inside]
    return np.concatenate([[0], np.cumsum(hits)])


def _best_share(scored: Canaries, ties: NDArray[np.float64], params: AuditParams) -> float:
    """The share that proves most on these canaries, which are then spent; the one asked for where none proves any."""
    right = right_guesses(scored, ties)
    best, found = params.guessed, 0.0
    for share in SHARES:
        k = min(int(share * scored.n / 2 + 1e-9), len(right) - 1)
        bound = epsilon_lower_bound(scored.n, 2 * k, int(right[k]), params.delta, params.beta)
        if bound > found:
            best, found = share, bound
    return best


def measure(found: Found, params: AuditParams) -> list[Metric]:
    """Every metric of privacy.dp_audit."""
    if found.reason:
        return [not_estimable(name, found.canaries, found.reason) for name in NAMES]
    return [
        Metric(name="epsilon_lower_bound", value=_bound(found, found.hits, params), n=found.guesses),
        *_claim(found, params),
        Metric(
            name="guess_accuracy",
            value=found.hits / found.guesses,
            interval=stats.clopper_pearson(found.hits, found.guesses),
            n=found.guesses,
        ),
    ]


def _bound(found: Found, right: int, params: AuditParams) -> float:
    return epsilon_lower_bound(found.canaries, found.guesses, right, params.delta, params.beta)


def _claim(found: Found, params: AuditParams) -> list[Metric]:
    """Whether the claimed ε is refuted. One that no guesses could refute is not said to have stood the test."""
    names, n, claimed = ("refuted", "claim_p"), found.guesses, params.claimed_epsilon
    if claimed is None:
        reason = "No ε is claimed. State the one that the training's accountant gave."
        return [not_estimable(name, n, reason) for name in names]
    ceiling = _bound(found, found.guesses, params)
    if ceiling < claimed:
        reason = (
            f"{found.guesses} guesses about {found.canaries} canaries show at most ε = {ceiling:.3g}, even if all are "
            f"right: the claim of {claimed:.3g} could not be refuted. Insert more canaries."
        )
        return [not_estimable(name, n, reason) for name in names]
    p = p_value(found.canaries, found.guesses, found.hits, claimed, params.delta)
    refuted = p <= params.beta
    interval = Interval(low=float(refuted), high=1.0, method="one_run_audit", level=1 - params.beta, sides=1)
    return [
        Metric(name="refuted", value=float(refuted), interval=interval, n=n),
        Metric(name="claim_p", value=p, n=n),
    ]


def warnings(found: Found, params: AuditParams) -> list[str]:
    """In words: refuted, or not refuted, which is no proof; and what the bound takes for granted."""
    if found.reason:
        return []
    said = []
    claim = next(m for m in _claim(found, params) if m.name == "refuted")
    bound, claimed = _bound(found, found.hits, params), f"ε = {params.claimed_epsilon}, δ = {params.delta:g}"
    if claim.value == 1:
        said.append(f"Refuted: the canaries show ε ≥ {bound:.3g}, and {claimed} is claimed.")
    elif claim.value == 0:
        said.append(
            f"Not refuted: {claimed} is claimed, and the canaries show ε ≥ {bound:.3g}. That is no proof of the "
            "claim; a stronger attack or more canaries may still refute it."
        )
    said.append(
        "The bound holds only if a fair coin of its own decided about each canary, and nothing else depended on them. "
        "From the data alone that cannot be seen."
    )
    if params.choose == "half":
        said.append(
            f"A share of {found.share:.0%} was chosen on one half of the canaries; only the other half counts."
        )
    return said


def curve(found: Found) -> list[tuple[int, int]]:
    """(guesses, right ones) along the chart; what was counted is among them."""
    ks = np.unique(np.linspace(1, len(found.right) - 1, POINTS).astype(int))
    return [(2 * int(k), int(found.right[k])) for k in sorted({*ks.tolist(), found.guesses // 2})]


def permitted(params: AuditParams) -> float | None:
    """The share of right guesses that the claimed ε permits on average, where δ is 0."""
    return None if params.claimed_epsilon is None else 1 / (1 + math.exp(-params.claimed_epsilon))
