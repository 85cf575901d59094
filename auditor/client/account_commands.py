"""`auditor login` and `auditor whoami`."""

from __future__ import annotations

import sys

import click

from auditor.client import config
from auditor.client.exits import ClientError
from auditor.client.session import Session, pass_session


@click.command()
@click.option("--url", help="The service's address, such as https://auditor.example.org.")
@click.option(
    "--token-stdin", is_flag=True, help="Read the token from standard input instead of asking for it."
)
@pass_session
def login(session: Session, url: str | None, token_stdin: bool) -> None:
    """Check an API token and keep it for later calls, in a file only you can read."""
    address = config.check_url(
        url or session.url or click.prompt("Address", default=config.read().url, err=True)
    )
    token = (
        sys.stdin.readline() if token_stdin else click.prompt("API token", hide_input=True, err=True)
    ).strip()
    if not token:
        raise ClientError("No token was given. Make one in the web service under Account, API tokens.")
    settings = config.Config(address, token)
    with session.connect(settings) as client:
        me = client.get_json("me")
    path = config.write(settings)
    session.note(f"Signed in to {address} as {me['name']}. The token is kept in {path}.")


@click.command()
@pass_session
def whoami(session: Session) -> None:
    """Who the token acts for, and what it may do."""
    me = session.client.get_json("me")
    click.echo(f"{me['name']} at {session.settings.url}")
    for team in me.get("teams", []):
        click.echo(f"  {team['name']}: {team['role']}")
    if me.get("scopes"):
        click.echo(f"  this token may: {', '.join(me['scopes'])}")
