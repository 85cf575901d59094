"""`manage.py exportopenapi`: writes openapi.json at the root of the repository."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from auditor.api.api import api


def current() -> str:
    """The API's document as it is committed."""
    return json.dumps(api.get_openapi_schema(path_prefix="/api/v1/"), indent=2, sort_keys=True) + "\n"


class Command(BaseCommand):
    """A test compares the file with the code."""

    help = "Write the API's OpenAPI document."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--output", type=Path, default=settings.BASE_DIR / "openapi.json")

    def handle(self, *args: Any, **options: Any) -> None:
        options["output"].write_text(current(), encoding="utf-8")
        self.stdout.write(f"{options['output']} written.")
