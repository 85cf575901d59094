"""Taggers, image classifiers, ONNX exports and recommenders: the answers of the library that made them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluations.models import tagger
from evaluations.models.loader import load
from evaluations.spec import EvaluationError, Modality, ModelFormat
from tests.evaluations import kinds, make

WORDS = [["the", "superb", "actor"], ["it"], [], ["naïve—x", "good"], ["not", "very", "funny", "plot", "was"]]


# --- tagging ---------------------------------------------------------------------------------------


def alone(model: Any, words: list[str]) -> list[int]:
    """The tag of each word's first token, from one sentence at a time, as transformers' own example takes it."""
    import torch

    batch = model.tokenizer([words], is_split_into_words=True, return_tensors="pt")
    with torch.no_grad():
        best = model.network(**batch).logits[0].argmax(-1).tolist()
    ids = batch.word_ids(0)
    return [best[ids.index(word)] for word in range(len(words))]


def test_tags_equal_those_of_each_sentence_alone(tmp_path: Path) -> None:
    model = load(kinds.tiny_tagger(tmp_path, longest=64))
    assert model.labels == kinds.TAGS
    found = model.tag(WORDS)
    assert found == [alone(model, words) if words else [] for words in WORDS]
    assert len({tag for tags in found for tag in tags}) > 1
    assert model.usage.queries == len(WORDS)


def test_a_long_sentence_is_read_in_windows_and_every_word_gets_a_tag(tmp_path: Path) -> None:
    model = load(kinds.tiny_tagger(tmp_path, longest=32))
    words = (make.WORDS * 4)[:130]
    (tags,) = model.tag([words])
    assert len(tags) == len(words)
    pieces = model._readable([words])[1]
    spans = tagger.windows(0, pieces[0], 30)
    assert all(pieces[0][p.start : p.stop].sum() <= 30 for p in spans)
    assert [i for p in spans for i in range(p.first, p.last)] == list(range(len(words)))
    assert tags[:5] == alone(model, list(words[: spans[0].stop]))[:5]


def test_words_of_which_the_tokenizer_leaves_nothing_are_read_as_unknown(tmp_path: Path) -> None:
    model = load(kinds.tiny_tagger(tmp_path))
    assert model.tag([["good", "\u200b", "", "actor"]]) == model.tag([["good", "[UNK]", "[UNK]", "actor"]])


# --- images ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", kinds.NETWORKS)
def test_image_probabilities_equal_transformers_on_each_image_alone(kind: str, tmp_path: Path) -> None:
    import torch
    from PIL import Image
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    model = load(kinds.tiny_image_network(tmp_path, kind))
    pictures = [kinds.picture(i, 40 + i, 50 - i) for i in range(3)] + [kinds.picture(9, format="JPEG")]
    processor = AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    network = AutoModelForImageClassification.from_pretrained(tmp_path).eval()
    expected = []
    for data in pictures:
        batch = processor(Image.open(io.BytesIO(data)).convert("RGB"), return_tensors="pt")
        with torch.no_grad():
            expected.append(torch.softmax(network(**batch).logits[0].double(), 0).numpy())
    scores = model.predict_proba(pictures)
    assert scores.probs == pytest.approx(np.array(expected), abs=1e-6)
    assert model.labels == ("no", "yes")


def test_preparation_is_resize_rescale_and_normalise_by_hand(tmp_path: Path) -> None:
    from PIL import Image

    model = load(kinds.tiny_image_network(tmp_path, "vit"))
    data = kinds.picture(4)
    resized = Image.open(io.BytesIO(data)).resize((32, 32), Image.Resampling.BILINEAR)
    by_hand = (np.asarray(resized).transpose(2, 0, 1) / 255 - 0.5) / 0.5
    assert model.prepare(data) == pytest.approx(by_hand, abs=1e-6)


def test_what_is_no_image_is_an_error_row_and_the_others_are_scored(tmp_path: Path) -> None:
    from PIL import Image

    model = load(kinds.tiny_image_network(tmp_path))
    good = kinds.picture(1)
    svg = b"<svg xmlns='http://www.w3.org/2000/svg'/>"
    bomb = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")
    line = io.BytesIO()
    Image.new("1", (60_000, 1)).save(
        line, "PNG"
    )  # resized to a short side of 32 it would be 1.9 million long
    odd = [b"", svg, good[: len(good) // 2], bomb.getvalue(), line.getvalue()]
    scores = model.predict_proba([good, *odd, good])
    assert scores.errors.tolist() == [False, *[True] * len(odd), False]
    assert scores.probs[0] == pytest.approx(scores.probs[-1])


def test_a_preparation_that_does_not_fit_the_network_is_said(tmp_path: Path) -> None:
    import transformers

    ref = kinds.tiny_image_network(tmp_path)
    size = {"height": 32, "width": 32}
    transformers.ViTImageProcessorPil(size=size, image_mean=[0.5], image_std=[0.5]).save_pretrained(tmp_path)
    with pytest.raises(EvaluationError, match="fits the network") as error:
        load(ref)
    assert error.value.code == "model_unreadable"


def test_grey_palette_and_turned_images_are_read_as_a_person_sees_them(tmp_path: Path) -> None:
    from PIL import Image

    model = load(kinds.tiny_image_network(tmp_path))
    upright = Image.open(io.BytesIO(kinds.picture(3)))
    turned, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees
    upright.transpose(Image.Transpose.ROTATE_90).save(turned, "PNG", exif=exif)
    probs = model.predict_proba([kinds.picture(3), turned.getvalue()]).probs
    assert probs[0] == pytest.approx(probs[1])
    assert not model.predict_proba([kinds.picture(3, mode=mode) for mode in ("L", "P", "1")]).errors.any()


def test_a_network_of_one_channel_reads_grey(tmp_path: Path) -> None:
    import transformers

    config = transformers.ViTConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, image_size=16,
        patch_size=8, num_channels=1, num_labels=3,
    )  # fmt: skip
    transformers.ViTForImageClassification(config).save_pretrained(tmp_path)
    size = {"height": 16, "width": 16}
    transformers.ViTImageProcessorPil(size=size, image_mean=[0.5], image_std=[0.5]).save_pretrained(tmp_path)
    model = load(kinds.reference(tmp_path, Modality.IMAGE_CLASSIFIER))
    assert model.prepare(kinds.picture(1)).shape == (1, 16, 16)
    assert not model.predict_proba([kinds.picture(1)]).errors.any()


def test_an_image_folder_without_its_preparation_is_refused(tmp_path: Path) -> None:
    ref = kinds.tiny_image_network(tmp_path)
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(EvaluationError, match="preprocessor_config"):
        load(ref)


@pytest.mark.parametrize(
    ("architecture", "task"),
    [
        ("DetrForObjectDetection", "Object detection"),
        ("SegformerForSemanticSegmentation", "Image segmentation"),
        ("Wav2Vec2ForCTC", "Audio"),
        ("WhisperForConditionalGeneration", "Audio"),
    ],
)
def test_tasks_without_an_adapter_are_skipped_as_not_supported_yet(
    architecture: str, task: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    with pytest.raises(EvaluationError, match=f"{task} is not supported yet") as error:
        load(kinds.reference(tmp_path, Modality.IMAGE_CLASSIFIER))
    assert error.value.skipped


def test_image_generation_is_skipped_as_not_supported_yet(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(EvaluationError, match="Image generation is not supported yet") as error:
        load(kinds.reference(tmp_path, Modality.IMAGE_CLASSIFIER))
    assert error.value.skipped


# --- ONNX exports, int8, pruned ----------------------------------------------------------------------


@pytest.mark.parametrize("quantised", [False, True], ids=["float32", "int8"])
def test_an_onnx_text_classifier_answers_as_its_origin(quantised: bool, tmp_path: Path) -> None:
    origin = load(make.tiny_bert(tmp_path / "origin"))
    model = load(kinds.to_onnx(tmp_path / "origin", tmp_path / "onnx", quantised=quantised))
    texts = [*make.sentences(30).text, "", "a " * 200]
    ours, theirs = model.predict_proba(texts).probs, origin.predict_proba(texts).probs
    assert model.labels == origin.labels
    if quantised:  # another model, near the first
        assert 0 < np.abs(ours - theirs).max() < 0.2
    else:
        assert ours == pytest.approx(theirs, abs=1e-5)


def test_an_onnx_tagger_answers_as_its_origin(tmp_path: Path) -> None:
    origin = load(kinds.tiny_tagger(tmp_path / "origin", longest=64))
    model = load(kinds.to_onnx(tmp_path / "origin", tmp_path / "onnx"))
    assert model.tag(WORDS) == origin.tag(WORDS)


@pytest.mark.parametrize("quantised", [False, True], ids=["float32", "int8"])
def test_an_onnx_image_classifier_answers_as_its_origin(quantised: bool, tmp_path: Path) -> None:
    origin = load(kinds.tiny_image_network(tmp_path / "origin"))
    model = load(kinds.to_onnx(tmp_path / "origin", tmp_path / "onnx", quantised=quantised))
    pictures = [kinds.picture(i) for i in range(5)]
    ours, theirs = model.predict_proba([*pictures, b"x"]), origin.predict_proba(pictures)
    assert ours.errors.tolist() == [False] * 5 + [True]
    assert ours.probs[:5] == pytest.approx(theirs.probs, abs=0.05 if quantised else 1e-5)


def test_a_network_exported_for_one_row_at_a_time_scores_all_rows() -> None:
    import onnxruntime
    from onnx import TensorProto, helper

    from evaluations.models.onnx_session import Logits

    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2, 3]) for n in ("x", "logits")]
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["logits"])], "g", values[:1], values[1:])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    proto.ir_version = 9
    forward = Logits(onnxruntime.InferenceSession(proto.SerializeToString()), rank=2)
    rows = np.arange(15, dtype=np.float32).reshape(5, 3)
    assert forward({"x": rows, "unused": rows}).tolist() == (-rows).tolist()


def test_pruned_and_int8_variants_load_name_their_parent_and_are_scored(tmp_path: Path) -> None:
    """A variant is an ordinary folder: no adapter knows that it is one."""
    import torch
    from transformers import AutoModelForSequenceClassification

    from evaluations import catalogue

    parent = make.tiny_bert(tmp_path / "parent")
    network = AutoModelForSequenceClassification.from_pretrained(tmp_path / "parent")
    with torch.no_grad():  # half of the weights of each layer are zero
        for layer in network.bert.encoder.layer:
            weight = layer.output.dense.weight
            weight[weight.abs() < weight.abs().median()] = 0
    pruned = tmp_path / "pruned"
    network.save_pretrained(pruned)
    for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json"):
        (pruned / name).write_bytes((tmp_path / "parent" / name).read_bytes())
    int8 = kinds.to_onnx(tmp_path / "parent", tmp_path / "int8", quantised=True)
    data = make.data_ref(make.sentences(24), tmp_path, make.TEXT_ROLES)
    evaluation = catalogue.get("quality.classification")
    seen = {}
    for ref in (parent, kinds.reference(pruned, Modality.TEXT_CLASSIFIER), int8):
        variant = ref if ref is parent else ref.model_copy(update={"parent": parent})
        result = make.evaluate(
            evaluation, load(variant), make.request(evaluation.name, data, variant), tmp_path / variant.digest
        )
        assert result.coverage.scored == 24
        seen[variant.digest] = make.values(result)["log_loss", "all"]
    assert len(set(seen.values())) == 3


@pytest.mark.parametrize("quantised", [False, True], ids=["safetensors", "int8"])
def test_image_classifiers_are_measured_as_any_classifier(quantised: bool, tmp_path: Path) -> None:
    from sklearn.metrics import accuracy_score, log_loss

    from evaluations import catalogue

    ref = kinds.tiny_image_network(tmp_path / "model")
    if quantised:
        ref = kinds.to_onnx(tmp_path / "model", tmp_path / "int8", quantised=True)
    table, model = kinds.pictures(12), load(ref)
    data = make.data_ref(table, tmp_path, kinds.IMAGE_ROLES)
    found = {}
    for name in ("quality.classification", "quality.calibration"):
        asked = make.request(name, data, ref)
        found |= make.values(make.evaluate(catalogue.get(name), model, asked, tmp_path / name))
    probs = model.predict_proba(list(table.image)).probs
    answers = np.array(model.labels)[probs.argmax(axis=1)]
    assert found["accuracy", "all"] == pytest.approx(accuracy_score(table.label, answers))
    assert found["log_loss", "all"] == pytest.approx(log_loss(table.label, probs, labels=["no", "yes"]))
    assert found["brier", "all"] == pytest.approx(
        ((probs - (table.label.to_numpy()[:, None] == np.array(model.labels))) ** 2).sum(axis=1).mean()
    )


# --- recommenders ------------------------------------------------------------------------------------


def factors(folder: Path, **tensors: np.ndarray) -> dict[str, np.ndarray]:
    from safetensors.numpy import save_file

    rng = np.random.default_rng(0)
    held = {
        "user_factors": rng.normal(size=(4, 3)).astype(np.float32),
        "item_factors": rng.normal(size=(5, 3)).astype(np.float32),
        **tensors,
    }
    folder.mkdir(exist_ok=True)
    save_file(held, folder / "model.safetensors")
    ids = {"users": ["u0", "u1", "u2", 3], "items": ["a", "b", "c", "d", "e"]}
    (folder / "ids.json").write_text(json.dumps(ids))
    return held


def test_matrix_factors_score_every_item_and_nothing_for_an_unknown_user(tmp_path: Path) -> None:
    biases = {"item_bias": np.arange(5, dtype=np.float32), "user_bias": np.ones(4, np.float32)}
    held = factors(tmp_path, **biases, global_bias=np.array([0.5], np.float32))
    model = load(kinds.reference(tmp_path, Modality.RECOMMENDER))
    found = model.scores(["u2", "nobody", "3"])
    for row, user in ((0, 2), (2, 3)):
        for item in range(5):
            expected = held["user_factors"][user] @ held["item_factors"][item] + 1 + item + 0.5
            assert found[row, item] == pytest.approx(expected, abs=1e-5)
    assert np.isnan(found[1]).all()
    assert model.items == ("a", "b", "c", "d", "e")


def test_factors_that_do_not_fit_their_ids_are_said(tmp_path: Path) -> None:
    factors(tmp_path, item_factors=np.zeros((6, 3), np.float32))
    with pytest.raises(EvaluationError, match=r"item_factors \(6, 3\)"):
        load(kinds.reference(tmp_path, Modality.RECOMMENDER))
    (tmp_path / "ids.json").write_text('{"users": ["u"], "items": ["a", "a"]}')
    with pytest.raises(EvaluationError, match="twice"):
        load(kinds.reference(tmp_path, Modality.RECOMMENDER))


def test_an_onnx_network_of_user_and_item_scores_as_the_factors_in_it(tmp_path: Path) -> None:
    from onnx import TensorProto, helper, numpy_helper

    held = factors(tmp_path / "plain")
    nodes = [
        helper.make_node("Gather", ["u", "user"], ["a"]),
        helper.make_node("Gather", ["i", "item"], ["b"]),
        helper.make_node("Mul", ["a", "b"], ["c"]),
        helper.make_node("ReduceSum", ["c", "axis"], ["score"], keepdims=0),
    ]
    weights = [
        numpy_helper.from_array(held["user_factors"], "u"),
        numpy_helper.from_array(held["item_factors"], "i"),
        numpy_helper.from_array(np.array([1]), "axis"),
    ]
    inputs = [helper.make_tensor_value_info(n, TensorProto.INT64, ["n"]) for n in ("user", "item")]
    output = [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n"])]
    proto = helper.make_model(
        helper.make_graph(nodes, "g", inputs, output, weights), opset_imports=[helper.make_opsetid("", 17)]
    )
    proto.ir_version = 9
    folder = tmp_path / "onnx"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(proto.SerializeToString())
    (folder / "ids.json").write_bytes((tmp_path / "plain" / "ids.json").read_bytes())
    network = load(kinds.reference(folder, Modality.RECOMMENDER, ModelFormat.ONNX))
    plain = load(kinds.reference(tmp_path / "plain", Modality.RECOMMENDER))
    users = ["3", "u0", "nobody"]
    assert network.scores(users) == pytest.approx(plain.scores(users), abs=1e-5, nan_ok=True)


# --- what a folder says it is --------------------------------------------------------------------------


def test_a_folder_says_what_it_is(tmp_path: Path) -> None:
    import lightgbm
    import xgboost

    from evaluations.models.detect import detect

    x = np.random.default_rng(0).normal(size=(60, 2))
    folders = {name: tmp_path / name for name in ("image", "int8", "likes", "xgb", "xgbr", "lgb", "lgbj")}
    kinds.tiny_image_network(folders["image"])
    kinds.to_onnx(folders["image"], folders["int8"], quantised=True)
    factors(folders["likes"])
    for name in ("xgb", "xgbr", "lgb", "lgbj"):
        folders[name].mkdir()
    for name, objective in (("xgb", "binary:logistic"), ("xgbr", "reg:squarederror")):
        booster = xgboost.train({"objective": objective, "nthread": 1}, xgboost.DMatrix(x, x[:, 0] > 0), 1)
        booster.save_model(folders[name] / "model.json")
    trees = lightgbm.train(
        {"objective": "regression", "verbose": -1, "num_threads": 1}, lightgbm.Dataset(x, x[:, 0]), 1
    )
    trees.save_model(folders["lgb"] / "model.txt")
    (folders["lgbj"] / "model.json").write_text(json.dumps(trees.dump_model()))
    chat = {"schema": "endpoint/1", "protocol": "openai_chat", "url": "https://m.example.org", "model": "m"}
    rest = {**chat, "protocol": "rest", "rest": {"gives": "values"}}
    for name, spec in (("chat", chat), ("rest", rest)):
        folders[name] = tmp_path / name
        folders[name].mkdir()
        (folders[name] / "endpoint.json").write_text(json.dumps(spec))
    assert {name: detect(folder) for name, folder in folders.items()} == {
        "chat": (Modality.CAUSAL_LM, ModelFormat.ENDPOINT),
        "rest": (Modality.TABULAR_REGRESSION, ModelFormat.ENDPOINT),
        "image": (Modality.IMAGE_CLASSIFIER, ModelFormat.SAFETENSORS),
        "int8": (Modality.IMAGE_CLASSIFIER, ModelFormat.ONNX),
        "likes": (Modality.RECOMMENDER, ModelFormat.SAFETENSORS),
        "xgb": (Modality.TABULAR, ModelFormat.XGBOOST),
        "xgbr": (Modality.TABULAR_REGRESSION, ModelFormat.XGBOOST),
        "lgb": (Modality.TABULAR_REGRESSION, ModelFormat.LIGHTGBM),
        "lgbj": (Modality.TABULAR_REGRESSION, ModelFormat.LIGHTGBM),
    }
