"""Whether members and non-members differ without any model: a classifier that never sees the audited one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations import stats
from evaluations.privacy import input_features
from evaluations.privacy.membership_parts import cut
from evaluations.quality import halves
from evaluations.quality.classification_scores import auroc
from evaluations.spec import Interval, Modality

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.data.dataset import Dataset

FOLDS = 5
MOST = 10_000  # rows of each side, so that the smaller one of uneven sides stays whole
FEWEST = 20  # rows of each side
FOLD_ENDS = tuple(k / FOLDS for k in range(1, FOLDS))
# The folds' areas are not independent: by chance two folds are alike, and each then helps to judge the other. Where
# there is nothing to find, areas of K folds correlate by up to 1/(K − 1) (the product of two folds' differences
# enters both), so the variance of their mean is up to twice that of independent rows. Simulated: 1.5 to 2 times.
VARIANCE_FACTOR = 2.0


@dataclass(frozen=True)
class Blind:
    """What a classifier that never saw the model made of the rows. Without an interval it could not be fitted."""

    n: int
    value: float = 0.0
    interval: Interval | None = None
    member: NDArray[np.bool_] | None = None
    score: NDArray[np.float64] | None = None  # rank within its fold, from 0 to 1

    def confounded(self, limit: float) -> str:
        """Why no attack means anything, or "" where the two sides are shown to be alike."""
        if self.interval is None:
            return TOO_FEW
        if self.interval.high <= limit:
            return ""
        if self.interval.low > 0.5:
            return (
                f"Members and non-members differ by themselves: a classifier that never saw the model tells them apart "
                f"with an area under the curve of {self.value:.3f} (95 % interval {self.interval.low:.3f} to "
                f"{self.interval.high:.3f}; allowed: up to {limit:g}). What attacks find may be that difference. Hold "
                "non-members out of the same data at random."
            )
        return (
            "It is not shown that members and non-members are alike: a classifier that never saw the model tells them "
            f"apart with an area under the curve of up to {self.interval.high:.3f}, and up to {limit:g} is allowed. "
            f"With {self.n:,} rows no more can be said. Where both are drawn from the same data at random, 2,000 of "
            "each nearly always pass; 1,000 of each do four times in five."
        )


TOO_FEW = (
    f"Whether members and non-members are alike could not be checked: {FEWEST} rows of each are needed, in several "
    "clusters where rows are clustered."
)


def told_apart(
    data: Dataset,
    rows: NDArray[np.int64],
    member: NDArray[np.bool_],
    clusters: NDArray[np.str_] | None,
    seed: int,
) -> Blind:
    """The mean over folds of the area under the curve, each fold's rows scored by a classifier of the other folds.

    `rows` ascend by example id; `clusters` (n,) say which stay in one fold. Scores of different folds are never ranked
    against each other: that pulls the area below ½ where there is nothing to find.
    """
    chosen = few_of_each(member, halves.uniforms(data.ids[rows], seed, "blind rows"))
    rows, member = rows[chosen], member[chosen]
    clusters = None if clusters is None else clusters[chosen]
    n = len(rows)
    if min(int(member.sum()), int((~member).sum())) < FEWEST:
        return Blind(n)
    fold = cut(data.ids[rows] if clusters is None else clusters, member, seed, "blind folds", FOLD_ENDS)
    return of_folds(input_features.everything(data, rows), member, fold, clusters, data.modality)


def few_of_each(member: NDArray[np.bool_], drawn: NDArray[np.float64]) -> NDArray[np.int64]:
    """Positions of at most MOST members and as many others, ascending: those with the smallest numbers `drawn`."""
    order = np.argsort(drawn, kind="stable")
    return np.sort(np.concatenate([order[member[order] == side][:MOST] for side in (True, False)]))


def of_folds(
    features: Any,
    member: NDArray[np.bool_],
    fold: NDArray[np.int64],
    clusters: NDArray[np.str_] | None,
    modality: Modality,
) -> Blind:
    """`told_apart` with features (n, …) and folds (n,) at hand."""
    areas, score, placed = [], np.full(len(member), np.nan), np.full(len(member), np.nan)
    for k in range(FOLDS):
        held = fold == k
        if not _both(member[held]) or not _both(member[~held]):
            continue
        model = classifier(modality).fit(features[~held], member[~held])
        found = model.predict_proba(features[held])[:, 1]
        areas.append(auroc(member[held], found))
        score[held] = np.argsort(np.argsort(found, kind="stable"), kind="stable") / max(1, held.sum() - 1)
        placed[held] = placements(member[held], found)
    judged = np.isfinite(score)
    if len(areas) < 2:
        return Blind(len(member))
    worth = [
        (worth_of(placed[side], None if clusters is None else clusters[side])) / VARIANCE_FACTOR
        for side in (judged & member, judged & ~member)
    ]
    value = float(np.mean(areas))
    interval = stats.auc_interval(value, *worth)
    return Blind(len(member), value, interval, member[judged], score[judged])


def placements(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) share of the other side that each row ranks above, ties half (DeLong, DeLong & Clarke-Pearson 1988)."""
    found: NDArray[np.float64] = np.empty(len(score))
    for side in (positive, ~positive):
        others = np.sort(score[~side])
        below = np.searchsorted(others, score[side], "left") + np.searchsorted(others, score[side], "right")
        found[side] = below / (2 * max(1, len(others)))
    return found


def worth_of(placed: NDArray[np.float64], clusters: NDArray[np.str_] | None) -> float:
    """How many independent rows (n,) placements are worth: n, or fewer where they come in clusters."""
    if clusters is None:
        return float(len(placed))
    return max(1.0, min(float(len(placed)), stats.interval_n(placed, clusters)))


def classifier(modality: Modality) -> Any:
    """Gradient boosting for columns, logistic regression for everything else."""
    if modality is Modality.TABULAR:
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier(
            max_iter=50, max_leaf_nodes=15, early_stopping=False, random_state=0
        )
    from sklearn.linear_model import LogisticRegression

    if modality is Modality.IMAGE_CLASSIFIER:
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
    return LogisticRegression(solver="liblinear", dual=True, max_iter=1_000, random_state=0)


def _both(member: NDArray[np.bool_]) -> bool:
    return bool(member.any() and not member.all())
