"""SHAP's partition explainer (Owen values over a tree of features) with seeded ties and large batches.

The values are those of shap.PartitionExplainer with the same tree, budget and draws: its search is replayed node
by node. What differs is when the model is asked. Nodes that the search is about to open are asked about together
with those that it opens now, so that some twenty large batches take the place of a hundred small ones.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations.explainability import shap_setup

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ask = Callable[[NDArray[np.bool_]], NDArray[np.float64]]  # coalitions (m, F) -> outputs (m, K)

STEP = 5  # coalitions per step of the search, SHAP's own number for texts: part of what the values are
BATCH = 64  # coalitions per question to the model
SURE = 12  # of the openings left, one in so many is asked about ahead: few of those turn out to be needless


@dataclass(frozen=True)
class Owen:
    """Values (F, K), and the outputs (K,) with nothing and with everything present."""

    values: NDArray[np.float64]
    base: NDArray[np.float64]
    output: NDArray[np.float64]


class Coalitions:
    """What shap calls a masker. The masked input is the coalition itself: the game knows what to make of it."""

    immutable_outputs = True

    def __init__(self, tree: NDArray[np.float64]) -> None:
        self.clustering = tree
        self.shape = (1, len(tree) + 1)

    def __call__(self, mask: NDArray[np.bool_], row: object) -> tuple[NDArray[np.bool_]]:
        return (mask.reshape(1, -1),)


def owen(ask: Ask, tree: NDArray[np.float64], max_evals: int, draw: Callable[[], float]) -> Owen:
    """`tree` is a linkage (F − 1, 4) as scipy.cluster.hierarchy has it, F at least 2; `draw` breaks ties."""
    explainer = _explainer_class()(ask, Coalitions(tree), draw)
    row = explainer.explain_row(
        np.zeros(len(tree) + 1),
        max_evals=max_evals,
        main_effects=False,
        error_bounds=False,
        outputs=None,
        silent=True,
        batch_size=STEP,
        fixed_context=None,
    )
    return Owen(np.asarray(row["values"]), np.asarray(row["expected_values"]), explainer.whole)


def evaluations_of(tree: NDArray[np.float64]) -> int:
    """How many coalitions SHAP evaluates to open the whole tree, the empty and the full one included."""
    leaves = len(tree) + 1
    total = [0] * (leaves + len(tree))
    for i, (left, right) in enumerate(tree[:, :2].astype(int)):
        total[leaves + i] = 2 + 2 * total[left] + 2 * total[right]
    return total[-1] + 2


@dataclass(frozen=True)
class Node:
    """A group of features, explained where those in `context` are present."""

    context: NDArray[np.bool_]  # (F,)
    without: NDArray[np.float64]  # (K,) output with the context alone
    having: NDArray[np.float64]  # (K,) output with context and group
    group: int
    weight: float


def _explainer_class() -> Any:
    """The subclass of shap.PartitionExplainer, made where shap is wanted: importing it takes a second."""
    shap = shap_setup.imported()

    class Ahead(shap.PartitionExplainer):  # type: ignore[misc, name-defined]
        def __init__(self, ask: Ask, masker: Coalitions, draw: Callable[[], float]) -> None:
            super().__init__(ask, masker)
            self.draw = draw

        def owen(
            self,
            fm: Any,
            f00: NDArray[np.float64],
            f11: NDArray[np.float64],
            max_evals: int,
            output_indexes: Any,
            fixed_context: Any,
            batch_size: int,
            silent: bool,
        ) -> None:
            self.whole = np.asarray(f11)
            groups = np.asarray(self._mask_matrix.todense(), dtype=bool)
            search = Search(self.model, self._clustering, groups, self.draw, max_evals, batch_size)
            search.run(np.asarray(f00), np.asarray(f11), self.dvalues)

    return Ahead


class Search:
    """SHAP's best-first search over groups: the group whose presence changes most is opened next."""

    def __init__(
        self,
        ask: Ask,
        tree: NDArray[np.float64],
        groups: NDArray[np.bool_],
        draw: Callable[[], float],
        budget: int,
        step: int,
    ) -> None:
        self.ask, self.draw = ask, draw
        self.leaves = len(tree) + 1
        self.children = tree[:, :2].astype(int).tolist()
        self.groups = groups  # (2F − 1, F) the features of each group
        self.budget, self.step = budget, step
        self.everything_opens = evaluations_of(tree) - 2 <= budget
        self.waiting: list[tuple[float, float, Node]] = []  # a heap, most urgent first
        self.known: dict[
            int, NDArray[np.float64]
        ] = {}  # by id of a waiting node: (2, K) outputs of its halves

    def run(self, base: NDArray[np.float64], whole: NDArray[np.float64], credit: NDArray[np.float64]) -> None:
        """Adds each group's share to `credit` (2F − 1, K)."""
        nothing: NDArray[np.bool_] = np.zeros(self.leaves, dtype=bool)
        self.waiting = [(0.0, 0.0, Node(nothing, base, whole, 2 * self.leaves - 2, 1.0))]
        asked = 0
        while self.waiting and asked < self.budget:
            opened: list[Node] = []
            while self.waiting and 2 * len(opened) < self.step and asked + 2 * len(opened) < self.budget:
                node = heapq.heappop(self.waiting)[2]
                if node.group < self.leaves:
                    credit[node.group] += (node.having - node.without) * node.weight
                else:
                    opened.append(node)
            self._look_up(opened, (self.budget - asked) // 2 - len(opened))
            asked += 2 * len(opened)
            for node in opened:
                self._split(node)
        for _, _, node in self.waiting:  # what the budget leaves closed keeps its credit as a group
            credit[node.group] += (node.having - node.without) * node.weight

    def _look_up(self, opened: list[Node], left: int) -> None:
        """Outputs of the halves of `opened`; where they are not known yet, of what is likely to be opened next too."""
        new = [node for node in opened if id(node) not in self.known]
        if not new:
            return
        ahead = left if self.everything_opens else left // SURE
        room = min(BATCH // 2 - len(new), ahead)
        inner = (
            entry
            for entry in self.waiting
            if entry[2].group >= self.leaves and id(entry[2]) not in self.known
        )
        new += [entry[2] for entry in heapq.nsmallest(max(0, room), inner)]
        halves = np.stack([node.context | self.groups[child] for node in new for child in self._halves(node)])
        outputs = np.asarray(self.ask(halves)).reshape(len(new), 2, -1)
        self.known |= {id(node): both for node, both in zip(new, outputs, strict=True)}

    def _halves(self, node: Node) -> list[int]:
        halves: list[int] = self.children[node.group - self.leaves]
        return halves

    def _split(self, node: Node) -> None:
        """Each half waits twice: as it is without the other half, and with it."""
        left, right = self._halves(node)
        with_left, with_right = self.known.pop(id(node))
        weight = node.weight / 2
        left_there, right_there = node.context | self.groups[left], node.context | self.groups[right]
        for part in (
            Node(node.context, node.without, with_left, left, weight),
            Node(node.context, node.without, with_right, right, weight),
            Node(right_there, with_right, node.having, left, weight),
            Node(left_there, with_left, node.having, right, weight),
        ):
            urgency = float(np.max(np.abs(part.having - part.without))) * weight
            heapq.heappush(self.waiting, (-urgency, self.draw(), part))
