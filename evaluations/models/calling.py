"""One call of a model of any kind, for measuring what a call takes. The answers are thrown away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evaluations.spec import EvaluationError, GenerationSettings, Modality, Role

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evaluations.data.dataset import Dataset

WRITING = (Modality.CAUSAL_LM, Modality.SEQ2SEQ)
CLASSES = (Modality.TEXT_CLASSIFIER, Modality.TABULAR, Modality.IMAGE_CLASSIFIER)


def call(
    model: Any, data: Dataset, rows: NDArray[np.int64], settings: GenerationSettings
) -> tuple[bool, int]:
    """Asks the model once about `rows`. Returns whether every row got an answer, and the tokens written.

    Raises EvaluationError for a kind that has no such call.
    """
    kind = data.modality
    if kind in WRITING:
        made = model.generate([data.texts[i] for i in rows], settings, [0] * len(rows))
        return all(g.status == "ok" for g in made), sum(g.output_tokens for g in made)
    if kind in CLASSES:
        return not model.predict_proba(data.inputs(rows, model.columns)).errors.any(), 0
    if kind is Modality.TABULAR_REGRESSION:
        return not model.predict(data.frame(rows, model.columns)).errors.any(), 0
    if kind is Modality.TOKEN_CLASSIFIER:
        return None not in model.tag([data.words[i] for i in rows]), 0
    if kind is Modality.MASKED_LM:
        return None not in model.pseudo_loglikelihoods([data.texts[i] for i in rows]), 0
    if kind is Modality.EXTRACTIVE_QA and data.contexts is not None:
        passages = [data.contexts[i] for i in rows]
        return None not in model.answer([data.texts[i] for i in rows], passages), 0
    if kind is Modality.RECOMMENDER:
        users = data.groups(data.ref.columns(Role.USER)[0])[rows].tolist()
        return bool(np.isfinite(model.scores(users)).all()), 0
    raise EvaluationError(
        "no_call",
        f"A {kind} model cannot be timed on these data: give the columns it reads their roles.",
        skipped=True,
    )
