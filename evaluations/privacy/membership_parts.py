"""Which rows the model was trained on, which are on both sides, and three disjoint parts of the others."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from evaluations.privacy.input_features import image_files
from evaluations.privacy.member_column import membership
from evaluations.quality import halves
from evaluations.spec import EvaluationError, Modality, Role

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.data.dataset import Dataset

FIT, THRESHOLD, TEST = 0, 1, 2
ENDS = (0.25, 0.5)  # a quarter to fit attacks, a quarter to set thresholds, half to report on


def known(data: Dataset) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Row numbers of which membership is known, and whether each is a member. Raises EvaluationError without both."""
    if not data.ref.columns(Role.MEMBER):
        raise EvaluationError(
            "member_missing",
            "A column must have the role 'member': 1 where the model was trained on the row, 0 where it was not, "
            "empty where nobody knows.",
            skipped=True,
        )
    said = membership(data)
    rows = np.flatnonzero(~np.isnan(said))
    member = said[rows] == 1
    if member.all() or not member.any():
        raise EvaluationError(
            "one_side_only",
            f"The data set marks {int(member.sum())} rows that the model was trained on and "
            f"{int((~member).sum())} that it was not. Both kinds are needed: add rows that were held out of training.",
            skipped=True,
        )
    return rows, member


def on_both_sides(inputs: NDArray[np.str_], member: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which rows have an input that is there as a member and as a non-member too: nobody can tell those apart."""
    _, codes = np.unique(inputs, return_inverse=True)
    count = int(codes.max(initial=-1)) + 1
    inside = np.bincount(codes[member], minlength=count) > 0
    outside = np.bincount(codes[~member], minlength=count) > 0
    return np.asarray((inside & outside)[codes])


def belonging(data: Dataset, rows: NDArray[np.int64], inputs: NDArray[np.str_]) -> NDArray[np.str_] | None:
    """Which rows belong together: the data set's clusters, or else copies of one input; None where all stand alone.

    Once inputs on both sides are left out, the copies that remain are all on one side: in two folds or parts they
    would tell it by themselves.
    """
    if data.clusters is not None:
        return data.clusters[rows]
    return inputs if len(np.unique(inputs)) < len(inputs) else None


def inputs_of(data: Dataset, rows: NDArray[np.int64]) -> NDArray[np.str_]:
    """(n,) digest of each row's input."""
    if data.modality is Modality.IMAGE_CLASSIFIER:
        held = (hashlib.sha256(image).hexdigest() for image in image_files(data, rows))
    elif data.modality is Modality.TABULAR:
        frame = data.frame(rows, None)
        held = (repr(row) for row in zip(*(frame[name].tolist() for name in frame), strict=True))
    else:
        held = (data.texts[i] for i in rows)
    return np.array(
        [hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() for text in held], dtype=np.str_
    )


def cut(
    names: NDArray[np.str_], member: NDArray[np.bool_], seed: int, use: str, ends: Sequence[float]
) -> NDArray[np.int64]:
    """Which part each row is in, by a digest of its name (its id or cluster): 0 below the first end, and so on.

    Rows of one name stay together. Names of members alone, of non-members alone and of both are cut each by
    themselves, so that every part has its share of each.
    """
    distinct, index = np.unique(names, return_inverse=True)
    sizes = np.bincount(index, minlength=len(distinct))
    inside = np.bincount(index, weights=member, minlength=len(distinct))
    kind = np.where(inside == 0, 0, np.where(inside == sizes, 1, 2))
    order = np.lexsort((halves.uniforms(distinct, seed, use), kind))
    parts: NDArray[np.int64] = np.empty(len(distinct), dtype=np.int64)
    for one in range(3):
        mine = order[kind[order] == one]
        middle = np.cumsum(sizes[mine]) - sizes[mine] / 2
        parts[mine] = np.searchsorted(ends, middle / max(1, sizes[mine].sum()), side="right")
    return parts[index]
