"""scikit-learn classifiers in skops files, loaded with a fixed list of trusted types."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from evaluations.models.loader import agreed_labels, one_file
from evaluations.models.protocol import Scores, Usage
from evaluations.models.tabular import score_rows
from evaluations.spec import Access, EvaluationError, Modality, ModelRef

if TYPE_CHECKING:
    import pandas as pd

# What a preprocessing ColumnTransformer in front of HistGradientBoosting, LogisticRegression or
# RandomForest needs beyond the types that skops trusts itself. Never extended by what a file asks for.
TRUSTED = (
    "numpy.dtype",
    "sklearn.compose._column_transformer.make_column_selector",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
)


class SkopsClassifier:
    """A fitted scikit-learn classifier or pipeline. `labels` are its classes_, as text."""

    modality: ClassVar[Modality] = Modality.TABULAR
    adapter: ClassVar[str] = "tabular_skops/1"
    access: ClassVar[Access] = Access.LABEL | Access.PROBS
    device = "cpu"

    def __init__(self, estimator: Any, labels: tuple[str, ...]) -> None:
        self.estimator = estimator
        self.labels = labels
        names = getattr(estimator, "feature_names_in_", None)
        self.columns = None if names is None else tuple(str(n) for n in names)
        self.usage = Usage()

    def predict_proba(self, rows: pd.DataFrame) -> Scores:
        self.usage.queries += len(rows)
        return score_rows(self.estimator.predict_proba, rows, len(self.labels))


def _import_skops() -> None:
    """Imports skops.io without torch, which it would load only to list scikit-learn's packages: two seconds a run."""
    bridge = "sklearn.externals.array_api_compat.torch"
    if bridge in sys.modules:
        return
    sys.modules[bridge] = None  # type: ignore[assignment]  # Python's own way to say: not importable
    try:
        import skops.io  # noqa: F401  # imported for its effect on sys.modules
    finally:
        del sys.modules[bridge]


def load(folder: Path, ref: ModelRef) -> SkopsClassifier:
    """The estimator in the folder's one .skops file. Raises `model_untrusted` for any other type in it."""
    _import_skops()
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    path = one_file(folder, "*.skops")
    try:
        estimator = skops.io.load(path, trusted=list(TRUSTED))
    except UntrustedTypesFoundException as error:
        raise EvaluationError(
            "model_untrusted",
            f"The model file holds types that are not allowed: {str(error)[:300]}. Use a scikit-learn pipeline of "
            "preprocessing with LogisticRegression, RandomForest or HistGradientBoosting, or export to ONNX.",
        ) from error
    except (
        zipfile.BadZipFile,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        ImportError,
        EOFError,
    ) as error:
        raise EvaluationError(
            "model_unreadable",
            f"The skops file could not be read ({type(error).__name__}: {str(error)[:200]}). Save it again with "
            "skops.io.dump under the scikit-learn version named in the requirements.",
        ) from error
    if not hasattr(estimator, "predict_proba") or not hasattr(estimator, "classes_"):
        raise EvaluationError(
            "model_no_probabilities",
            f"{type(estimator).__name__} gives no class probabilities. Use a classifier that has predict_proba.",
        )
    own = tuple(_label(c) for c in estimator.classes_)
    return SkopsClassifier(estimator, agreed_labels(ref, own, len(own)))


def of_estimator(estimator: Any, labels: tuple[str, ...] = ()) -> SkopsClassifier:
    """A fitted scikit-learn classifier that is in memory already, as a notebook has it."""
    return SkopsClassifier(estimator, labels or tuple(_label(c) for c in estimator.classes_))


def _label(value: Any) -> str:
    from evaluations.data.dataset import label_text

    return label_text(value.item() if hasattr(value, "item") else value) or ""
