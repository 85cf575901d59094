"""Checks the text that LightGBM's Booster.save_model writes: LightGBM itself follows its numbers without a look."""

from __future__ import annotations

import re

from evaluations.intake.formats.fault import Fault

_VERSION = re.compile(r"v[1-9]\d{0,2}")
_TREE = b"\nTree=0\n"
MAX_OUTPUTS = 100_000


def check(text: str) -> None:
    """Raise Fault `lightgbm` unless every tree lies where the head says, and points inside itself and its table."""
    try:
        _check(text.encode("utf-8"))
    except (KeyError, ValueError, OverflowError) as error:
        raise Fault(
            "lightgbm",
            f"This is not a whole LightGBM model ({str(error)[:120]}). Save it again: Booster.save_model('model.txt').",
        ) from error


def _check(data: bytes) -> None:
    begin = data.find(_TREE)
    head = _fields(data[: begin if begin >= 0 else len(data)])
    names, columns = head["feature_names"].split(), int(head["max_feature_idx"]) + 1
    if not data.startswith(b"tree\n") or not _VERSION.fullmatch(head["version"]) or len(names) != columns:
        raise ValueError("its head is damaged")
    if not all(
        1 <= int(head.get(name, "1")) <= MAX_OUTPUTS for name in ("num_class", "num_tree_per_iteration")
    ):
        raise ValueError("it has an impossible number of outputs")
    sizes = [int(size) for size in head["tree_sizes"].split()]
    at = begin + 1 if sizes else data.index(b"\nend of trees\n") + 1
    for number, size in enumerate(sizes):
        tree = data[at : at + max(size, 0)]
        if size <= 0 or not tree.startswith(b"Tree=%d\n" % number):
            raise ValueError(f"tree {number} is not where the head says")
        _check_tree(_fields(tree), columns)
        at += size
    if not data.startswith(b"end of trees\n", at):
        raise ValueError("its end is missing")


def _fields(data: bytes) -> dict[str, str]:
    lines = [line.split("=", 1) for line in data.decode("utf-8").split("\n") if "=" in line]
    fields = dict(lines)
    if len(fields) != len(lines):
        raise ValueError("it says something twice")
    return fields


def _check_tree(tree: dict[str, str], columns: int) -> None:
    leaves = int(tree["num_leaves"])
    values = [float(value) for value in tree["leaf_value"].split()]
    if leaves < 1 or len(values) != leaves or any(value != value for value in values):
        raise ValueError("a tree has leaves without a value")
    left, right, split, kinds = (
        [int(value) for value in tree.get(name, "").split()]
        for name in ("left_child", "right_child", "split_feature", "decision_type")
    )
    thresholds = [float(value) for value in tree.get("threshold", "").split()]
    nodes = leaves - 1
    if nodes == 0:
        return  # a single leaf; LightGBM reads no node of it
    if not all(len(part) == nodes for part in (left, right, split, kinds, thresholds)):
        raise ValueError("a tree has parts of different lengths")
    parents = [0] * nodes
    for child in (*left, *right):
        if not -leaves <= child < nodes:
            raise ValueError("a node points outside its tree")
        if child >= 0:
            parents[child] += 1
    if parents[0] or any(count > 1 for count in parents):
        raise ValueError("a tree has a loop")
    if not all(0 <= column < columns for column in split):
        raise ValueError("a node points outside its table")
    _check_categories(tree, kinds, thresholds)


def _check_categories(tree: dict[str, str], kinds: list[int], thresholds: list[float]) -> None:
    """Sets of categories are slices of one list of words; a node names its slice by its threshold."""
    sets = int(tree.get("num_cat", "0"))
    bounds = [int(value) for value in tree.get("cat_boundaries", "").split()]
    words = len(tree.get("cat_threshold", "").split())
    if sets and (
        len(bounds) != sets + 1 or bounds[0] != 0 or bounds[-1] != words or bounds != sorted(bounds)
    ):
        raise ValueError("its sets of categories are damaged")
    if not all(
        0 <= at < sets and at == int(at) for kind, at in zip(kinds, thresholds, strict=True) if kind & 1
    ):
        raise ValueError("a node points outside the sets of categories")
