"""`manage.py createtoken NAME --name PIPELINE`: an API token of a person, printed once."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from auditor.accounts.models import User
from auditor.accounts.services import issue_token
from auditor.core.errors import DomainError


class Command(BaseCommand):
    """Standard output holds the token and nothing else, so that a script can read it."""

    help = "Make an API token of an account and print it; it cannot be shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--name", required=True, help="what the token is for")
        parser.add_argument("--scope", action="append", help="read or submit; both where none is given")
        parser.add_argument("--days", type=int, default=90)
        parser.add_argument(
            "--network", action="append", default=[], help="CIDR range that it may be used from"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(
                f"There is no account {options['username']!r}. Make it with manage.py createuser."
            )
        try:
            _, text = issue_token(
                user=user,
                name=options["name"],
                scopes=options["scope"] or ["read", "submit"],
                days=options["days"],
                networks=options["network"],
            )
        except DomainError as error:
            raise CommandError(error.message) from error
        self.stdout.write(text)
