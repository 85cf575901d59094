"""Every state a page can show, as word, icon and tone: the one place that says how it looks."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


@dataclass(frozen=True)
class State:
    """How a state reads and looks. `tone` is one of pass, fail, warn, info, na; colour never stands alone."""

    label: str | Promise
    icon: str
    tone: str


STATES: dict[str, dict[str, State]] = {
    "outcome": {
        "fail": State(_("Fails"), "cross", "fail"),
        "not_assessed": State(_("Not assessed"), "dash", "na"),
        "inconclusive": State(_("Cannot tell yet"), "question", "warn"),
        "pass": State(_("Passes"), "check", "pass"),
        "not_applicable": State(_("Does not apply"), "slash", "na"),
        "reported": State(_("Reported"), "info", "info"),
    },
    "verdict": {
        "does_not_meet": State(_("Does not meet policy"), "cross", "fail"),
        "incomplete": State(_("Incomplete"), "question", "warn"),
        "meets_with_accepted_risk": State(_("Meets policy with accepted risk"), "shield", "warn"),
        "meets": State(_("Meets policy"), "check", "pass"),
        "none": State(_("No verdict yet"), "dash", "na"),
    },
    "audit": {
        "draft": State(_("Draft"), "dash", "na"),
        "queued": State(_("Queued"), "clock", "na"),
        "running": State(_("Running"), "play", "info"),
        # an end is no verdict: never in the colour of a pass
        "completed": State(_("Completed"), "check", "na"),
        "cancelling": State(_("Cancelling"), "stop", "warn"),
        "cancelled": State(_("Cancelled"), "stop", "na"),
    },
    "run": {
        "queued": State(_("Queued"), "clock", "na"),
        "running": State(_("Running"), "play", "info"),
        "succeeded": State(_("Finished"), "check", "na"),
        "errored": State(_("Error"), "alert", "fail"),
        "timed_out": State(_("Out of time"), "alert", "fail"),
        "lost": State(_("Worker lost"), "alert", "warn"),
        "cancelled": State(_("Cancelled"), "stop", "na"),
        "skipped": State(_("Skipped"), "slash", "na"),
    },
    "card": {
        "issued": State(_("Awaits a reviewer"), "info", "info"),
        "in_review": State(_("In review"), "info", "info"),
        "approved": State(_("Approved"), "check", "pass"),
        "rejected": State(_("Rejected"), "cross", "fail"),
        "superseded": State(_("Superseded"), "dash", "na"),
        "revoked": State(_("Revoked"), "cross", "fail"),
        "expired": State(_("Expired"), "clock", "warn"),
    },
    "decision": {
        "approve": State(_("Approved"), "check", "pass"),
        "reject": State(_("Rejected"), "cross", "fail"),
    },
    "pickle": {
        "malicious": State(_("Runs code"), "alert", "fail"),
        "suspicious": State(_("Suspicious"), "question", "warn"),
        "unreadable": State(_("Cannot be read"), "dash", "na"),
        "harmless": State(_("Nothing found"), "info", "na"),
        "not_scanned": State(_("Not scanned"), "slash", "na"),
    },
    "risk": {
        "minimal": State(pgettext_lazy("risk", "Minimal"), "dash", "na"),
        "limited": State(pgettext_lazy("risk", "Limited"), "dash", "na"),
        "high": State(pgettext_lazy("risk", "High"), "alert", "warn"),
    },
}

UNKNOWN = State(_("Unknown"), "dash", "na")

# How bad an outcome is for a reader who scans from the top; what could not be measured comes before what passed.
OUTCOME_ORDER = ("fail", "not_assessed", "inconclusive", "pass", "not_applicable")
VERDICT_ORDER = ("does_not_meet", "incomplete", "meets_with_accepted_risk", "meets", "none")

AREAS = {
    "quality": _("Quality"),
    "fairness": _("Fairness"),
    "robustness": _("Robustness"),
    "explainability": _("Explainability"),
    "privacy": _("Privacy"),
    "safety": _("Safety of generation"),
    "security": _("Security"),
    "efficiency": _("Efficiency"),
}

# Stroked paths on a 16 x 16 grid.
ICONS = {
    "check": "M3 8.5 6.5 12 13 4.5",
    "cross": "M4 4l8 8M12 4l-8 8",
    "dash": "M3.5 8h9",
    "slash": "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM4 12l8-8",
    "question": (
        "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2z"
        "M6.2 6.3c.2-1.2 1-1.8 1.9-1.8 1 0 1.8.7 1.8 1.6 0 1.3-1.9 1.5-1.9 2.8M8 11.2v.1"
    ),
    "alert": "M8 2.2 14.5 13.5h-13zM8 6.5v3.2M8 11.6v.1",
    "info": "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM8 7.2v4M8 4.9v.1",
    "clock": "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM8 4.8V8l2.2 1.6",
    "play": "M5 3.2v9.6L12.5 8z",
    "stop": "M4 4h8v8H4z",
    "shield": "M8 1.8 13 3.6v4c0 3.2-2.2 5.4-5 6.6-2.8-1.2-5-3.4-5-6.6v-4zM5.8 8l1.6 1.6 2.8-3",
    "search": "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM10.4 10.4l3.4 3.4",
    "person": "M8 2.5a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6zM2.8 14c.5-2.7 2.6-4 5.2-4s4.700 1.300 5.200 4",
    "theme": "M8 2a6 6 0 1 0 0 12zM8 2a6 6 0 0 1 0 12",
    "download": "M8 2.500v7.500M4.800 7 8 10.200 11.200 7M3 13.500h10",
    "right": "M6 3.500 10.500 8 6 12.500",
}


def state(kind: str, value: str) -> State:
    return STATES[kind].get(value, UNKNOWN)
