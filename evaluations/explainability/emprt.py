"""Whether explanations grow more complex when the network's weights are drawn anew: the efficient MPRT.

Hedström et al. 2024, arXiv 2401.06465: the complexity of an explanation is the entropy of the histogram of its
attributions, and eMPRT the relative rise of it from the trained network to a randomised one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 100  # equally wide, from the smallest to the largest attribution of the explanation


def complexity(values: NDArray[np.float64]) -> float:
    """Entropy in nats of the histogram of (F,) attributions; 0 where they never vary."""
    if np.ptp(values) <= 0:
        return 0.0
    held = np.histogram(values, bins=BINS)[0] / len(values)
    held = held[held > 0]
    return float(-(held * np.log(held)).sum())
