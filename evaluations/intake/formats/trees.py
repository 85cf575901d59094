"""Tells the JSON of XGBoost and of LightGBM from other JSON, and checks that their trees hold together."""

from __future__ import annotations

import math
from typing import Any

from evaluations.intake.formats.fault import Fault
from evaluations.spec import ModelFormat

_BOOSTERS = ("gbtree", "dart", "gblinear")
MAX_COLUMNS = 10_000_000
MAX_OUTPUTS = 100_000  # classes or targets: XGBoost makes room for all of them at once
_NUMBERS = ("split_conditions", "base_weights", "loss_changes", "sum_hessian")  # of an XGBoost tree


def format_of(value: Any) -> ModelFormat | None:
    """The library whose trees this JSON holds; None for other JSON. Raises Fault for damaged trees."""
    if not isinstance(value, dict):
        return None
    if "learner" in value and "version" in value:
        _check_xgboost(value)
        return ModelFormat.XGBOOST
    if "tree_info" in value and "feature_names" in value:
        _check_lightgbm(value)
        return ModelFormat.LIGHTGBM
    return None


# --- XGBoost ----------------------------------------------------------------------------------------


def _check_xgboost(value: dict[str, Any]) -> None:
    """Every child and every column that a tree names is there: XGBoost itself does not look."""
    try:
        learner = value["learner"]
        grown = learner["gradient_booster"]
        if grown["name"] not in _BOOSTERS or not isinstance(learner["objective"]["name"], str):
            raise ValueError("it names no known booster or objective")
        columns = _bounded(learner["learner_model_param"], "num_feature", MAX_COLUMNS)
        for outputs in {"num_class", "num_target"} & learner["learner_model_param"].keys():
            _bounded(learner["learner_model_param"], outputs, MAX_OUTPUTS)
        # where XGBoost itself looks, and nowhere else: what lies beside it may be there for us alone
        kept = grown["gbtree"] if grown["name"] == "dart" else grown
        for tree in () if grown["name"] == "gblinear" else kept["model"]["trees"]:
            left, right, split = (tree[name] for name in ("left_children", "right_children", "split_indices"))
            nodes = int(tree["tree_param"]["num_nodes"])
            if not (len(left) == len(right) == len(split) == nodes):
                raise ValueError("a tree has parts of different lengths")
            _check_children(left, right, split, columns)
            for part in _NUMBERS:
                if any(isinstance(number, float) and math.isnan(number) for number in tree.get(part, ())):
                    raise ValueError(f"{part} holds what is no number")
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise Fault(
            "xgboost",
            f"This is not a sound XGBoost model ({str(error)[:120]}). Save it again: Booster.save_model('model.json').",
        ) from error


def _bounded(held: dict[str, Any], name: str, most: int) -> int:
    value = int(held[name])
    if not 0 <= value <= most:
        raise ValueError(f"{name} is {value}, beyond {most}")
    return value


def _check_children(left: list[Any], right: list[Any], split: list[Any], columns: int) -> None:
    nodes = len(left)
    parents = [0] * nodes
    for a, b, column in zip(left, right, split, strict=True):
        if type(a) is not int or type(b) is not int or type(column) is not int or (a == -1) != (b == -1):
            raise ValueError("a node is not described by whole numbers")
        if a == -1:
            continue
        if not (0 <= a < nodes and 0 <= b < nodes and 0 <= column < columns):
            raise ValueError("a node points outside its tree or its table")
        parents[a] += 1
        parents[b] += 1
    if nodes and (parents[0] or any(count > 1 for count in parents)):
        raise ValueError("a tree has a loop")


# --- LightGBM ---------------------------------------------------------------------------------------


def _check_lightgbm(value: dict[str, Any]) -> None:
    try:
        if value.get("name") != "tree" or not isinstance(value["objective"], str):
            raise ValueError("it names no objective")
        names, each = value["feature_names"], int(value["num_tree_per_iteration"])
        if not names or not all(isinstance(name, str) for name in names) or not 1 <= each <= MAX_OUTPUTS:
            raise ValueError("it names no columns, or an impossible number of trees")
        for tree in value["tree_info"]:
            _check_structure(tree["tree_structure"], len(names))
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise Fault(
            "lightgbm",
            f"This is not a sound LightGBM dump ({str(error)[:120]}). Write Booster.dump_model() as JSON again, or "
            "use Booster.save_model('model.txt').",
        ) from error


def _check_structure(root: Any, columns: int) -> None:
    """Every node splits by a column that is there, or is a leaf with a number."""
    pending = [root]
    while pending:
        node = pending.pop()
        if not isinstance(node, dict):
            raise ValueError("a tree has no structure")
        if "split_feature" not in node:
            if type(node["leaf_value"]) not in (int, float) or math.isnan(node["leaf_value"]):
                raise ValueError("a leaf has no number")
            continue
        if type(node["split_feature"]) is not int or not 0 <= node["split_feature"] < columns:
            raise ValueError("a node points outside its table")
        if isinstance(node["threshold"], float) and math.isnan(node["threshold"]):
            raise ValueError("a node splits at what is no number")
        pending += [node["left_child"], node["right_child"]]
