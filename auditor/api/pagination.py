"""Lists in pages, newest first, with a cursor that stays right while rows are added."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Annotated, Any, TypeVar

from django.db.models import Model, QuerySet
from ninja import Query, Schema
from pydantic import Field

from auditor.core.errors import DomainError, Problem

M = TypeVar("M", bound=Model)
DEFAULT_LIMIT = 50
MAX_LIMIT = 200
_ID = re.compile(r"[a-z]{2,5}_[0-9a-z]{22}")


class Page(Schema):
    """Which part of a list is asked for."""

    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT
    cursor: str = Field("", max_length=100)


PageQuery = Query[Page]


def paginate(rows: QuerySet[M, M], page: Page) -> tuple[list[M], str | None]:
    """One page of `rows` by descending id (ids sort by time), and the cursor of the next, None at the end."""
    if page.cursor:
        rows = rows.filter(pk__lt=_decode(page.cursor))
    found = list(rows.order_by("-pk")[: page.limit + 1])
    more = len(found) > page.limit
    found = found[: page.limit]
    return found, _encode(found[-1].pk) if more else None


def _encode(key: Any) -> str:
    return base64.urlsafe_b64encode(str(key).encode()).decode().rstrip("=")


def _decode(cursor: str) -> str:
    try:
        key = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        key = ""
    if not _ID.fullmatch(key):
        message = "The cursor is not one that this list gave. Begin again without it."
        raise DomainError("invalid_cursor", message, 400, [Problem("/query/cursor", message)])
    return key
