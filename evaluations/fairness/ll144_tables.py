"""The numbers of fairness.ll144: counts by category, rates, impact ratios, and who is in none of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from evaluations import charts, records, scoring, stats
from evaluations.fairness.group import favourable
from evaluations.spec import Chart, Coverage, EvaluationError, Interval, Metric, Role, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.fairness.ll144 import LL144Params

RATES = (("selection_rate", "impact_ratio"), ("scoring_rate", "scoring_impact_ratio"))
NAMES = (*(name for pair in RATES for name in pair), "unknown_category")


@dataclass(frozen=True)
class Audit:
    metrics: list[Metric]
    charts: list[Chart]
    warnings: list[str]
    coverage: Coverage


def categories(data: Dataset, params: LL144Params) -> dict[str, NDArray[np.str_]]:
    """Category of each applicant by sex, by race or ethnicity, and by both; "" where it is not known."""
    sensitive = data.ref.columns(Role.SENSITIVE)
    for column in (params.sex_column, params.race_column):
        if column not in sensitive:
            raise EvaluationError(
                "ll144_columns",
                f"Local Law 144 wants rates by sex and by race or ethnicity; there is no sensitive column {column!r} "
                f"(sensitive columns: {', '.join(map(repr, sensitive)) or 'none'}). Name both in the parameters.",
                skipped=True,
            )
    unknown = list(params.unknown)
    sex, race = (
        np.where(np.isin(data.groups(c), unknown), "", data.groups(c))
        for c in (params.sex_column, params.race_column)
    )
    both = np.char.add(np.char.add(sex, " & "), race)
    both = np.where((sex == "") | (race == ""), "", both)
    return {
        params.sex_column: sex,
        params.race_column: race,
        f"{params.sex_column} & {params.race_column}": both,
    }


def audit(states: Sequence[ShardState], data: Dataset, params: LL144Params, ctx: Context) -> Audit:
    every: NDArray[np.int64] = np.arange(data.rows)
    table = records.join(states, {"probs": pa.list_(pa.float64())}, data, every)
    labels = scoring.labels_of(states, ctx)
    wanted = favourable(data, labels)
    probs, errors = scoring.read_probs(table.column("probs"), len(labels))
    order = records.rows_by_id(data, every)
    failed = int(errors.sum())
    coverage = Coverage(attempted=data.rows, scored=data.rows - failed, failed=failed)
    columns = {name: groups[order] for name, groups in categories(data, params).items()}
    if reason := records.too_many_errors(failed, data.rows, params.max_error_rate):
        metrics = [
            records.not_estimable(name, data.rows, reason, column) for column in columns for name in NAMES
        ]
        return Audit(metrics, [], [], coverage)
    graded = all(scoring.GRADED not in (s.records.schema.metadata or {}) for s in states)
    score = np.where(errors, np.nan, probs[:, wanted])
    selected = ~errors & (np.argmax(np.nan_to_num(probs), axis=1) == wanted)
    above = ~errors & (
        np.nan_to_num(score, nan=-np.inf) > np.nanmedian(score)
    )  # strictly above the median of all
    clusters = None if data.clusters is None else data.clusters[order]
    metrics, plots, warnings = [], [], []
    for number, (column, groups) in enumerate(columns.items(), 1):
        found, left_out = _of_column(
            column, groups, (selected, above if graded else None), errors, clusters, params
        )
        metrics += found
        plots += _bars(number, column, found)
        warnings += left_out
    return Audit(metrics, plots, warnings, coverage)


def _of_column(
    column: str,
    groups: NDArray[np.str_],
    hits: tuple[NDArray[np.bool_], NDArray[np.bool_] | None],
    errors: NDArray[np.bool_],
    clusters: NDArray[np.str_] | None,
    params: LL144Params,
) -> tuple[list[Metric], list[str]]:
    names = [str(name) for name in np.unique(groups) if name != ""]
    unknown = int((groups == "").sum())
    found = [Metric(name="unknown_category", value=float(unknown), n=len(groups), slice=column)]
    known = len(groups) - unknown
    small = [
        name
        for name in names
        if params.justification and (groups == name).sum() < params.smallest_share * known
    ]
    for (rate, ratio), hit in zip(RATES, hits, strict=True):
        if hit is None:
            reason = "The model names a class and states no score."
            found += [records.not_estimable(name, known, reason, column) for name in (rate, ratio)]
            continue
        parts = {name: _part(groups == name, hit, errors, clusters) for name in names}
        found += [_rate(rate, f"{column}={name}", part) for name, part in parts.items()]
        compared = {name: part for name, part in parts.items() if name not in small and part.n}
        found += _ratios(ratio, column, names, compared)
    warnings = []
    if small:
        sizes = ", ".join(f"{name} (n = {int((groups == name).sum())})" for name in small[:20])
        warnings.append(
            f"Left out of the impact ratios by {column}, each less than {params.smallest_share:.0%} of the "
            f"applicants: {sizes}. Justification: {params.justification}"
        )
    return found, warnings


def _part(
    here: NDArray[np.bool_],
    hit: NDArray[np.bool_],
    errors: NDArray[np.bool_],
    clusters: NDArray[np.str_] | None,
) -> stats.Proportion:
    worth = stats.worth_of_rows(hit[here], ~errors[here], None if clusters is None else clusters[here])
    unknown = int((here & errors).sum())
    return stats.Proportion(int((here & hit).sum()), int((here & ~errors).sum()), unknown, worth)


def _rate(name: str, where: str, part: stats.Proportion) -> Metric:
    n = part.n + part.unknown
    if not part.n:
        return records.not_estimable(name, n, "The model gave no answer for anybody in this category.", where)
    return Metric(name=name, value=part.value, interval=part.interval(), n=n, slice=where)


def _ratios(
    name: str, column: str, names: Sequence[str], compared: dict[str, stats.Proportion]
) -> list[Metric]:
    """Each category's rate over the highest one's, which has the ratio 1 by definition."""
    if len(compared) < 2 or not any(part.successes for part in compared.values()):
        reason = (
            "Fewer than two categories can be compared."
            if len(compared) < 2
            else "No category has anybody: there is no highest rate to divide by."
        )
        return [records.not_estimable(name, 0, reason, column)]
    top = max(compared, key=lambda one: compared[one].value)
    found = []
    for category in names:
        where = f"{column}={category}"
        if category not in compared:
            found.append(
                records.not_estimable(
                    name, 0, "Left out as smaller than the rule's share, or without answers.", where
                )
            )
            continue
        part = compared[category]
        value = part.value / compared[top].value
        interval = None
        if category != top:
            low, high = stats.mover_ratio(part, compared[top])
            if np.isfinite(high):
                interval = Interval(low=min(low, value), high=max(high, value), method="mover_wilson")
        found.append(Metric(name=name, value=value, interval=interval, n=part.n + part.unknown, slice=where))
    return found


def _bars(number: int, column: str, found: Sequence[Metric]) -> list[Chart]:
    plots = []
    for name, title in (("selection_rate", "Selection rate"), ("scoring_rate", "Scoring rate")):
        rates = [(m.slice[len(column) + 1 :], m) for m in found if m.name == name]
        plots += charts.group_bars(f"{name}_{number}", f"{title} by {column}", rates)
    return plots
