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
    # (m,) columns, (m, D) rows, (m,) margins, (m,) whether the answer changed
    Moves = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]
    Asking = Generator[NDArray[np.float64], tuple[NDArray[np.float64], NDArray[np.bool_]], None]

FINE = 1 / 500  # of the scale: how near a halved interval comes to where the answer changes
NEAR = 2.0 ** -np.arange(7)  # of the scale: steps about the row's own value, where a change is cheap
MOST_LEVELS = 50  # categories of a column that are tried, the most frequent ones
SINGLY = 8  # up to so many changed columns get their own values back one by one, more of them in groups


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
    # of each step of each column by itself
    first: Moves = field(init=False)

    def run(self) -> Asking:
        self.steps = self._shared_out([self._steps(d) for d in range(len(self.start))])
        yield from self._one_column()
        for by_cost in (True, False):
            if not by_cost and self.best is not None:
                break
            yield from self._greedy(by_cost)
        yield from self._towards_others()

    # --- asking ---------------------------------------------------------------------------------

    def _ask(
        self, rows: NDArray[np.float64], kept: int = 0
    ) -> Generator[NDArray[np.float64], Answers, Answers]:
        """Answers to `rows`; the cheapest that changes the answer is kept. Beyond the most queries nothing is asked,
        nor of the last `kept` of them."""
        rows = rows[: max(0, self.most_queries - self.queries - kept)]
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

    def _each(self, row: NDArray[np.float64]) -> NDArray[np.float64]:
        """(D,) what each column's change costs."""
        return self.space.costs(self.start[None], row[None])[0]

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

    def _shared_out(self, steps: list[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
        """As many steps of each column as a third of the queries allows, so that no column goes short for its place.

        Of a number the farthest each way and some between, of a category the most frequent. Where there are more
        columns than that, every so manieth has a step.
        """
        most = max(1, self.most_queries // 3)
        if sum(map(len, steps)) <= most:
            return steps
        some = [d for d, tried in enumerate(steps) if len(tried)]
        each = most // len(some)
        if not each:
            taken = {some[i] for i in np.linspace(0, len(some) - 1, most).astype(np.int64)}
            return [tried[-1:] if d in taken else tried[:0] for d, tried in enumerate(steps)]
        return [self._fewer(d, tried, each) for d, tried in enumerate(steps)]

    def _fewer(self, d: int, steps: NDArray[np.float64], most: int) -> NDArray[np.float64]:
        if len(steps) <= most:
            return steps
        if not self.space.columns[d].numeric:
            return steps[:most]
        taken: NDArray[np.bool_] = np.zeros(len(steps), dtype=bool)
        taken[-1] = True
        for side in (np.flatnonzero(steps > self.start[d]), np.flatnonzero(steps < self.start[d])):
            if len(side) and most >= 2:
                taken[side[np.linspace(len(side) - 1, 0, most // 2).astype(np.int64)]] = True
        return steps[taken]

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
        yield from self._cross(self.start, self.margin, self.first)

    def _cross(self, row: NDArray[np.float64], margin: float, asked: Moves) -> Asking:
        """Of `row` with one column at its steps: halves the intervals in which the answer changes first.

        First where the margin, were it to fall evenly, would be used up at the least cost.
        """
        which, rows, margins, changed = asked
        ends, inside, outside, fallen = [], [], [], []
        for d in np.unique(which[changed]):
            if not self.space.columns[d].numeric:
                continue
            here = np.flatnonzero(which == d)
            cells, hit = rows[here, d], changed[here]
            for side in (np.flatnonzero(cells < row[d]), np.flatnonzero(cells > row[d])):
                if hit[side].any():
                    first = int(np.argmax(hit[side]))
                    last = here[side[first - 1]] if first else None
                    ends.append((int(d), float(row[d] if last is None else rows[last, d])))
                    inside.append(row if last is None else rows[last])
                    outside.append(rows[here[side[first]]])
                    fallen.append((margin if last is None else margins[last], margins[here[side[first]]]))
        if not ends:
            return
        reach, most = self._costs(np.array(inside)), self._costs(np.array(outside))
        before, after = np.nan_to_num(np.array(fallen)).T
        share = before / np.maximum(before - after, 1e-12)
        for i in np.argsort(reach + np.clip(share, 0, 1) * (most - reach), kind="stable"):
            if (
                reach[i] < self.best_cost
            ):  # no change of the answer in that interval is cheaper than its reach
                d, same = ends[i]
                yield from self._halve(row, d, same, float(outside[i][d]), only_cheaper=True)

    def _greedy(self, by_cost: bool) -> Asking:
        """Column after column: the move that lowers the margin most, per cost or at all, until the answer changes."""
        row, margin = self.start, self.margin
        kept = self.most_queries // 4  # for what comes after this
        free = [d for d in range(len(row)) if len(self.steps[d])]
        which, rows, margins, changed = self.first
        while free and self._costs(row[None])[0] < self.best_cost:
            if row is not self.start:
                which, rows = self._moves(row, free)
                margins, changed = yield from self._ask(rows, kept)
                which, rows = which[: len(margins)], rows[: len(margins)]
                if changed.any():
                    yield from self._cross(row, margin, (which, rows, margins, changed))
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
        """Columns get their own values back while the answer stays changed, the dearest first; the others halfway.

        Many columns get them in groups, half as large each time that no group can have them.
        """
        size = 0
        while True:
            moved = np.flatnonzero((row != self.start) & ~np.isnan(self.start))
            size = min(size or len(moved), len(moved) // 2) if len(moved) > SINGLY and size != 1 else 1
            if size > 1:
                moved = moved[np.argsort(-self._each(row)[moved], kind="stable")]
            groups = [moved[k : k + size] for k in range(0, len(moved), size)]
            if len(groups) >= self.most_queries - self.queries:
                return
            rows = np.repeat(row[None], len(groups) + 1, axis=0)
            for k, group in enumerate(groups):
                rows[k, group] = self.start[group]
            saved = self._costs(row[None])[0] - self._costs(rows)[:-1]
            margins, changed = yield from self._ask(rows)
            if changed[:-1].any():
                row = rows[int(np.argmax(np.where(changed[:-1], saved, -np.inf)))]
            elif size > 1:
                size = (size + 1) // 2
            else:
                break
        # what costs most for what it does to the margin is drawn back first
        worth = np.nan_to_num(margins[:-1] - margins[-1], nan=np.inf) / np.maximum(saved, 1e-12)
        for d in moved[np.argsort(worth, kind="stable")]:
            if self.space.columns[d].numeric:
                row = yield from self._halve(row, int(d), float(self.start[d]), float(row[d]))

    def _halve(
        self, row: NDArray[np.float64], d: int, same: float, changed: float, only_cheaper: bool = False
    ) -> Generator[NDArray[np.float64], Answers, NDArray[np.float64]]:
        """Column d of `row` moved from `changed` towards `same`, until the interval between them is fine.

        With `only_cheaper` also until nothing in it can be cheaper than the best.
        """
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
                if only_cheaper and self._costs(tried[None])[0] >= self.best_cost:
                    break
        return row
