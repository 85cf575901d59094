"""Carries a POST out once per Idempotency-Key: repeating it gives the stored answer."""

from __future__ import annotations

import functools
import hashlib
import inspect
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Concatenate, ParamSpec

from django.db import transaction
from django.http import HttpResponse
from django.utils import timezone

from auditor.api.auth import Caller
from auditor.api.models import IdempotentRequest
from auditor.api.problems import respond
from auditor.core.errors import DomainError, conflict

P = ParamSpec("P")
KEEP = timedelta(hours=24)
ABANDONED = timedelta(minutes=30)  # in flight for longer: its process is gone
_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_HEADERS = ("Content-Type", "Location", "Retry-After")


def idempotent(
    endpoint: Callable[Concatenate[Caller, P], HttpResponse],
) -> Callable[Concatenate[Caller, P], HttpResponse]:
    """Decorate an endpoint that starts work and returns an HttpResponse. Without the header it simply runs.

    The work and the note of its answer are one transaction, so a crash leaves both or neither. An answer that
    a later try may change (409, 429, 5xx) is not kept.
    """

    def once(request: Caller, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        key = request.headers.get("Idempotency-Key")
        if key is None:
            return endpoint(request, *args, **kwargs)
        fingerprint = _fingerprint(request)
        replayed = _claim(request.auth.user_id, key, fingerprint)
        if replayed is not None:
            return replayed
        row = IdempotentRequest.objects.filter(user_id=request.auth.user_id, key=key)
        finished = False
        try:
            with transaction.atomic():
                try:
                    response = endpoint(request, *args, **kwargs)
                except DomainError as error:  # a service undoes its own part; its answer is kept as well
                    response = respond(request, error)
                if response.status_code not in (409, 429) and response.status_code < 500:
                    row.update(
                        status=response.status_code,
                        headers={name: response[name] for name in _HEADERS if name in response},
                        body=response.content,
                    )
                    finished = True
            return response
        finally:
            if not finished:
                row.filter(status=None).delete()

    functools.update_wrapper(once, endpoint)
    # ninja reads the parameters' types, which are written as text and known in the endpoint's module only
    once.__signature__ = inspect.signature(endpoint, eval_str=True)  # type: ignore[attr-defined]  # functions take it
    return once


def forget_old() -> int:
    """Drop answers older than a day. For housekeeping."""
    return IdempotentRequest.objects.filter(started_at__lt=timezone.now() - KEEP).delete()[0]


def _claim(user_id: int, key: str, fingerprint: str) -> HttpResponse | None:
    """Take the key for this request (None), or give the answer of the request that had it."""
    if not _KEY.fullmatch(key):
        raise DomainError(
            "invalid_idempotency_key", "An Idempotency-Key has 1 to 200 visible ASCII characters.", 400
        )
    now = timezone.now()
    IdempotentRequest.objects.filter(
        user_id=user_id, key=key, status=None, started_at__lt=now - ABANDONED
    ).delete()
    row, taken = IdempotentRequest.objects.get_or_create(
        user_id=user_id, key=key, defaults={"fingerprint": fingerprint, "started_at": now}
    )
    if taken:
        return None
    if row.fingerprint != fingerprint:
        raise DomainError(
            "idempotency_key_reused",
            "This Idempotency-Key was used for another request. Use a new one for each request.",
        )
    if row.status is None:
        raise conflict(
            "idempotency_in_flight", "The first request with this Idempotency-Key is still under way. Wait."
        )
    response = HttpResponse(bytes(row.body), status=row.status)
    for name, value in row.headers.items():
        response[name] = value
    response["Idempotent-Replayed"] = "true"
    return response


def _fingerprint(request: Caller) -> str:
    hashed = hashlib.sha256(f"{request.method} {request.get_full_path()}\n".encode())
    hashed.update(request.body)
    return f"sha256:{hashed.hexdigest()}"
