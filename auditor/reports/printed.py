"""What the PDF prints, prepared from the card: words, numbers and pictures in reading order. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from auditor.core.canonical import sha256_hex
from auditor.reports import charts, heats, pictures, sentences
from auditor.reports.fonts import drawable
from auditor.reports.printed_facts import (
    SHOWN_ROWS,
    beside,
    class_tables,
    cost,
    coverage,
    data_facts,
    definitions,
    left_out,
    model_facts,
    ordinal,
    pairs,
    parameters,
    short,
    when,
)

TONES = {"pass": "pass", "fail": "fail", "inconclusive": "warn", "not_assessed": "na", "not_applicable": "na"}
VERDICT_TONES = {
    "meets": "pass",
    "meets_with_accepted_risk": "warn",
    "incomplete": "warn",
    "does_not_meet": "fail",
}
RUN_STATUS = {
    "succeeded": "Succeeded",
    "errored": "Errored",
    "timed_out": "Timed out",
    "lost": "Lost",
    "cancelled": "Cancelled",
    "skipped": "Skipped",
}
SHOWN_EXAMPLES = 5  # of one run
AREA_EXAMPLES = 12
SHOWN_TOKENS, SHOWN_PARTS = 120, 6  # of one attribution
METRIC_COLUMNS = 4
LONGEST = 1500  # characters of one text
# roles that only data about a model's training have
TRAINED_ON = frozenset({"member", "randomised_inclusion", "repetitions"})
LONGEST_NAME = 160
_CHART_FONT = "DejaVu Sans"

# chart JSON (evaluations.spec.Chart) by (run id, chart name); examples (evaluations.spec.Example) by run id
Charts = Mapping[tuple[str, str], Mapping[str, Any]]
Examples = Mapping[str, Sequence[Mapping[str, Any]]]


def page_text(
    card: dict[str, Any], card_bytes: bytes, proof: dict[str, Any], drawn: Charts, examples: Examples
) -> Any:
    """Nested dicts and lists of drawable strings, for templates/print/report-card.typ."""
    digest = sha256_hex(card_bytes)
    issued = datetime.fromisoformat(card["issued_at"])
    model, data, policy, audit = card["model"], card["data"], card["policy"], card["audit"]
    text = {
        "date": [issued.year, issued.month, issued.day],
        "id": card["id"],
        "digest": digest,
        "title": f"Report card: {model['name']} {model['version']} under {policy['title']} v{policy['number']}",
        "running": f"{model['name']} {model['version']} · {sentences.VERDICTS[card['verdict']]}",
        "eyebrow": f"{model['name']} {model['version']} · under policy “{policy['title']}” v{policy['number']}",
        "verdict": sentences.VERDICTS[card["verdict"]],
        "tone": VERDICT_TONES[card["verdict"]],
        "why": f"{card['why']} This is the {ordinal(audit['ordinal'])} audit of this model digest.",
        "facts": [
            ["Issued", when(card["issued_at"])],
            ["Valid until", when(card["valid_until"])],
            ["Data", f"{data['name']} {data['version']}, {data['rows']:,} rows"],
            ["Model digest", short(model["digest"])],
            ["Evidence", f"Signed; ledger entry {proof['entry']['index']}"],
            ["Signing key", short(proof["key_id"])],
        ],
        "deciding": [_control(card, c) for c in deciding(card)],
        "areas": [_area_row(card, area) for area in card["areas"]],
        "use": [
            ["Intended use", model["intended_use"] or "Not stated by the submitter."],
            ["Not for", model["out_of_scope_use"] or "Not stated by the submitter."],
        ],
        "model": model_facts(model),
        "files": [[f["path"], f"{f['size']:,}", f["sha256"]] for f in model["files"][:SHOWN_ROWS]],
        "data": data_facts(data),
        "tables": class_tables(data),
        "policy": [
            ["Policy", f"{policy['title']} ({policy['name']}), version {policy['number']}"],
            ["Published", when(policy["published_at"])],
            ["Digest", policy["digest"]],
            ["Says", policy["description"] or "–"],
        ],
        "audit": [
            ["Audit", audit["id"]],
            ["Requested", f"{when(audit['requested_at'])} by {audit['requested_by']}"],
            ["Ran", f"{when(audit['started_at'])} to {when(audit['finished_at'])}"],
            ["Seed", f"{audit['seed']} (from the digests: there is none to choose)"],
            *beside(audit),
            ["Digest of the whole", audit["digest"]],
            ["Software", f"{card['software']['name']} {card['software']['version']}"],
        ],
        "sections": [_section(card, name, drawn, examples) for name in area_names(card)],
        "runs": [_run(run) for run in card["runs"]],
        "rule": card["method"]["rule"],
        "definitions": definitions(card),
        "fingerprint": proof["key_id"],
        "checkpoint": [
            ["Card SHA-256", digest],
            ["Ledger entry", str(proof["entry"]["index"])],
            ["Leaf hash", proof["entry"]["leaf_hash"]],
            ["Tree size", str(proof["checkpoint"]["size"])],
            ["Tree root hash", proof["checkpoint"]["root_hash"]],
            ["Checkpoint time", when(proof["checkpoint"]["time"])],
            ["Signing key", proof["key_id"]],
        ],
    }
    shown: dict[str, Any] = _drawable(text)
    shown["escaped"] = "[U+" in json.dumps(shown)
    return shown


def _drawable(value: Any) -> Any:
    if isinstance(value, str):
        return drawable(
            value if len(value) <= LONGEST else f"{value[:LONGEST]}… (cut; card.json holds it all)"
        )
    if isinstance(value, dict):
        return {key: item if key == "svg" else _drawable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_drawable(item) for item in value]
    return value


# --- controls and areas -------------------------------------------------------------------------


def deciding(card: dict[str, Any]) -> list[dict[str, Any]]:
    """The controls that stand in the way, worst first."""
    by_name = {(c["control"], c["slice"]): c for c in card["controls"]}
    return [by_name[d["control"], d["slice"]] for d in card["deciding"]]


def named(control: Mapping[str, Any]) -> str:
    slice_ = sentences.of_slice(control["slice"], control["evaluation"])
    name = f"{control['title']} {slice_}".strip()
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"


def _picture(control: Mapping[str, Any]) -> dict[str, str]:
    if control["value"] is None or control["unit"] == sentences.REFUTATION:
        return {"svg": "", "alt": ""}
    places = sentences.decimals_for(
        control["limit"], [control["value"], control["ci_low"], control["ci_high"]]
    )
    around = sentences.interval(control["ci_low"], control["ci_high"], control["unit"], places)
    alt = (
        f"Value {sentences.number(control['value'], control['unit'], places)}, interval {around or 'none'}, "
        f"limit {sentences.limit_text(control['comparison'], control['limit'], control['unit'])}: "
        f"{sentences.OUTCOMES[control['outcome']]}."
    )
    svg = charts.interval_svg(
        value=control["value"],
        low=control["ci_low"],
        high=control["ci_high"],
        limit=control["limit"],
        comparison=control["comparison"],
        outcome=control["outcome"],
        label=alt,
        for_print=True,
    )
    return {"svg": svg, "alt": alt}


def _control(card: dict[str, Any], control: dict[str, Any]) -> dict[str, Any]:
    places = sentences.decimals_for(
        control["limit"], [control["value"], control["ci_low"], control["ci_high"]]
    )
    measured = control["value"] is not None
    return {
        "id": control["control"],
        "name": named(control),
        "tone": TONES[control["outcome"]],
        "word": sentences.OUTCOMES[control["outcome"]],
        "value": sentences.number(control["value"], control["unit"], places),
        "interval": sentences.interval(control["ci_low"], control["ci_high"], control["unit"], places),
        "limit": sentences.limit_text(control["comparison"], control["limit"], control.get("unit") or ""),
        "n": f"{control['n']:,}" if measured else "–",
        "plain": control["plain"] if measured else "",
        "reason": control["reason"],
        "kind": f"{'Required' if control['required'] else 'Advisory'}, severity {control['severity']}",
        **_picture(control),
    }


def _area_row(card: dict[str, Any], area: dict[str, Any]) -> dict[str, Any]:
    named_worst = (area["worst"]["control"], area["worst"]["slice"])
    worst = next(c for c in card["controls"] if (c["control"], c["slice"]) == named_worst)
    return {
        **_control(card, worst),
        "area": area["area"].capitalize(),
        "tone": TONES[area["outcome"]],
        "word": sentences.OUTCOMES[area["outcome"]],
        "passed": f"{area['passed']} / {area['total']}",
    }


def area_names(card: dict[str, Any]) -> list[str]:
    """The card's areas, worst first, then those with measurements but no limit."""
    return list(dict.fromkeys([*(a["area"] for a in card["areas"]), *(m["area"] for m in card["reported"])]))


def _section(card: dict[str, Any], area: str, drawn: Charts, examples: Examples) -> dict[str, Any]:
    runs = [
        r for r in card["runs"] if r["evaluation"].partition(".")[0] == area and r["status"] == "succeeded"
    ]
    outcome = next((a["outcome"] for a in card["areas"] if a["area"] == area), None)
    unprinted = _unprinted(card["data"])
    return {
        "name": area.capitalize(),
        "tone": TONES[outcome] if outcome else "na",
        "word": sentences.OUTCOMES[outcome] if outcome else "No limit set",
        "controls": [_control(card, c) for c in card["controls"] if c["area"] == area],
        "reported": [_reported(m) for m in card["reported"] if m["area"] == area],
        "groups": [table for run in runs for table in group_tables(run)],
        "charts": [c for run in runs for c in _charts(card, run, drawn)],
        **_examples(runs, {} if unprinted else examples),
        "unprinted": unprinted if any(examples.get(run["id"]) for run in runs) else "",
        "conversations": "" if unprinted else _conversations(runs, examples),
    }


def _unprinted(data: dict[str, Any]) -> str:
    """Why no row of the data is printed, or "": a printed page goes where nobody asks who may read it."""
    if data["held_out"]:
        return "The data are held out"
    if TRAINED_ON.intersection(data["roles"].values()):
        return "The data tell what the model was trained on"
    return ""


def _conversations(runs: list[dict[str, Any]], examples: Examples) -> str:
    """How many transcripts are left out: what an attack drew out of a model is not spread on paper."""
    kept = sum(bool(example.get("turns")) for run in runs for example in examples.get(run["id"], ()))
    return f"Conversations kept: {kept:,}. They can hold harmful text, so none is printed." if kept else ""


def _examples(runs: list[dict[str, Any]], examples: Examples) -> dict[str, Any]:
    """The first few of each run, the runs taking turns until the area has enough, in the order of the runs."""
    held = [[one for one in examples.get(run["id"], ()) if not one.get("turns")] for run in runs]
    turns = sorted(
        (place, i) for i, of_run in enumerate(held) for place in range(min(len(of_run), SHOWN_EXAMPLES))
    )[:AREA_EXAMPLES]
    shown = [
        {"run": runs[i]["evaluation_title"], **_example(held[i][place])}
        for place, i in sorted(turns, key=lambda turn: (turn[1], turn[0]))
    ]
    more = sum(map(len, held)) - len(shown)
    return {
        "examples": shown,
        "more_examples": f"Left out here, and held by the service beside each evaluation: {more:,}."
        if more
        else "",
        "has_heat": any(one["heats"] for one in shown),
    }


def _reported(measured: dict[str, Any]) -> dict[str, Any]:
    slice_ = sentences.of_slice(measured["slice"], measured["evaluation"])
    return {
        "name": f"{measured['metric_title']} {slice_}".strip(),
        "value": sentences.number(measured["value"], measured["unit"]),
        "interval": sentences.interval(measured["ci_low"], measured["ci_high"], measured["unit"]),
        "n": f"{measured['n']:,}" if measured["value"] is not None else "–",
        "plain": measured["plain"]
        if measured["value"] is not None
        else f"{'Confounded' if measured['status'] == 'confounded' else 'Not measured'}. {measured['reason']}".strip(),
    }


# --- what runs brought ----------------------------------------------------------------------------


def group_tables(run: dict[str, Any]) -> list[dict[str, Any]]:
    """For each column that the run sliced by: a row per group, a column per metric, largest group first."""
    tables = []
    sliced = [m for m in run["metrics"] if "=" in m["slice"]]
    for column in dict.fromkeys(m["slice"].partition("=")[0] for m in sliced):
        members = [m for m in sliced if m["slice"].partition("=")[0] == column]
        groups = sorted(
            dict.fromkeys(m["slice"].partition("=")[2] for m in members),
            key=lambda g: -max(m["n"] for m in members if m["slice"] == f"{column}={g}"),
        )
        names = list(dict.fromkeys(m["name"] for m in members))
        cells = {(m["slice"].partition("=")[2], m["name"]): m for m in members}
        titles = {m["name"]: m["title"] for m in members}
        called = sentences.own_column(run["evaluation"], column)
        for start in range(0, len(names), METRIC_COLUMNS):
            part = names[start : start + METRIC_COLUMNS]
            rows = [
                [
                    sentences.own_group(run["evaluation"], column, group),
                    f"{max(m['n'] for m in members if m['slice'] == f'{column}={group}'):,}",
                    *(_cell(cells.get((group, name))) for name in part),
                ]
                for group in groups[:SHOWN_ROWS]
            ]
            tables.append(
                {
                    "caption": f"{run['evaluation_title']}, by {called}",
                    "header": [
                        called,
                        "n",
                        *(titles[name] for name in part),
                    ],
                    "rows": rows,
                    "note": " ".join(
                        [left_out(len(groups)), *(f"Confounded: {reason}" for reason in _reasons(members))]
                    ).strip(),
                }
            )
    return tables


def _reasons(measured: Sequence[dict[str, Any]]) -> list[str]:
    """Why metrics are confounded, each reason once."""
    return list(dict.fromkeys(m["reason"] for m in measured if m["status"] == "confounded"))


def _cell(measured: dict[str, Any] | None) -> str:
    if measured is None:
        return "–"
    if measured["value"] is None:
        return sentences.WITHOUT_VALUE.get(measured["status"], "not estimable")
    value = sentences.number(measured["value"], measured["unit"])
    around = sentences.interval(measured["ci_low"], measured["ci_high"], measured["unit"])
    return f"{value} ({around})" if around else value


def _charts(card: dict[str, Any], run: dict[str, Any], drawn: Charts) -> list[dict[str, Any]]:
    found = []
    for chart in run["charts"]:
        stored = drawn.get((run["id"], chart["name"]))
        if stored is None:
            continue
        spec = charts.with_limits(stored["spec"], run["item"], card["controls"])
        found.append(
            {"title": chart["title"], "alt": chart["alt"], "svg": charts.render_svg(spec, _CHART_FONT)}
        )
    return found


def _example(example: Mapping[str, Any]) -> dict[str, Any]:
    changed = example.get("changed", [])
    before, after = sentences.EXAMPLE_SIDES.get(str(example.get("kind", "")), sentences.INPUT_ALONE)
    shown = heats.maps(example.get("heat", []))
    sides = [
        {"name": before, "words": _marked(example.get("before", ""), {pair[0] for pair in changed})},
        {"name": after, "words": _marked(example.get("after", ""), {pair[1] for pair in changed})},
    ]
    if not after and any(one.tokens for one in shown):  # the attribution shows the text
        sides = []
    return {
        "id": f"Example {example['id']}",
        "sides": [side for side in sides if side["words"]],
        "heats": [_heat(one) for one in shown],
        "pictures": [_shown_picture(one) for one in example.get("pictures", [])],
        "facts": pairs({name.replace("_", " "): value for name, value in example.get("facts", {}).items()}),
    }


def _heat(shown: heats.Map) -> dict[str, Any]:
    """An attribution with its strongest parts in words: what the colours say can be read without them."""
    parts = shown.features[:SHOWN_PARTS]
    of = f" “{shown.answer}”" if shown.answer else " the answer"
    when_ = ", after" if shown.side == "after" else ""
    ends = [
        (f"For{of}{when_}", [f for f in parts if f.value > 0]),
        ("against", [f for f in parts if f.value < 0]),
    ]
    said = "; ".join(
        f"{head}: {', '.join(f'{f.name} {heats.signed(f.value)}' for f in members)}"
        for head, members in ends
        if members
    )
    left = len(shown.tokens) - SHOWN_TOKENS + shown.more_tokens
    return {
        "title": f"What speaks for{of}{when_}",
        "tokens": [_token(token) for token in shown.tokens[:SHOWN_TOKENS]],
        "cells": [[_token(cell) for cell in row] for row in shown.cells],
        "bars": [] if shown.tokens or shown.cells else [_bar(f) for f in parts],
        "said": f"{said[:1].upper()}{said[1:]}." if said else "No part has any weight.",
        "note": f"… and {left:,} more" if left > 0 else "",
    }


def _token(token: heats.Token) -> dict[str, Any]:
    return {"text": token.text, "glued": token.glued, "level": token.level}


def _bar(feature: heats.Feature) -> dict[str, Any]:
    return {"name": feature.name, "share": round(feature.share, 4), "value": heats.signed(feature.value)}


def _shown_picture(picture: Mapping[str, Any]) -> dict[str, str]:
    png = pictures.plain_png(picture["png"])
    title, alt = str(picture["title"]), str(picture["alt"])
    if png is None:
        return {"title": f"{title} (not shown: no plain PNG)", "alt": alt, "svg": ""}
    drawn = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{png.width}" height="{png.height}">'
        f'<image width="{png.width}" height="{png.height}" image-rendering="optimizeSpeed" '
        f'href="data:image/png;base64,{png.base64}"/></svg>'
    )
    return {"title": title, "alt": alt or title, "svg": drawn}


def _marked(text: str, words: set[int]) -> list[dict[str, Any]]:
    """Words with whether each was changed. Indices count words separated by white space."""
    return [{"word": word, "changed": i in words} for i, word in enumerate(text.split()[:120])]


def _run(run: dict[str, Any]) -> dict[str, Any]:
    isolation = run["isolation"]
    measured = [m for m in run["metrics"] if "=" not in m["slice"]]
    return {
        "name": f"{run['evaluation_title']} ({run['item']}), attempt {run['attempt']}",
        "status": RUN_STATUS.get(run["status"], run["status"]),
        "tone": "pass" if run["status"] == "succeeded" else "na",
        "facts": [
            ["Run", run["id"]],
            ["Evaluation", f"{run['evaluation']} version {run['evaluation_version']}"],
            ["Time", f"{when(run['started_at'])} to {when(run['finished_at'])}"],
            *(
                [["Ended because", run["reason"] or run["reason_code"]]]
                if run["reason"] or run["reason_code"]
                else []
            ),
            ["Parameters", parameters(run["params"])],
            ["Seed", str(run["seed"])],
            ["Device", run["device"] or "–"],
            ["Isolation", pairs(isolation) if isolation else "not recorded: nothing was run"],
            ["Environment", pairs(run["environment"])],
            ["Examples", coverage(run["coverage"])],
            ["Cost", cost(run["cost"])],
            *([["Warnings", " ".join(run["warnings"])]] if run["warnings"] else []),
            *([["Confounded", " ".join(reasons)]] if (reasons := _reasons(run["metrics"])) else []),
        ],
        "metrics": [
            [
                m["title"],
                sentences.of_slice(m["slice"], run["evaluation"]) or "all rows",
                _cell(m),
                f"{m['n']:,}",
            ]
            for m in measured[:SHOWN_ROWS]
        ],
    }
