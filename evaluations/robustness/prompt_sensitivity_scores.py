"""The numbers of robustness.prompt_sensitivity: accuracies by template, their spread, chance and noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from evaluations import charts, stats
from evaluations.records import not_estimable, too_many_errors
from evaluations.robustness.prompt_sensitivity_answers import NONE, Asked
from evaluations.robustness.prompt_sensitivity_spread import (
    chance_spreads,
    noise_spread,
    spread_bounds,
    spread_of,
)
from evaluations.spec import Chart, Example, Interval, Metric

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.robustness.prompt_sensitivity import PromptSensitivityParams

OVER_TEMPLATES = ("spread", "spread_excess", "spread_p", "worst_accuracy", "disagreement")
OF_REPEATS = ("repeat_disagreement", "repeatability_floor")
SHOWN, SHOWN_CHARACTERS, FACT_CHARACTERS = 20, 2000, 120
LABEL_CHARACTERS = 80
MANY_UNREAD = 0.1


def measure(asked: Asked, params: PromptSensitivityParams, ctx: Context) -> list[Metric]:
    """Every metric of robustness.prompt_sensitivity."""
    first, n = asked.missing[:, : asked.count], asked.n
    reason = too_many_errors(int(first.any(axis=1).sum()), n, params.max_error_rate)
    every = [_accuracy(asked, t, params) for t in range(asked.count)]
    if not asked.task.likely:
        every += [_unparsed(asked, t, params) for t in range(asked.count)]
    floor = _repeats(asked, params)
    if reason:
        return [*(not_estimable(name, n, reason) for name in OVER_TEMPLATES), *every, *floor]
    return [*_over_templates(asked, floor[1], ctx), *every, *floor]


# --- one template --------------------------------------------------------------------------------------


def _accuracy(asked: Asked, template: int, params: PromptSensitivityParams) -> Metric:
    where, missing = f"template={template + 1}", asked.missing[:, template]
    reason = too_many_errors(int(missing.sum()), asked.n, params.max_error_rate)
    if reason:
        return not_estimable("accuracy", asked.n, reason, where)
    value = float(asked.right[~missing, template].mean())
    low, high = _ends(asked, template, stats.LEVEL)
    method = "wilson" if asked.clusters is None else "wilson_clustered"
    return Metric(
        name="accuracy",
        value=value,
        interval=Interval(low=min(low, value), high=max(high, value), method=method),
        n=asked.n,
        slice=where,
    )


def _ends(asked: Asked, template: int, level: float) -> tuple[float, float]:
    """Wilson's ends: no answer is wrong and right, an answer that could not be read is wrong in the lower alone."""
    known = ~asked.missing[:, template]
    low = stats.proportion(asked.right[:, template], asked.clusters, known, level=level).interval.low
    read = asked.status[:, template] == "ok"
    if not read.any():
        return low, 1.0
    return low, stats.proportion(asked.right[:, template], asked.clusters, read, level=level).interval.high


def _unparsed(asked: Asked, template: int, params: PromptSensitivityParams) -> Metric:
    where, known = f"template={template + 1}", ~asked.missing[:, template]
    reason = too_many_errors(int((~known).sum()), asked.n, params.max_error_rate)
    if reason:
        return not_estimable("unparsed_rate", asked.n, reason, where)
    return _share("unparsed_rate", asked.status[:, template] == "unread", asked, known, where)


def _share(
    name: str, hits: NDArray[np.bool_], asked: Asked, known: NDArray[np.bool_], where: str = "all"
) -> Metric:
    share = stats.proportion(hits, asked.clusters, known)
    return Metric(
        name=name,
        value=share.value,
        interval=share.interval,
        n=asked.n,
        n_effective=share.n_effective,
        slice=where,
    )


# --- over the templates ---------------------------------------------------------------------------------


def _over_templates(asked: Asked, floor: Metric, ctx: Context) -> list[Metric]:
    n, count = asked.n, asked.count
    right, missing = asked.right[:, :count], asked.missing[:, :count]
    complete = ~missing.any(axis=1)
    held = right[complete]
    value = spread_of(held)
    low, high = spread_bounds(right, missing, asked.status[:, :count] == "unread", asked.clusters)
    clusters = None if asked.clusters is None else asked.clusters[complete]
    null = chance_spreads(held, clusters, ctx.rng("permutation:templates"))
    excess = max(0.0, value - max(float(null.mean()), floor.value or 0.0))
    method = "pairwise_newcombe_paired"

    def between(found: float) -> Interval:
        return Interval(low=min(low, found), high=max(high, found), method=method)

    worst = float(held.mean(axis=0).min())
    ends = [_ends(asked, t, 1 - (1 - stats.LEVEL) / count) for t in range(count)]
    return [
        Metric(name="spread", value=value, interval=between(value), n=n),
        Metric(name="spread_excess", value=excess, interval=between(excess), n=n),
        Metric(name="spread_p", value=stats.permutation_p(value, null), n=n),
        Metric(
            name="worst_accuracy",
            value=worst,
            interval=Interval(
                low=min(worst, *(end[0] for end in ends)),
                high=max(worst, min(end[1] for end in ends)),
                method="simultaneous_wilson",
            ),
            n=n,
        ),
        _disagreement("disagreement", asked, range(count), complete),
    ]


def _disagreement(name: str, asked: Asked, which: Sequence[int], known: NDArray[np.bool_]) -> Metric:
    """Examples not answered alike. A text that names nothing differs from others; in the upper end it may differ
    from any."""
    chosen, unread = asked.chosen[:, which], (asked.status[:, which] == "unread").any(axis=1)
    differ = (chosen != chosen[:, :1]).any(axis=1)
    metric = _share(name, differ, asked, known)
    most = _share(name, differ | unread, asked, known).interval
    assert metric.interval is not None
    assert most is not None
    high = max(metric.interval.high, most.high)
    return metric.model_copy(update={"interval": metric.interval.model_copy(update={"high": high})})


# --- the same template again ----------------------------------------------------------------------------


def _repeats(asked: Asked, params: PromptSensitivityParams) -> list[Metric]:
    """How often the answer itself differs, and the spread that this alone would make."""
    which = [0, *range(asked.count, asked.right.shape[1])]
    right, missing = asked.right[:, which], asked.missing[:, which].any(axis=1)
    reason = too_many_errors(int(missing.sum()), asked.n, params.max_error_rate)
    if reason:
        return [not_estimable(name, asked.n, reason) for name in OF_REPEATS]
    # Of right and wrong over R repeats: at most ½, so twice the variance lies between 0 and 1.
    twice = 2 * right.astype(np.float64).var(axis=1, ddof=1)
    found = stats.unit_mean(np.where(missing, np.nan, np.minimum(twice, 1.0)), asked.clusters)
    value, low, high = (
        noise_spread(max(0.0, mean) / 2, asked.n, asked.count)
        for mean in (found.value, found.interval.low, found.interval.high)
    )
    floor = Interval(low=min(low, value), high=max(high, value), method=found.interval.method)
    return [
        _disagreement("repeat_disagreement", asked, which, ~missing),
        Metric(name="repeatability_floor", value=value, interval=floor, n=asked.n),
    ]


# --- what is shown --------------------------------------------------------------------------------------


def label_of_template(asked: Asked, template: int) -> str:
    line = " ".join(asked.task.templates[template].split())
    short = line if len(line) <= LABEL_CHARACTERS else line[: LABEL_CHARACTERS - 1] + "…"
    return f"{template + 1}: {short}"


def plots(metrics: Sequence[Metric], asked: Asked) -> list[Chart]:
    """Accuracy of each template, and the spread beside what chance leaves of it."""
    by_place = {(m.name, m.slice): m for m in metrics}
    bars = [
        (label_of_template(asked, t), by_place["accuracy", f"template={t + 1}"]) for t in range(asked.count)
    ]
    rows = [
        ("Best and worst template", by_place["spread", "all"]),
        ("Beyond chance", by_place["spread_excess", "all"]),
        ("The same template again", by_place["repeatability_floor", "all"]),
    ]
    return [
        *charts.group_bars(
            "accuracy_by_template", "Right answers by template", bars, limit="worst_accuracy", what="Template"
        ),
        *charts.changes("spread", "Difference in accuracy", rows, limit="spread_excess"),
    ]


def warnings(asked: Asked, metrics: Sequence[Metric]) -> list[str]:
    """What a reader of the numbers must know."""
    how = "by their log-probabilities" if asked.task.likely else "as the model writes them"
    of = {
        "choices": "the choices of each row",
        "labels": "class names",
        "answers": "accepted answers in free text",
    }
    said = [f"Answers are {of[asked.task.kind]}, taken {how}; {asked.count} templates."]
    unread = [
        f"{m.slice.partition('=')[2]} ({m.value:.0%})"
        for m in metrics
        if m.name == "unparsed_rate" and m.value is not None and m.value > MANY_UNREAD
    ]
    if unread:
        said.append(
            f"Many answers name none of the choices, or several, under the templates {', '.join(unread)}: they count "
            "as wrong. Ask for the choice word for word, or allow longer answers."
        )
    return said


def examples(asked: Asked, data: Dataset) -> list[Example]:
    """Examples that are right under some templates and wrong under others, those most in the balance first."""
    count = asked.count
    right = asked.right[:, :count]
    complete = ~asked.missing[:, :count].any(axis=1)
    hits = right.sum(axis=1)
    mixed = np.flatnonzero(complete & (hits > 0) & (hits < count))
    order = sorted(mixed, key=lambda i: (abs(2 * int(hits[i]) - count), asked.ids[i]))
    shown = []
    for i in order[:SHOWN]:
        facts: dict[str, str | float | int] = {"expected": asked.expected[i][:FACT_CHARACTERS]}
        facts["right_templates"] = ", ".join(str(t + 1) for t in np.flatnonzero(right[i]))
        for t in range(count if asked.task.options[i] else 0):
            chosen = int(asked.chosen[i, t])
            facts[f"template_{t + 1}"] = (
                "none" if chosen == NONE else asked.task.options[i][chosen][:FACT_CHARACTERS]
            )
        shown.append(
            Example(
                id=asked.ids[i],
                kind="prompt_sensitive",
                before=data.texts[asked.task.rows[i]][:SHOWN_CHARACTERS],
                facts=facts,
            )
        )
    return shown
