"""`manage.py rotatecredentials`: seals the secrets of endpoints again with the first of CREDENTIAL_KEYS."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from auditor.core.errors import DomainError
from auditor.registry import credentials


class Command(BaseCommand):
    """Afterwards the keys that follow the first one can be taken off the list."""

    help = "Seal every endpoint credential again with the first key."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            count = credentials.rotate()
        except DomainError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"{count} credentials sealed with the first key.")
