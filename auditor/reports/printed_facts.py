"""What was audited, and how facts are put on one line of print. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from auditor.reports import sentences

CODEWORDS = ("known_secrets", "planted_canaries")  # parameters that state them
SHOWN_ROWS = 40  # of one table; the attached JSON holds all


def when(time: str | None) -> str:
    """`22 Nov 2026, 03:00 UTC`."""
    return datetime.fromisoformat(time).strftime("%-d %b %Y, %H:%M UTC") if time else "–"


def short(digest: str) -> str:
    kind, _, digits = digest.rpartition(":")
    return f"{kind + ':' if kind else ''}{digits[:8]}…{digits[-8:]}"


def ordinal(n: int) -> str:
    ending = "th" if 10 <= n % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"


def compact(value: Any) -> str:
    """A parameter or a nested fact on one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def left_out(rows: int) -> str:
    return f"{rows - SHOWN_ROWS:,} more are in the attached card.json." if rows > SHOWN_ROWS else ""


def parameters(of_run: Mapping[str, Any]) -> str:
    """Codewords by their number alone: there may be thousands, and none is for paper. card.json holds all."""
    kept = {name: value for name, value in of_run.items() if name not in CODEWORDS or not value}
    hidden = {name: f"{len(of_run[name])} stated" for name in CODEWORDS if of_run.get(name)}
    return pairs(kept | hidden)


def pairs(facts: Mapping[str, Any]) -> str:
    return "; ".join(f"{key} {compact(value)}" for key, value in facts.items()) or "–"


def coverage(facts: Mapping[str, int]) -> str:
    """`16,281 attempted: 16,281 scored, 0 failed, …`."""
    if not facts:
        return "–"
    rest = ", ".join(
        f"{facts[key]:,} {key}" for key in ("scored", "failed", "skipped", "blocked") if key in facts
    )
    return f"{facts.get('attempted', 0):,} attempted: {rest}"


def cost(facts: Mapping[str, float]) -> str:
    """`20.4 s (31.2 s of processor time), 16,281 model queries, 0 tokens, at most 412 MB of memory`."""
    if not facts:
        return "–"
    return (
        f"{facts.get('wall_seconds', 0):,.1f} s ({facts.get('cpu_seconds', 0):,.1f} s of processor time), "
        f"{facts.get('queries', 0):,.0f} model queries, {facts.get('tokens', 0):,.0f} tokens, "
        f"at most {facts.get('peak_rss_bytes', 0) / 1e6:,.0f} MB of memory"
    )


def model_facts(model: dict[str, Any]) -> list[list[str]]:
    return [
        ["Model", f"{model['name']}, version {model['version']}"],
        ["Description", model["description"] or "–"],
        ["Kind", f"{model['modality']}, stored as {model['format']}"],
        ["Size", f"{model['size']:,} bytes in {sentences.counted(len(model['files']), 'file', 'files')}"],
        ["Digest", model["digest"]],
        ["Labels", ", ".join(model["labels"]) or "as the model's own files say"],
        ["Languages", ", ".join(model["languages"]) or "not stated"],
        ["Risk tier", model["risk_tier"]],
        ["Made from", model["parent"] or "no earlier version named"],
        ["Team", model["team"]],
        ["Submitted by", model["submitted_by"]],
        ["Provenance (the submitter's word)", pairs(model["provenance"])],
    ]


def beside(audit: dict[str, Any]) -> list[list[str]]:
    """The models that were asked beside the audited one; a card of an earlier release names none."""
    named = (("Judge of answers", audit.get("judge")), ("Reference model", audit.get("reference")))
    return [[role, f"{other['model']}, {other['digest']}"] for role, other in named if other]


def data_facts(data: dict[str, Any]) -> list[list[str]]:
    roles: dict[str, list[str]] = {}
    for column, role in data["roles"].items():
        roles.setdefault(role, []).append(column)
    return [
        ["Data set", f"{data['name']}, version {data['version']}, {data['rows']:,} rows"],
        ["Digest", data["digest"]],
        ["Source", data["source"] or "not stated"],
        ["Licence", data["licence"] or "not stated"],
        ["Languages", ", ".join(data["languages"]) or "not stated"],
        ["Held out", "yes, says the submitter" if data["held_out"] else "not stated"],
        ["Favourable label", data["favourable_label"] or "none"],
        *[[f"Columns: {role.replace('_', ' ')}", ", ".join(columns)] for role, columns in roles.items()],
    ]


def class_tables(data: dict[str, Any]) -> list[dict[str, Any]]:
    summary = data["summary"]
    counts = {"class": summary.get("classes", {}), **summary.get("groups", {})}
    return [
        {
            "caption": f"Rows by {name}",
            "header": [name, "Rows", "Share"],
            "rows": [[k, f"{v:,}", f"{v / data['rows']:.1%}"] for k, v in list(groups.items())[:SHOWN_ROWS]],
            "note": left_out(len(groups)),
        }
        for name, groups in counts.items()
        if groups
    ]


def definitions(card: dict[str, Any]) -> list[list[str]]:
    """Each judged metric once: formula and source."""
    return list(
        {
            c["metric"]: [
                c["metric_title"],
                c["formula"],
                c["interval_method"].replace("_", " ") or "–",
                c["reference"],
            ]
            for c in card["controls"]
        }.values()
    )
