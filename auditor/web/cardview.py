"""A report card's JSON arranged for reading. Pure: takes the card, computes no result anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from auditor.web.states import OUTCOME_ORDER

Json = Mapping[str, Any]


@dataclass(frozen=True)
class AreaRow:
    """One area with the worst of its controls."""

    area: str
    outcome: str
    passed: int
    total: int
    worst: Json | None


@dataclass(frozen=True)
class ItemRuns:
    """All attempts at one item of the suite; `last` is the one that counts."""

    item: str
    title: str
    last: Json
    attempts: Sequence[Json]


def find_control(card: Json, ref: Mapping[str, str] | None) -> Json | None:
    for control in card["controls"]:
        if ref and control["control"] == ref["control"] and control["slice"] == ref["slice"]:
            return dict(control)
    return None


def deciding(card: Json) -> list[Json]:
    """The required controls that were not passed, as the card orders them."""
    return [control for ref in card["deciding"] if (control := find_control(card, ref))]


def areas(card: Json) -> list[AreaRow]:
    return [
        AreaRow(a["area"], a["outcome"], a["passed"], a["total"], find_control(card, a.get("worst")))
        for a in card["areas"]
    ]


def remaining(card: Json) -> list[Json]:
    """Every control that does not decide, worst first: passed ones and those not required."""
    named = {(ref["control"], ref["slice"]) for ref in card["deciding"]}
    rest = [c for c in card["controls"] if (c["control"], c["slice"]) not in named]
    return sorted(rest, key=badness)


def badness(control: Json) -> int:
    """Sorts controls worst first."""
    outcome = control["outcome"]
    return OUTCOME_ORDER.index(outcome) if outcome in OUTCOME_ORDER else len(OUTCOME_ORDER)


def summary(card: Json) -> str:
    """The verdict in short: the card's own sentence, or its translation by the outcomes of required controls."""
    if (get_language() or "en").startswith("en"):
        return str(card["why"])
    required = [c["outcome"] for c in card["controls"] if c["required"]]
    count = {outcome: required.count(outcome) for outcome in OUTCOME_ORDER}
    sentences = []
    if n := count["fail"]:
        sentences.append(
            ngettext("%(n)s required control fails.", "%(n)s required controls fail.", n) % {"n": n}
        )
    if n := count["inconclusive"]:
        sentences.append(
            ngettext(
                "%(n)s required control cannot be told yet.", "%(n)s required controls cannot be told yet.", n
            )
            % {"n": n}
        )
    if n := count["not_assessed"]:
        sentences.append(
            ngettext(
                "%(n)s required control was not assessed.", "%(n)s required controls were not assessed.", n
            )
            % {"n": n}
        )
    if n := count["pass"]:
        sentences.append(
            ngettext("%(n)s required control passes.", "%(n)s required controls pass.", n) % {"n": n}
        )
    if not sentences:
        sentences.append(_("The policy demands nothing of such a model, so nothing was decided."))
    return between(sentences)


def ordinal(card: Json) -> str:
    return _("This is audit no. %(n)s of this model digest.") % {"n": card["audit"]["ordinal"]}


def between(sentences: Sequence[str]) -> str:
    """One text of several sentences, set as the language does."""
    # Translators: two sentences in a row; Chinese puts no space between them
    joined = _("%(first)s %(second)s")
    return reduce(lambda first, second: joined % {"first": first, "second": second}, sentences)


def runs_by_item(card: Json) -> list[ItemRuns]:
    """The attempts by item, in the order of the suite."""
    grouped: dict[str, list[Json]] = {}
    for run in card["runs"]:
        grouped.setdefault(run["item"], []).append(run)
    found = []
    for item, attempts in grouped.items():
        attempts.sort(key=lambda run: run["attempt"])
        found.append(ItemRuns(item, attempts[-1].get("evaluation_title") or item, attempts[-1], attempts))
    return found


def affected(card: Json, control: Json) -> list[Json]:
    """The groups behind a control on a column: the metrics of its run for each group, lowest value first.

    Taken from the run's first metric reported per group of that column; [] where there is none.
    """
    column = control["slice"]
    if column == "all":
        return []
    run = next((r.last for r in runs_by_item(card) if r.item == control["item"]), None)
    groups = [m for m in (run or {}).get("metrics", []) if m["slice"].startswith(f"{column}=")]
    base = str(control["metric"]).removesuffix("_ratio").removesuffix("_difference").removesuffix("_gap")
    same = [m for m in groups if m["name"] == base and m["value"] is not None]
    return sorted(same, key=lambda m: m["value"])
