"""Canaries whose inclusion in the training was an independent fair coin: which rows, and how the coin fell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import stats as distributions

from evaluations.data import coded_columns
from evaluations.spec import EvaluationError, Role

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.data.dataset import Dataset

IMPLAUSIBLE = 1e-6  # a count of heads that fair coins give more seldom comes of no fair coins


def canaries(data: Dataset) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Row numbers of the canaries, and whether each was included. Raises EvaluationError where no coins were tossed."""
    held = data.ref.columns(Role.RANDOMISED_INCLUSION)
    if len(held) != 1:
        raise EvaluationError(
            "randomised_inclusion_missing" if not held else "randomised_inclusion_many",
            "Exactly one column must have the role 'randomised_inclusion': for each canary 1 or 0, as an independent "
            "fair coin fell that decided whether it was put into the training data; empty for every other row. "
            "`auditor data coins` tosses them before a training. Canaries that were chosen in another way cannot be "
            "used: then audit with privacy.membership.",
            skipped=not held,
        )
    said = coded_columns.read(data, Role.RANDOMISED_INCLUSION)
    assert said is not None  # a column has the role
    rows = np.flatnonzero(~np.isnan(said))
    fell = said[rows] == 1
    _check_fair(held[0], fell)
    return rows, fell


def _check_fair(column: str, fell: NDArray[np.bool_]) -> None:
    n, heads = len(fell), int(fell.sum())
    if n == 0:
        raise EvaluationError(
            "no_canaries",
            f"Column {column!r} is empty in every row: there are no canaries. Mark each with 1 or 0, as its coin fell.",
        )
    if heads in (0, n) or float(distributions.binomtest(heads, n).pvalue) < IMPLAUSIBLE:
        raise EvaluationError(
            "coins_not_fair",
            f"{heads} of {n} canaries were included, which independent fair coins do not give. The bound holds only "
            "where a coin of its own decided about each canary; list those that were left out too, with 0.",
        )
