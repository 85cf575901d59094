"""Every kind of model, in every format that it may come in: what is accepted, and what each refusal says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluations.intake.inspection import Accepted, Refused, inspect_model
from evaluations.intake.model_kinds import KINDS, expected
from evaluations.models.loader import ADAPTERS
from evaluations.spec import Modality, ModelFormat
from tests.model_files import hugging_face, safetensors_bytes, tabular

ARCHITECTURES = [
    (Modality.TEXT_CLASSIFIER, "DistilBertForSequenceClassification"),
    (Modality.TOKEN_CLASSIFIER, "RobertaForTokenClassification"),
    (Modality.MASKED_LM, "BertForMaskedLM"),
    (Modality.CAUSAL_LM, "LlamaForCausalLM"),
    (Modality.CAUSAL_LM, "GPT2LMHeadModel"),
    (Modality.SEQ2SEQ, "T5ForConditionalGeneration"),
    (Modality.SEQ2SEQ, "MarianMTModel"),
    (Modality.EXTRACTIVE_QA, "BertForQuestionAnswering"),
    (Modality.IMAGE_CLASSIFIER, "ResNetForImageClassification"),
]


def accepted(folder: Path, modality: str) -> ModelFormat:
    result = inspect_model(folder, modality)
    assert isinstance(result, Accepted), result
    return result.format


def codes(folder: Path, modality: str) -> set[str]:
    result = inspect_model(folder, modality)
    assert isinstance(result, Refused), result
    assert all(reason.message for reason in result.reasons)
    return {reason.code for reason in result.reasons}


def of_architecture(folder: Path, architecture: str) -> Path:
    hugging_face(folder)
    (folder / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    (folder / "preprocessor_config.json").write_text("{}")
    return folder


def small_onnx(folder: Path) -> bytes:
    from tests.unit.test_intake_real_models import small_onnx

    return small_onnx().SerializeToString()


def test_intake_takes_what_an_adapter_reads_and_nothing_else() -> None:
    taken = {(modality, format) for modality, kind in KINDS.items() for format in kind.formats}
    assert taken == set(ADAPTERS)
    assert set(KINDS) == set(Modality)


@pytest.mark.parametrize(("modality", "architecture"), ARCHITECTURES)
def test_a_hugging_face_folder_is_accepted_as_what_its_architecture_says(
    modality: Modality, architecture: str, tmp_path: Path
) -> None:
    folder = of_architecture(tmp_path, architecture)
    (folder / "generation_config.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    assert accepted(folder, modality) is ModelFormat.SAFETENSORS
    for other, kind in KINDS.items():
        if other is not modality and kind.architectures:
            assert codes(folder, other) == {"wrong_architecture"}
    assert codes(folder, "tabular") == {"wrong_format"}


@pytest.mark.parametrize(
    "architecture",
    ["DetrForObjectDetection", "SegformerForSemanticSegmentation", "Wav2Vec2ForCTC", "BertModel"],
)
def test_what_no_adapter_reads_is_refused_whatever_it_is_registered_as(
    architecture: str, tmp_path: Path
) -> None:
    folder = of_architecture(tmp_path, architecture)
    for modality, kind in KINDS.items():
        if kind.architectures:
            result = inspect_model(folder, modality)
            assert isinstance(result, Refused)
            assert architecture in result.reasons[0].message


def test_an_image_classifier_needs_its_preparation_and_no_tokenizer(tmp_path: Path) -> None:
    folder = of_architecture(tmp_path, "ViTForImageClassification")
    (folder / "tokenizer.json").unlink()
    assert accepted(folder, "image_classifier") is ModelFormat.SAFETENSORS
    (folder / "preprocessor_config.json").unlink()
    assert codes(folder, "image_classifier") == {"no_preprocessor"}


@pytest.mark.parametrize(
    ("modality", "architecture"),
    [
        ("text_classifier", "BertForSequenceClassification"),
        ("token_classifier", "BertForTokenClassification"),
        ("image_classifier", "ViTForImageClassification"),
    ],
)
def test_an_onnx_export_is_accepted_with_its_configuration(
    modality: str, architecture: str, tmp_path: Path
) -> None:
    folder = of_architecture(tmp_path, architecture)
    (folder / "model.safetensors").unlink()
    (folder / "model.onnx").write_bytes(small_onnx(folder))
    assert accepted(folder, modality) is ModelFormat.ONNX
    (folder / "other.onnx").write_bytes(small_onnx(folder))
    assert codes(folder, modality) == {"many_models"}
    (folder / "other.onnx").unlink()
    (folder / "config.json").unlink()
    assert codes(folder, modality) == {"no_config"}


def test_a_language_model_is_not_accepted_in_onnx(tmp_path: Path) -> None:
    folder = of_architecture(tmp_path, "LlamaForCausalLM")
    (folder / "model.safetensors").unlink()
    (folder / "model.onnx").write_bytes(small_onnx(folder))
    assert codes(folder, "causal_lm") == {"wrong_format"}


@pytest.mark.parametrize("modality", ["tabular", "tabular_regression"])
def test_one_file_of_a_tabular_model_is_accepted(modality: str, tmp_path: Path) -> None:
    assert accepted(tabular(tmp_path / "skops"), modality) is ModelFormat.SKOPS
    folder = tmp_path / "onnx"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(small_onnx(folder))
    assert accepted(folder, modality) is ModelFormat.ONNX


# --- trees -----------------------------------------------------------------------------------------


def rows() -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(60, 3))
    return x, (x[:, 0] > 0).astype(int)


@pytest.fixture(scope="module")
def xgboost_json(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    import xgboost

    path = tmp_path_factory.mktemp("xgboost") / "model.json"
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1}, xgboost.DMatrix(*rows()), 3)
    booster.save_model(path)
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def lightgbm_model() -> Any:
    import lightgbm

    settings = {"objective": "binary", "verbose": -1, "num_threads": 1, "min_data_in_leaf": 3}
    return lightgbm.train(settings, lightgbm.Dataset(*rows()), 3)


def test_xgboost_is_known_by_its_content(xgboost_json: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "anything.json").write_text(json.dumps(xgboost_json))
    (tmp_path / "README.md").write_text("# Trees\n")
    assert accepted(tmp_path, "tabular") is ModelFormat.XGBOOST
    assert accepted(tmp_path, "tabular_regression") is ModelFormat.XGBOOST
    assert codes(tmp_path, "text_classifier") == {"wrong_format"}
    (tmp_path / "second.json").write_text(json.dumps(xgboost_json))
    assert codes(tmp_path, "tabular") == {"many_models"}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("left_children", 10**6),
        ("right_children", -7),
        ("left_children", 0),
        ("split_indices", 3),
        ("split_indices", "0"),
        ("left_children", 1.5),
    ],
)
def test_xgboost_trees_that_point_elsewhere_are_refused(
    place: str, value: Any, xgboost_json: dict[str, Any], tmp_path: Path
) -> None:
    changed = json.loads(json.dumps(xgboost_json))
    changed["learner"]["gradient_booster"]["model"]["trees"][1][place][0] = value
    (tmp_path / "model.json").write_text(json.dumps(changed))
    assert codes(tmp_path, "tabular") == {"xgboost"}


def test_trees_are_checked_where_xgboost_reads_them_whatever_lies_beside(
    xgboost_json: dict[str, Any], tmp_path: Path
) -> None:
    import xgboost

    changed = json.loads(json.dumps(xgboost_json))
    grown = changed["learner"]["gradient_booster"]
    grown["gbtree"] = {"name": "gbtree", "model": {"trees": []}}
    booster = xgboost.Booster()
    booster.load_model(bytearray(json.dumps(changed).encode()))
    assert booster.num_boosted_rounds() == 3  # it passes over what is new
    grown["model"]["trees"][1]["left_children"][0] = 10**6
    (tmp_path / "model.json").write_text(json.dumps(changed))
    assert codes(tmp_path, "tabular") == {"xgboost"}


def test_trees_with_dropout_are_checked_too(tmp_path: Path) -> None:
    import xgboost

    settings = {"objective": "binary:logistic", "booster": "dart", "nthread": 1}
    xgboost.train(settings, xgboost.DMatrix(*rows()), 3).save_model(tmp_path / "model.json")
    assert accepted(tmp_path, "tabular") is ModelFormat.XGBOOST
    changed = json.loads((tmp_path / "model.json").read_text())
    changed["learner"]["gradient_booster"]["gbtree"]["model"]["trees"][1]["left_children"][0] = 10**6
    (tmp_path / "model.json").write_text(json.dumps(changed))
    assert codes(tmp_path, "tabular") == {"xgboost"}


def test_a_count_without_end_is_refused(
    xgboost_json: dict[str, Any], lightgbm_model: Any, tmp_path: Path
) -> None:
    changed = json.loads(json.dumps(xgboost_json))
    changed["learner"]["learner_model_param"]["num_feature"] = float("inf")
    (tmp_path / "model.json").write_text(json.dumps(changed))
    assert codes(tmp_path, "tabular") == {"xgboost"}
    dump = {**lightgbm_model.dump_model(), "num_tree_per_iteration": float("inf")}
    (tmp_path / "model.json").write_text(json.dumps(dump))
    assert codes(tmp_path, "tabular") == {"lightgbm"}


@pytest.mark.parametrize("part", ["gradient_booster", "objective", "learner_model_param"])
def test_an_xgboost_model_without_a_part_is_refused(
    part: str, xgboost_json: dict[str, Any], tmp_path: Path
) -> None:
    changed = json.loads(json.dumps(xgboost_json))
    del changed["learner"][part]
    (tmp_path / "model.json").write_text(json.dumps(changed))
    assert codes(tmp_path, "tabular") == {"xgboost"}


def test_lightgbm_is_known_by_its_content_as_text_and_as_a_dump(lightgbm_model: Any, tmp_path: Path) -> None:
    text, dump = tmp_path / "text", tmp_path / "dump"
    for folder in (text, dump):
        folder.mkdir()
    lightgbm_model.save_model(text / "model.txt")
    (dump / "model.json").write_text(json.dumps(lightgbm_model.dump_model()))
    for folder in (text, dump):
        assert accepted(folder, "tabular") is ModelFormat.LIGHTGBM
        assert accepted(folder, "tabular_regression") is ModelFormat.LIGHTGBM
    whole = (text / "model.txt").read_text()
    (text / "model.txt").write_text(whole[: whole.index("end of trees")])
    assert codes(text, "tabular") == {"lightgbm"}
    (dump / "model.json").write_text(json.dumps({**lightgbm_model.dump_model(), "tree_info": [3]}))
    assert codes(dump, "tabular") == {"lightgbm"}


def test_other_json_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text('{"weights": [1, 2, 3]}')
    assert codes(tmp_path, "tabular") == {"no_model"}


# --- recommenders ------------------------------------------------------------------------------------


def recommender(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    spans = {"user_factors": [0, 16], "item_factors": [16, 32]}
    header = {name: {"dtype": "F32", "shape": [2, 2], "data_offsets": span} for name, span in spans.items()}
    (folder / "model.safetensors").write_bytes(safetensors_bytes(header, bytes(32)))
    (folder / "ids.json").write_text(json.dumps({"users": ["a", 1], "items": ["x", "y"]}))
    return folder


def test_a_recommender_is_factors_or_a_network_with_its_ids(tmp_path: Path) -> None:
    folder = recommender(tmp_path)
    assert accepted(folder, "recommender") is ModelFormat.SAFETENSORS
    assert codes(folder, "tabular") == {"wrong_format"}
    (folder / "model.safetensors").unlink()
    (folder / "model.onnx").write_bytes(small_onnx(folder))
    assert accepted(folder, "recommender") is ModelFormat.ONNX


@pytest.mark.parametrize(
    "ids",
    [
        [],
        {"users": ["a"]},
        {"users": ["a", "a"], "items": ["x"]},
        {"users": ["1", 1], "items": ["x"]},
        {"users": ["a"], "items": []},
        {"users": ["a"], "items": [True]},
        {"users": ["a"], "items": [["x"]]},
    ],
)
def test_ids_that_do_not_name_everybody_once_are_refused(ids: Any, tmp_path: Path) -> None:
    folder = recommender(tmp_path)
    (folder / "ids.json").write_text(json.dumps(ids))
    assert codes(folder, "recommender") == {"ids"}


def test_a_recommender_without_ids_or_factors_is_refused(tmp_path: Path) -> None:
    folder = recommender(tmp_path)
    (folder / "model.safetensors").write_bytes(safetensors_bytes())
    assert codes(folder, "recommender") == {"factors"}
    (folder / "ids.json").unlink()
    assert codes(folder, "recommender") == {"no_ids"}


# --- endpoints ---------------------------------------------------------------------------------------

CHAT = {
    "schema": "endpoint/1",
    "protocol": "openai_chat",
    "url": "https://models.example.org/v1",
    "model": "m",
}
REST = {"schema": "endpoint/1", "protocol": "rest", "url": "https://models.example.org", "rest": {}}


def endpoint(folder: Path, value: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "endpoint.json").write_text(value if isinstance(value, str) else json.dumps(value))
    return folder


@pytest.mark.parametrize("modality", [m for m, kind in KINDS.items() if kind.protocols])
@pytest.mark.parametrize("spec", [CHAT, {**CHAT, "protocol": "openai_completions"}, REST])
def test_an_endpoint_is_accepted_for_what_its_protocol_serves(
    spec: dict[str, Any], modality: Modality, tmp_path: Path
) -> None:
    folder = endpoint(tmp_path, spec)
    if spec["protocol"] in KINDS[modality].protocols:
        assert accepted(folder, modality) is ModelFormat.ENDPOINT
    else:
        assert codes(folder, modality) == {"protocol"}


@pytest.mark.parametrize("modality", ["token_classifier", "masked_lm", "extractive_qa", "recommender"])
def test_an_endpoint_is_refused_where_no_protocol_serves_the_kind(modality: str, tmp_path: Path) -> None:
    assert codes(endpoint(tmp_path, CHAT), modality) == {"wrong_format"}


@pytest.mark.parametrize(
    "change",
    [
        {"url": "ftp://models.example.org"},
        {"url": "https://user:secret@models.example.org"},
        {"url": "https://models.example.org:port"},
        {"url": "https://models.example.org/?key=1"},
        {"model": ""},
        {"api_key": "secret"},
        {"schema": "endpoint/9"},
        {"rest": {}},
    ],
)
def test_an_unsound_endpoint_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    assert codes(endpoint(tmp_path, {**CHAT, **change}), "causal_lm") == {"endpoint"}


def test_an_endpoint_with_a_key_given_twice_or_too_large_is_refused(tmp_path: Path) -> None:
    twice = json.dumps(CHAT)[:-1] + ', "url": "https://other.example.org"}'
    assert codes(endpoint(tmp_path, twice), "causal_lm") == {"json_repeated"}
    assert codes(endpoint(tmp_path, json.dumps(CHAT) + " " * 2**20), "causal_lm") == {"endpoint"}


def test_an_endpoint_in_a_folder_below_is_refused(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    endpoint(tmp_path / "below", CHAT)
    assert codes(tmp_path, "causal_lm") == {"no_model"}
    endpoint(tmp_path, CHAT)
    assert codes(tmp_path, "causal_lm") == {"many_models"}


def test_an_endpoint_beside_weights_is_refused(tmp_path: Path) -> None:
    folder = endpoint(of_architecture(tmp_path, "LlamaForCausalLM"), CHAT)
    assert codes(folder, "causal_lm") == {"many_models"}


# --- words -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("modality", list(Modality))
def test_an_empty_folder_is_told_what_it_should_hold(modality: Modality, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("x")
    result = inspect_model(tmp_path, modality)
    assert isinstance(result, Refused)
    assert expected(modality) in result.reasons[0].message
    assert KINDS[modality].called in expected(modality)


def test_the_command_line_and_the_reference_name_every_kind() -> None:
    from auditor.client.model_commands import MODALITIES

    assert list(MODALITIES) == [m.value for m in Modality]
    text = (Path(__file__).parents[2] / "docs" / "reference" / "models.md").read_text()
    for modality, kind in KINDS.items():
        assert f"| `{modality}` |" in text
        assert all(protocol in text for protocol in kind.protocols)


def test_intake_loads_nothing_heavy() -> None:
    import subprocess
    import sys

    code = (
        "import sys, evaluations.intake.inspection; "
        "heavy = {'numpy', 'pandas', 'pyarrow', 'torch', 'transformers', 'onnx', 'onnxruntime', 'xgboost'}; "
        "ours = {m for m in sys.modules if m.startswith('evaluations.') and not m.startswith('evaluations.intake')}; "
        "print(sorted(heavy & set(sys.modules)), sorted(ours))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[] ['evaluations.endpoints', 'evaluations.spec']"
