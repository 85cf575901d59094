"""SHAP's partition explainer (Owen values over a tree of features) with seeded ties and large batches.

The values are those of shap.PartitionExplainer with the same tree, budget and draws: its search is replayed node
by node. What differs is when the model is asked. Nodes that the search will very likely open are asked about
together with those that it opens now, so that some thirty batches take the place of a hundred small ones.
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
LEAST = 6  # groups per question: fewer cost nearly as much as these
DOUBTFUL = (
    0.5  # of the urgency at which the budget ends: what may be asked about to fill a question up to LEAST
)
GROWTH = (
    4 / 3
)  # of a group with urgency u, each of the four parts has about u / 4: some 4u / 3T openings above T


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
    """`tree` is a linkage (F − 1, 4) as scipy.cluster.hierarchy has it, F at least 2; `draw` breaks ties.

    `ask` remembers (`games.Remembered`): what every search opens first is asked about in one go beforehand.
    """
    ask(first_coalitions(tree))
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


def first_coalitions(tree: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Nothing, everything, the halves of the whole, and the halves of those, without and with the other half."""
    leaves = len(tree) + 1
    groups: NDArray[np.bool_] = np.eye(leaves, dtype=bool)
    for left, right in tree[:, :2].astype(int):
        groups = np.vstack([groups, groups[left] | groups[right]])
    found = [np.zeros_like(groups[-1]), groups[-1]]
    halves = tree[-1, :2].astype(int)
    for half, other in (halves, halves[::-1]):
        found.append(groups[half])
        if half >= leaves:
            quarters = groups[tree[half - leaves, :2].astype(int)]
            found += [*quarters, *(quarters | groups[other])]
    return np.unique(np.stack(found), axis=0)


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

    class Ahead(shap.PartitionExplainer):  # type: ignore[misc, name-defined]  # shap has no types
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
        # by id of a waiting node: (2, K) outputs of its halves
        self.known: dict[int, NDArray[np.float64]] = {}

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
            self._look_up(opened, (self.budget - asked) // 2)
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
        inner = [entry for entry in self.waiting if entry[2].group >= self.leaves]
        end = 0.0
        if not self.everything_opens:
            urgencies = [-entry[0] for entry in inner] + [urgency(node) for node in opened]
            end = last_urgency(np.array(urgencies), max(left, 1))
        inner = [e for e in inner if id(e[2]) not in self.known]
        likely = [e for e in inner if -e[0] >= end]
        room = max(0, min(BATCH // 2, left) - len(new))
        if len(new) + len(likely) < LEAST:
            likely = [e for e in inner if -e[0] >= DOUBTFUL * end]
            room = max(0, min(LEAST, left) - len(new))
        new += [entry[2] for entry in heapq.nsmallest(room, likely)]
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
            heapq.heappush(self.waiting, (-urgency(part), self.draw(), part))


def urgency(node: Node) -> float:
    """How much the presence of the group changes, weighted: SHAP opens the group with the largest first."""
    return float(np.max(np.abs(node.having - node.without))) * node.weight


def last_urgency(urgencies: NDArray[np.float64], left: int) -> float:
    """About the urgency T at which `left` openings will be used up: those ≥ T open GROWTH · u / T groups each."""
    ranked = np.sort(urgencies)[::-1]
    levels = GROWTH * np.cumsum(ranked) / left
    return float(levels[np.argmax(levels >= np.append(ranked[1:], 0.0))])
