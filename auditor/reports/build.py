"""Makes the report card: plain facts in, the dict of docs/reference/report-card.md out. Pure: no database, no clock."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from auditor.core.canonical import canonical_json
from auditor.policies.rules import WORST_FIRST, Outcome
from auditor.reports import sentences

SCHEMA = "report-card/1"
SEVERITIES = ("critical", "high", "medium", "low")
RULE = (
    "A control passes when the unfavourable end of its interval keeps the limit, and fails when even the favourable "
    "end misses it; otherwise it cannot be told yet. What was not measured, or on too few examples, is not assessed: "
    "missing is never a pass, and an error is never a failure. The model does not meet the policy if a required "
    "control fails and no accepted risk covers it; else the card is incomplete if a required control cannot be told "
    "or was not assessed; else the model meets the policy. Every required control must pass, so the limits need no "
    "correction for there being several."
)


@dataclass(frozen=True)
class CardFacts:
    """All that a card is made of. Times are RFC 3339 strings in UTC; numbers are as measured.

    `controls` carry every key of the card's controls but `plain`, and a `plain_template` (the metric's sentence);
    their `reason` is the run's or metric's own, if any. `reported` likewise. `runs` are in their final form.
    """

    id: str
    revision: int
    issued_at: str
    valid_until: str
    verdict: str
    software: dict[str, str]
    model: dict[str, Any]
    data: dict[str, Any]
    policy: dict[str, Any]
    audit: dict[str, Any]
    controls: list[dict[str, Any]]
    reported: list[dict[str, Any]]
    runs: list[dict[str, Any]]
    waivers: list[dict[str, Any]] = field(default_factory=list)


def build(facts: CardFacts) -> dict[str, Any]:
    """The report card, ready for `canonical_json`."""
    controls = [_control(c) for c in facts.controls]
    card = {
        "schema": SCHEMA,
        "id": facts.id,
        "revision": facts.revision,
        "issued_at": facts.issued_at,
        "valid_until": facts.valid_until,
        "verdict": facts.verdict,
        "why": sentences.why(facts.verdict, controls, len(facts.waivers)),
        "software": facts.software,
        "model": facts.model,
        "data": facts.data,
        "policy": facts.policy,
        "audit": facts.audit,
        "areas": areas(controls),
        "deciding": [
            {"control": c["control"], "slice": c["slice"]}
            for c in sorted(controls, key=_badness)
            if c["required"] and c["outcome"] not in (Outcome.PASS, Outcome.NOT_APPLICABLE)
        ],
        "controls": controls,
        "reported": [_reported(m) for m in facts.reported],
        "waivers": facts.waivers,
        "runs": facts.runs,
        "method": {"interval_level": 0.95, "rule": RULE},
    }
    rounded: dict[str, Any] = _rounded(card)
    return rounded


def canonical(card: dict[str, Any]) -> bytes:
    """The bytes whose SHA-256 the ledger records."""
    return canonical_json(card)


def areas(controls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each area with the outcome of its worst required control (of any, where none is required); worst area first."""
    found = []
    for area in dict.fromkeys(c["area"] for c in controls):
        members = [c for c in controls if c["area"] == area]
        deciding = [c for c in members if c["required"] and c["outcome"] != Outcome.NOT_APPLICABLE] or members
        worst = min(deciding, key=_badness)
        applicable = [c for c in members if c["outcome"] != Outcome.NOT_APPLICABLE]
        found.append(
            {
                "area": area,
                "outcome": worst["outcome"],
                "passed": sum(c["outcome"] == Outcome.PASS for c in applicable),
                "total": len(applicable),
                "worst": {"control": worst["control"], "slice": worst["slice"]},
            }
        )
    return sorted(found, key=lambda a: WORST_FIRST.index(Outcome(a["outcome"])))


def _badness(control: dict[str, Any]) -> tuple[int, int, str, str]:
    return (
        WORST_FIRST.index(Outcome(control["outcome"])),
        SEVERITIES.index(control["severity"]),
        control["control"],
        control["slice"],
    )


def _control(facts: dict[str, Any]) -> dict[str, Any]:
    template = facts["plain_template"]
    control = {key: value for key, value in facts.items() if key != "plain_template"}
    control["plain"] = sentences.plain(template, control)
    control["reason"] = sentences.decision(control)
    return control


def _reported(facts: dict[str, Any]) -> dict[str, Any]:
    template = facts["plain_template"]
    measured = {key: value for key, value in facts.items() if key != "plain_template"}
    return {**measured, "plain": sentences.plain(template, measured)}


def _rounded(value: Any) -> Any:
    """Floats to 12 significant digits: the last bits differ between machines and mean nothing."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("a card holds no NaN and no infinity; a missing number is null")
        return float(f"{value:.12g}")
    if isinstance(value, dict):
        return {str(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
