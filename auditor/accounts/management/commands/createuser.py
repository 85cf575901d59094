"""`manage.py createuser NAME --team TEAM --role ROLE`: an account for a person; the password is asked for or read."""

from __future__ import annotations

import getpass
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from auditor.accounts.models import Role, Team
from auditor.accounts.services import create_user
from auditor.core.errors import DomainError


class Command(BaseCommand):
    """Makes the team too where it does not exist yet."""

    help = (
        "Make an account. The password is asked for, or read from standard input where that is no terminal."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--team", required=True, help="name of the team; made where it does not exist")
        parser.add_argument("--role", required=True, choices=Role.values)
        parser.add_argument("--full-name", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        asked = sys.stdin.isatty()
        password = getpass.getpass("Password: ") if asked else sys.stdin.readline().rstrip("\n")
        if asked and getpass.getpass("Again: ") != password:
            raise CommandError("The two passwords differ. Try again.")
        team = Team.objects.get_or_create(name=options["team"])[0]
        try:
            user = create_user(
                username=options["username"],
                password=password,
                team=team,
                role=options["role"],
                full_name=options["full_name"],
            )
        except DomainError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"{user.username} is {options['role']} in {team}.")
