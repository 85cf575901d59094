"""`manage.py prepare`: bring the database up to date and publish the built-in policies. Safe to repeat."""

from __future__ import annotations

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand

from auditor.policies.services import ensure_builtin


class Command(BaseCommand):
    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", interactive=False, verbosity=0)
        for version in ensure_builtin():
            self.stdout.write(f"{version} {version.digest}")
