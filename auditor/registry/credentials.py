"""Secrets of endpoints: sealed when they are set, opened in a supervisor alone, shown to nobody."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from auditor.core.access import Principal, require
from auditor.core.errors import DomainError, Problem
from auditor.registry import endpoints
from auditor.registry.egress import ANY, SAME_NETWORK, destination
from auditor.registry.models import EndpointCredential, Model

LONGEST = 8000  # characters; some services use signed tokens
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,59}")
_SECRET = re.compile(r"[\x21-\x7e]+( [\x21-\x7e]+)?")
_NOT_OURS = frozenset(  # those that decide where a request goes, or how it is read
    {"host", "content-length", "transfer-encoding", "connection", "content-type", "te", "trailer", "upgrade"}
    | {"accept", "accept-encoding", "user-agent", "expect", "keep-alive", "proxy-authorization"}
)


@dataclass(frozen=True)
class Opened:
    """A header with its value; `secret` is the part of it that nothing may show."""

    header: str
    value: str = field(repr=False)
    secret: str = field(repr=False)


def set_credential(
    *, principal: Principal, model: Model, secret: str, origin: str = "", header: str = "Authorization"
) -> EndpointCredential:
    """Seal the secret of the service at `origin` (default: where the newest version is served), for this model.

    In `Authorization` a secret of one word is sent as `Bearer SECRET`; `Basic …` or another scheme is written out.
    """
    require(principal, "submit", model.team_id)
    secret = secret.strip()
    problems = []
    if not _SECRET.fullmatch(secret) or len(secret) > LONGEST:
        problems.append(
            Problem("/secret", "A secret is one line of visible ASCII characters, with at most one space.")
        )
    if not _HEADER.fullmatch(header) or header.lower() in _NOT_OURS:
        problems.append(
            Problem("/header", "Name the header that the service reads, such as Authorization or x-api-key.")
        )
    try:
        bound = destination(origin or endpoints.newest_origin(model))
        if bound in (SAME_NETWORK, ANY):
            raise ValueError(
                "A secret is for one service: write its origin, such as https://api.example.org."
            )
    except ValueError as error:
        problems.append(Problem("/origin", str(error)))
    if problems:
        raise DomainError(
            "invalid_input", " ".join(f"{p.pointer[1:]}: {p.detail}" for p in problems), errors=problems
        )
    content = {"model": model.pk, "origin": bound, "header": header, "secret": secret}
    row, _ = EndpointCredential.objects.update_or_create(
        model=model,
        defaults={
            "origin": bound,
            "header": header,
            "sealed": _keys().encrypt(json.dumps(content).encode()).decode(),
            "set_by_id": principal.user_id,
            "set_at": timezone.now(),
        },
    )
    return row


def remove_credential(*, principal: Principal, model: Model) -> None:
    """Forget the secret; no error where there is none."""
    require(principal, "submit", model.team_id)
    EndpointCredential.objects.filter(model=model).delete()


def opened(model_id: str, origin: str) -> Opened | None:
    """The credential of a model for the service at `origin`; None where there is none. For supervisors.

    What the row says counts for nothing: a secret goes where the sealed text says.
    """
    row = EndpointCredential.objects.filter(model=model_id).first()
    if row is None:
        return None
    content = _open(row)
    if (content["model"], content["origin"]) != (model_id, origin):
        raise DomainError(
            "credential_origin",
            f"The model's credential is for {content['origin']}, and this version is served at {origin}. "
            "Set the credential for that address: auditor model credential.",
        )
    header, secret = content["header"], content["secret"]
    scheme, _, word = secret.rpartition(" ")
    if header.lower() == "authorization" and not scheme:
        return Opened(header, f"Bearer {secret}", secret)
    return Opened(header, secret, word)


@transaction.atomic
def rotate() -> int:
    """Seal every credential again with the first key. Returns how many."""
    # locked: a secret that is set meanwhile must not be replaced by the one before it
    keys, rows = _keys(), list(EndpointCredential.objects.select_for_update(of=("self",)).order_by("pk"))
    for row in rows:
        _open(row)  # tells whose it is where no key fits
        row.sealed = keys.rotate(row.sealed.encode()).decode()
        row.save(update_fields=["sealed"])
    return len(rows)


def _open(row: EndpointCredential) -> dict[str, str]:
    try:
        content: dict[str, str] = json.loads(_keys().decrypt(row.sealed.encode()))
    except InvalidToken as error:
        raise DomainError(
            "credential_key",
            f"The credential of {row.model.name} was sealed with a key that is not among CREDENTIAL_KEYS. "
            "List that key after the present one, or set the credential again.",
            status=500,
        ) from error
    return content


def _keys() -> MultiFernet:
    """The first seals, all open."""
    try:
        return MultiFernet([Fernet(key) for key in settings.CREDENTIAL_KEYS])
    except ValueError as error:  # none, or one that is no key
        raise DomainError(
            "credential_key",
            "There is no usable key to seal credentials with. Run `make setup`, which makes one, or set "
            "CREDENTIAL_KEYS or CREDENTIAL_KEYS_FILE: each key is 32 random bytes in URL-safe base64, one a line.",
            status=500,
        ) from error
