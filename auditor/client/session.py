"""What all commands share: the consoles, the connection, durations, and references like income@3.2.0."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

from auditor.client import config, render
from auditor.client.exits import ClientError, Exit

if TYPE_CHECKING:
    import httpx

    from auditor.client.http import Client

LOG_COLUMNS = 140
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?")
_REFERENCE = re.compile(r"([a-z0-9][a-z0-9_-]*)@([0-9A-Za-z][0-9A-Za-z._+-]*)")


@dataclass
class Session:
    """One call of the command line. Results go to standard output, everything else to standard error."""

    url: str | None = None
    transport: httpx.BaseTransport | None = None
    sleep: Callable[[float], None] = time.sleep

    @cached_property
    def out(self) -> Any:
        from rich.console import Console

        found = Console(highlight=False, emoji=False)
        # in a log a line may be long; rich would assume 80 columns
        return found if found.is_terminal else Console(highlight=False, emoji=False, width=LOG_COLUMNS)

    @cached_property
    def err(self) -> Any:
        from rich.console import Console

        return Console(stderr=True, highlight=False, emoji=False)

    @cached_property
    def settings(self) -> config.Config:
        found = config.read(self.url)
        if not found.token:
            raise NotSignedIn(
                f"There is no API token for {found.url}. Run `auditor login`, or set AUDITOR_URL and AUDITOR_TOKEN."
            )
        return found

    @cached_property
    def client(self) -> Client:
        return self.connect(self.settings)

    def connect(self, settings: config.Config) -> Client:
        from auditor.client.http import Client

        return Client(settings, transport=self.transport, sleep=self.sleep)

    def note(self, text: str) -> None:
        """A line for people."""
        click.echo(render.printable(text), err=True)


class NotSignedIn(ClientError):
    """No token at hand."""

    exit_code = Exit.NOT_ALLOWED


class Duration(click.ParamType[float]):
    """Seconds, written like 90, 45m or 1h30m."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return float(value)
        match = _DURATION.fullmatch(value)
        if not match or not any(match.groups()):
            self.fail(f"{value!r} is no duration. Write it like 90s, 45m or 1h30m.", param, ctx)
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return float(hours * 3600 + minutes * 60 + seconds)


class Reference(click.ParamType[str]):
    """A version by name, like income@3.2.0."""

    name = "NAME@VERSION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not _REFERENCE.fullmatch(value):
            self.fail(f"{value!r} names no version. Write it like income@3.2.0.", param, ctx)
        return str(value)


pass_session = click.make_pass_decorator(Session, ensure=True)
