"""The bootstrap of the area under the curve against drawing rows and asking scikit-learn anew."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from evaluations.stats.ranking import auc_bootstrap


def data(n: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < 0.4
    score = np.round(rng.normal(size=n) + positive, 1)  # rounded, so that there are ties
    return positive, score, rng.integers(0, 3, n)


def test_each_draw_equals_scikit_learn_on_the_same_rows() -> None:
    positive, score, groups = data()
    found = auc_bootstrap(positive, score, groups, np.random.default_rng(7), draws=20)
    order = np.lexsort((score, groups))
    rng = np.random.default_rng(7)
    for areas in found:
        rows = order[rng.integers(0, len(score), len(score))]
        for group, area in enumerate(areas):
            here = rows[groups[rows] == group]
            assert area == pytest.approx(roc_auc_score(positive[here], score[here]))


def test_a_group_of_one_class_has_no_area() -> None:
    positive, score, groups = data()
    positive[groups == 1] = True
    found = auc_bootstrap(positive, score, groups, np.random.default_rng(0), draws=5)
    assert np.isnan(found[:, 1]).all()
    assert np.isfinite(found[:, [0, 2]]).all()
