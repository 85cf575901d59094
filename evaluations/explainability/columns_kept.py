"""Whether a pipeline of scikit-learn keeps its columns apart, so that its last step can be explained by column."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

# One column in, one column out, each by itself.
APART = (
    "StandardScaler",
    "MinMaxScaler",
    "MaxAbsScaler",
    "RobustScaler",
    "QuantileTransformer",
    "PowerTransformer",
    "Binarizer",
    "OrdinalEncoder",
    "SimpleImputer",
)


@dataclass(frozen=True)
class Kept:
    """The last step, the numbers that it reads (n, C), and the input column that each of them comes from."""

    last: Any
    matrix: Callable[[pd.DataFrame], NDArray[np.float64]]
    origin: list[int]


def kept(estimator: Any, names: list[str]) -> Kept | None:
    """None where a column becomes several, as one-hot encoding makes it, or several become one."""
    if type(estimator).__name__ != "Pipeline":
        return Kept(estimator, _numbers, list(range(len(names))))
    origin: list[int] | None = list(range(len(names)))
    for _, step in estimator.steps[:-1]:
        origin = _through(step, origin, names) if origin is not None else None
    if origin is None or len(set(origin)) != len(origin):
        return None
    before = estimator[:-1]
    return Kept(estimator[-1], lambda frame: _numbers(before.transform(frame)), origin)


def _through(step: Any, origin: list[int], names: list[str]) -> list[int] | None:
    if step is None or step == "passthrough":
        return origin
    kind = type(step).__name__
    if kind == "Pipeline":
        for _, inner in step.steps:
            found = _through(inner, origin, names)
            if found is None:
                return None
            origin = found
        return origin
    if kind == "ColumnTransformer":
        return _side_by_side(step, origin, names)
    if kind == "FunctionTransformer" and step.func is None:  # what scikit-learn makes of "passthrough"
        return origin
    widened = getattr(step, "add_indicator", False)
    dropped = kind == "SimpleImputer" and any(value != value for value in step.statistics_)
    return origin if kind in APART and not widened and not dropped else None


def _side_by_side(step: Any, origin: list[int], names: list[str]) -> list[int] | None:
    out: list[int] = []
    for _, part, columns in step.transformers_:
        if isinstance(part, str) and part == "drop":
            continue
        places = _places(columns, [names[i] for i in origin])
        found = None if places is None else _through(part, [origin[i] for i in places], names)
        if found is None:
            return None
        out += found
    return out


def _places(columns: Any, names: list[str]) -> list[int] | None:
    """Positions of the columns that a ColumnTransformer names: by name, position, mask or slice."""
    if isinstance(columns, slice):
        return list(range(len(names)))[columns] if isinstance(columns.start, int | None) else None
    held = np.asarray(columns).reshape(-1)
    if held.dtype == bool:
        return np.flatnonzero(held).tolist()
    try:
        return [names.index(c) if isinstance(c, str) else range(len(names))[int(c)] for c in held.tolist()]
    except (ValueError, IndexError, TypeError):
        return None


def _numbers(values: Any) -> NDArray[np.float64]:
    dense = values.toarray() if hasattr(values, "toarray") else values
    return np.ascontiguousarray(dense, dtype=np.float64)
