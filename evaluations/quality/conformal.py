"""Split conformal prediction sets: threshold from calibration rows, coverage and size on the others."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from evaluations import stats
from evaluations.quality import halves
from evaluations.scoring import Scored, not_estimable, too_many_errors
from evaluations.spec import Interval, Metric, MetricStatus

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.data.dataset import Dataset
    from evaluations.quality.selective_conformal import SelectiveParams

NAMES = ("coverage", "coverage_band_low", "coverage_band_high", "set_size")


def parts(
    data: Dataset, scored: Scored, seed: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Which rows calibrate, which test the sets, and over which risk is measured.

    The declared calibration split, else a seeded half of the rows (of clusters, where there are any).
    Rows to train on and rows from elsewhere are neither.
    """
    every: NDArray[np.bool_] = np.ones(scored.n, dtype=bool)
    split = None if data.split is None else data.split[scored.rows]
    if split is not None:
        every = np.isin(split, ("train", "ood"), invert=True)
        if (split == "test").any():
            every = np.isin(split, ("test", "calibration"))
    if split is not None and (split == "calibration").any():
        calibration = split == "calibration"
        return calibration, every & ~calibration, every & ~calibration
    names = data.ids if data.clusters is None else data.clusters
    calibration = np.zeros(scored.n, dtype=bool)
    calibration[every] = halves.first_half(names[scored.rows[every]], seed, "conformal")
    return calibration, every & ~calibration, every


def class_scores(probs: NDArray[np.float64], score: str, u: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, K) non-conformity of each class; (n,) uniforms `u` randomise APS.

    LAC: 1 − p_k. APS: the probability of all classes before k in falling order, and u of its own.
    """
    if score == "lac":
        return 1 - probs
    order = np.argsort(-probs, axis=1, kind="stable")
    ranked = np.take_along_axis(probs, order, axis=1)
    before = np.cumsum(ranked, axis=1) - ranked
    scores = np.empty_like(probs)
    np.put_along_axis(scores, order, before + u[:, None] * ranked, axis=1)
    return scores


def threshold(scores: NDArray[np.float64], alpha: float) -> float:
    """The ⌈(n + 1)(1 − α)⌉-th smallest of n calibration scores, +∞ where there are too few."""
    rank = stats.conformal_rank(len(scores), alpha)
    return math.inf if rank > len(scores) else float(np.partition(scores, rank - 1)[rank - 1])


def measure(
    scored: Scored,
    calibration: NDArray[np.bool_],
    test: NDArray[np.bool_],
    data: Dataset,
    params: SelectiveParams,
    seed: int,
) -> list[Metric]:
    """Coverage, the band it should lie in, coverage per class, and the size of the sets."""
    names, n = scored.labels, int(test.sum())
    reason = _reason(scored, calibration, test, params)
    if reason:
        found = [not_estimable(name, n, reason) for name in NAMES]
        return found + [not_estimable("class_coverage", n, reason, f"class={name}") for name in names]
    u = halves.uniforms(data.ids[scored.rows], seed, "aps") if params.score == "aps" else np.zeros(scored.n)
    scores = class_scores(scored.probs, params.score, u)
    own = scores[np.arange(scored.n), scored.truth]
    # A calibration row without an answer may have had any score: it lowers or raises the threshold.
    fit = own[calibration]
    missing = np.isnan(fit)
    q, low_q, high_q = (
        threshold(values, params.alpha)
        for values in (fit[~missing], np.where(missing, -np.inf, fit), np.where(missing, np.inf, fit))
    )
    rows = _Rows(own[test], scores[test], scored.errors[test], (q, low_q, high_q))
    clusters = None if data.clusters is None else data.clusters[scored.rows][test]
    every: NDArray[np.bool_] = np.ones(n, dtype=bool)
    band = stats.coverage_band(int((~missing).sum()), n, params.alpha)
    return [
        rows.coverage("coverage", "all", every, clusters),
        Metric(name="coverage_band_low", value=band[0], n=n),
        Metric(name="coverage_band_high", value=band[1], n=n),
        rows.size(clusters, len(names)),
        *(
            rows.coverage("class_coverage", f"class={name}", scored.truth[test] == k, clusters)
            for k, name in enumerate(names)
        ),
    ]


def warnings(sets: list[Metric], params: SelectiveParams) -> list[str]:
    """Whether the coverage lies in its band."""
    values = {m.name: m.value for m in sets if m.status is MetricStatus.OK and m.slice == "all"}
    if "coverage" not in values:
        return []
    seen, low, high = (values[name] or 0.0 for name in NAMES[:3])
    band = f"the band {low:.1%} to {high:.1%} of sets made for {1 - params.alpha:.1%}"
    if seen < low:
        return [
            f"Sets cover {seen:.1%}, below {band}: calibration and test examples are not alike "
            "(other times, other people, or clusters split between them)."
        ]
    if seen > high:
        return [
            f"Sets cover {seen:.1%}, above {band}: larger than need be, mostly because of tied probabilities."
        ]
    return []


def _reason(
    scored: Scored, calibration: NDArray[np.bool_], test: NDArray[np.bool_], params: SelectiveParams
) -> str:
    both = scored.only(calibration | test)
    if not both.n or not test.any():
        return "There are no test examples beside those that calibrate."
    if found := too_many_errors(both, params.max_error_rate):
        return found
    n = int((calibration & ~scored.errors).sum())
    if stats.conformal_rank(n, params.alpha) > n:
        needed = math.ceil(1 / params.alpha - 1e-9) - 1
        return (
            f"{n} calibration examples give no threshold: it takes {needed} to leave out {params.alpha:.1%}."
        )
    if not (test & ~scored.errors).any():
        return "The model gave no answer to any test example."
    return ""


class _Rows:
    """The test rows: score of the true class, scores of all, no answer, and the thresholds (point, low, high)."""

    def __init__(
        self,
        own: NDArray[np.float64],
        scores: NDArray[np.float64],
        errors: NDArray[np.bool_],
        thresholds: tuple[float, float, float],
    ) -> None:
        self.own, self.scores, self.errors, self.thresholds = own, scores, errors, thresholds

    def coverage(
        self, name: str, where: str, held: NDArray[np.bool_], clusters: NDArray[np.str_] | None
    ) -> Metric:
        """Share covered among `held`: the lower end at the lower threshold, the upper at the higher."""
        n, answered = int(held.sum()), ~self.errors[held]
        if not answered.any():
            return not_estimable(name, n, "No test example of this class has an answer.", where)
        own, groups = self.own[held], None if clusters is None else clusters[held]
        point, low, high = (
            stats.proportion(np.where(answered, own, np.inf) <= q, groups, answered) for q in self.thresholds
        )
        return Metric(
            name=name,
            value=point.value,
            interval=stats.spanning(low.interval, high.interval, point.value),
            n=n,
            n_effective=min(low.n_effective, high.n_effective),
            slice=where,
        )

    def size(self, clusters: NDArray[np.str_] | None, classes: int) -> Metric:
        """Mean number of classes; a row without an answer counts as an empty set, or as all classes."""
        sizes = [(self.scores <= q).sum(axis=1).astype(np.float64) for q in self.thresholds]
        value = float(sizes[0][~self.errors].mean())
        low = stats.mean_interval(np.where(self.errors, 0, sizes[1]), clusters=clusters)
        high = stats.mean_interval(np.where(self.errors, classes, sizes[2]), clusters=clusters)
        interval = None
        if low and high:
            interval = Interval(
                low=min(value, max(0.0, low.low)),
                high=max(value, min(float(classes), high.high)),
                method=low.method,
            )
        return Metric(name="set_size", value=value, interval=interval, n=len(self.errors))
