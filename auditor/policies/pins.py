"""What fixes an audit before it starts, and the seed that follows from it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from auditor.core.canonical import digest_of


def pins(
    *,
    model_digest: str,
    data_digest: str,
    roles: Mapping[str, str],
    favourable_label: str,
    suite: Sequence[Sequence[Any]],
) -> dict[str, Any]:
    """Everything that decides the numbers. `suite` has [item, evaluation, version, params] for each run."""
    return {
        "model": model_digest,
        "data": data_digest,
        "roles": dict(roles),
        "favourable_label": favourable_label,
        "suite": [list(entry) for entry in suite],
    }


def seed_of(**pinned: Any) -> int:
    """The seed of an audit with these pins: 52 bits, exact in every JSON reader. There is none to shop for."""
    return int(digest_of(pins(**pinned)).removeprefix("sha256:")[:13], 16)
