"""State changes: one conditional UPDATE whose row count is checked, so that two can never both win."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db.models import Model

from auditor.core.errors import conflict


def transition(row: Model, field: str, *, source: Collection[str], target: str, **changes: Any) -> None:
    """Move `row.field` from one of `source` to `target` and set `changes`, or raise `invalid_transition`.

    The instance is refreshed on success; on failure nothing was written.
    """
    manager = type(row)._default_manager
    updated = manager.filter(pk=row.pk, **{f"{field}__in": list(source)}).update(**{field: target}, **changes)
    if not updated:
        current = manager.filter(pk=row.pk).values_list(field, flat=True).first()
        raise conflict(
            "invalid_transition",
            f"{type(row).__name__} {row.pk} is {current or 'gone'}; it can only become {target} from "
            f"{' or '.join(sorted(source))}. Reload it and try again.",
        )
    row.refresh_from_db()
