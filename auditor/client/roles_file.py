"""Reads and writes a roles.yaml: what the columns of a table are for, in place of options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import yaml

from auditor.client.exits import ClientError

# What the file says in place of: key of the options -> as people write it.
INSTEAD = {
    "target": "--target",
    "inputs": "--input",
    "sensitive": "--sensitive",
    "ignore": "--ignore",
    "id_column": "--id",
    "more": "--role",
}


def read(options: Mapping[str, Any]) -> dict[str, Any]:
    """What the file of --roles says; nothing without one. Raises where it is none, or options say it too."""
    path = options["roles_file"]
    if path is None:
        return {}
    if both := [written for key, written in INSTEAD.items() if options.get(key)]:
        raise click.UsageError(f"{path.name} gives every column its role: leave out {', '.join(both)}.")
    try:
        found: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ClientError(f"{path} cannot be read: {str(error)[:200]}") from error
    roles = found.get("roles") if isinstance(found, dict) else None
    if (
        not isinstance(roles, dict)
        or not roles
        or not all(isinstance(r, str) for r in [*roles, *roles.values()])
    ):
        raise ClientError(
            f"{path} names no roles. It looks like this:\n  roles:\n    text: input\n    label: target"
        )
    return dict(found)  # whoever takes it checks every value


def write(table: Path, name: str, roles: dict[str, str], about: Mapping[str, Any]) -> None:
    """A roles.yaml beside `table`, to be pushed as `name`. `about` holds what else such a file says, where known."""
    from evaluations.data import prepare

    prepare.write(
        prepare.Tidy(
            {}, table.name, roles, about.get("favourable_label") or "", tuple(about.get("languages") or ())
        ),
        table.parent,
        name=name,
        **{key: about.get(key, "") for key in ("description", "licence", "source")},
    )
