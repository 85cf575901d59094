"""Adapters: the same probabilities as the library that wrote the file, and refusal of what must not load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from evaluations.engine.batching import token_budget_batches
from evaluations.models.loader import load
from evaluations.spec import EvaluationError, Modality, ModelFormat, ModelRef
from tests.evaluations import make


def tabular(folder: Path, format: ModelFormat = ModelFormat.SKOPS, **more: Any) -> ModelRef:
    return ModelRef(path=str(folder), digest="m", modality=Modality.TABULAR, format=format, **more)


def people(n: int = 300) -> pd.DataFrame:
    table = make.frame(n)
    table["job"] = np.random.default_rng(1).choice(["clerk", "nurse", None], n)
    return table[["x", "z", "job", "sex", "label"]]


@pytest.mark.parametrize(
    "classifier",
    [
        HistGradientBoostingClassifier(max_iter=8),
        LogisticRegression(),
        RandomForestClassifier(8, random_state=0),
    ],
    ids=lambda c: type(c).__name__,
)
@pytest.mark.parametrize(
    "encoder", [OneHotEncoder(handle_unknown="ignore", sparse_output=False), OrdinalEncoder()]
)
def test_skops_pipelines_give_scikit_learns_probabilities(
    classifier: Any, encoder: Any, tmp_path: Path
) -> None:
    table = people()
    pipeline = make_pipeline(
        ColumnTransformer(
            [
                ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["x", "z"]),
                ("words", make_pipeline(SimpleImputer(strategy="most_frequent"), encoder), ["job", "sex"]),
            ]
        ),
        classifier,
    ).fit(table.drop(columns="label"), table.label.astype(str))
    skops.io.dump(pipeline, tmp_path / "model.skops")
    model = load(tabular(tmp_path))
    assert model.labels == ("no", "yes")
    assert model.columns == ("x", "z", "job", "sex")
    frame = table[list(model.columns)]
    assert np.allclose(model.predict_proba(frame).probs, pipeline.predict_proba(frame), atol=1e-12)


def test_skops_files_with_other_types_are_refused_and_their_code_never_runs(tmp_path: Path) -> None:
    import os

    skops.io.dump(
        make_pipeline(FunctionTransformer(os.system), LogisticRegression()), tmp_path / "model.skops"
    )
    with pytest.raises(EvaluationError) as error:
        load(tabular(tmp_path))
    assert error.value.code == "model_untrusted"


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a zip", b"\x80\x04\x95pickle"])
def test_damaged_skops_files_are_said(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.skops").write_bytes(content)
    with pytest.raises(EvaluationError) as error:
        load(tabular(tmp_path))
    assert error.value.code == "model_unreadable"


def test_a_regressor_is_no_classifier(tmp_path: Path) -> None:
    from sklearn.linear_model import Ridge

    skops.io.dump(Ridge().fit([[1.0], [2.0]], [1.0, 2.0]), tmp_path / "model.skops")
    with pytest.raises(EvaluationError, match="no class probabilities"):
        load(tabular(tmp_path))


@pytest.mark.parametrize("zipmap", [False, True])
def test_onnx_gives_scikit_learns_probabilities(zipmap: bool, tmp_path: Path) -> None:
    from skl2onnx import to_onnx

    table = make.frame(200)
    classifier = LogisticRegression().fit(table[["x", "z"]].to_numpy(), table.label.astype(str))
    proto = to_onnx(
        classifier, table[["x", "z"]].to_numpy(np.float32)[:1], options={"zipmap": zipmap}, target_opset=18
    )
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    model = load(tabular(tmp_path, ModelFormat.ONNX, labels=("no", "yes")))
    expected = classifier.predict_proba(table[["x", "z"]].to_numpy())
    assert np.allclose(model.predict_proba(table[["x", "z"]]).probs, expected, atol=1e-6)
    if zipmap:  # which names the classes itself
        assert load(tabular(tmp_path, ModelFormat.ONNX)).labels == ("no", "yes")
    else:
        with pytest.raises(EvaluationError, match="--labels"):
            load(tabular(tmp_path, ModelFormat.ONNX))


def test_onnx_with_one_input_per_column_is_matched_by_name(tmp_path: Path) -> None:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    table = people().dropna()
    pipeline = make_pipeline(
        ColumnTransformer([("n", StandardScaler(), ["x", "z"]), ("w", OneHotEncoder(), ["sex"])]),
        LogisticRegression(),
    ).fit(table[["x", "z", "sex"]], table.label.astype(str))
    kinds = [
        ("x", FloatTensorType([None, 1])),
        ("z", FloatTensorType([None, 1])),
        ("sex", StringTensorType([None, 1])),
    ]
    proto = to_onnx(pipeline, initial_types=kinds, options={"zipmap": False}, target_opset=18)
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    model = load(tabular(tmp_path, ModelFormat.ONNX, labels=("no", "yes")))
    assert model.columns == ("x", "z", "sex")
    frame = table[["x", "z", "sex"]]
    assert np.allclose(model.predict_proba(frame).probs, pipeline.predict_proba(frame), atol=1e-5)


def test_labels_must_fit_the_outputs_and_their_order(tmp_path: Path) -> None:
    table = make.frame(100)
    skops.io.dump(
        LogisticRegression().fit(table[["x", "z"]], table.label.astype(str)), tmp_path / "model.skops"
    )
    for labels, code in (
        (("a", "b", "c"), "labels_count"),
        (("yes", "no"), "labels_order"),
        (("a", "a"), "labels_count"),
    ):
        with pytest.raises(EvaluationError) as error:
            load(tabular(tmp_path, labels=labels))
        assert error.value.code == code
    assert load(tabular(tmp_path, labels=("nein", "ja"))).labels == ("nein", "ja")


def test_rows_that_a_model_refuses_become_error_rows_and_the_others_are_scored(tmp_path: Path) -> None:
    table = people(200).assign(job="clerk")
    pipeline = make_pipeline(
        ColumnTransformer([("n", "passthrough", ["x"]), ("w", OneHotEncoder(), ["job"])]),
        LogisticRegression(),
    ).fit(table[["x", "job"]], table.label.astype(str))
    skops.io.dump(pipeline, tmp_path / "model.skops")
    model = load(tabular(tmp_path))
    frame = table[["x", "job"]].copy()
    frame.loc[[7, 90], "job"] = "astronaut"
    scores = model.predict_proba(frame)
    assert np.flatnonzero(scores.errors).tolist() == [7, 90]
    assert np.allclose(scores.probs[~scores.errors], pipeline.predict_proba(frame.drop(index=[7, 90])))
    with pytest.raises(EvaluationError, match="astronaut"):
        model.predict_proba(frame.assign(job="astronaut"))


# --- text -----------------------------------------------------------------------------------------


def test_text_probabilities_equal_scoring_each_text_alone(tmp_path: Path) -> None:
    import torch

    model = load(make.tiny_bert(tmp_path))
    texts = [*list(make.sentences(40).text), "", "a " * 200]
    probs = model.predict_proba(texts).probs
    for text, row in zip(texts, probs, strict=True):
        batch = model.tokenizer([text], truncation=True, max_length=64, return_tensors="pt")
        with torch.no_grad():
            alone = torch.softmax(model.network(**batch).logits, dim=1)[0].numpy()
        assert row == pytest.approx(alone, abs=1e-5)
    assert model.usage.truncated == 1


def test_a_bare_encoder_is_refused_since_its_head_would_be_random(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    ref = make.tiny_bert(tmp_path)
    weights = {
        k: v for k, v in load_file(tmp_path / "model.safetensors").items() if not k.startswith("classifier")
    }
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EvaluationError, match="would be random"):
        load(ref)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_a_folder_that_names_code_of_its_own_is_refused(name: str, tmp_path: Path) -> None:
    ref = make.tiny_bert(tmp_path)
    config = json.loads((tmp_path / name).read_text())
    config["auto_map"] = {"AutoModelForSequenceClassification": "evil.Model"}
    (tmp_path / name).write_text(json.dumps(config))
    with pytest.raises(EvaluationError, match="auto_map"):
        load(ref)


def test_pickled_weights_are_not_read(tmp_path: Path) -> None:
    import torch

    ref = make.tiny_bert(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(EvaluationError) as error:
        load(ref)
    assert error.value.code == "model_unreadable"


def test_batches_hold_every_sequence_once_within_the_budget() -> None:
    lengths = [*np.random.default_rng(0).integers(1, 300, 500).tolist(), 5000]
    batches = list(token_budget_batches(lengths, 1024))
    assert sorted(np.concatenate(batches).tolist()) == list(range(501))
    assert all(len(b) == 1 or len(b) * max(lengths[i] for i in b) <= 1024 for b in batches)
    assert list(token_budget_batches([], 10)) == []
