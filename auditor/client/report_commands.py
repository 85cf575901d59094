"""`auditor report pdf|json|ml-bom` and `auditor verify`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from urllib.parse import quote

import click

from auditor.client.exits import ClientError, Exit
from auditor.client.session import Session, pass_session

OUTPUT = click.Path(path_type=Path, dir_okay=False)


@click.group()
def report() -> None:
    """Report cards as files."""


@report.command()
@click.argument("audit_or_card")
@click.option("-o", "--output", type=OUTPUT, required=True, help="Where to write it.")
@pass_session
def pdf(session: Session, audit_or_card: str, output: Path) -> None:
    """The signed PDF of a report card (aud_… or rc_…), with its data and proof attached."""
    output.write_bytes(session.client.get(f"cards/{card_id(session, audit_or_card)}/pdf").content)
    session.note(f"{output} written. Check it with `auditor verify {output}`.")


@report.command("json")
@click.argument("audit_or_card")
@click.option("-o", "--output", type=OUTPUT, help="Where to write it (default: standard output).")
@pass_session
def json_bundle(session: Session, audit_or_card: str, output: Path | None) -> None:
    """The report card and its proof as one JSON file, which `auditor verify` checks offline."""
    content = session.client.get(f"cards/{card_id(session, audit_or_card)}/bundle").content
    if output is None:
        click.echo(content.decode())
        return
    output.write_bytes(content)
    session.note(f"{output} written. Check it with `auditor verify {output}`.")


@report.command("ml-bom")
@click.argument("subject", metavar="AUDIT_OR_CARD|NAME@VERSION")
@click.option("-o", "--output", type=OUTPUT, help="Where to write it (default: standard output).")
@pass_session
def ml_bom(session: Session, subject: str, output: Path | None) -> None:
    """A CycloneDX 1.6 bill of materials: of a report card, with what was measured, or of a model version alone."""
    name, at, version = subject.partition("@")
    if at:
        path = f"models/{quote(name, safe='')}/versions/{quote(version, safe='')}/ml-bom"
    else:
        path = f"cards/{card_id(session, subject)}/ml-bom"
    content = session.client.get(path).content
    if output is None:
        click.echo(content.decode(), nl=False)
        return
    output.write_bytes(content)
    session.note(f"{output} written.")


def card_id(session: Session, audit_or_card: str) -> str:
    """The card meant by its own number or by that of its audit."""
    if not audit_or_card.startswith("aud_"):
        return audit_or_card
    cards = session.client.get_json(f"audits/{audit_or_card}")["cards"]
    if not cards:
        raise ClientError(
            f"{audit_or_card} has no report card yet. Look with `auditor audit status {audit_or_card}`."
        )
    if len(cards) > 1:
        names = ", ".join(f"{card['id']} ({card['policy']})" for card in cards)
        raise ClientError(f"{audit_or_card} has several report cards; name one: {names}.")
    return str(cards[0]["id"])


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--trust", help="The issuer's key: its fingerprint, or a PEM file with its key or certificate.")
@click.option("--strict", is_flag=True, help="An unknown signer is a failure.")
@click.option("--json", "as_json", is_flag=True, help="The findings as JSON.")
def verify(file: Path, trust: str | None, strict: bool, as_json: bool) -> int:
    """Check a report card (PDF or JSON bundle) offline: integrity, signer and time, each by itself."""
    from auditor.client.verify import TrustError, verify_file

    try:
        found = verify_file(file, trust)
    except TrustError as error:
        raise ClientError(str(error)) from error
    if as_json:
        facts = {key: value for key, value in asdict(found).items() if key != "card"}
        click.echo(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        click.echo(f"Integrity  {found.integrity}")
        click.echo(f"Signer     {found.signer}{f', key {found.key_id}' if found.key_id else ''}")
        click.echo(f"Time       {found.time or 'unknown'}{f' ({found.time_source})' if found.time else ''}")
        if found.ledger_index is not None:
            click.echo(f"Ledger     entry {found.ledger_index} of a signed tree of {found.ledger_size}")
        for problem in found.problems:
            click.echo(f"Problem    {problem}")
        if found.ok and found.signer == "unknown":
            click.echo("Compare the key with the issuer's, or give it with --trust.")
    accepted = found.ok and not (strict and found.signer != "trusted")
    return Exit.MEETS if accepted else Exit.NOT_VERIFIED
