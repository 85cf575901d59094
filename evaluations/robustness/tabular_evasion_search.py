"""The cheapest feasible change of one row that changes a model's answer, found by asking alone.

A search is a generator: it yields rows to ask about and is sent, for each, the margin of the true class (the log of its
probability over that of the next best class; NaN without an answer) and whether the answer is another one. So a driver
asks about the rows of many searches at once.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.robustness.tabular_columns import Column
    from evaluations.robustness.tabular_evasion_space import Space

    Answers = tuple[NDArray[np.float64], NDArray[np.bool_]]  # margins (m,), changed (m,)
    Asking = Generator[NDArray[np.float64], tuple[NDArray[np.float64], NDArray[np.bool_]], None]

FINE = 1 / 500  # of the scale: how near a halved interval comes to where the answer changes
NEAR = 2.0 ** -np.arange(7)  # of the scale: steps about the row's own value, where a change is cheap
MOST_LEVELS = 50  # categories of a column that are tried, the most frequent ones


@dataclass
class Search:
    """One row's search. `best` is the cheapest row found that changes the answer, None where there is none yet."""

    space: Space
    start: NDArray[np.float64]  # (D,)
    margin: float  # of the row as it is
    others: NDArray[np.float64]  # (k, D) cells of rows that the model answers otherwise
    most_queries: int
    best: NDArray[np.float64] | None = None
    best_cost: float = np.inf
    queries: int = 0
    silent: int = 0  # rows asked about that got no answer
    steps: list[NDArray[np.float64]] = field(init=False)  # per column: the cells that are tried
    # of each step of each column by itself: columns, rows, margins, whether the answer changed
    first: tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]] = field(
        init=False
    )

    def run(self) -> Asking:
        self.steps = [self._steps(d) for d in range(len(self.start))]
        yield from self._one_column()
        for by_cost in (True, False):
            if not by_cost and self.best is not None:
                break
            yield from self._greedy(by_cost)
        yield from self._towards_others()

    # --- asking ---------------------------------------------------------------------------------

    def _ask(self, rows: NDArray[np.float64]) -> Generator[NDArray[np.float64], Answers, Answers]:
        """Answers to `rows`; the cheapest that changes the answer is kept. Beyond the most queries nothing is asked."""
        rows = rows[: max(0, self.most_queries - self.queries)]
        if not len(rows):
            return np.empty(0), np.empty(0, dtype=bool)
        self.queries += len(rows)
        margins, changed = yield rows
        self.silent += int(np.isnan(margins).sum())
        if changed.any():
            costs = np.where(changed, self._costs(rows), np.inf)
            cheapest = int(np.argmin(costs))
            if costs[cheapest] < self.best_cost:
                self.best, self.best_cost = rows[cheapest].copy(), float(costs[cheapest])
        return margins, changed

    def _costs(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.space.cost(np.broadcast_to(self.start, rows.shape), rows)

    # --- from the row outwards ------------------------------------------------------------------

    def _steps(self, d: int) -> NDArray[np.float64]:
        """Cells of column d to try, without its own, nearest first."""
        column, own = self.space.columns[d], self.start[d]
        if np.isnan(own):
            return np.empty(0)
        if column.numeric:
            spread = np.linspace(column.low, column.high, 6)
            near = own + column.scale * np.concatenate([NEAR, -NEAR])
            tried = np.unique(column.fitted(np.concatenate([column.seen, spread, near])))
        else:
            tried = np.array(column.frequent[: MOST_LEVELS + 1], dtype=np.float64)
        allowed = column.feasible(np.full(len(tried), own), tried) & (tried != own)
        tried = tried[allowed]
        return tried[np.argsort(column.cost(np.full(len(tried), own), tried), kind="stable")]

    def _moves(
        self, row: NDArray[np.float64], free: list[int]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """(m,) columns and (m, D) rows: `row` with one of the free columns at each of its steps."""
        which = np.concatenate([np.full(len(self.steps[d]), d) for d in free]) if free else np.empty(0)
        which = which.astype(np.int64)
        rows = np.repeat(row[None], len(which), axis=0)
        if len(which):
            rows[np.arange(len(which)), which] = np.concatenate([self.steps[d] for d in free])
        return which, rows

    def _one_column(self) -> Asking:
        """Each column by itself, at every step."""
        which, rows = self._moves(self.start, list(range(len(self.start))))
        margins, changed = yield from self._ask(rows)
        which, rows = which[: len(margins)], rows[: len(margins)]
        self.first = which, rows, margins, changed
        yield from self._cross(self.start, which, rows, changed)

    def _cross(
        self,
        row: NDArray[np.float64],
        which: NDArray[np.int64],
        rows: NDArray[np.float64],
        changed: NDArray[np.bool_],
    ) -> Asking:
        """Of `row` with one column at its steps: halves the intervals in which the answer changes first."""
        ends = []
        for d in np.unique(which[changed]):
            if not self.space.columns[d].numeric:
                continue
            cells, hit = rows[which == d, d], changed[which == d]
            for side in (cells < row[d], cells > row[d]):
                if hit[side].any():
                    first = int(np.argmax(hit[side]))
                    before = cells[side][first - 1] if first else row[d]
                    ends.append((int(d), float(before), float(cells[side][first])))
        nearest = np.repeat(row[None], len(ends), axis=0)
        for i, (d, before, _) in enumerate(ends):
            nearest[i, d] = before
        reach = self._costs(nearest)  # no change of the answer in that interval is cheaper
        for i in np.argsort(reach, kind="stable"):
            if reach[i] < self.best_cost:
                yield from self._halve(row, *ends[i])

    def _greedy(self, by_cost: bool) -> Asking:
        """Column after column: the move that lowers the margin most, per cost or at all, until the answer changes."""
        row, margin = self.start, self.margin
        free = [d for d in range(len(row)) if len(self.steps[d])]
        which, rows, margins, changed = self.first
        while free and self._costs(row[None])[0] < self.best_cost:
            if row is not self.start:
                which, rows = self._moves(row, free)
                margins, changed = yield from self._ask(rows)
                which, rows = which[: len(margins)], rows[: len(margins)]
                if changed.any():
                    yield from self._cross(row, which, rows, changed)
                    if self.best is not None:
                        yield from self._pull_back(self.best)
                    return
            gained = margin - np.where(np.isnan(margins), np.inf, margins)
            added = self.space.cost(np.broadcast_to(row, rows.shape), rows)
            useful = (gained > 1e-12) & ~changed
            if not useful.any():
                return
            worth = np.where(useful, gained / np.maximum(added, 1e-12) if by_cost else gained, -np.inf)
            # equal worth, as of a linear model: go on as far as it leads
            best = np.flatnonzero(worth >= worth.max() * (1 - 1e-6))
            i = int(best[np.argmax(gained[best])])
            row, margin = rows[i].copy(), float(margins[i])
            free = [d for d in free if d != which[i]]

    # --- from another answer back ---------------------------------------------------------------

    def _towards_others(self) -> Asking:
        """Rows that are answered otherwise lend their values, as far as they may, and each is drawn back."""
        allowed = np.array(
            [
                column.feasible(np.full(len(self.others), self.start[d]), self.others[:, d])
                & ~np.isnan(self.others[:, d])
                for d, column in enumerate(self.space.columns)
            ]
        ).T.reshape(self.others.shape)
        lent = np.where(allowed, self.others, self.start)
        _, changed = yield from self._ask(lent)
        for row in lent[: len(changed)][changed]:
            yield from self._pull_back(row)

    def _pull_back(self, row: NDArray[np.float64]) -> Asking:
        """Columns get their own values back while the answer stays changed, the dearest first; the others halfway."""
        while True:
            moved = np.flatnonzero((row != self.start) & ~np.isnan(self.start))
            rows = np.repeat(row[None], len(moved) + 1, axis=0)
            rows[np.arange(len(moved)), moved] = self.start[moved]
            saved = self._costs(row[None])[0] - self._costs(rows)[:-1]
            margins, changed = yield from self._ask(rows)
            if len(margins) <= len(moved):
                return
            if not changed[:-1].any():
                break
            row = rows[int(np.argmax(np.where(changed[:-1], saved, -np.inf)))]
        # what costs most for what it does to the margin is drawn back first
        worth = np.nan_to_num(margins[:-1] - margins[-1], nan=np.inf) / np.maximum(saved, 1e-12)
        for d in moved[np.argsort(worth, kind="stable")]:
            if self.space.columns[d].numeric:
                row = yield from self._halve(row, int(d), float(self.start[d]), float(row[d]))

    def _halve(
        self, row: NDArray[np.float64], d: int, same: float, changed: float
    ) -> Generator[NDArray[np.float64], Answers, NDArray[np.float64]]:
        """Column d of `row` moved from `changed` towards `same`, until the interval between them is fine."""
        column: Column = self.space.columns[d]
        row = row.copy()
        row[d] = changed
        while abs(changed - same) > column.scale * FINE:
            middle = float(column.fitted(np.array([(same + changed) / 2]))[0])
            if middle in (same, changed):
                break
            tried = row.copy()
            tried[d] = middle
            _, hit = yield from self._ask(tried[None])
            if not len(hit):
                break
            if hit[0]:
                changed, row = middle, tried
            else:
                same = middle
        return row
