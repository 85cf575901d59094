"""The numbers of quality.slices: found on one half of the examples, confirmed on the other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special
from scipy import stats as scipy_stats

from evaluations import stats
from evaluations.quality import halves
from evaluations.quality.slice_conditions import Conditions, conditions
from evaluations.scoring import Scored, not_estimable, too_many_errors
from evaluations.spec import Example, Interval, Metric, Modality

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.data.dataset import Dataset
    from evaluations.quality.slices import SliceParams

PAIRED = 12  # so many of the worst conditions are combined with each other
RATE = 0.05  # false discovery rate
EXAMPLES_EACH = 3
SHOWN = 500  # characters of a text


@dataclass(frozen=True)
class Half:
    """The half that confirms: wrong answers, answers, clusters."""

    rows: NDArray[np.int64]  # positions in the scored rows
    wrong: NDArray[np.bool_]
    answered: NDArray[np.bool_]
    clusters: NDArray[np.str_] | None


@dataclass(frozen=True)
class Slice:
    """A slice that was tested: which rows of the confirming half it holds, and its adjusted p."""

    name: str
    held: NDArray[np.bool_]
    p: float

    @property
    def confirmed(self) -> bool:
        return self.p <= RATE


@dataclass(frozen=True)
class Found:
    half: Half
    slices: tuple[Slice, ...]  # those tested, by p and then by gap

    @property
    def confirmed(self) -> list[Slice]:
        return [s for s in self.slices if s.confirmed]

    @property
    def level(self) -> float:
        """Intervals of the R confirmed of m: 1 − R·q/m keeps the false coverage rate at q."""
        return 1 - max(1, len(self.confirmed)) * RATE / max(1, len(self.slices))


def search(scored: Scored, data: Dataset, params: SliceParams, seed: int) -> Found:
    """Slices that look worse on the first half, tested on the second."""
    names = data.ids if data.clusters is None else data.clusters
    first = halves.first_half(names[scored.rows], seed, "slices")
    wrong, answered = (scored.predicted != scored.truth) & ~scored.errors, ~scored.errors
    at = np.flatnonzero(~first)
    clusters = None if data.clusters is None else data.clusters[scored.rows][at]
    half = Half(at, wrong[at], answered[at], clusters)
    made = conditions(data, scored.rows, params.min_rows)
    chosen = _suspicious(made, wrong, first & answered, scored.n, params)
    tested = [(name, mask[at]) for name, mask in chosen if 0 < mask[at].sum() < len(at)]
    if not tested:
        return Found(half, ())
    p = stats.benjamini_hochberg(np.array([_p(half, held) for _, held in tested]))
    slices = [Slice(name, held, float(q)) for (name, held), q in zip(tested, p, strict=True)]
    return Found(half, tuple(sorted(slices, key=lambda s: (s.p, -_gap(half, s.held), s.name))))


# --- discovery ------------------------------------------------------------------------------------


def _suspicious(
    made: Conditions, wrong: NDArray[np.bool_], use: NDArray[np.bool_], n: int, params: SliceParams
) -> list[tuple[str, NDArray[np.bool_]]]:
    """Conditions, and pairs of them, with more wrong answers than elsewhere among the rows `use`; worst first."""
    total, bad = int(use.sum()), int((wrong & use).sum())
    if not 0 < bad < total:
        return []
    counted = use[made.rows]
    size = np.bincount(made.holds[counted], minlength=len(made.names))
    errors = np.bincount(made.holds[counted & wrong[made.rows]], minlength=len(made.names))
    p = fisher(errors, size, bad, total)
    fit = (size >= params.min_rows) & (errors * total > bad * size)
    order = [int(i) for i in np.lexsort((np.arange(len(p)), p)) if fit[i]]
    found = [(float(p[i]), made.names[i], made.mask(i, n)) for i in order[: params.most]]
    if params.pairs:
        masks = {i: made.mask(i, n) for i in order[:PAIRED]}
        for i, j in itertools.combinations(sorted(masks), 2):
            both = masks[i] & masks[j]
            pair_size, pair_errors = int((both & use).sum()), int((both & use & wrong).sum())
            worse = pair_size and pair_errors / pair_size > max(errors[i] / size[i], errors[j] / size[j])
            if made.attribute[i] != made.attribute[j] and pair_size >= params.min_rows and worse:
                q = float(fisher(np.array([pair_errors]), np.array([pair_size]), bad, total)[0])
                found.append((q, f"{made.names[i]} & {made.names[j]}", both))
    return [(name, mask) for _, name, mask in sorted(found, key=lambda f: (f[0], f[1]))[: params.most]]


def fisher(wrong: NDArray[np.int64], size: NDArray[np.int64], all_wrong: int, n: int) -> NDArray[np.float64]:
    """One-sided exact p that a slice of `size` of n rows holds at least `wrong` of the wrong ones by chance."""
    return np.asarray(scipy_stats.hypergeom.sf(wrong - 1, n, all_wrong, size))


# --- confirmation ---------------------------------------------------------------------------------


def _p(half: Half, held: NDArray[np.bool_]) -> float:
    """One-sided p that the slice is no worse than the rest, over the answered rows.

    In clusters, t with as many degrees of freedom and as much correction as the side with fewer clusters allows: over
    all clusters a slice of one of them would be confirmed 35 times in 100 by chance.
    """
    wrong, inside = half.wrong[half.answered], held[half.answered]
    if half.clusters is None:
        return float(
            fisher(
                np.array([(wrong & inside).sum()]), np.array([inside.sum()]), int(wrong.sum()), len(wrong)
            )[0]
        )
    clusters = half.clusters[half.answered]
    count = stats.cluster_codes(clusters)[1]
    fewer = min(len(np.unique(clusters[side])) for side in (inside, ~inside))
    if fewer < 2:
        return 1.0
    share = inside.mean()
    gap = wrong[inside].mean() - wrong[~inside].mean()
    by_row = np.where(
        inside, (wrong - wrong[inside].mean()) / share, -(wrong - wrong[~inside].mean()) / (1 - share)
    )
    se = stats.clustered_se(by_row, clusters) * math.sqrt(fewer / (fewer - 1) * (count - 1) / count)
    return float(special.stdtr(fewer - 1, -gap / se)) if se > 0 else 1.0


def _gap(half: Half, held: NDArray[np.bool_]) -> float:
    inside, outside = held & half.answered, ~held & half.answered
    if not inside.any() or not outside.any():
        return 0.0
    return float(half.wrong[inside].mean() - half.wrong[outside].mean())


def measure(found: Found, scored: Scored, data: Dataset, params: SliceParams) -> list[Metric]:
    """Every metric of quality.slices."""
    n = scored.n
    reason = too_many_errors(scored, params.max_error_rate)
    if reason:
        names = ("error_rate", "slices_tested", "slices_confirmed", "worst_gap")
        return [not_estimable(name, n, reason) for name in names]
    clusters = None if data.clusters is None else data.clusters[scored.rows]
    whole = stats.proportion(scored.predicted != scored.truth, clusters, ~scored.errors)
    gaps = [_gap_metric(found, s) for s in found.confirmed]
    worst = max(gaps, key=lambda m: m.value or 0.0, default=None)
    return [
        Metric(
            name="error_rate", value=whole.value, interval=whole.interval, n=n, n_effective=whole.n_effective
        ),
        Metric(name="slices_tested", value=len(found.slices), n=n),
        Metric(name="slices_confirmed", value=len(found.confirmed), n=n),
        worst.model_copy(update={"name": "worst_gap", "slice": "all"})
        if worst
        else not_estimable("worst_gap", n, "No slice was confirmed to be worse than the rest."),
        *(_rate(found, s) for s in found.confirmed),
        *gaps,
        *(Metric(name="slice_p", value=s.p, n=int(s.held.sum()), slice=s.name) for s in found.confirmed),
    ]


def _share(found: Found, held: NDArray[np.bool_]) -> stats.Estimate:
    half = found.half
    clusters = None if half.clusters is None else half.clusters[held]
    return stats.proportion(half.wrong[held], clusters, half.answered[held], level=found.level)


def _rate(found: Found, chosen: Slice) -> Metric:
    share = _share(found, chosen.held)
    return Metric(
        name="slice_error_rate",
        value=share.value,
        interval=share.interval,
        n=share.n,
        n_effective=share.n_effective,
        slice=chosen.name,
    )


def _gap_metric(found: Found, chosen: Slice) -> Metric:
    a, b = _share(found, chosen.held), _share(found, ~chosen.held)
    value = a.value - b.value
    low = value - math.hypot(a.value - a.interval.low, b.interval.high - b.value)
    high = value + math.hypot(a.interval.high - a.value, b.value - b.interval.low)
    interval = Interval(low=max(-1.0, low), high=min(1.0, high), method="mover_wilson", level=found.level)
    return Metric(name="slice_gap", value=value, interval=interval, n=a.n, slice=chosen.name)


# --- shown to people ------------------------------------------------------------------------------


def bars(found: Found, scored: Scored) -> Sequence[tuple[str, Metric]]:
    """All examples, then the confirmed slices; where there are none, the five most suspicious ones."""
    half = found.half
    if not half.answered.any():
        return []
    every = _share(found, np.ones(len(half.rows), dtype=bool))
    whole = Metric(name="error_rate", value=every.value, interval=every.interval, n=every.n)
    shown = found.confirmed or found.slices[:5]
    rows = [
        (s.name if s.confirmed else f"{s.name} (not confirmed)", _rate(found, s))
        for s in shown
        if (s.held & half.answered).any()
    ]
    return [("all examples", whole), *rows]


def examples(found: Found, scored: Scored, data: Dataset) -> list[Example]:
    """Wrong answers of each confirmed slice, the surest first, each example once."""
    confidence = np.nan_to_num(scored.probs).max(axis=1)
    shown: dict[str, Example] = {}
    for one in found.confirmed:
        inside = found.half.rows[one.held & found.half.wrong]
        for i in inside[np.argsort(-confidence[inside], kind="stable")][:EXAMPLES_EACH]:
            row = int(scored.rows[i])
            text = data.texts[row][:SHOWN] if data.modality is Modality.TEXT_CLASSIFIER else ""
            facts: dict[str, str | float | int] = {
                "slice": one.name,
                "true class": scored.labels[scored.truth[i]],
                "answer": scored.labels[scored.predicted[i]],
                "confidence": round(float(confidence[i]), 4),
            }
            shown.setdefault(
                str(data.ids[row]),
                Example(id=str(data.ids[row]), kind="wrong_in_slice", before=text, facts=facts),
            )
    return list(shown.values())
