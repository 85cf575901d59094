"""`auditor audit run|status|cancel|keep-attacks`."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import click

from auditor.client import junit, render, sarif, watch
from auditor.client.exits import VERDICT_EXITS, Exit
from auditor.client.session import Duration, Reference, Session, pass_session

WORST_FIRST = (Exit.DOES_NOT_MEET, Exit.INCOMPLETE, Exit.MEETS)
REPORT = click.Path(path_type=Path, dir_okay=False)


@click.group()
def audit() -> None:
    """Audits: start them, watch them, stop them."""


@audit.command()
@click.argument("model", type=Reference())
@click.option("--data", "dataset", type=Reference(), required=True, help="Data set version, such as adult@1.")
@click.option(
    "--policy", "policies", multiple=True, required=True, help="Such as release-gate or release-gate@3."
)
@click.option("--wait", is_flag=True, help="Wait for the end; the exit code is then the verdict.")
@click.option("--timeout", type=Duration(), help="How long to wait, such as 45m (default: without end).")
@click.option("--junit", "junit_file", type=REPORT, help="Write the controls as JUnit XML.")
@click.option("--sarif", "sarif_file", type=REPORT, help="Write what does not pass as SARIF 2.1.0.")
@click.option(
    "--location", help="File of your repository that SARIF results point at (default: the model's name)."
)
@click.option(
    "--json", "json_file", type=REPORT, help="Write the report card with its proof, for `auditor verify`."
)
@click.option("--judge", type=Reference(), help="Another model, which judges answers, such as judge@1.")
@click.option(
    "--reference",
    type=Reference(),
    help="A model of the same kind, not trained on the data, which privacy evaluations compare with.",
)
@click.option(
    "--max-requests", type=click.IntRange(1), help="Budget at the endpoint: requests, repeated ones too."
)
@click.option(
    "--max-tokens", type=click.IntRange(1), help="Budget at the endpoint: tokens read and generated."
)
@click.option(
    "--max-cost", type=click.FloatRange(0, min_open=True), help="Budget, in the currency of its price."
)
@click.option(
    "--supersedes",
    metavar="AUDIT",
    help="An audit that this one replaces; one cut off by its budget is gone on from.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be run, and what it would take.")
@pass_session
def run(
    session: Session,
    /,
    model: str,
    dataset: str,
    policies: tuple[str, ...],
    wait: bool,
    timeout: float | None,
    junit_file: Path | None,
    sarif_file: Path | None,
    location: str | None,
    json_file: Path | None,
    dry_run: bool,
    supersedes: str | None,
    judge: str | None,
    reference: str | None,
    **budget: float | None,
) -> int:
    """Audit the version MODEL under one or more policies."""
    waits = wait or timeout is not None
    if not waits and (junit_file or sarif_file or json_file):
        raise click.UsageError("--junit, --sarif and --json need the result: add --wait.")
    body: dict[str, Any] = {
        "model": model,
        "dataset": dataset,
        "policies": list(policies),
        "dry_run": dry_run,
        "supersedes": supersedes,
        "judge": judge,
        "reference": reference,
        **budget,
    }
    started = session.client.post("audits", body)
    if dry_run:
        show_plan(started)
        return Exit.MEETS
    if not waits:
        click.echo(started["id"])
        session.note(f"Queued. Look with `auditor audit status {started['id']}`.")
        return Exit.MEETS
    ended = wait_for(session, started["id"], timeout)
    cards = cards_of(session, ended)
    for card in cards:
        render.show(card, session.out)
    if junit_file:
        junit_file.write_text(junit.junit(cards), encoding="utf-8")
    if sarif_file:
        log = sarif.sarif(cards, location or model.split("@")[0], session.settings.url)
        sarif_file.write_text(json.dumps(log, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if json_file:
        for card in cards:
            path = json_file if len(cards) == 1 else json_file.with_suffix(f".{card['policy']['name']}.json")
            path.write_bytes(session.client.get(f"cards/{card['id']}/bundle").content)
    return outcome(session, ended, cards)


def wait_for(session: Session, audit_id: str, timeout: float | None = None) -> dict[str, Any]:
    """The audit once it has ended, with its progress shown meanwhile."""
    display = watch.Bars(session.err) if session.err.is_terminal else watch.Lines(session.note)
    return watch.wait(session.client, audit_id, display, timeout)


def cards_of(session: Session, ended: dict[str, Any]) -> list[dict[str, Any]]:
    return [session.client.get_json(f"cards/{card['id']}") for card in ended["cards"]]


def outcome(session: Session, ended: dict[str, Any], cards: list[dict[str, Any]]) -> Exit:
    """The exit code of an audit that has ended: the worst verdict of its cards."""
    if not cards:
        session.note(f"The audit {ended['id']} was {ended['status']} and has no report card.")
        return Exit.INCOMPLETE
    if any(card["verdict"] == "meets_with_accepted_risk" for card in cards):
        session.note("Notice: a risk that the policy does not allow was accepted by a waiver in force.")
    verdicts = {VERDICT_EXITS.get(card["verdict"], Exit.INCOMPLETE) for card in cards}
    return next(code for code in WORST_FIRST if code in verdicts)


@audit.command()
@click.argument("audit_id")
@click.option("--json", "as_json", is_flag=True, help="The service's own answer.")
@pass_session
def status(session: Session, audit_id: str, as_json: bool) -> None:
    """Where an audit is."""
    found = session.client.get_json(f"audits/{audit_id}")
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    progress = found["progress"]
    click.echo(f"{found['id']} {found['status']}, {progress['done_runs']} of {progress['total_runs']} runs")
    for each in found["runs"]:
        reason = f": {each['reason']}" if each.get("reason") else ""
        click.echo(
            render.printable(f"  {each['item']:<28} {each['status']}, attempt {each['attempt']}{reason}")
        )
        if spent := each.get("spent"):
            paid = f", {spent['cost']:,.2f} {spent['currency']}" if spent["cost"] else ""
            click.echo(f"  {'':<28} {spent['requests']:,} requests, {spent['tokens']:,} tokens{paid}")
    for card in found["cards"]:
        click.echo(
            f"  report card {card['id']}: {render.VERDICTS.get(card['verdict'], (card['verdict'],))[0]}"
        )


@audit.command()
@click.argument("audit_id")
@pass_session
def cancel(session: Session, audit_id: str) -> None:
    """Stop an audit. Once something was measured, the cancelled attempt stays on record."""
    found = session.client.post(f"audits/{audit_id}/cancel")
    click.echo(f"{found['id']} {found['status']}")


@audit.command("keep-attacks")
@click.argument("audit_id")
@click.argument("item")
@click.option("--name", required=True, help="Data set that is to hold them, such as sentiment-attacks.")
@pass_session
def keep_attacks(session: Session, audit_id: str, item: str, name: str) -> None:
    """Keep the attacks of ITEM that succeeded as a data set, which later versions must withstand.

    Prints the data set's version. One of the name grows by the attacks that it does not hold yet.
    """
    kept = session.client.post(f"audits/{audit_id}/keep-attacks", {"item": item, "name": name})
    click.echo(f"{kept['dataset']}@{kept['version']}")
    session.note(
        f"New in it: {kept['added']:,}, known before: {kept['known']:,}, attacks in all: {kept['rows']:,}."
    )


def show_plan(plan: dict[str, Any]) -> None:
    """Print what an audit would do and take."""
    for item in plan["items"]:
        click.echo(f"{item['item']:<28} {item['evaluation']} {item['version']}")
        if item.get("refusal"):
            click.echo(render.printable(f"{'':<28} cannot run: {item['refusal']}"))
            continue
        click.echo(f"{'':<28} {_takes(item['takes'], plan['currency'])}")
        if item["smallest_detectable_effect"] is not None:
            effect = item["smallest_detectable_effect"]
            click.echo(f"{'':<28} can tell a difference of {100 * effect:.1f} points of a rate")
    click.echo(f"in all: {_takes(plan['takes'], plan['currency'])}")
    for warning in plan["warnings"]:
        click.echo(render.printable(f"note: {warning}"))
    click.echo(", ".join(str(part) for part in (f"seed {plan['seed']}", plan.get("digest")) if part))


def _takes(takes: dict[str, Any], currency: str) -> str:
    """The forecast in one line; what cannot be told is left out."""
    parts = [f"at most {takes['queries']:,} queries"]
    if takes["requests"]:
        parts.append(f"{takes['requests']:,} requests")
    if takes["input_tokens"] is not None and takes["input_tokens"] + takes["output_tokens"]:
        parts.append(
            f"about {takes['input_tokens']:,} tokens read, {takes['output_tokens']:,} generated at most"
        )
    if takes["cost"] is not None and currency:
        parts.append(f"about {takes['cost']:,.2f} {currency}")
    if takes["seconds"] is not None:
        minutes, seconds = divmod(math.ceil(takes["seconds"]), 60)
        parts.append(f"about {minutes:,} min" if minutes else f"about {seconds} s")
    return ", ".join(parts)
