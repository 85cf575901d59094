"""Tiny taggers, image classifiers and ONNX exports that the tests share: random weights, made in code."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from evaluations.models.protocol import Predictions, Usage
from evaluations.spec import Access, Modality, ModelFormat, ModelRef, Role
from tests.evaluations import make

if TYPE_CHECKING:
    from numpy.typing import NDArray

TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
TAGGING_ROLES = {"id": Role.ID, "words": Role.INPUT, "tags": Role.TARGET}
IMAGE_ROLES = {"id": Role.ID, "image": Role.INPUT, "label": Role.TARGET}
NETWORKS = ("vit", "resnet", "convnext", "mobilenet_v2")


def tiny_tagger(folder: Path, tags: Sequence[str] = TAGS, longest: int = 32, seed: int = 0) -> ModelRef:
    """The random BERT of `make` with a tagging head."""
    import torch
    from transformers import BertConfig, BertForTokenClassification

    make.tiny_bert(folder, longest=longest)
    config = BertConfig.from_pretrained(folder)
    config.id2label = dict(enumerate(tags))
    config.label2id = {tag: i for i, tag in enumerate(tags)}
    torch.manual_seed(seed)
    BertForTokenClassification(config).eval().save_pretrained(folder, safe_serialization=True)
    return reference(folder, Modality.TOKEN_CLASSIFIER)


def tagged(n: int, seed: int = 0) -> pd.DataFrame:
    """n sentences as lists of words with a tag each."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        words = list(rng.choice(make.WORDS, rng.integers(3, 9)))
        tags, open_ = [], ""
        for _ in words:
            kind = rng.choice(["O", "B-PER", "B-LOC", "go on"], p=[0.5, 0.15, 0.15, 0.2])
            tag = ("I-" + open_ if open_ else "O") if kind == "go on" else kind
            open_ = tag[2:]
            tags.append(tag)
        rows.append({"id": f"s{i:03d}", "words": words, "tags": tags})
    return pd.DataFrame(rows)


def tiny_image_network(
    folder: Path, kind: str = "vit", labels: Sequence[str] = ("no", "yes"), side: int = 32, seed: int = 0
) -> ModelRef:
    """A random image classifier of one of NETWORKS, with its preprocessor_config.json."""
    import torch
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(seed)
    named: dict[str, Any] = {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: i for i, label in enumerate(labels)},
    }
    size: dict[str, int] = {"height": side, "width": side}
    if kind == "vit":
        config = transformers.ViTConfig(
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            image_size=side,
            patch_size=8,
            **named,
        )
        network: Any = transformers.ViTForImageClassification(config)
        processor: Any = transformers.ViTImageProcessorPil(size=size)
    elif kind == "resnet":
        config = transformers.ResNetConfig(
            embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", **named
        )
        network = transformers.ResNetForImageClassification(config)
        processor = transformers.ConvNextImageProcessorPil(size={"shortest_edge": side})
    elif kind == "convnext":
        config = transformers.ConvNextConfig(hidden_sizes=[8, 16, 16, 16], depths=[1, 1, 1, 1], **named)
        network = transformers.ConvNextForImageClassification(config)
        processor = transformers.ConvNextImageProcessorPil(size={"shortest_edge": side}, crop_pct=0.875)
    else:
        config = transformers.MobileNetV2Config(depth_multiplier=0.1, image_size=side, **named)
        network = transformers.MobileNetV2ForImageClassification(config)
        processor = transformers.MobileNetV2ImageProcessorPil(
            size={"shortest_edge": side + 4}, crop_size=size
        )
    network.eval().save_pretrained(folder, safe_serialization=True)
    processor.save_pretrained(folder)
    return reference(folder, Modality.IMAGE_CLASSIFIER)


def picture(seed: int, width: int = 40, height: int = 48, format: str = "PNG", mode: str = "RGB") -> bytes:
    """An encoded image of random blocks."""
    from PIL import Image

    rng = np.random.default_rng(seed)
    blocks = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    file = io.BytesIO()
    blocks.resize((width, height)).convert(mode).save(file, format)
    return file.getvalue()


def pictures(n: int, seed: int = 0) -> pd.DataFrame:
    """n images with a label each."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "id": [f"p{i:03d}" for i in range(n)],
            "image": [picture(i) for i in range(n)],
            "label": rng.choice(["no", "yes"], n),
        }
    )


def to_onnx(folder: Path, out: Path, *, quantised: bool = False) -> ModelRef:
    """The Hugging Face folder `folder` exported as `out`/model.onnx beside its other files; int8 where asked for."""
    import torch
    from onnxruntime import quantization

    from evaluations.models import hf_folder

    config = hf_folder.settings_of(folder)
    task = config.architectures[0].rpartition("For")[2]
    network = hf_folder.network_of(folder, f"AutoModelFor{task}", "")
    out.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.suffix in (".json", ".txt"):
            (out / path.name).write_bytes(path.read_bytes())
    image = task == "ImageClassification"
    names = ["pixel_values"] if image else ["input_ids", "attention_mask", "token_type_ids"]
    example = torch.zeros(2, 3, 32, 32) if image else torch.ones(2, 5, dtype=torch.int64)
    axes = {name: {0: "rows"} if image else {0: "rows", 1: "tokens"} for name in names}
    plain = out / "model.onnx"

    class LogitsAlone(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, *inputs: Any) -> Any:
            return self.network(**dict(zip(names, inputs, strict=True))).logits

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            LogitsAlone().eval(),
            (example,) * len(names),
            str(plain),
            input_names=names,
            output_names=["logits"],
            dynamic_axes=axes,
            opset_version=17,
            dynamo=False,
        )
        if quantised:
            whole = plain.rename(out / "whole.onnx")
            quantization.quantize_dynamic(str(whole), str(plain))
            whole.unlink()
    modality = {
        "SequenceClassification": Modality.TEXT_CLASSIFIER,
        "TokenClassification": Modality.TOKEN_CLASSIFIER,
        "ImageClassification": Modality.IMAGE_CLASSIFIER,
    }[task]
    return reference(out, modality, ModelFormat.ONNX)


def reference(
    folder: Path, modality: Modality, format: ModelFormat = ModelFormat.SAFETENSORS, **more: Any
) -> ModelRef:
    return ModelRef(path=str(folder), digest=folder.name, modality=modality, format=format, **more)


# --- stand-ins that answer from a function ------------------------------------------------------------


class Numbers:
    """A regressor that answers each row with what `answer` computes from the frame: (n,), or (n, 3) with bounds."""

    modality: ClassVar[Modality] = Modality.TABULAR_REGRESSION
    adapter: ClassVar[str] = "stand_in/1"
    access: ClassVar[Access] = Access.LABEL
    columns: tuple[str, ...] | None = ("x", "z")
    device = "cpu"

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.usage = Usage()

    def predict(self, rows: pd.DataFrame) -> Predictions:
        from evaluations.models.tabular import predict_rows

        self.usage.queries += len(rows)
        return predict_rows(self.answer, rows)


class Tags:
    """A tagger that answers each sentence with what `answer` gives: tags by name, or None."""

    modality: ClassVar[Modality] = Modality.TOKEN_CLASSIFIER
    adapter: ClassVar[str] = "stand_in/1"
    access: ClassVar[Access] = Access.LABEL
    device = "cpu"

    def __init__(self, answer: Any, labels: Sequence[str] = TAGS) -> None:
        self.answer = answer
        self.labels = tuple(labels)
        self.usage = Usage()

    def tag(self, sentences: Sequence[Sequence[str]]) -> list[list[int] | None]:
        self.usage.queries += len(sentences)
        found = [self.answer(tuple(sentence)) for sentence in sentences]
        return [None if tags is None else [self.labels.index(tag) for tag in tags] for tags in found]


class Liking:
    """A recommender whose score of an item for a user is `score(user, item)`."""

    modality: ClassVar[Modality] = Modality.RECOMMENDER
    adapter: ClassVar[str] = "stand_in/1"
    access: ClassVar[Access] = Access.LABEL
    device = "cpu"

    def __init__(self, score: Any, items: Sequence[str]) -> None:
        self.score = score
        self.items = tuple(items)
        self.usage = Usage()

    def scores(self, users: Sequence[str]) -> NDArray[np.float64]:
        self.usage.queries += len(users)
        return np.array([[self.score(user, item) for item in self.items] for user in users], dtype=float)


REGRESSION_ROLES = {"id": Role.ID, "x": Role.INPUT, "z": Role.INPUT, "sex": Role.SENSITIVE, "y": Role.TARGET}
RANKING_ROLES = {
    "id": Role.ID,
    "user": Role.USER,
    "item": Role.ITEM,
    "sex": Role.SENSITIVE,
    "relevance": Role.TARGET,
}


def quantities(n: int, seed: int = 0) -> pd.DataFrame:
    """n rows of `make.frame` with a number y that depends on x and on the group."""
    table = make.frame(n, seed).drop(columns="label")
    noise = np.random.default_rng(seed + 1).normal(size=n)
    return table.assign(y=3 * table.x + (table.sex == "Male") + noise)


def wishes(n: int, seed: int = 0, items: int = 12) -> pd.DataFrame:
    """n rows: a person, an item, the kind of item, how much it is wanted (0 to 3); six rows a person."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        if i % 6 == 0:
            shown = rng.permutation(items)
        item = int(shown[i % 6])
        rows.append(
            {
                "id": f"w{i:04d}",
                "user": f"u{i // 6:03d}",
                "item": f"i{item:02d}",
                "sex": "Female" if item % 3 else "Male",
                "relevance": int(rng.integers(0, 4)),
            }
        )
    return pd.DataFrame(rows)


CATALOGUE = tuple(f"i{i:02d}" for i in range(12))


def stand_in_ref(modality: Modality) -> ModelRef:
    return make.STAND_IN.model_copy(update={"modality": modality})
