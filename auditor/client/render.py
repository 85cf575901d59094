"""A report card for a terminal: the verdict, what decides it, each number with its interval and limit."""

from __future__ import annotations

import unicodedata
from typing import Any

from auditor.reports.sentences import number

VERDICTS = {
    "meets": ("MEETS POLICY", "green"),
    "meets_with_accepted_risk": ("MEETS POLICY WITH ACCEPTED RISK", "yellow"),
    "incomplete": ("INCOMPLETE", "yellow"),
    "does_not_meet": ("DOES NOT MEET POLICY", "red"),
}
# Never by colour alone: each outcome has its word and mark.
OUTCOMES = {
    "pass": ("✓ pass", "green"),
    "fail": ("✗ fail", "red"),
    "inconclusive": ("? cannot tell yet", "yellow"),
    "not_assessed": ("– not assessed", "yellow"),
    "not_applicable": ("· not applicable", "dim"),
}


def printable(text: Any) -> str:
    """Text from people and models for a terminal: what could steer it (escapes, direction marks) becomes a mark."""
    return "".join(c if c == "\n" or unicodedata.category(c)[0] != "C" else "\ufffd" for c in str(text))


def interval(measured: dict[str, Any]) -> str:
    if measured.get("ci_low") is None:
        return "–"
    return (
        f"{number(measured['ci_low'], measured['unit'])} to {number(measured['ci_high'], measured['unit'])}"
    )


def slice_words(slice_: str) -> str:
    return "" if slice_ == "all" else f" ({slice_})"


def deciding(card: dict[str, Any]) -> list[dict[str, Any]]:
    """The controls that decide the verdict, worst first, as the card orders them."""
    by_key = {(c["control"], c["slice"]): c for c in card["controls"]}
    return [by_key[d["control"], d["slice"]] for d in card["deciding"]]


def _policy(policy: dict[str, Any]) -> str:
    """A published policy has a number; the file of a local run has none."""
    return f"{policy['name']}@{policy['number']}" if policy["number"] else str(policy["name"])


def show(card: dict[str, Any], console: Any) -> None:
    """Print the card. Names and texts in it come from people: they are printed as they are, never as markup."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    words, colour = VERDICTS.get(card["verdict"], (card["verdict"], "red"))
    model, policy = card["model"], card["policy"]
    console.print()
    console.print(
        Text.assemble(
            (f" {words} ", f"bold reverse {colour}"),
            printable(f"  {model['name']}@{model['version']} under {_policy(policy)}"),
        )
    )
    for control in deciding(card):
        word, colour = OUTCOMES[control["outcome"]]
        console.print(
            Text.assemble((f"  {word:<18}", colour), printable(f"{control['control']}  {control['title']}"))
        )
        for sentence in (control["plain"], control["reason"]):
            if sentence:
                console.print(Padding(Text(printable(sentence), style="dim"), (0, 0, 0, 20), expand=False))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, justify in (("Control", "left"), ("", "left"), ("Value", "right"), ("95 % interval", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]  # rich's literal type
    table.add_column("Limit", justify="right")
    table.add_column("n", justify="right")
    for control in card["controls"]:
        word, colour = OUTCOMES[control["outcome"]]
        table.add_row(
            Text(printable(f"{control['control']} {control['metric_title']}{slice_words(control['slice'])}")),
            Text(word, style=colour),
            number(control["value"], control["unit"]),
            interval(control),
            f"{control['comparison']} {number(control['limit'], control['unit'])}",
            f"{control['n']:,}",
        )
    for measured in card["reported"]:
        table.add_row(
            Text(printable(f"{measured['metric_title']}{slice_words(measured['slice'])}")),
            Text("reported", style="dim"),
            number(measured["value"], measured["unit"]),
            interval(measured),
            "–",
            f"{measured['n']:,}",
        )
    console.print()
    console.print(table)
    console.print()
