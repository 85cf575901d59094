"""scikit-learn classifiers and regressors in skops files, loaded with a fixed list of trusted types."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from evaluations.models.loader import agreed_labels, one_file
from evaluations.models.protocol import Predictions, Scores, Usage
from evaluations.models.tabular import predict_rows, score_rows
from evaluations.spec import Access, EvaluationError, Modality, ModelRef

if TYPE_CHECKING:
    import pandas as pd

# What pipelines of preprocessing and linear models, trees, forests, boosting, networks, calibrated and
# combined models need beyond the types that skops trusts itself: data alone, no functions of a user's.
# Never extended by what a file asks for.
TRUSTED = (
    "numpy.dtype",
    "sklearn._loss.loss.HalfTweedieLossIdentity",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.compose._column_transformer.make_column_selector",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
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
        self.columns = _columns(estimator)
        self.usage = Usage()

    def predict_proba(self, rows: pd.DataFrame) -> Scores:
        self.usage.queries += len(rows)
        return score_rows(self.estimator.predict_proba, rows, len(self.labels))


class SkopsRegressor:
    """A fitted scikit-learn regressor or pipeline."""

    modality: ClassVar[Modality] = Modality.TABULAR_REGRESSION
    adapter: ClassVar[str] = "tabular_skops/1"
    access: ClassVar[Access] = Access.LABEL
    device = "cpu"

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator
        self.columns = _columns(estimator)
        self.usage = Usage()

    def predict(self, rows: pd.DataFrame) -> Predictions:
        self.usage.queries += len(rows)
        return predict_rows(self.estimator.predict, rows)


def _columns(estimator: Any) -> tuple[str, ...] | None:
    names = getattr(estimator, "feature_names_in_", None)
    return None if names is None else tuple(str(n) for n in names)


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


def load(folder: Path, ref: ModelRef) -> SkopsClassifier | SkopsRegressor:
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
    if ref.modality is Modality.TABULAR_REGRESSION:
        if hasattr(estimator, "classes_") or not hasattr(estimator, "predict"):
            raise EvaluationError(
                "model_not_regressor",
                f"{type(estimator).__name__} predicts no numbers. Register it as a classifier (tabular), or save a "
                "regressor.",
            )
        return SkopsRegressor(estimator)
    if not hasattr(estimator, "predict_proba") or not hasattr(estimator, "classes_"):
        raise EvaluationError(
            "model_no_probabilities",
            f"{type(estimator).__name__} gives no class probabilities. Use a classifier that has predict_proba.",
        )
    own = tuple(_label(c) for c in estimator.classes_)
    return SkopsClassifier(estimator, agreed_labels(ref, own, len(own)))


def of_estimator(estimator: Any, labels: tuple[str, ...] = ()) -> SkopsClassifier | SkopsRegressor:
    """A fitted scikit-learn classifier or regressor that is in memory already, as a notebook has it."""
    if not hasattr(estimator, "predict_proba"):
        return SkopsRegressor(estimator)
    return SkopsClassifier(estimator, labels or tuple(_label(c) for c in estimator.classes_))


def _label(value: Any) -> str:
    from evaluations.data.dataset import label_text

    return label_text(value.item() if hasattr(value, "item") else value) or ""
