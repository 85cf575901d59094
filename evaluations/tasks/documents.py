"""The rows of a data set as a task sees them: which are asked, and which may serve as worked examples."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations.data.columns import names_of
from evaluations.spec import EvaluationError, Role

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.tasks.definition import Task

Doc = dict[str, Any]
LM_EVAL_SEED = 1234  # its default seed of worked examples


class Documents:
    """A data set read by a task. A document is one row: column -> value, of the columns that have a role."""

    def __init__(self, data: Dataset, task: Task) -> None:
        self.data, self.task = data, task
        self.columns = [
            column
            for column in data.table.column_names
            if data.ref.roles.get(column, Role.IGNORE) is not Role.IGNORE
        ]
        if data.ref.columns(Role.TARGET):
            _ = data.references  # a missing answer is said before a model is asked

    def at(self, rows: NDArray[np.int64]) -> list[Doc]:
        found: list[Doc] = self.data.table.select(self.columns).take(rows).to_pylist()
        return found

    @cached_property
    def evaluated(self) -> NDArray[np.int64]:
        """Row numbers that are asked: those of the task's split, or all where the data has no splits."""
        if self.data.split is None or self.task.evaluated_split is None:
            return np.arange(self.data.rows, dtype=np.int64)
        return self._of_split(self.task.evaluated_split)

    def _of_split(self, name: str) -> NDArray[np.int64]:
        splits = self.data.split
        assert splits is not None
        rows = np.flatnonzero(splits == name)
        if not len(rows):
            there = names_of(sorted(set(splits.tolist())))
            raise EvaluationError(
                "split_missing",
                f"The task asks for the split {name[:60]!r}; the data set has {there}. Correct the task, or the column "
                "that names the split.",
            )
        return rows.astype(np.int64)

    # --- worked examples ------------------------------------------------------------------------

    @cached_property
    def pool(self) -> NDArray[np.int64]:
        """Row numbers that worked examples are taken from."""
        task = self.task
        name = task.shots.split or task.training_split or task.validation_split or task.test_split
        rows = self.evaluated if self.data.split is None or name is None else self._of_split(name)
        if task.shots.indices is not None:
            if max(task.shots.indices, default=-1) >= len(rows):
                raise self._few(len(rows), max(task.shots.indices) + 1)
            rows = rows[list(task.shots.indices)]
        return rows

    def shots(
        self, rows: NDArray[np.int64], count: int, ctx: Context, *, as_lm_eval: bool
    ) -> list[list[Doc]]:
        """`count` worked examples for each of `rows`, never the row itself.

        Each row draws its own by its id, so that neither order nor shards matter; or the draws are those of
        lm-evaluation-harness, one after the other over the evaluated rows.
        """
        if not count:
            return [[] for _ in rows]
        samples = self.task.shots.samples
        if samples is not None and self.task.shots.split is None:
            return self._of_samples([dict(sample) for sample in samples], rows, count, ctx, as_lm_eval)
        if as_lm_eval:
            docs = self.at(self.pool)
            return [[docs[i] for i in picked] for picked in self._replayed(docs, rows, count)]
        drawn = self._drawn(rows, count, ctx)
        needed = np.unique(np.concatenate(drawn)) if drawn else np.array([], dtype=np.int64)
        places = {int(row): i for i, row in enumerate(needed)}
        docs = self.at(needed)
        return [[docs[places[int(row)]] for row in picked] for picked in drawn]

    def _drawn(self, rows: NDArray[np.int64], count: int, ctx: Context) -> list[NDArray[np.int64]]:
        first = self.task.shots.sampler == "first_n"
        # Drawn by id, so that where the rows stand does not matter.
        pool = self.pool if first else self.pool[np.argsort(self.data.ids[self.pool], kind="stable")]
        places = {int(row): place for place, row in enumerate(pool)}
        found = []
        for row in rows:
            own = places.get(int(row), len(pool))
            others = len(pool) - (own < len(pool))
            if others < count:
                raise self._few(others, count)
            rng = None if first else ctx.rng(f"{self.data.ids[row]}:shots")
            picked = np.arange(count) if rng is None else rng.choice(others, count, replace=False)
            found.append(pool[picked + (picked >= own)])  # passes over the row itself
        return found

    def _of_samples(
        self, samples: list[Doc], rows: NDArray[np.int64], count: int, ctx: Context, as_lm_eval: bool
    ) -> list[list[Doc]]:
        """Worked examples that the task itself holds."""
        if len(samples) < count:
            raise self._few(len(samples), count)
        if self.task.shots.sampler == "first_n":
            return [samples[:count] for _ in rows]
        if as_lm_eval:
            return [[samples[i] for i in picked] for picked in self._replayed(samples, rows, count)]
        found = []
        for row in rows:
            rng = ctx.rng(f"{self.data.ids[row]}:shots")
            found.append([samples[i] for i in rng.choice(len(samples), count, replace=False)])
        return found

    def _replayed(self, pool: Sequence[Doc], rows: NDArray[np.int64], count: int) -> list[list[int]]:
        """Positions in the pool that lm-evaluation-harness 0.4.13 draws for each of `rows`.

        It leaves out documents equal to the one in question only where both come from the same split.
        """
        task, every = self.task, range(len(pool))
        same = task.shots.split == task.test_split
        if count + same > len(pool):
            raise self._few(len(pool) - same, count)
        wanted = {int(row): i for i, row in enumerate(rows)}
        found: list[list[int]] = [[] for _ in rows]
        drawing = random.Random(LM_EVAL_SEED)
        docs = self.at(self.evaluated) if same else [{}] * len(self.evaluated)
        for row, doc in zip(self.evaluated, docs, strict=True):
            if task.shots.sampler == "first_n":
                picked = list(islice((i for i in every if not same or pool[i] != doc), count))
            elif not same:
                picked = drawing.sample(every, count)
            else:
                picked = [i for i in drawing.sample(every, count + 1) if pool[i] != doc][:count]
                if len(picked) < count:
                    others = [i for i in every if pool[i] != doc]
                    if len(others) < count:
                        raise self._few(len(others), count)
                    picked = drawing.sample(others, count)
            if int(row) in wanted:
                found[wanted[int(row)]] = picked
        return found

    def _few(self, there: int, count: int) -> EvaluationError:
        return EvaluationError(
            "shots_few",
            f"The prompt needs {count} worked examples, and there are {max(0, there)} to choose from. Add rows, or ask "
            "for fewer.",
        )
