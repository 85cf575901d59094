"""The numbers of quality.judge: the share that the judge passes, corrected by how it did where people judged too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evaluations import generating, records, stats
from evaluations.prompting import PromptParams
from evaluations.quality import judge_asking, rubrics
from evaluations.quality.generation_scores import SHOWN, SHOWN_CHARACTERS
from evaluations.records import not_estimable
from evaluations.safety import replies
from evaluations.safety.verdicts import too_many_missing
from evaluations.spec import Coverage, EvaluationError, Example, Interval, Metric, Role, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.generating import Answers
    from evaluations.quality.judge import JudgeParams

NAMES = (
    "judged_rate",
    "judged_rate_raw",
    "judge_sensitivity",
    "judge_specificity",
    "judge_kappa",
    "agreement_alpha",
    "human_alpha",
    "unparsed_rate",
)
WHOLE = PromptParams()  # a judge's reply is read as it is


@dataclass(frozen=True)
class Rows:
    """Which rows the model answers, and which answers people have judged."""

    asked: NDArray[np.int64]  # row numbers, ascending
    checked: NDArray[np.int64]
    human: NDArray[np.float64]  # (rows, people)
    written: list[str | None]

    @classmethod
    def of(cls, data: Dataset) -> Rows:
        human = judge_asking.human_verdicts(data)
        checked = ~np.isnan(human).all(axis=1) if human.shape[1] else np.zeros(data.rows, dtype=bool)
        if checked.all():
            raise EvaluationError(
                "nothing_to_judge",
                "Every row has a person's verdict on an answer written before. Add rows without one: those the model "
                "answers.",
            )
        return cls(
            np.flatnonzero(~checked), np.flatnonzero(checked), human, judge_asking.written(data, checked)
        )


@dataclass(frozen=True)
class Verdicts:
    """1 pass, 0 fail, NaN unknown; rows ascending by example id."""

    answers: Answers  # of the rows asked
    asked: NDArray[np.float64]  # (n,) the judge on the model's answers
    checked: NDArray[np.float64]  # (m,) the judge on the answers that people judged
    human: NDArray[np.float64]  # (m, people)
    replied: NDArray[np.bool_]  # (n + m,) the judge replied, whatever it said
    failed: NDArray[np.bool_]  # (n,) no answer, or no reply of the judge on it
    replies: list[str]  # (n,)
    doubted: NDArray[np.bool_]  # (n,) the judge passed it, and it spoke to the judge: it has no verdict
    unshown: int  # answers that the judge was not shown, for their length

    @property
    def n(self) -> int:
        return len(self.asked)

    def coverage(self) -> Coverage:
        blocked = (self.answers.status[:, 0] == "blocked") & np.isnan(self.asked)
        scored = ~np.isnan(self.asked)
        return Coverage(
            attempted=self.n,
            scored=int(scored.sum()),
            blocked=int(blocked.sum()),
            failed=int((~scored & ~blocked).sum()),
        )


def texts_to_judge(
    data: Dataset, params: JudgeParams, state: ShardState, here: NDArray[np.int64]
) -> list[str | None]:
    """The text to be judged of each row of a shard: the model's answer, or the one that people judged."""
    rows = Rows.of(data)
    asked = here[np.isin(here, rows.asked)]
    order = records.rows_by_id(data, asked)
    table = records.join([state], generating.COLUMNS, data, asked)
    answers = generating.read(table, order, params, 1)
    said = {int(row): text[0] for row, text in zip(order, answers.parsed, strict=True)}
    return [said[int(i)] if int(i) in said else rows.written[i] for i in here]


def collect(states: Sequence[ShardState], data: Dataset, params: JudgeParams, ctx: Context) -> Verdicts:
    rows = Rows.of(data)
    asked, checked = records.rows_by_id(data, rows.asked), records.rows_by_id(data, rows.checked)
    answers = generating.read(records.join(states, generating.COLUMNS, data, rows.asked), asked, params, 1)
    texts = [text[0] for text in answers.parsed] + [rows.written[i] for i in checked]
    both: NDArray[np.int64] = np.concatenate([asked, checked])
    n, said, unshown = len(asked), [""] * len(both), 0
    doubted: NDArray[np.bool_] = np.zeros(n, dtype=bool)
    if params.rubric is not None:
        verdicts = _by_rubric(data, params.rubric, both, texts)
        replied = np.array([text is not None for text in texts])
    else:
        verdicts, replied, said = by_judge(data, ctx, both, texts)
        spoke = np.array([replies.speaks_to_judge(text or "") for text in texts[:n]], dtype=bool)
        doubted = spoke & (verdicts[:n] == 1)
        verdicts[:n][doubted] = np.nan
        unshown = sum(
            text is not None and not judge_asking.fits(data, int(i), text)
            for i, text in zip(both, texts, strict=True)
        )
    unheard = ~answers.unparsed[:, 0] & answers.answered[:, 0] & ~replied[:n]
    failed = (answers.status[:, 0] == "error") | unheard
    return Verdicts(
        answers, verdicts[:n], verdicts[n:], rows.human[checked], replied, failed, said[:n], doubted, unshown
    )


def _by_rubric(
    data: Dataset, rubric: rubrics.Rubric, rows: NDArray[np.int64], texts: list[str | None]
) -> NDArray[np.float64]:
    if rubrics.needs_references(rubric) and not data.ref.columns(Role.TARGET):
        raise EvaluationError(
            "target_missing",
            "The rubric compares with accepted answers: give their column the role 'target'.",
        )
    none: tuple[str, ...] = ()
    wanted = data.references if data.ref.columns(Role.TARGET) else [none] * data.rows
    return np.array(
        [
            np.nan if text is None else float(rubrics.passes(rubric, text, wanted[i]))
            for i, text in zip(rows, texts, strict=True)
        ]
    )


def by_judge(
    data: Dataset, ctx: Context, rows: NDArray[np.int64], texts: list[str | None]
) -> tuple[NDArray[np.float64], NDArray[np.bool_], list[str]]:
    """Of the text of each row: the judge's verdict (1 pass, 0 fail, NaN none), whether it replied, its reply."""
    if not ctx.judge_states:
        raise EvaluationError(
            "no_judge",
            "No judge has judged the answers. Choose another model as the judge, or give a rubric.",
        )
    every: NDArray[np.int64] = np.arange(data.rows)
    order = records.rows_by_id(data, every)
    table = records.join(ctx.judge_states, generating.COLUMNS, data, every)
    written = generating.read(table, order, WHOLE, 1)
    place: NDArray[np.int64] = np.empty(data.rows, dtype=np.int64)
    place[order] = np.arange(data.rows)
    here = place[rows]
    replied = written.answered[here, 0] & np.array([text is not None for text in texts])
    said = [written.texts[i][0] for i in here]
    verdicts = [
        judge_asking.verdict_of(reply) if there else np.nan
        for reply, there in zip(said, replied, strict=True)
    ]
    return np.array(verdicts), replied, said


# --- measuring ------------------------------------------------------------------------------------


def measure(found: Verdicts, data: Dataset, params: JudgeParams, ctx: Context) -> list[Metric]:
    """Every metric of quality.judge."""
    reason = too_many_missing(int(found.failed.sum()), found.n, params.max_error_rate)
    if not reason and np.isnan(found.asked).all():
        reason = "There is no verdict on any answer: no reply of the judge begins with PASS or FAIL and can be trusted."
    if reason:
        return [not_estimable(name, found.n, reason) for name in NAMES]
    clusters = None if data.clusters is None else data.clusters[found.answers.rows]
    raw = stats.unit_mean(found.asked, clusters)
    rate = Metric(
        name="judged_rate_raw",
        value=raw.value,
        interval=raw.interval,
        n=found.n,
        n_effective=raw.n_effective,
    )
    verdicts: NDArray[np.float64] = np.concatenate([np.where(found.doubted, 1.0, found.asked), found.checked])
    silent = np.where(found.replied, np.isnan(verdicts).astype(float), np.nan)
    unparsed = stats.unit_mean(silent)
    return [
        _corrected(found, raw, params, ctx),
        rate,
        *_of_judge(found),
        *_agreement(found, ctx),
        Metric(name="unparsed_rate", value=unparsed.value, interval=unparsed.interval, n=len(silent)),
    ]


def majority(human: NDArray[np.float64]) -> NDArray[np.float64]:
    """What most people said of each answer; NaN where they are split."""
    said = (~np.isnan(human)).sum(axis=1)
    share = np.nansum(human, axis=1) / np.maximum(1, said)
    return np.where((said == 0) | (share == 0.5), np.nan, (share > 0.5).astype(float))


def _checks(found: Verdicts) -> tuple[stats.Checked, stats.Checked]:
    """How the judge did on answers that people passed, and on those that they failed."""
    people = majority(found.human)
    known = ~np.isnan(people) & ~np.isnan(found.checked)
    people, judge = people[known], found.checked[known]
    good, bad = people == 1, people == 0
    return (
        stats.Checked(int((judge[good] == 1).sum()), int(good.sum())),
        stats.Checked(int((judge[bad] == 0).sum()), int(bad.sum())),
    )


def _corrected(found: Verdicts, raw: stats.Estimate, params: JudgeParams, ctx: Context) -> Metric:
    if params.rubric is not None and not len(found.checked):
        return Metric(
            name="judged_rate",
            value=raw.value,
            interval=raw.interval,
            n=found.n,
            n_effective=raw.n_effective,
        )
    if not len(found.checked):
        return not_estimable(
            "judged_rate",
            found.n,
            "How far the judge errs is not known: add rows with an answer and a person's verdict on it (roles "
            "'answer' and 'human').",
        )
    n = raw.n_effective
    positives, negatives = _checks(found)
    ends = []
    for rate in (
        float(np.nan_to_num(found.asked, nan=0.0).mean()),
        raw.value,
        float(np.nan_to_num(found.asked, nan=1.0).mean()),
    ):
        got = stats.rogan_gladen(rate * n, n, positives, negatives, ctx.rng("rogan_gladen"))
        if got.value is None or got.interval is None:
            return not_estimable("judged_rate", found.n, got.reason)
        ends.append((got.value, got.interval))
    value = ends[1][0]
    corrected = Interval(
        low=min(ends[0][1].low, value), high=max(ends[2][1].high, value), method="rogan_gladen"
    )
    return Metric(
        name="judged_rate",
        value=value,
        interval=stats.gate_interval(raw.interval, corrected),
        n=found.n,
        n_effective=n,
    )


def _of_judge(found: Verdicts) -> list[Metric]:
    metrics = []
    for name, kind, check in zip(
        ("judge_sensitivity", "judge_specificity"), ("passed", "failed"), _checks(found), strict=True
    ):
        if check.n:
            interval = stats.wilson(check.right, check.n)
            metrics.append(Metric(name=name, value=check.right / check.n, interval=interval, n=check.n))
        else:
            metrics.append(
                not_estimable(name, 0, f"People {kind} no answer on which the judge has a verdict.")
            )
    return metrics


def _agreement(found: Verdicts, ctx: Context) -> list[Metric]:
    people = majority(found.human)
    known = ~np.isnan(people) & ~np.isnan(found.checked)
    cells = np.bincount((people * 2 + found.checked)[known].astype(np.int64), minlength=4).reshape(2, 2)
    kappa = stats.cohens_kappa(cells)
    together = np.column_stack([found.checked, found.human]).T
    both = (
        stats.krippendorff_alpha(together, "nominal", ctx.rng("agreement_alpha")) if together.size else None
    )
    among = None
    if found.human.shape[1] > 1:
        among = stats.krippendorff_alpha(found.human.T, "nominal", ctx.rng("human_alpha"))
    reasons = {
        "judge_kappa": "It takes answers that the judge and people judged, some passed and some failed.",
        "agreement_alpha": "It takes answers that the judge and people judged, some passed and some failed.",
        "human_alpha": "It takes verdicts of at least two people on the same answers, some passed and some failed.",
    }
    return [
        Metric(name=name, value=got[0], interval=got[1], n=int(known.sum()))
        if got
        else not_estimable(name, int(known.sum()), reasons[name])
        for name, got in (("judge_kappa", kappa), ("agreement_alpha", both), ("human_alpha", among))
    ]


def warnings(found: Verdicts, params: JudgeParams) -> list[str]:
    said = judge_asking.notes(int(found.doubted.sum()), found.unshown)
    if not len(found.checked):
        return said
    by = "rubric" if params.rubric is not None else "judge"
    return [
        *said,
        f"The corrected rate supposes that the {by} errs on these answers as it does on the {len(found.checked)} that "
        "people judged: those should be answers of the same kind.",
    ]


def failed(found: Verdicts, data: Dataset) -> list[Example]:
    """Answers that the judge failed, in the order of their ids."""
    at = np.flatnonzero(found.asked == 0)[:SHOWN]
    return [
        Example(
            id=str(data.ids[found.answers.rows[i]]),
            kind="judged_fail",
            before=data.texts[found.answers.rows[i]][:SHOWN_CHARACTERS],
            after=found.answers.texts[i][0][:SHOWN_CHARACTERS],
            facts={"judge": found.replies[i][:200]} if found.replies[i] else {},
        )
        for i in at
    ]
