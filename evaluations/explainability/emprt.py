"""Whether explanations grow more complex when the network's weights are drawn anew: the efficient MPRT.

Hedström et al. 2024, arXiv 2401.06465: eMPRT is the relative rise of the complexity of an explanation from the
trained network to a randomised one. Their complexity is the entropy of the histogram of the attributions. Of the ten
tokens of a short text nearly every explanation fills ten of its hundred bins; the entropy of the features' shares
tells explanations of few features apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 100  # equally wide, from the smallest to the largest attribution of the explanation


def histogram_entropy(values: NDArray[np.float64]) -> float:
    """Entropy in nats of the histogram of (F,) attributions; 0 where they never vary."""
    if np.ptp(values) <= 0:
        return 0.0
    held = np.histogram(values, bins=BINS)[0] / len(values)
    held = held[held > 0]
    return float(-(held * np.log(held)).sum())


def share_entropy(values: NDArray[np.float64]) -> float:
    """Entropy in nats of |φ|/Σ|φ| of (F,) attributions (Bhatt et al. 2020, arXiv 2005.00631).

    Where all are 0 no feature is named before others: ln F, the most there is.
    """
    whole = float(np.abs(values).sum())
    if not whole > 0:
        return float(np.log(len(values)))
    held = np.abs(values) / whole
    held = held[held > 0]
    return float(-(held * np.log(held)).sum())
