"""The half of robustness.tabular_evasion that holds the model: searches on many rows at once, asks again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from evaluations import records
from evaluations.data.sampling import stratified_sample
from evaluations.models.protocol import Remote, Scores
from evaluations.robustness import tabular_asking, tabular_columns
from evaluations.robustness.tabular_evasion import POOL
from evaluations.robustness.tabular_evasion_search import Search
from evaluations.robustness.tabular_evasion_space import Space, space_of
from evaluations.scoring import PROBS, probs_column, read_probs, with_labels
from evaluations.spec import Shard, ShardState

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.models.protocol import Classifier
    from evaluations.robustness.tabular_evasion import EvasionParams

RECORDS = {
    "probs": pa.list_(pa.float64()),
    "cells": pa.list_(
        pa.float64()
    ),  # the changed row's cells of the columns that can be changed; null: none found
    "attacked_probs": pa.list_(pa.float64()),
    "queries": pa.int64(),
    "silent": pa.int64(),  # of the queries: those without an answer
}
LENDERS = 5  # of them, the nearest


def sample(data: Dataset, params: EvasionParams, ctx: Context) -> NDArray[np.int64]:
    """The rows that are attacked: seeded, in proportion to the labels, the same in run and merge."""
    return stratified_sample(data.ids, data.truth, params.examples, ctx.seed)


@dataclass(frozen=True)
class Asker:
    """Asks a model about rows of which some columns are changed."""

    model: Classifier
    space: Space
    frame: pd.DataFrame  # (n, …) the rows as they are, with the columns that the model reads
    start: NDArray[np.float64]  # (n, D) their cells
    ids: NDArray[np.str_]
    ctx: Context

    def scores(self, who: NDArray[np.int64], cells: NDArray[np.float64], question: str = "evasion") -> Scores:
        """Of rows `who` (m,) with `cells` (m, D) in place of their own."""
        if not isinstance(self.model, Remote):
            return tabular_asking.scores_of(self.model, self.changed(who, cells))
        # what a service was asked is kept, so that a run which its budget ended goes on where it was
        digests = [hashlib.sha256(row.tobytes()).hexdigest() for row in cells]
        names = np.array([f"{i}:evasion:{d}" for i, d in zip(self.ids[who], digests, strict=True)])
        once, first, back = np.unique(names, return_index=True, return_inverse=True)

        def ask(positions: NDArray[np.int64]) -> pa.Table:
            asked = first[positions]
            scores = self.model.predict_proba(self.changed(who[asked], cells[asked]))
            return pa.table({"probs": probs_column(scores.probs, scores.errors)})

        columns = [column.name for column in self.space.columns]  # what the cells are of
        table = self.ctx.answers(self.model, question, once, ask, "attacking", PROBS, columns=columns)
        probs, errors = read_probs(table.column("probs"), len(self.model.labels))
        return Scores(probs[back], errors[back], np.ones(len(back), bool))

    def changed(self, who: NDArray[np.int64], cells: NDArray[np.float64]) -> pd.DataFrame:
        """The frame that the model reads, each column of the type that it had."""
        import pandas as pd

        frame = self.frame.iloc[who].reset_index(drop=True)
        differs = (cells != self.start[who]) & ~np.isnan(cells)
        for d in np.flatnonzero(differs.any(axis=0)):
            column, other = self.space.columns[d], differs[:, d]
            if column.name not in frame:
                continue
            values = frame[column.name].to_numpy(dtype=object, copy=True)
            values[other] = np.array(tabular_columns.stored(column, cells[other, d]), dtype=object)
            frame[column.name] = pd.Series(values, dtype=frame[column.name].dtype)
        return frame


def attack_shard(
    model: Classifier, data: Dataset, params: EvasionParams, ctx: Context, shard: Shard
) -> ShardState:
    """Records: probabilities before, the cheapest row that changed the answer, its probabilities, queries."""
    truth = data.class_indices(model.labels)
    space = space_of(data, params)
    rows = sample(data, params, ctx)[shard.start : shard.stop]
    before = ctx.predictions(model, data, rows)
    start = space.cells(data, rows)
    silent = replace(ctx, on_progress=lambda progress: None)  # a row is many questions, but one step
    asker = Asker(model, space, data.frame(rows, model.columns), start, data.ids[rows], silent)
    lend, answers = _lenders(model, data, space, ctx)
    right = np.flatnonzero(~before.errors & (np.argmax(np.nan_to_num(before.probs), axis=1) == truth[rows]))
    searches = {
        int(i): Search(
            space,
            start[i],
            float(_margins(before.probs[i : i + 1], truth[rows[i : i + 1]])[0]),
            _nearest(space, start[i], lend[(answers >= 0) & (answers != truth[rows[i]])]),
            params.most_queries,
        )
        for i in right
    }
    _run(searches, asker, truth[rows], len(rows), ctx)
    found = [i for i, search in searches.items() if search.best is not None]
    after = Scores.blank(len(rows), len(model.labels))
    if found:
        cells = np.array([searches[i].best for i in found])
        after.put(np.array(found), asker.scores(np.array(found), cells, "evasion, again"))
    counted = [searches.get(i) for i in range(len(rows))]
    best = [None if s is None or s.best is None else s.best.tolist() for s in counted]
    table = records.table_of(
        data,
        rows,
        {
            "probs": probs_column(before.probs, before.errors),
            "cells": pa.array(best, RECORDS["cells"]),
            "attacked_probs": probs_column(after.probs, after.errors | ~after.seen),
            "queries": pa.array([0 if s is None else s.queries for s in counted], pa.int64()),
            "silent": pa.array([0 if s is None else s.silent for s in counted], pa.int64()),
        },
    )
    return ShardState(with_labels(table, model.labels), {"errors": int(before.errors.sum())})


def _run(searches: dict[int, Search], asker: Asker, truth: NDArray[np.int64], n: int, ctx: Context) -> None:
    """All searches to their ends, what they ask put together."""
    running = {}
    for i, search in searches.items():
        generator = search.run()
        try:
            running[i] = (generator, next(generator))
        except StopIteration:  # nothing of this row can be changed
            continue
    while running:
        ctx.stop_if_cancelled()
        ctx.progress(n - len(running), n, "attacking")
        sizes = [len(asked) for _, asked in running.values()]
        who: NDArray[np.int64] = np.repeat(np.array(list(running), dtype=np.int64), sizes)
        scores = asker.scores(who, np.concatenate([asked for _, asked in running.values()]))
        margins = np.where(scores.errors, np.nan, _margins(scores.probs, truth[who]))
        changed = ~scores.errors & (np.argmax(np.nan_to_num(scores.probs), axis=1) != truth[who])
        ends = np.cumsum(sizes)
        for i, stop, size in zip(list(running), ends, sizes, strict=True):
            generator, _ = running[i]
            try:
                running[i] = (
                    generator,
                    generator.send((margins[stop - size : stop], changed[stop - size : stop])),
                )
            except StopIteration:
                del running[i]
    ctx.progress(n, n, "attacking")


def _margins(probs: NDArray[np.float64], truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """ln of the true class's probability over that of the next best class."""
    logs = np.log(np.clip(np.nan_to_num(probs), 1e-12, None))
    own = logs[np.arange(len(logs)), truth]
    others = logs.copy()
    others[np.arange(len(logs)), truth] = -np.inf
    return np.asarray(own - others.max(axis=1))


def _lenders(
    model: Classifier, data: Dataset, space: Space, ctx: Context
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Cells (p, D) of a seeded sample of rows, and the model's answers to them; −1 where there is none."""
    rows = stratified_sample(data.ids, data.truth, POOL, ctx.seed)
    scores = ctx.predictions(model, data, rows)
    answers = np.where(scores.errors, -1, np.argmax(np.nan_to_num(scores.probs), axis=1))
    return space.cells(data, rows), answers


def _nearest(space: Space, start: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    costs = np.nan_to_num(space.cost(np.broadcast_to(start, rows.shape), rows), nan=np.inf)
    return rows[np.argsort(costs, kind="stable")[:LENDERS]]
