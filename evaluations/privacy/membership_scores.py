"""The numbers of privacy.membership: what each attack finds on rows that nothing of it was fitted to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evaluations import stats
from evaluations.privacy import blind, membership_attacks
from evaluations.privacy.membership_parts import TEST, THRESHOLD
from evaluations.privacy.operating import METHOD, Attack, Bounds
from evaluations.quality import halves
from evaluations.records import not_estimable, too_many_errors
from evaluations.spec import Interval, Metric, MetricStatus

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.charts.roc import Point
    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.privacy.blind import Blind
    from evaluations.privacy.membership import MembershipParams
    from evaluations.privacy.membership_answers import Rows

RATES = {"1pct": 0.01, "01pct": 0.001}
TOLD = {"1pct": "1 %", "01pct": "0.1 %"}
HEADLINES = ("auc", *(f"tpr_at_fpr_{end}" for end in RATES))
GAP = "accuracy_gap"
ALIKE = 0.5  # of the answers: a share from which it is said that they have one and the same loss
LANGUAGE = "A language model has no right class to be more accurate about."
UNMADE = {
    "min_k_pp": "The model's service does not tell how likely other tokens were.",
    "quantile": f"Fewer than {membership_attacks.FEWEST_FIT} non-members are there to fit a regression to, a quarter "
    "of all.",
    "combined": f"Fewer than {membership_attacks.FEWEST_FIT} members or non-members are there to fit a combination to, "
    "a quarter of all.",
}


@dataclass(frozen=True)
class Measured:
    """Metrics, and the curves to draw: (false alarms, members found, low, high) per attack."""

    metrics: list[Metric]
    curves: dict[str, list[Point]]
    certified_from: float  # the lowest rate of false alarms at which anything is vouched for
    blind: Blind | None


def measure(rows: Rows, data: Dataset, params: MembershipParams, ctx: Context) -> Measured:
    """Every metric of privacy.membership, confounded where members and non-members differ by themselves."""
    attacks, unmade, names = {}, {}, membership_attacks.names(rows)
    if reason := _unanswered(rows, params):
        return Measured(_nothing(names, rows, MetricStatus.NOT_ESTIMABLE, reason), {}, 1.0, None)
    gate = blind.told_apart(data, rows.rows, rows.member, rows.clusters, ctx.seed)
    seen = _blind_metric(gate)
    if reason := gate.confounded(params.blind_limit):
        found = _nothing(names, rows, MetricStatus.CONFOUNDED, reason)
        return Measured([seen, *found[1:]], {}, 1.0, gate)
    ties = halves.uniforms(data.ids[rows.rows], ctx.seed, "membership ties")
    for name, score in membership_attacks.scores(data, rows, params).items():
        unmade[name] = _why_not(name, score, rows, params)
        attacks[name] = Attack(score, rows.member, rows.part, ties, rows.clusters)
    made = {name: attack for name, attack in attacks.items() if not unmade[name]}
    outside = int(((rows.part == TEST) & ~rows.member).sum())
    per_attack = [m for name in names for m in _of_attack(name, attacks[name], unmade[name], rows, outside)]
    metrics = [seen, *headlines(made, int((rows.part == TEST).sum()), outside), _gap(rows), *per_attack]
    curves = {name: attack_curve(attack) for name, attack in made.items()}
    return Measured(metrics, curves, 1 - ((1 - stats.LEVEL) / 2) ** (1 / outside), gate)


def warnings(rows: Rows) -> list[str]:
    """What a reader should know of the rows."""
    found = []
    if rows.twice:
        found.append(
            f"{rows.twice} rows were left out: the same input is there as a member and as a non-member, and nobody can "
            "tell such rows apart. Remove duplicates before holding rows out of training."
        )
    if not rows.answers.graded:
        found.append(
            "The model named a class alone, so that a single attack is possible. Whoever is shown its probabilities "
            "may find more members: audit the model as it is offered to them."
        )
        return found
    _, counts = np.unique(rows.answers.loss[~rows.answers.errors], return_counts=True)
    if counts.max(initial=0) >= max(2, ALIKE * rows.n):
        found.append(
            f"{counts.max():,} of {rows.n:,} answers give what is true the very same probability, and nothing tells "
            "such rows apart. If the answers are rounded, whoever is shown them unrounded may find more members."
        )
    return found


def attack_curve(attack: Attack) -> list[Point]:
    """Members found at rates of false alarms from 1e-4 (or one of the non-members) to 1, on a log scale."""
    from evaluations.charts.roc import rates

    found: list[Point] = []
    for fpr in rates(int(attack.side(THRESHOLD, TEST, member=False).answered.sum())):
        at = attack.tpr(fpr)
        found.append((fpr, at.value, at.low, at.high))
    return found


def blind_curve(gate: Blind) -> list[Point]:
    """The same of the classifier that never saw the model; its folds leave no honest band."""
    from evaluations.charts.roc import rates

    if gate.score is None or gate.member is None:
        return []
    outside = np.sort(gate.score[~gate.member])[::-1]
    found: list[Point] = []
    for fpr in rates(len(outside)):
        passed = int(fpr * len(outside) + 1e-9)
        limit = outside[passed] if passed < len(outside) else -np.inf
        found.append((fpr, float((gate.score[gate.member] > limit).mean()), None, None))
    return found


def _unanswered(rows: Rows, params: MembershipParams) -> str:
    """Why nothing can be estimated, or ""."""
    if not rows.n:
        return "Every input is there as a member and as a non-member. Hold other rows out of training."
    answered = ~rows.answers.errors
    return too_many_errors(int((~answered).sum()), rows.n, params.max_error_rate) or _empty(rows, answered)


def _empty(rows: Rows, told: NDArray[np.bool_]) -> str:
    """Which side of which part has no row that is `told`, or ""."""
    for part, what in ((THRESHOLD, "set thresholds by"), (TEST, "report on")):
        for member, which in ((False, "non-member"), (True, "member")):
            if not ((rows.part == part) & (rows.member == member) & told).any():
                return f"No {which} with an answer is left to {what}. Add rows of both kinds, a few thousand of each."
    return ""


def _why_not(name: str, score: NDArray[np.float64], rows: Rows, params: MembershipParams) -> str:
    """Why an attack cannot be judged, or ""."""
    missing = int(np.isnan(score).sum())
    if missing == rows.n and name in UNMADE:
        return UNMADE[name]
    if missing > params.max_error_rate * rows.n:
        return (
            f"This attack has no score for {missing} of {rows.n} rows, more than the {params.max_error_rate:.0%} that "
            "the parameters allow."
        )
    return _empty(rows, ~np.isnan(score))


def _nothing(names: Sequence[str], rows: Rows, status: MetricStatus, reason: str) -> list[Metric]:
    sliced = [f"attack_{name}" for name in (*HEADLINES, *(f"fpr_{end}" for end in RATES))]
    wanted = [("blind_auc", "all"), *((name, "all") for name in (*HEADLINES, GAP))]
    wanted += [(name, f"attack={attack}") for attack in names for name in sliced]
    return [
        Metric(name=name, value=None, n=rows.n, slice=where, status=status, reason=reason)
        for name, where in wanted
    ]


def _blind_metric(gate: Blind) -> Metric:
    if gate.interval is None:
        return not_estimable("blind_auc", gate.n, blind.TOO_FEW)
    return Metric(name="blind_auc", value=gate.value, interval=gate.interval, n=gate.n)


def _too_few(end: str, outside: int) -> str:
    """Why a rate of false alarms this low is not reported on, or ""."""
    needed = stats.n_without_events(RATES[end])
    if outside >= needed:
        return ""
    return (
        f"At {TOLD[end]} false alarms {needed:,} non-members are needed in the part that is reported on, which is half "
        f"of all; it has {outside:,}."
    )


def _of_attack(name: str, attack: Attack, unmade: str, rows: Rows, outside: int) -> list[Metric]:
    where, n = f"attack={name}", int((rows.part == TEST).sum())
    if unmade:
        ends = [f"attack_{m}" for m in (*HEADLINES, *(f"fpr_{end}" for end in RATES))]
        return [not_estimable(m, n, unmade, where) for m in ends]
    area = attack.auc()
    found = [_metric("attack_auc", area, "newcombe_auc", n, where)]
    for end, fpr in RATES.items():
        names = f"attack_tpr_at_fpr_{end}", f"attack_fpr_{end}"
        if reason := _too_few(end, outside):
            found += [not_estimable(m, outside, reason, where) for m in names]
            continue
        found.append(_metric(names[0], attack.tpr(fpr), METHOD, n - outside, where))
        alarms = attack.false_alarms(fpr)
        found.append(
            Metric(name=names[1], value=alarms.value, interval=alarms.interval, n=outside, slice=where)
        )
    return found


def headlines(made: Mapping[str, Attack], n: int, outside: int) -> list[Metric]:
    """The strongest attack by the threshold part, measured on the test part of n rows; ends that hold for all."""
    if not made:
        reason = "No attack could be made. See the reasons of each."
        return [not_estimable(name, n, reason) for name in HEADLINES]
    level = 1 - (1 - stats.LEVEL) / len(made)
    strongest = max(made.values(), key=lambda attack: attack.auc(part=THRESHOLD).value)
    found = [
        _largest(
            "auc", strongest.auc(), [a.auc(level) for a in made.values()], [a.auc() for a in made.values()], n
        )
    ]
    for end, fpr in RATES.items():
        if reason := _too_few(end, outside):
            found.append(not_estimable(f"tpr_at_fpr_{end}", outside, reason))
            continue
        strongest = max(
            made.values(),
            key=lambda a: (a.promise(fpr), a.auc(part=THRESHOLD).value),
        )
        found.append(
            _largest(
                f"tpr_at_fpr_{end}",
                strongest.tpr(fpr),
                [a.tpr(fpr, level) for a in made.values()],
                [a.tpr(fpr) for a in made.values()],
                n - outside,
            )
        )
    return found


def _largest(name: str, value: Bounds, together: list[Bounds], single: list[Bounds], n: int) -> Metric:
    """Bounds of the strongest attack's true value, whichever it is.

    Its own upper end is among all attacks' upper ends, so their largest holds without correction; the largest of
    the lower ends was chosen, and needs Bonferroni's.
    """
    low = min(max(b.low for b in together), value.value)
    high = max(b.high for b in single)
    interval = Interval(low=low, high=high, method="largest_over_attacks")
    return Metric(name=name, value=value.value, interval=interval, n=n)


def _gap(rows: Rows) -> Metric:
    """Accuracy on members less accuracy on non-members: how far the model is overfitted."""
    if rows.answers.right is None:
        return not_estimable(GAP, rows.n, LANGUAGE)
    right, answered = rows.answers.right, ~rows.answers.errors
    inside, outside = (
        stats.Proportion(
            int((right & side).sum()),
            int((answered & side).sum()),
            int((~answered & side).sum()),
            stats.worth_of_rows(
                right[side], answered[side], None if rows.clusters is None else rows.clusters[side]
            ),
        )
        for side in (rows.member, ~rows.member)
    )
    value = inside.value - outside.value
    low, high = stats.mover_difference(inside, outside)
    interval = Interval(low=min(low, value), high=max(high, value), method="newcombe_10")
    return Metric(name=GAP, value=value, interval=interval, n=rows.n)


def _metric(name: str, found: Bounds, method: str, n: int, where: str) -> Metric:
    interval = Interval(low=found.low, high=found.high, method=method)
    return Metric(name=name, value=found.value, interval=interval, n=n, slice=where)
