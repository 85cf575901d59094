"""The team of the demonstration: an engineer, a reviewer and a regulator, with passwords kept in a private file."""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path

from auditor.accounts.models import Team, User
from auditor.accounts.services import create_user, issue_token, revoke_token

TEAM = "Demonstration"
CAST = (
    ("erin", "Erin Engineer", "engineer"),
    ("ruth", "Ruth Reviewer", "reviewer"),
    ("rex", "Rex Regulator", "regulator"),
)


@dataclass(frozen=True)
class Person:
    username: str
    password: str
    role: str


def ensure(file: Path) -> list[Person]:
    """The cast, made where it is missing. Somebody whose password is no longer in `file` gets a new one."""
    kept: dict[str, str] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    team, _ = Team.objects.get_or_create(name=TEAM)
    people = []
    for username, full_name, role in CAST:
        user = User.objects.filter(username=username).first()
        password = kept.get(username) or secrets.token_urlsafe(12)
        if user is None:
            create_user(username=username, password=password, team=team, role=role, full_name=full_name)
        elif not user.check_password(password):
            user.set_password(password)
            user.save(update_fields=["password"])
        people.append(Person(username, password, role))
    _write_private(file, json.dumps({person.username: person.password for person in people}, indent=2) + "\n")
    return people


def token_for(username: str) -> tuple[str, str]:
    """A new API token of this person: its number, and its text."""
    token, text = issue_token(
        user=User.objects.get(username=username), name="demonstration", scopes=["read", "submit"], days=1
    )
    return str(token.pk), text


def revoke(username: str, token_id: str) -> None:
    revoke_token(user=User.objects.get(username=username), token_id=token_id)


def _write_private(file: Path, text: str) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=".people-")  # 0600 from the start
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(text)
    os.replace(temporary, file)
