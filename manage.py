#!/usr/bin/env python3
"""Django's command line, with the embedded database started where a command needs one."""

import os
import sys

# Commands that touch no database, so that set-up needs no server.
OFFLINE = {
    "check",
    "collectstatic",
    "makemigrations",
    "compilemessages",
    "exportopenapi",
    "help",
    "version",
    "--help",
    "--version",
}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "auditor.settings")
    if len(sys.argv) > 1 and sys.argv[1] not in OFFLINE and not os.environ.get("DATABASE_URL"):
        from auditor.core import embedded

        embedded.ensure_running()
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
