"""A model's files as they lie, for evaluations that read them and must not load the model."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from evaluations.models.protocol import Usage
from evaluations.spec import Access, EvaluationError, Modality, ModelRef


class Files:
    """What takes a model's place where it is only looked at. It answers nothing."""

    adapter: ClassVar[str] = "files/1"
    access: ClassVar[Access] = Access(0)
    device = "cpu"

    def __init__(self, ref: ModelRef) -> None:
        if not ref.path:
            raise EvaluationError(
                "no_files",
                "The model is in memory alone, so that there are no files to look at. Save it, and give its folder.",
                skipped=True,
            )
        if not Path(ref.path).is_dir():
            raise EvaluationError("model_missing", "The model's folder is not there. Push the model again.")
        self.folder = Path(ref.path)
        self.modality: Modality = ref.modality
        self.usage = Usage()
