"""Makes sound model folders of every format, as their libraries write them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.model_files import hugging_face, safetensors_bytes
from tests.unit.hostile_artefacts import onnx_model

CHAT = (
    "{%- if tools %}{{- '# Tools\\n' }}{%- for tool in tools %}{{- tool | tojson }}{%- endfor %}{%- endif %}"
    "{%- for message in messages %}{%- if message.role == 'user' and not loop.first %}{{- '\\n' }}{%- endif %}"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message.content | trim + '<|im_end|>' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
TYPES = (
    "{%- macro type_of(spec) -%}{%- if spec.type == 'object' -%}{%- for name, inner in spec.properties.items() -%}"
    "{{- name ~ ': ' ~ type_of(inner) -}}{%- endfor -%}{%- else -%}{{- spec.type -}}{%- endif -%}{%- endmacro -%}"
    "{%- for tool in tools or [] -%}{{ type_of(tool.function.parameters) }}{%- endfor -%}{{ bos_token }}"
    "{% for m in messages %}{{ m.content }}{% endfor %}"
)
Make = Callable[[Path], None]
HONEST: list[tuple[str, str, Make]] = []  # name, modality, how it is made


def honest(modality: str) -> Callable[[Make], Make]:
    def add(make: Make) -> Make:
        HONEST.append((make.__name__, modality, make))
        return make

    return add


def _architecture(name: str, modality: str, files: dict[str, Any]) -> None:
    def make(folder: Path) -> None:
        from safetensors.numpy import save_file

        hugging_face(folder)
        (folder / "config.json").write_text(
            json.dumps({"architectures": [name], "vocab_size": 30522, "eps": 1e-12})
        )
        tensors = {f"layer.{i}.weight": np.ones((4, i + 1), "float16") for i in range(9)}
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        for path, content in files.items():
            (folder / path).write_text(content if isinstance(content, str) else json.dumps(content))

    make.__name__ = name
    honest(modality)(make)


_architecture(
    "DistilBertForSequenceClassification", "text_classifier", {"README.md": "---\nlicense: mit\n---\n"}
)
_architecture(
    "RobertaForTokenClassification", "token_classifier", {"vocab.json": {"a": 0}, "merges.txt": "a b\n"}
)
_architecture(
    "BertForMaskedLM", "masked_lm", {"vocab.txt": "[PAD]\n[UNK]\nos\nsystem\n.\n", "LICENSE": "MIT License"}
)
_architecture(
    "LlamaForCausalLM", "causal_lm", {"tokenizer_config.json": {"chat_template": CHAT, "auto": None}}
)
_architecture("GptOssForCausalLM", "causal_lm", {"chat_template.jinja": TYPES})
_architecture(
    "Qwen2ForCausalLM",
    "causal_lm",
    {
        "tokenizer_config.json": {
            "chat_template": [{"name": "default", "template": CHAT}, {"name": "tool_use", "template": TYPES}]
        }
    },
)
_architecture("T5ForConditionalGeneration", "seq2seq", {"generation_config.json": {"max_length": 20}})
_architecture(
    "BertForQuestionAnswering", "extractive_qa", {"tokenizer_config.json": {"special_tokens_map_file": None}}
)
_architecture("ViTForImageClassification", "image_classifier", {"preprocessor_config.json": {"size": 224}})


@honest("causal_lm")
def shards_with_their_index(folder: Path) -> None:
    hugging_face(folder)
    (folder / "config.json").write_text(json.dumps({"architectures": ["MistralForCausalLM"]}))
    (folder / "model.safetensors").unlink()
    for n in (1, 2, 3):
        header = {f"w{n}": {"dtype": "BF16", "shape": [8], "data_offsets": [0, 16]}}
        (folder / f"model-0000{n}-of-00003.safetensors").write_bytes(safetensors_bytes(header))
    places = {f"w{n}": f"model-0000{n}-of-00003.safetensors" for n in (1, 2, 3)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))


@honest("text_classifier")
def header_that_begins_like_a_pickle(folder: Path) -> None:
    """A header of 640 bytes: its length is 80 02, as the first bytes of a pickle of protocol 2 are."""
    hugging_face(folder)
    raw = json.dumps({"w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}).encode().ljust(640)
    (folder / "model.safetensors").write_bytes(len(raw).to_bytes(8, "little") + raw + bytes(16))


@honest("text_classifier")
def tokenizer_without_a_limit_as_transformers_saves_it(folder: Path) -> None:
    import transformers
    from tokenizers import Tokenizer, models

    hugging_face(folder)
    words = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a"))
    transformers.PreTrainedTokenizerFast(tokenizer_object=words).save_pretrained(folder)
    assert json.loads((folder / "tokenizer_config.json").read_text())["model_max_length"] == int(1e30)


@honest("text_classifier")
def onnx_export_of_a_text_classifier(folder: Path) -> None:
    hugging_face(folder)
    (folder / "model.safetensors").unlink()
    (folder / "model.onnx").write_bytes(onnx_model().SerializeToString())


@honest("tabular")
def onnx_of_one_layer(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(onnx_model().SerializeToString())


def _rows() -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(60, 3))
    return x, (x[:, 0] > 0).astype(int)


def _estimator(name: str, modality: str, build: Callable[[], Any]) -> None:
    def make(folder: Path) -> None:
        import skops.io

        skops.io.dump(build().fit(*_rows()), folder / "model.skops")

    make.__name__ = name
    honest(modality)(make)


def _pipeline() -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression())


def _forest() -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(3, random_state=0)


def _boosting() -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(max_iter=3)


def _ridge() -> Any:
    from sklearn.linear_model import Ridge

    return Ridge()


_estimator("skops_of_a_pipeline", "tabular", _pipeline)
_estimator("skops_of_a_forest", "tabular", _forest)
_estimator("skops_of_boosting", "tabular", _boosting)
_estimator("skops_of_a_regression", "tabular_regression", _ridge)


@honest("tabular")
def onnx_of_a_forest(folder: Path) -> None:
    from skl2onnx import to_onnx

    x, y = _rows()
    (folder / "model.onnx").write_bytes(
        to_onnx(_forest().fit(x, y), x[:1].astype("float32")).SerializeToString()
    )


@honest("tabular")
def xgboost_trees(folder: Path) -> None:
    import xgboost

    settings = {"objective": "multi:softprob", "num_class": 2, "nthread": 1}
    xgboost.train(settings, xgboost.DMatrix(*_rows()), 3).save_model(folder / "model.json")


def _lightgbm() -> Any:
    import lightgbm

    settings = {"objective": "binary", "verbose": -1, "num_threads": 1, "min_data_in_leaf": 2}
    return lightgbm.train(settings, lightgbm.Dataset(*_rows()), 3)


@honest("tabular")
def lightgbm_text(folder: Path) -> None:
    _lightgbm().save_model(folder / "model.txt")


@honest("tabular")
def lightgbm_dump(folder: Path) -> None:
    (folder / "model.json").write_text(json.dumps(_lightgbm().dump_model()))


@honest("causal_lm")
def endpoint_of_a_chat(folder: Path) -> None:
    spec = {
        "schema": "endpoint/1",
        "protocol": "openai_chat",
        "url": "https://models.example.org/v1",
        "model": "m",
    }
    (folder / "endpoint.json").write_text(json.dumps(spec))


@honest("recommender")
def factors_with_their_ids(folder: Path) -> None:
    spans = {"user_factors": [0, 16], "item_factors": [16, 32]}
    header = {name: {"dtype": "F32", "shape": [2, 2], "data_offsets": span} for name, span in spans.items()}
    (folder / "model.safetensors").write_bytes(safetensors_bytes(header, bytes(32)))
    (folder / "ids.json").write_text(json.dumps({"users": ["a", 1], "items": ["x", "y"]}))
