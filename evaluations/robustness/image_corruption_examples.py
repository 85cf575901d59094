"""Images that a corruption turned into wrong answers, to be looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from evaluations.robustness import corruptions, image_files
from evaluations.robustness.image_corruption_asking import rng_of
from evaluations.spec import Example, Picture

if TYPE_CHECKING:
    from evaluations.context import Context
    from evaluations.data.dataset import Dataset
    from evaluations.robustness.image_corruption import CorruptionParams
    from evaluations.robustness.image_corruption_scores import Answers

SHOWN = 6


def examples(answers: Answers, data: Dataset, params: CorruptionParams, ctx: Context) -> list[Example]:
    """For each of the kinds that cost most, the first image that was right when clean and broke at the mildest."""
    broken = (answers.clean[:, None] == 1) & (answers.corrupted == 0)  # (n, V)
    places = {
        kind: [(severity, v) for v, (k, severity) in enumerate(params.versions) if k == kind]
        for kind in params.kinds
    }
    cost = {kind: int(broken[:, [v for _, v in held]].sum()) for kind, held in places.items()}
    found = []
    for kind in sorted(params.kinds, key=lambda name: -cost[name])[:SHOWN]:
        hits = [(severity, int(i), v) for severity, v in places[kind] for i in np.flatnonzero(broken[:, v])]
        if hits:
            severity, i, v = min(hits)
            found.append(_example(answers, data, ctx, i, v, kind, severity))
    return found


def _example(
    answers: Answers, data: Dataset, ctx: Context, i: int, version: int, kind: str, severity: int
) -> Example:
    name = str(data.ids[answers.rows[i]])
    read = corruptions.decoded(data.images(answers.rows[i : i + 1])[0])
    shown: tuple[Picture, ...] = ()
    if read is not None:  # a hostile record may speak of an image that cannot be read
        before = read[0]
        after = corruptions.corrupt(before, kind, severity, rng_of(ctx, name, kind, severity))
        shown = image_files.pictures(np.moveaxis(before, -1, 0), np.moveaxis(after, -1, 0))
    return Example(
        id=name,
        kind="corruption",
        pictures=shown,
        facts={
            "corruption": kind,
            "severity": severity,
            "true_label": answers.labels[int(answers.truth[i])],
            "answer_before": answers.labels[int(answers.said[i, 0])],
            "answer_after": answers.labels[int(answers.said[i, 1 + version])],
        },
    )
