"""LightGBM's trees from the JSON of Booster.dump_model, which LightGBM itself cannot read back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

ZERO = 1e-35  # LightGBM's kZeroThreshold: what counts as zero
DEEPEST = 10_000


@dataclass(frozen=True)
class Tree:
    """Nodes as arrays; a child below 0 is leaf −child − 1. Categorical nodes hold the set that goes left."""

    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    default_left: NDArray[np.bool_]
    missing: NDArray[np.str_]  # None, Zero or NaN
    sets: tuple[frozenset[int] | None, ...]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    leaves: NDArray[np.float64]

    def values(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """The leaf value of each row of (n, features)."""
        at = np.zeros(len(rows), dtype=np.int64) if len(self.feature) else np.full(len(rows), -1)
        for _ in range(DEEPEST):
            moving = np.flatnonzero(at >= 0)
            if not len(moving):
                return self.leaves[-at - 1]
            for node in np.unique(at[moving]):
                here = moving[at[moving] == node]
                goes_left = self._goes_left(int(node), rows[here, self.feature[node]])
                at[here] = np.where(goes_left, self.left[node], self.right[node])
        raise ValueError("a tree has no end")

    def _goes_left(self, node: int, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """As tree.h decides: CategoricalDecision and NumericalDecision."""
        held = self.sets[node]
        if held is not None:
            whole = np.where(np.isfinite(values), values, -1).astype(np.int64)
            return np.isin(whole, list(held)) & (whole >= 0)
        kind = self.missing[node]
        unknown = np.isnan(values)
        if kind != "NaN":
            values = np.where(unknown, 0.0, values)
        absent = unknown if kind == "NaN" else (np.abs(values) <= ZERO) & (kind == "Zero")
        with np.errstate(invalid="ignore"):
            return np.where(absent, self.default_left[node], values <= self.threshold[node])


def tree_of(structure: dict[str, Any]) -> Tree:
    """Flattens one tree_structure. Raises KeyError, TypeError or ValueError for what is none."""
    nodes: list[dict[str, Any]] = []
    leaves: list[float] = []
    links: list[list[int]] = []
    pending: list[tuple[dict[str, Any], int, int]] = [(structure, -1, 0)]
    while pending:
        item, parent, side = pending.pop()
        if "leaf_value" in item:
            if "leaf_coeff" in item or "leaf_features" in item:
                raise ValueError("its leaves are linear models")
            leaves.append(float(item["leaf_value"]))
            place = -len(leaves)
        else:
            place = len(nodes)
            nodes.append(item)
            links.append([0, 0])
            pending += [(item["left_child"], place, 0), (item["right_child"], place, 1)]
        if parent >= 0:
            links[parent][side] = place
    sets = tuple(
        frozenset(int(part) for part in str(n["threshold"]).split("||"))
        if n["decision_type"] == "=="
        else None
        for n in nodes
    )
    return Tree(
        feature=np.array([int(n["split_feature"]) for n in nodes], dtype=np.int64),
        threshold=np.array(
            [0.0 if held is not None else float(n["threshold"]) for n, held in zip(nodes, sets, strict=True)]
        ),
        default_left=np.array([bool(n["default_left"]) for n in nodes], dtype=bool),
        missing=np.array([str(n["missing_type"]) for n in nodes], dtype=np.str_),
        sets=sets,
        left=np.array([a for a, _ in links], dtype=np.int64),
        right=np.array([b for _, b in links], dtype=np.int64),
        leaves=np.array(leaves),
    )


class Forest:
    """All trees of a dumped model."""

    def __init__(self, model: dict[str, Any]) -> None:
        self.trees = [tree_of(info["tree_structure"]) for info in model["tree_info"]]
        self.outputs = int(model["num_tree_per_iteration"])
        self.average = bool(model.get("average_output"))
        self.objective = str(model["objective"])
        width = int(model["max_feature_idx"]) + 1
        if self.outputs < 1 or any((t.feature >= width).any() or (t.feature < 0).any() for t in self.trees):
            raise ValueError("its trees ask for columns that it does not have")

    def predict(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) or (n, K), as Booster.predict gives it."""
        raw = np.zeros((len(rows), self.outputs))
        for number, tree in enumerate(self.trees):
            raw[:, number % self.outputs] += tree.values(rows)
        if self.average:
            raw /= max(1, len(self.trees) // self.outputs)
        return self._transformed(raw if self.outputs > 1 else raw[:, 0])

    def _transformed(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        name, *options = self.objective.split()
        slope = next((float(o.partition(":")[2]) for o in options if o.startswith("sigmoid:")), 1.0)
        if name in ("binary", "multiclassova"):
            return np.asarray(special.expit(slope * raw))
        if name in ("cross_entropy", "xentropy"):
            return np.asarray(special.expit(raw))
        if name == "multiclass":
            return np.asarray(special.softmax(raw, axis=1))
        if name in ("poisson", "gamma", "tweedie"):
            return np.exp(raw)
        if "sqrt" in options:
            return np.sign(raw) * raw * raw
        return raw
