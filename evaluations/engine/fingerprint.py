"""Whether a service behind an endpoint is still the same: a few fixed questions, before and after a run.

A part of the fingerprint (what the service calls itself, the answer to one question) counts only where it
came back the same twice, and has changed only where it does not come back in three more rounds: what
services answer at temperature 0 wavers a little.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError

from evaluations.models.protocol import Remote
from evaluations.spec import EvaluationError, Frozen, Shard

if TYPE_CHECKING:
    from evaluations.data.dataset import Dataset

NAME = "fingerprint.json"
ROUNDS = 3
CLOSE = 1e-3  # of a number: accelerators add in no fixed order

Parts = dict[str, str | tuple[float, ...]]


class Fingerprint(Frozen):
    """OUT/fingerprint.json. `confirmed` after the run, when the service still answered as before it."""

    schema_: Literal["fingerprint/1"] = Field(default="fingerprint/1", alias="schema")
    parts: Parts
    confirmed: bool = False

    model_config = {**Frozen.model_config, "populate_by_name": True}

    @property
    def digest(self) -> str:
        rounded: dict[str, Any] = {
            name: part if isinstance(part, str) else [round(x, 2) for x in part]
            for name, part in self.parts.items()
        }
        return hashlib.sha256(json.dumps(rounded, sort_keys=True).encode()).hexdigest()


def take(model: Remote, data: Dataset) -> Fingerprint:
    """The fingerprint now. Raises what stops the asking, such as a refused credential."""
    first, second = _asked(model, data), _asked(model, data)
    return Fingerprint(parts={name: part for name, part in first.items() if _same(part, second.get(name))})


def changed(model: Remote, data: Dataset, before: Fingerprint) -> list[str]:
    """Which parts are not as they were."""
    missing = dict(before.parts)
    for _ in range(ROUNDS):
        if missing:
            now = _asked(model, data)
            missing = {name: part for name, part in missing.items() if not _same(part, now.get(name))}
    return sorted(missing)


@contextmanager
def watching(model: Any, data: Dataset) -> Iterator[None]:
    """For what is done inside: raises `endpoint_changed` at the end where the service is no longer the same."""
    if not isinstance(model, Remote):
        yield
        return
    before = take(model, data)
    model.identity = before.digest
    yield
    check_stopped(model)
    _refuse(changed(model, data, before))


def check_stopped(model: Any) -> None:
    """Raises what has stopped the asking: rows that came back as errors since then were never asked."""
    if isinstance(model, Remote) and model.stopped is not None:
        raise model.stopped


class Watch:
    """The fingerprint of one run's folder, kept over kills: shards of two different services are never mixed."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.known = read(out)

    @property
    def confirmed(self) -> bool:
        return self.known is not None and self.known.confirmed

    def begin(self, model: Any, data: Dataset, todo: Sequence[Shard], every: Sequence[Shard]) -> list[Shard]:
        """Takes the fingerprint. Returns the shards to do: all, where the service is not the one of the others."""
        if self.known is not None and changed(model, data, self.known):
            self._discard()
            todo = every
        if self.known is None:
            self.known = take(model, data)
        self._write(confirmed=False)
        model.identity = self.known.digest
        return list(todo)

    def end(self, model: Any, data: Dataset) -> None:
        """Confirms it, or removes what was measured and raises `endpoint_changed`."""
        assert self.known is not None
        if parts := changed(model, data, self.known):
            self._discard()
            _refuse(parts)
        self._write(confirmed=True)

    def _write(self, confirmed: bool) -> None:
        from evaluations.shardfiles import write_whole

        assert self.known is not None
        self.known = self.known.model_copy(update={"confirmed": confirmed})
        write_whole(self.out / NAME, self.known.model_dump_json(by_alias=True).encode())

    def _discard(self) -> None:
        for path in self.out.glob("shard-*"):
            path.unlink()
        shutil.rmtree(self.out / "scores", ignore_errors=True)
        (self.out / NAME).unlink(missing_ok=True)
        self.known = None


def read(folder: Path) -> Fingerprint | None:
    """The fingerprint that a run left in its folder; None where there is none to believe."""
    try:
        return Fingerprint.model_validate_json((folder / NAME).read_bytes())
    except (OSError, ValidationError):
        return None


def confirmed(folder: Path) -> str:
    """Digest of the fingerprint that was the same before and after; "none" where nothing the service says is stable.
    Raises `endpoint_unconfirmed` where none was confirmed.
    """
    found = read(folder)
    if found is None or not found.confirmed:
        raise EvaluationError(
            "endpoint_unconfirmed",
            "It was not confirmed that the service was the same before and after. Run the evaluation again.",
        )
    return found.digest if found.parts else "none"


def _refuse(parts: Sequence[str]) -> None:
    if parts:
        raise EvaluationError(
            "endpoint_changed",
            f"The service changed while it was measured: it no longer answers as before ({', '.join(parts)[:200]}). "
            "What was measured is not evidence of either version. Register the new one and audit it.",
        )


_rounds = itertools.count()


def _asked(model: Remote, data: Dataset) -> Parts:
    model.question = f"probe:{next(_rounds)}"  # never from what was answered before
    parts = model.probe(data)
    check_stopped(model)
    return parts


def _same(a: str | tuple[float, ...], b: str | tuple[float, ...] | None) -> bool:
    if isinstance(a, str) or isinstance(b, str) or b is None:
        return a == b
    return len(a) == len(b) and all(abs(x - y) <= CLOSE for x, y in zip(a, b, strict=True))
