"""Reads the column names of a table, so that roles can be given by naming the exceptions."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from auditor.client.exits import ClientError

OTHER_ROLES = (
    "Any other role, such as passage=context. For audits of privacy: seen=member (1 where the model was trained on the "
    "row, 0 where it was not), coin=randomised_inclusion (of canaries: 1 or 0 as a fair coin fell), "
    "times=repetitions (of canaries: how often they were put into the training data)."
)


def roles(file: Path, **given: Any) -> dict[str, str]:
    """The role of each column of `file` in use: see `assign`."""
    return assign(names(file), file.name, **given)


def assign(
    present: Sequence[str],
    what: str,
    *,
    target: str = "",
    inputs: Sequence[str] = (),
    sensitive: Sequence[str] = (),
    identity: str | None = None,
    ignored: Sequence[str] = (),
    more: Sequence[str] = (),
) -> dict[str, str]:
    """The role of each column. Those that nothing is said of are inputs, unless `inputs` names some.

    `more` holds any other roles as COLUMN=ROLE. `what` names the table in messages.
    """
    named = [(target, "target")] if target else []
    named += [*((c, "sensitive") for c in sensitive), *((c, "ignore") for c in ignored)]
    named += [(identity, "id")] if identity else []
    named += [(column, "input") for column in inputs]
    named += [_pair(one) for one in more]
    found: dict[str, str] = {}
    for column, role in named:
        if column in found:
            raise ClientError(
                f"The column {column!r} is given two roles: {found[column]} and {role}. Give it one."
            )
        found[column] = role
    absent = [column for column in found if column not in present]
    if absent:
        raise ClientError(
            f"{what} has no column {absent[0]!r}. Its columns are: {', '.join(present[:30])}"
            f"{', …' if len(present) > 30 else ''}."
        )
    rest = "ignore" if "input" in found.values() else "input"
    return {column: found.get(column, rest) for column in present}


def _pair(text: str) -> tuple[str, str]:
    from evaluations.spec import Role

    column, equals, role = text.rpartition("=")
    if not equals or not column or role not in list(Role):
        raise ClientError(f"{text!r} names no role. Write COLUMN=ROLE with one of {', '.join(Role)}.")
    return column, role


def names(file: Path) -> list[str]:
    """The columns of a .csv, .jsonl or .parquet file. Raises ClientError where they cannot be read."""
    if not file.is_file():
        raise ClientError(f"There is no file {file}.")
    try:
        if file.suffix.lower() == ".parquet":
            return _parquet(file)
        with file.open(encoding="utf-8-sig", newline="") as lines:
            if file.suffix.lower() == ".jsonl":
                first = json.loads(next(line for line in lines if line.strip()))
                return list(first) if isinstance(first, dict) else []
            return next(csv.reader(lines))
    except StopIteration:
        raise ClientError(f"{file.name} is empty. Give a table with a header and at least one row.") from None
    except (ValueError, csv.Error) as error:
        raise ClientError(
            f"The columns of {file.name} cannot be read: {error}. Save it again in UTF-8."
        ) from error


def _parquet(file: Path) -> list[str]:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise ClientError(
            "Reading the columns of a Parquet file needs pyarrow: pip install pyarrow, or send a .csv or .jsonl file."
        ) from error
    return [str(name) for name in parquet.read_schema(file).names]
