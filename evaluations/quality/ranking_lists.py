"""The lists of quality.ranking: asked for once per person, read back beside what each person wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from evaluations import records
from evaluations.data.dataset import MISSING_GROUP
from evaluations.spec import Coverage, EvaluationError, Role, Shard, ShardState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.models.protocol import Recommender
    from evaluations.quality.ranking import RankingParams

TOP = {"top": pa.list_(pa.string())}
TRAIN = "train"  # the split of what the model has learnt from: not shown again, not judged


@dataclass(frozen=True)
class Lists:
    """Per person, ascending by name: the items shown, best first (None: no answer), and the relevance wanted."""

    k: int
    users: tuple[str, ...]
    top: tuple[tuple[str, ...] | None, ...]
    relevance: tuple[dict[str, float], ...]

    def coverage(self) -> Coverage:
        failed = sum(shown is None for shown in self.top)
        return Coverage(attempted=len(self.users), scored=len(self.users) - failed, failed=failed)


@dataclass(frozen=True)
class Wanted:
    """Who is judged by which rows: `first` is the row that carries a person's list."""

    users: NDArray[np.str_]
    items: NDArray[np.str_]
    judged: NDArray[np.bool_]
    first: NDArray[np.bool_]
    seen: dict[str, set[str]]  # of the training rows


def wanted(data: Dataset) -> Wanted:
    users = data.groups(data.ref.columns(Role.USER)[0])
    items = data.groups(data.ref.columns(Role.ITEM)[0])
    for role, names in ((Role.USER, users), (Role.ITEM, items)):
        if (names == MISSING_GROUP).any():
            row = int(np.flatnonzero(names == MISSING_GROUP)[0])
            raise EvaluationError(
                f"{role}_missing",
                f"Row {row + 1} (id {str(data.ids[row])[:60]!r}) has no {role.value}. Fill it or leave the row out.",
            )
    judged = np.ones(len(users), dtype=bool) if data.split is None else data.split != TRAIN
    first: NDArray[np.bool_] = np.zeros(len(users), dtype=bool)
    places = np.flatnonzero(judged)
    first[places[np.unique(users[places], return_index=True)[1]]] = True
    seen: dict[str, set[str]] = {}
    for user, item in zip(users[~judged].tolist(), items[~judged].tolist(), strict=True):
        seen.setdefault(user, set()).add(item)
    return Wanted(users, items, judged, first, seen)


def ask_shard(
    model: Recommender, data: Dataset, params: RankingParams, ctx: Context, shard: Shard
) -> ShardState:
    """A person's list on the first of their rows, empty lists on the others, null where there is no answer."""
    _ = data.numeric_truth  # refuse a relevance that is no number before the work, not after it
    rows = records.all_rows(data, shard)
    known = wanted(data)
    carrying = rows[known.first[rows]]
    listed = _listed(known) if params.candidates == "listed" else None
    place = {item: i for i, item in enumerate(model.items)}

    def ask(positions: NDArray[np.int64]) -> pa.Table:
        names = [str(known.users[carrying[i]]) for i in positions]
        scores = model.scores(names)
        lists = []
        for name, own in zip(names, scores, strict=True):
            candidates = np.arange(len(model.items))
            if listed is not None:
                candidates = np.array(sorted(place[i] for i in listed[name] if i in place), dtype=np.int64)
            hidden = {place[i] for i in known.seen.get(name, ()) if i in place}
            if hidden:
                candidates = candidates[~np.isin(candidates, list(hidden))]
            lists.append(_best(model.items, own, candidates, params.k, ctx.rng(f"ties:{name}")))
        return pa.table({"top": pa.array(lists, TOP["top"])})

    asked = known.users[carrying]
    table = ctx.answers(
        model,
        "lists",
        asked,
        ask,
        "ranking",
        pa.schema(TOP),
        k=params.k,
        candidates=params.candidates,
        seed=ctx.seed,
    )
    found: list[list[str] | None] = [[] for _ in rows]
    for row, top in zip(np.flatnonzero(known.first[rows]), table.column("top").to_pylist(), strict=True):
        found[row] = top
    errors = sum(top is None for top in found)
    held = {"top": pa.array(found, TOP["top"])}
    return ShardState(records.table_of(data, rows, held), {"errors": errors})


def _best(
    items: Sequence[str],
    scores: NDArray[np.float64],
    candidates: NDArray[np.int64],
    k: int,
    rng: np.random.Generator,
) -> list[str] | None:
    """The k candidates with the highest scores; equal ones in random order; None for a score that is no number."""
    own = scores[candidates]
    if not np.isfinite(own).all() or not np.isfinite(scores).any():
        return None
    order = np.lexsort((rng.random(len(own)), -own))[:k]
    return [items[i] for i in candidates[order]]


def _listed(known: Wanted) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for user, item in zip(
        known.users[known.judged].tolist(), known.items[known.judged].tolist(), strict=True
    ):
        found.setdefault(user, set()).add(item)
    return found


def collect(states: Sequence[ShardState], data: Dataset, params: RankingParams) -> Lists:
    """The lists of all people, checked. Raises `bad_records` for what no honest run writes."""
    every: NDArray[np.int64] = np.arange(data.rows)
    table = records.join(states, TOP, data, every)
    known = wanted(data)
    order = records.rows_by_id(data, every)
    listed = _listed(known) if params.candidates == "listed" else None
    found: dict[str, tuple[str, ...] | None] = {}
    for row, top in zip(order.tolist(), table.column("top").to_pylist(), strict=True):
        if known.first[row]:
            if top is not None and (len(top) > params.k or None in top or len(set(top)) != len(top)):
                raise EvaluationError(
                    "bad_records", "A list names an item twice, or is too long. Run it again."
                )
            user = str(known.users[row])
            shown = set(top or ())
            if shown & known.seen.get(user, set()) or (listed is not None and shown - listed[user]):
                raise EvaluationError(
                    "bad_records", "A list names an item that was not to be ranked. Run it again."
                )
            found[user] = None if top is None else tuple(top)
        elif top != []:
            raise EvaluationError(
                "bad_records", "A record holds a list that was not asked for. Run it again."
            )
    users = tuple(sorted(found))
    relevance = _relevance(data, known)
    return Lists(
        params.k, users, tuple(found[user] for user in users), tuple(relevance[user] for user in users)
    )


def _relevance(data: Dataset, known: Wanted) -> dict[str, dict[str, float]]:
    """What each person wants, by item. Raises where a relevance is negative or given twice."""
    found: dict[str, dict[str, float]] = {}
    for row in np.flatnonzero(known.judged).tolist():
        user, item, value = str(known.users[row]), str(known.items[row]), float(data.numeric_truth[row])
        own = found.setdefault(user, {})
        if value < 0 or item in own:
            what = "a negative relevance" if value < 0 else "the same person and item as an earlier one"
            raise EvaluationError(
                "relevance",
                f"Row {row + 1} (id {str(data.ids[row])[:60]!r}) has {what}. Correct the row or leave it out.",
            )
        own[item] = value
    return found
