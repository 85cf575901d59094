"""Makes hostile model folders, each for one named reason, and honest ones. A payload that ran would leave a marker."""

from __future__ import annotations

import json
import os
import pickle
import socket
import stat
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from tests.model_files import CONFIG, hugging_face, npy_bytes, safetensors_bytes, skops_bytes

Make = Callable[[Path, Path], None]  # the folder to fill, and the marker that a payload would leave


@dataclass(frozen=True)
class Hostile:
    """One artefact: what it is registered as, why it must be refused, and at which file ("" for the folder)."""

    name: str
    modality: str
    code: str
    path: str
    make: Make
    wears: bool  # an allowed format: its name and place are those of a file that models have


CORPUS: list[Hostile] = []


def hostile(
    code: str, path: str, modality: str = "text_classifier", wears: bool = True
) -> Callable[[Make], Make]:
    def add(make: Make) -> Make:
        CORPUS.append(Hostile(make.__name__, modality, code, path, make, wears))
        return make

    return add


class _Payload:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.marker}'",)


def payload(marker: Path, protocol: int = 4) -> bytes:
    return pickle.dumps(_Payload(marker), protocol)


def code_text(marker: Path) -> str:
    return f"open({str(marker)!r}, 'w').close()\n"


def escape(marker: Path) -> str:
    return "{{ cycler.__init__.__globals__.os.system('touch " + str(marker) + "') }}"


def zipped(members: dict[str, bytes], **more: Any) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", **more) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def text_model(folder: Path, **files: str | bytes | dict[str, Any]) -> None:
    """A text classifier with some files replaced or added; __ in a keyword stands for a dot."""
    hugging_face(folder)
    for keyword, content in files.items():
        data = json.dumps(content) if isinstance(content, dict) else content
        path = folder / keyword.replace("__", ".")
        path.write_bytes(data if isinstance(data, bytes) else data.encode())


def put(folder: Path, name: str, data: bytes) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


# --- pickles -----------------------------------------------------------------------------------------


@hostile("pickle", "pytorch_model.bin", wears=False)
def pickle_by_its_ending(folder: Path, marker: Path) -> None:
    text_model(folder, pytorch_model__bin=payload(marker))


@hostile("pickle", "model.safetensors")
def pickle_named_safetensors(folder: Path, marker: Path) -> None:
    text_model(folder, model__safetensors=payload(marker))


@hostile("pickle", "config.json")
def pickle_of_protocol_0_named_json(folder: Path, marker: Path) -> None:
    text_model(folder, config__json=payload(marker, 0))


@hostile("pickle", "tokenizer.json")
def pickle_of_protocol_1_named_json(folder: Path, marker: Path) -> None:
    text_model(folder, tokenizer__json=payload(marker, 1))


@hostile("pickle", "vocab.txt")
def pickle_of_protocol_0_named_vocabulary(folder: Path, marker: Path) -> None:
    text_model(folder, vocab__txt=payload(marker, 0))


@hostile("pickle", "README.md")
def pickle_without_an_end_named_readme(folder: Path, marker: Path) -> None:
    text_model(folder, README__md=payload(marker, 0)[:-1] + b"\nThe model is described here.")


@hostile("pickle", "README.md")
def pickle_behind_a_number_that_only_pickle_reads(folder: Path, marker: Path) -> None:
    text_model(folder, README__md=f"I0x1\n0cos\nsystem\n(S'touch {marker}'\ntR.")


@hostile("pickle", "LICENSE")
def pickle_by_inst_named_licence(folder: Path, marker: Path) -> None:
    text_model(folder, LICENSE=f"(S'touch {marker}'\nios\nsystem\n.")


@hostile("pickle", "merges.txt")
def pickle_of_protocol_5_named_merges(folder: Path, marker: Path) -> None:
    text_model(folder, merges__txt=payload(marker, 5))


@hostile("pickle", "model.onnx", modality="tabular")
def pickle_named_onnx(folder: Path, marker: Path) -> None:
    put(folder, "model.onnx", payload(marker))


@hostile("pickle", "model.skops", modality="tabular")
def pickle_named_skops(folder: Path, marker: Path) -> None:
    put(folder, "model.skops", payload(marker, 2))


@hostile("pickle", "model.txt", modality="tabular")
def pickle_named_as_lightgbm(folder: Path, marker: Path) -> None:
    put(folder, "model.txt", payload(marker, 3))


@hostile("pickle", "endpoint.json", modality="causal_lm")
def pickle_named_endpoint(folder: Path, marker: Path) -> None:
    put(folder, "endpoint.json", payload(marker))


@hostile("pickle", "model.safetensors")
def torch_archive_named_safetensors(folder: Path, marker: Path) -> None:
    text_model(
        folder, model__safetensors=zipped({"archive/data.pkl": payload(marker, 2), "archive/version": b"3"})
    )


@hostile("pickle", "model.skops", modality="tabular")
def pickle_inside_skops(folder: Path, marker: Path) -> None:
    put(folder, "model.skops", skops_bytes(extra={"data.pkl": payload(marker)}))


@hostile("archive", "tokenizer.json")
def packed_pickle_named_json(folder: Path, marker: Path) -> None:
    import gzip

    text_model(folder, tokenizer__json=gzip.compress(payload(marker)))


@hostile("archive", "vocab.txt")
def joblib_pickle_named_vocabulary(folder: Path, marker: Path) -> None:
    import zlib

    text_model(folder, vocab__txt=zlib.compress(payload(marker)))


@hostile("archive", "vocab.txt")
def numpy_objects_named_vocabulary(folder: Path, marker: Path) -> None:
    text_model(folder, vocab__txt=npy_bytes("|O", (1,), payload(marker)))


# --- safetensors -------------------------------------------------------------------------------------

WHOLE = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}


@hostile("safetensors_gap", "model.safetensors")
def pickle_in_the_tail_of_safetensors(folder: Path, marker: Path) -> None:
    text_model(folder, model__safetensors=safetensors_bytes() + payload(marker))


@hostile("safetensors_overlap", "model.safetensors")
def safetensors_that_overlap(folder: Path, marker: Path) -> None:
    header = {"a": WHOLE, "b": {"dtype": "U8", "shape": [12], "data_offsets": [4, 16]}}
    text_model(folder, model__safetensors=safetensors_bytes(header))


@hostile("safetensors_header", "model.safetensors")
def safetensors_with_a_huge_header(folder: Path, marker: Path) -> None:
    text_model(folder, model__safetensors=struct.pack("<Q", 101 * 2**20) + b"{" + b" " * 64)


@hostile("safetensors_header", "model.safetensors")
def safetensors_with_a_header_longer_than_the_file(folder: Path, marker: Path) -> None:
    text_model(folder, model__safetensors=struct.pack("<Q", 2**20) + b"{}")


@hostile("safetensors_header", "model.safetensors")
def safetensors_with_a_tensor_named_twice(folder: Path, marker: Path) -> None:
    one = json.dumps({"w": WHOLE})[1:-1]
    raw = f"{{{one}, {one}}}".encode()
    text_model(folder, model__safetensors=struct.pack("<Q", len(raw)) + raw + bytes(16))


@hostile("safetensors_header", "model.safetensors")
def safetensors_with_a_header_that_is_no_utf8(folder: Path, marker: Path) -> None:
    raw = json.dumps({"w": WHOLE}).encode().replace(b'"w"', b'"\xff"')
    text_model(folder, model__safetensors=struct.pack("<Q", len(raw)) + raw + bytes(16))


@hostile("safetensors_bounds", "model.safetensors")
def safetensors_beyond_the_file(folder: Path, marker: Path) -> None:
    far = {"dtype": "F32", "shape": [2**20], "data_offsets": [0, 2**22]}
    text_model(folder, model__safetensors=safetensors_bytes({"w": far}))


@hostile("safetensors_bounds", "model.safetensors")
def safetensors_of_a_size_that_overflows(folder: Path, marker: Path) -> None:
    huge = {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 16]}
    text_model(folder, model__safetensors=safetensors_bytes({"w": huge}))


@hostile("safetensors_dtype", "model.safetensors")
def safetensors_of_objects(folder: Path, marker: Path) -> None:
    text_model(folder, model__safetensors=safetensors_bytes({"w": {**WHOLE, "dtype": "O"}}))


@hostile("safetensors_header", "model.safetensors")
def safetensors_nested_deeply(folder: Path, marker: Path) -> None:
    raw = b'{"w":' * 5000 + b"1" + b"}" * 5000
    text_model(folder, model__safetensors=struct.pack("<Q", len(raw)) + raw)


@hostile("archive", "model.safetensors")
def program_archive_in_a_tensor(folder: Path, marker: Path) -> None:
    program = zipped({"__main__.py": code_text(marker).encode()})
    tensor = {"dtype": "U8", "shape": [len(program)], "data_offsets": [0, len(program)]}
    text_model(folder, model__safetensors=safetensors_bytes({"w": tensor}, program))


@hostile("safetensors_header", "model.safetensors")
def safetensors_of_a_million_tensors(folder: Path, marker: Path) -> None:
    one = {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}
    text_model(folder, model__safetensors=safetensors_bytes({f"{i:x}": one for i in range(100_010)}, b""))


# --- indices -----------------------------------------------------------------------------------------


def _sharded(folder: Path, shard: str) -> None:
    text_model(folder, model__safetensors__index__json={"weight_map": {"w": shard}})
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")


@hostile("index", "model.safetensors.index.json")
def index_that_points_above(folder: Path, marker: Path) -> None:
    _sharded(folder, "../../secret/model-00001-of-00001.safetensors")


@hostile("index", "model.safetensors.index.json")
def index_that_points_at_an_absolute_path(folder: Path, marker: Path) -> None:
    _sharded(folder, "/etc/passwd")


@hostile("index", "model.safetensors.index.json")
def index_that_points_at_itself(folder: Path, marker: Path) -> None:
    _sharded(folder, "model.safetensors.index.json")


@hostile("shards", "model-00002-of-00002.safetensors")
def index_that_points_at_nothing(folder: Path, marker: Path) -> None:
    _sharded(folder, "model-00001-of-00001.safetensors")
    index = {"weight_map": {"w": "model-00001-of-00001.safetensors", "v": "model-00002-of-00002.safetensors"}}
    put(folder, "model.safetensors.index.json", json.dumps(index).encode())


@hostile("index", "tokenizer_config.json")
def tokenizer_that_is_read_from_elsewhere(folder: Path, marker: Path) -> None:
    text_model(folder, tokenizer_config__json={"fast_tokenizer_files": ["../../other/tokenizer.4.0.0.json"]})


@hostile("index", "tokenizer_config.json")
def tokenizer_of_words_from_elsewhere(folder: Path, marker: Path) -> None:
    text_model(folder, tokenizer_config__json={"tokenizer_class": "BertTokenizer", "vocab": "/etc/passwd"})


@hostile("index", "tokenizer.json")
def tokenizer_json_of_words_from_elsewhere(folder: Path, marker: Path) -> None:
    text_model(folder, tokenizer__json={"model": {"type": "WordPiece", "vocab": "/etc/passwd"}})


@hostile("index", "special_tokens_map.json")
def special_tokens_that_bring_another_tokenizer(folder: Path, marker: Path) -> None:
    text_model(folder, special_tokens_map__json={"tokenizer_file": "/srv/other/tokenizer.json"})


@hostile("index", "tokenizer_config.json")
def tokenizer_that_is_given_what_it_opens(folder: Path, marker: Path) -> None:
    text_model(folder, tokenizer_config__json={"init_inputs": ["/etc/passwd"]})


@hostile("index", "tokenizer_config.json")
def tokenizer_whose_class_follows_its_paths(folder: Path, marker: Path) -> None:
    named = {"tokenizer_class": "GemmaTokenizer", "vocab_file": "/srv/v.json", "merges_file": "/srv/m.txt"}
    text_model(folder, tokenizer_config__json=named, vocab__txt="a\n")
    (folder / "tokenizer.json").unlink()


@hostile("index", "preprocessor_config.json")
def image_processor_that_reads_its_classes_elsewhere(folder: Path, marker: Path) -> None:
    named = {
        "image_processor_type": "OneFormerImageProcessor",
        "repo_path": "/srv",
        "class_info_file": "a.json",
    }
    text_model(folder, preprocessor_config__json=named)


@hostile("index", "pytorch_model.bin.index.json")
def index_of_pickles(folder: Path, marker: Path) -> None:
    text_model(folder, pytorch_model__bin__index__json={"weight_map": {"w": "../pytorch_model.bin"}})


# --- code and its hooks ------------------------------------------------------------------------------


@hostile("code", "modeling_mine.py", wears=False)
def python_beside_the_model(folder: Path, marker: Path) -> None:
    text_model(folder, modeling_mine__py=code_text(marker))


@hostile("auto_map", "config.json")
def auto_map_in_the_configuration(folder: Path, marker: Path) -> None:
    text_model(folder, config__json={**CONFIG, "auto_map": {"AutoModel": "evil/repo--modeling.Evil"}})


@hostile("auto_map", "tokenizer_config.json")
def auto_map_deep_in_the_tokenizer(folder: Path, marker: Path) -> None:
    text_model(folder, tokenizer_config__json={"a": [{"b": {"auto_map": ["x.Y", None]}}]})


@hostile("code_hook", "config.json")
def custom_pipelines_in_the_configuration(folder: Path, marker: Path) -> None:
    text_model(folder, config__json={**CONFIG, "custom_pipelines": {"x": {"impl": "evil.Pipeline"}}})


@hostile("code_hook", "config.json")
def trust_in_the_configuration(folder: Path, marker: Path) -> None:
    text_model(folder, config__json={**CONFIG, "text_config": {"trust_remote_code": True}})


@hostile("code_hook", "generation_config.json")
def custom_generation(folder: Path, marker: Path) -> None:
    text_model(folder, generation_config__json={"custom_generate": "evil/repo"})


@hostile("code_hook", "config.json")
def compiled_kernel_from_elsewhere(folder: Path, marker: Path) -> None:
    text_model(folder, config__json={**CONFIG, "_attn_implementation": "evil/kernel:run"})


@hostile("adapter", "adapter_config.json")
def adapter_that_loads_another_model(folder: Path, marker: Path) -> None:
    text_model(folder, adapter_config__json={"peft_type": "LORA", "base_model_name_or_path": "/srv/other"})


@hostile("pickle", "evil.pth", wears=False)
def path_file_of_python(folder: Path, marker: Path) -> None:
    text_model(folder, evil__pth=f"import os; os.system('touch {marker}')\n")


@hostile("code", "vocab.txt")
def program_named_vocabulary(folder: Path, marker: Path) -> None:
    text_model(folder, vocab__txt=b"\x7fELF\x02\x01\x01" + bytes(64))


@hostile("code", "README.md")
def script_named_readme(folder: Path, marker: Path) -> None:
    text_model(folder, README__md=f"#!/bin/sh\ntouch '{marker}'\n")


@hostile("code", "tokenizer.so", wears=False)
def shared_library(folder: Path, marker: Path) -> None:
    text_model(folder, tokenizer__so=b"\x7fELF")


@hostile("shadow", "numpy/config.json", wears=False)
def folder_that_shadows_numpy(folder: Path, marker: Path) -> None:
    text_model(folder)
    put(folder, "numpy/config.json", b"{}")


@hostile("shadow", "torch.py", wears=False)
def file_that_shadows_torch(folder: Path, marker: Path) -> None:
    text_model(folder, torch__py=code_text(marker))


@hostile("shadow", "sitecustomize.py", wears=False)
def file_that_python_loads_at_its_start(folder: Path, marker: Path) -> None:
    text_model(folder, sitecustomize__py=code_text(marker))


@hostile("shadow", "evaluations/spec.py", wears=False)
def folder_that_shadows_ours(folder: Path, marker: Path) -> None:
    text_model(folder)
    put(folder, "evaluations/spec.py", code_text(marker).encode())


@hostile("shadow", "__init__.py", wears=False)
def folder_that_is_a_package(folder: Path, marker: Path) -> None:
    text_model(folder)
    put(folder, "__init__.py", code_text(marker).encode())


@hostile("config_size", "config.json")
def configuration_of_a_billion_classes(folder: Path, marker: Path) -> None:
    text_model(folder, config__json={**CONFIG, "num_labels": 10**9})


@hostile("config_size", "config.json")
def configuration_of_a_billion_layers(folder: Path, marker: Path) -> None:
    text_model(folder, config__json={**CONFIG, "text_config": {"num_hidden_layers": 10**9}})


# --- chat templates ----------------------------------------------------------------------------------


@hostile("template_dunder", "tokenizer_config.json")
def template_that_escapes(folder: Path, marker: Path) -> None:
    text_model(folder, tokenizer_config__json={"chat_template": escape(marker)})


@hostile("template_dunder", "tokenizer_config.json")
def template_that_escapes_in_a_list(folder: Path, marker: Path) -> None:
    named = [
        {"name": "default", "template": "{{ messages }}"},
        {"name": "tool_use", "template": escape(marker)},
    ]
    text_model(folder, tokenizer_config__json={"chat_template": named})


@hostile("template_dunder", "chat_template.jinja")
def template_that_escapes_in_a_file(folder: Path, marker: Path) -> None:
    text_model(folder, chat_template__jinja=escape(marker))


@hostile("template_dunder", "chat_template.json")
def template_that_escapes_in_json(folder: Path, marker: Path) -> None:
    text_model(folder, chat_template__json={"chat_template": escape(marker)})


@hostile("template_dunder", "chat_template.jinja")
def template_that_hides_its_names(folder: Path, marker: Path) -> None:
    text_model(folder, chat_template__jinja="{{ ''['\\x5f\\x5fclass\\x5f\\x5f']['\\u005f\\u005fmro__'] }}")


@hostile("template_dunder", "chat_template.jinja")
def template_that_hides_behind_a_text(folder: Path, marker: Path) -> None:
    text_model(folder, chat_template__jinja="{{ '}}' ~ messages.__class__ }}")


@hostile("template_dunder", "chat_template.jinja")
def template_that_takes_attributes_by_name(folder: Path, marker: Path) -> None:
    text_model(folder, chat_template__jinja="{{ messages|attr('_' ~ '_class_' ~ '_') }}")


@hostile("template_import", "chat_template.jinja")
def template_that_includes_a_file(folder: Path, marker: Path) -> None:
    text_model(folder, chat_template__jinja="{%- include '/etc/passwd' %}")


@hostile("template_import", "chat_template.jinja")
def template_that_imports(folder: Path, marker: Path) -> None:
    text_model(folder, chat_template__jinja="{% from 'x' import y %}{{ y() }}")


@hostile("template_loop", "chat_template.jinja")
def template_of_a_huge_range(folder: Path, marker: Path) -> None:
    text_model(folder, chat_template__jinja="{% for i in range(1000000000) %}x{% endfor %}")


@hostile("template_loop", "chat_template.jinja")
def template_of_nested_loops(folder: Path, marker: Path) -> None:
    loops = 8
    text_model(folder, chat_template__jinja="{% for i in range(99) %}" * loops + "x" + "{% endfor %}" * loops)


@hostile("template_loop", "tokenizer_config.json")
def template_that_writes_without_end(folder: Path, marker: Path) -> None:
    template = "{% for a in range(9999) %}{% for b in range(9999) %}xxxxxxxx{% endfor %}{% endfor %}"
    text_model(folder, tokenizer_config__json={"chat_template": template})


@hostile("template_loop", "chat_template.jinja")
def template_of_a_macro_without_end(folder: Path, marker: Path) -> None:
    text_model(folder, chat_template__jinja="{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}")


@hostile("template_loop", "chat_template.jinja")
def template_that_raises_to_powers(folder: Path, marker: Path) -> None:
    text_model(folder, chat_template__jinja="{{ 9 ** 9999 ** 9 }}")


# --- ONNX --------------------------------------------------------------------------------------------


def onnx_model() -> Any:
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(np.ones((2, 2), "float32"), "w")
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, 2]) for n in "xy")
    graph = helper.make_graph([node], "g", [x], [y], initializer=[weights])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def _onnx(folder: Path, change: Callable[[Any], object] = lambda model: None) -> None:
    model = onnx_model()
    change(model)
    put(folder, "model.onnx", model.SerializeToString())


def _external(location: str) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = 1
        tensor.external_data.add(key="location", value=location)

    return change


@hostile("onnx_external", "model.onnx", modality="tabular")
def onnx_data_above_the_folder(folder: Path, marker: Path) -> None:
    _onnx(folder, _external("../../../etc/passwd"))


@hostile("onnx_external", "model.onnx", modality="tabular")
def onnx_data_at_an_absolute_path(folder: Path, marker: Path) -> None:
    _onnx(folder, _external("/etc/passwd"))


@hostile("onnx", "model.onnx", modality="tabular")
def onnx_data_elsewhere_in_a_field_that_only_c_reads(folder: Path, marker: Path) -> None:
    model = onnx_model()
    graph = model.graph.SerializeToString()
    place = (
        model.graph.initializer[0].external_data.add(key="location", value="/etc/passwd").SerializeToString()
    )
    # fields 13 and 14 of a tensor, with a bit beyond the 32 of a tag, which a reader in C++ drops
    far = [bytes([tag | 0x80, 0x80, 0x80, 0x80, 0x10]) for tag in (13 << 3 | 2, 14 << 3)]
    tensor = b"\x10\x01" + b"\x42\x01v" + far[0] + bytes([len(place)]) + place + far[1] + b"\x01"
    tensor = b"\x08\x01\x22\x04" + bytes(4) + tensor
    graph += b"\x2a" + bytes([len(tensor)]) + tensor
    model.ClearField("graph")
    put(folder, "model.onnx", model.SerializeToString() + b"\x3a" + _length(len(graph)) + graph)


def _length(value: int) -> bytes:
    return bytes([value & 0x7F | 0x80, value >> 7]) if value > 127 else bytes([value])


@hostile("onnx_domain", "model.onnx", modality="tabular")
def onnx_of_operators_of_its_own(folder: Path, marker: Path) -> None:
    _onnx(folder, lambda model: model.opset_import.add(domain="evil.ops", version=1))


@hostile("onnx_domain", "model.onnx", modality="tabular")
def onnx_node_of_another_domain(folder: Path, marker: Path) -> None:
    _onnx(folder, lambda model: setattr(model.graph.node[0], "domain", "evil.ops"))


@hostile("onnx_operator", "model.onnx", modality="tabular")
def onnx_node_that_reads_a_context_file(folder: Path, marker: Path) -> None:
    def change(model: Any) -> None:
        model.graph.node[0].domain, model.graph.node[0].op_type = "com.microsoft", "EPContext"

    _onnx(folder, change)


@hostile("onnx_tensor", "model.onnx", modality="tabular")
def onnx_tensor_that_declares_terabytes(folder: Path, marker: Path) -> None:
    def change(model: Any) -> None:
        del model.graph.initializer[0].dims[:]
        model.graph.initializer[0].dims.extend([2**20, 2**20])

    _onnx(folder, change)


@hostile("onnx_tensor", "model.onnx", modality="tabular")
def onnx_sparse_tensor_that_unpacks_to_terabytes(folder: Path, marker: Path) -> None:
    def change(model: Any) -> None:
        import numpy as np
        from onnx import numpy_helper

        sparse = model.graph.sparse_initializer.add()
        sparse.values.CopyFrom(numpy_helper.from_array(np.ones(1, "float32"), "s"))
        sparse.indices.CopyFrom(numpy_helper.from_array(np.zeros(1, "int64"), "i"))
        sparse.dims.extend([2**20, 2**20])

    _onnx(folder, change)


@hostile("onnx_functions", "model.onnx", modality="tabular")
def onnx_functions_that_unfold_without_end(folder: Path, marker: Path) -> None:
    def change(model: Any) -> None:
        for level in range(9):
            function = model.functions.add(name=f"f{level}", domain="")
            for _ in range(10):
                function.node.add(op_type=f"f{level + 1}" if level < 8 else "Relu")
        model.graph.node.add(op_type="f0")

    _onnx(folder, change)


@hostile("onnx_functions", "model.onnx", modality="tabular")
def onnx_functions_in_a_circle(folder: Path, marker: Path) -> None:
    def change(model: Any) -> None:
        for name, other in (("f", "g"), ("g", "f")):
            model.functions.add(name=name, domain="").node.add(op_type=other)

    _onnx(folder, change)


@hostile("onnx", "model.onnx", modality="tabular")
def onnx_of_subgraphs_without_end(folder: Path, marker: Path) -> None:
    def field(number: int, data: bytes) -> bytes:
        size, length = len(data), b""
        while size > 127:
            size, length = size >> 7, length + bytes([size & 127 | 128])
        return bytes([number << 3 | 2]) + length + bytes([size]) + data

    graph = b""
    for _ in range(200):  # a graph in an attribute of a node of a graph
        graph = field(1, field(5, field(6, graph)))
    put(folder, "model.onnx", b"\x08\x08" + field(8, b"\x10\x11") + field(7, graph))


@hostile("archive", "model.onnx", modality="tabular")
def program_archive_in_the_tail_of_onnx(folder: Path, marker: Path) -> None:
    _onnx(folder)
    archive = zipped({"__main__.py": code_text(marker).encode()})
    with (folder / "model.onnx").open("ab") as file:
        file.write(archive)


# --- skops -------------------------------------------------------------------------------------------


def _skops(folder: Path, data: bytes) -> None:
    put(folder, "model.skops", data)


@hostile("skops_type", "model.skops", modality="tabular")
def skops_of_a_function(folder: Path, marker: Path) -> None:
    node = {
        "__module__": "os",
        "__class__": "system",
        "__loader__": "FunctionNode",
        "content": f"touch {marker}",
    }
    _skops(folder, skops_bytes({"content": [node]}))


@hostile("skops_type", "model.skops", modality="tabular")
def skops_of_a_partial(folder: Path, marker: Path) -> None:
    node = {"__module__": "functools", "__class__": "partial", "__loader__": "PartialNode"}
    _skops(folder, skops_bytes({"content": {"a": {"b": node}}}))


@hostile("skops_type", "model.skops", modality="tabular")
def skops_of_a_module_of_ours(folder: Path, marker: Path) -> None:
    node = {"__module__": "auditor.core.store", "__class__": "adopt", "__loader__": "ObjectNode"}
    _skops(folder, skops_bytes({"content": node}))


@hostile("skops_type", "model.skops", modality="tabular")
def skops_of_a_door_in_numpy(folder: Path, marker: Path) -> None:
    node = {"__module__": "numpy.f2py", "__class__": "compile", "__loader__": "TypeNode"}
    _skops(folder, skops_bytes({"content": node}))


@hostile("skops_type", "model.skops", modality="tabular")
def skops_of_what_deletes_a_folder_when_it_is_collected(folder: Path, marker: Path) -> None:
    """DataSource.__del__ removes the tree at _destpath where _istmpdest is true."""
    state = {"_istmpdest": True, "_destpath": str(folder)}
    node = {"__module__": "numpy.lib._datasource", "__class__": "DataSource", "__loader__": "ObjectNode"}
    _skops(folder, skops_bytes({"content": {**node, "content": state}}))


@hostile("skops_type", "model.skops", modality="tabular")
def skops_of_a_reader_of_files(folder: Path, marker: Path) -> None:
    node = {"__module__": "numpy", "__class__": "fromfile", "__loader__": "TypeNode"}
    _skops(folder, skops_bytes({"content": node}))


@hostile("archive_path", "model.skops", modality="tabular")
def skops_that_unpacks_above(folder: Path, marker: Path) -> None:
    _skops(folder, skops_bytes(extra={"../../evil.npy": npy_bytes()}))


@hostile("archive_path", "model.skops", modality="tabular")
def skops_that_unpacks_to_an_absolute_path(folder: Path, marker: Path) -> None:
    _skops(folder, skops_bytes(extra={"/etc/cron.d/evil": b"* * * * * root true\n"}))


@hostile("archive_link", "model.skops", modality="tabular")
def skops_with_a_link(folder: Path, marker: Path) -> None:
    data = BytesIO(skops_bytes())
    with zipfile.ZipFile(data, "a") as archive:
        link = zipfile.ZipInfo("2.npy")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    _skops(folder, data.getvalue())


@hostile("ratio", "model.skops", modality="tabular")
def skops_that_is_a_bomb(folder: Path, marker: Path) -> None:
    zeros = npy_bytes(shape=(10**6,), data=bytes(8 * 10**6))
    schema = json.dumps(
        {"__class__": "ndarray", "__module__": "numpy", "__loader__": "NdArrayNode", "protocol": 2}
    )
    members = {"1.npy": zeros, "schema.json": schema.encode()}
    _skops(folder, zipped(members, compression=zipfile.ZIP_DEFLATED))


@hostile("skops", "model.skops", modality="tabular")
def skops_with_an_archive_inside(folder: Path, marker: Path) -> None:
    _skops(folder, skops_bytes(extra={"inner.zip": zipped({"a": bytes(100)})}))


@hostile("archive_overlap", "model.skops", modality="tabular")
def skops_of_parts_that_overlap(folder: Path, marker: Path) -> None:
    data = bytearray(skops_bytes(extra={"2.npy": npy_bytes()}))
    first = data.find(b"PK\x01\x02")
    second = data.find(b"PK\x01\x02", first + 4)
    data[second + 42 : second + 46] = data[first + 42 : first + 46]  # where its local header is
    _skops(folder, bytes(data))


def archive_of_many_parts(parts: int) -> bytes:
    """An archive whose directory names one part over and over."""
    data = zipped({"a": b""})
    begin, end = data.find(b"PK\x01\x02"), data.find(b"PK\x05\x06")
    directory = data[begin:end] * parts
    record = bytearray(data[end:])
    record[12:16] = struct.pack("<I", len(directory))
    return data[:begin] + directory + bytes(record)


@hostile("skops", "model.skops", modality="tabular")
def skops_of_more_parts_than_fit_in_memory(folder: Path, marker: Path) -> None:
    _skops(folder, archive_of_many_parts(300_000))


@hostile("archive", "README.md")
def text_that_ends_as_an_archive_of_many_parts(folder: Path, marker: Path) -> None:
    text_model(folder, README__md=archive_of_many_parts(300_000))


@hostile("skops", "model.skops", modality="tabular")
def skops_of_python_objects(folder: Path, marker: Path) -> None:
    _skops(folder, skops_bytes(extra={"2.npy": npy_bytes("|O", (1,), payload(marker))}))


@hostile("skops", "model.skops", modality="tabular")
def skops_with_bytes_of_no_part(folder: Path, marker: Path) -> None:
    data = BytesIO(skops_bytes())
    with zipfile.ZipFile(data, "a") as archive:
        archive.comment = payload(marker)
    _skops(folder, data.getvalue())


# --- trees and other JSON ----------------------------------------------------------------------------


def xgboost_json() -> dict[str, Any]:
    tree = {
        "left_children": [1, -1, -1],
        "right_children": [2, -1, -1],
        "split_indices": [0, 0, 0],
        "split_conditions": [0.5, 1.0, -1.0],
        "base_weights": [0.0, 1.0, -1.0],
        "tree_param": {"num_nodes": "3", "num_feature": "2"},
    }
    grown = {"name": "gbtree", "model": {"trees": [tree]}}
    parameters = {"num_feature": "2", "num_class": "0", "num_target": "1"}
    learner = {
        "gradient_booster": grown,
        "objective": {"name": "binary:logistic"},
        "learner_model_param": parameters,
    }
    return {"learner": learner, "version": [3, 2, 0]}


def _xgboost(folder: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> None:
    model = xgboost_json()
    change(model["learner"]["learner_model_param"], model["learner"]["gradient_booster"]["model"]["trees"][0])
    put(folder, "model.json", json.dumps(model).encode())


@hostile("xgboost", "model.json", modality="tabular")
def xgboost_of_a_loop(folder: Path, marker: Path) -> None:
    _xgboost(folder, lambda parameters, tree: tree.update(left_children=[0, -1, -1]))


@hostile("xgboost", "model.json", modality="tabular")
def xgboost_that_reads_beyond_its_table(folder: Path, marker: Path) -> None:
    _xgboost(folder, lambda parameters, tree: tree.update(split_indices=[10**6, 0, 0]))


@hostile("xgboost", "model.json", modality="tabular")
def xgboost_of_absurdly_many_classes(folder: Path, marker: Path) -> None:
    _xgboost(folder, lambda parameters, tree: parameters.update(num_class=str(10**12)))


@hostile("xgboost", "model.json", modality="tabular")
def xgboost_that_splits_at_no_number(folder: Path, marker: Path) -> None:
    _xgboost(folder, lambda parameters, tree: tree.update(split_conditions=[float("nan"), 1.0, -1.0]))


def lightgbm_json() -> dict[str, Any]:
    leaf = {"leaf_index": 0, "leaf_value": 0.5}
    root = {
        "split_feature": 0,
        "threshold": 1.5,
        "decision_type": "<=",
        "left_child": leaf,
        "right_child": leaf,
    }
    trees = [{"tree_index": 0, "num_leaves": 2, "tree_structure": root}]
    head = {
        "name": "tree",
        "version": "v4",
        "num_class": 1,
        "num_tree_per_iteration": 1,
        "objective": "binary",
    }
    return {**head, "feature_names": ["a", "b"], "tree_info": trees}


@hostile("lightgbm", "model.json", modality="tabular")
def lightgbm_of_a_leaf_that_is_no_number(folder: Path, marker: Path) -> None:
    model = lightgbm_json()
    model["tree_info"][0]["tree_structure"]["left_child"] = {"leaf_value": float("nan")}
    put(folder, "model.json", json.dumps(model).encode())


@hostile("lightgbm", "model.json", modality="tabular")
def lightgbm_that_reads_beyond_its_table(folder: Path, marker: Path) -> None:
    model = lightgbm_json()
    model["tree_info"][0]["tree_structure"]["split_feature"] = 10**9
    put(folder, "model.json", json.dumps(model).encode())


LIGHTGBM = """tree
version=v4
num_class=1
num_tree_per_iteration=1
max_feature_idx=1
objective=binary
feature_names=a b
tree_sizes=SIZE

Tree=0
num_leaves=2
num_cat=0
split_feature=0
threshold=0.5
decision_type=2
left_child=-1
right_child=-2
leaf_value=0.1 -0.1


end of trees
"""


def lightgbm_text(old: str = "", new: str = "") -> bytes:
    text = LIGHTGBM.replace(old, new) if old else LIGHTGBM
    size = text.index("end of trees") - text.index("Tree=0")
    return text.replace("SIZE", str(size)).encode()


@hostile("lightgbm", "model.txt", modality="tabular")
def lightgbm_text_that_points_outside_its_tree(folder: Path, marker: Path) -> None:
    put(folder, "model.txt", lightgbm_text("left_child=-1", "left_child=1000000"))


@hostile("lightgbm", "model.txt", modality="tabular")
def lightgbm_text_that_reads_beyond_its_table(folder: Path, marker: Path) -> None:
    put(folder, "model.txt", lightgbm_text("split_feature=0", "split_feature=1000000"))


@hostile("lightgbm", "model.txt", modality="tabular")
def lightgbm_text_of_a_tree_that_lies_elsewhere(folder: Path, marker: Path) -> None:
    put(folder, "model.txt", lightgbm_text("tree_sizes=SIZE", "tree_sizes=1000000000"))


@hostile("lightgbm", "model.txt", modality="tabular")
def lightgbm_text_of_categories_that_are_not_there(folder: Path, marker: Path) -> None:
    put(folder, "model.txt", lightgbm_text("decision_type=2", "decision_type=1"))


@hostile("json_deep", "model.json", modality="tabular")
def lightgbm_nested_without_end(folder: Path, marker: Path) -> None:
    put(folder, "model.json", b'{"tree_info":' + b'[{"left_child":' * 50_000)


@hostile("json_deep", "config.json")
def json_that_is_deep(folder: Path, marker: Path) -> None:
    text_model(folder, config__json="[" * 200_000)


@hostile("json_repeated", "config.json")
def json_that_says_two_things(folder: Path, marker: Path) -> None:
    text_model(
        folder, config__json='{"architectures": ["BertForSequenceClassification"], "architectures": ["Evil"]}'
    )


@hostile("json_number", "config.json")
def json_of_a_huge_number(folder: Path, marker: Path) -> None:
    text_model(folder, config__json='{"vocab_size": ' + "9" * 4000 + "}")


@hostile("json_large", "tokenizer.json")
def json_of_millions_of_lists(folder: Path, marker: Path) -> None:
    text_model(folder, tokenizer__json="[" + "[]," * 2_100_000 + "[]]")


# --- names, links and devices ------------------------------------------------------------------------


@hostile("symlink", "vocab.txt", wears=False)
def link_out_of_the_folder(folder: Path, marker: Path) -> None:
    text_model(folder)
    (folder / "vocab.txt").symlink_to("/etc/passwd")


@hostile("symlink", "more", wears=False)
def link_to_a_folder(folder: Path, marker: Path) -> None:
    text_model(folder)
    (folder / "more").symlink_to("/etc")


@hostile("special_file", "vocab.txt", wears=False)
def pipe_that_waits(folder: Path, marker: Path) -> None:
    text_model(folder)
    os.mkfifo(folder / "vocab.txt")


@hostile("special_file", "s", wears=False)
def socket_in_the_folder(folder: Path, marker: Path) -> None:
    text_model(folder)
    here = os.getcwd()
    os.chdir(folder)  # the path of a socket has at most 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("s")
    finally:
        os.chdir(here)


@hostile("name", ".git", wears=False)
def folder_that_is_hidden(folder: Path, marker: Path) -> None:
    text_model(folder)
    put(folder, ".git/hooks/post-checkout", code_text(marker).encode())


@hostile("too_many_files", "")
def templates_that_take_a_second_each(folder: Path, marker: Path) -> None:
    text_model(folder)
    slow = "{% for a in range(3000) %}{% for b in range(1000) %}{% endfor %}{% endfor %}"
    for number in range(60):
        put(folder, f"additional_chat_templates/{number}.jinja", slow.encode())


@hostile("text_large", "")
def texts_that_take_minutes_to_read(folder: Path, marker: Path) -> None:
    text_model(folder)
    for number in range(6):
        put(folder, f"{number}/vocab.txt", b"")
        os.truncate(folder / f"{number}/vocab.txt", 60 * 2**20)


@hostile("name", "config\u202enosj.json", wears=False)
def name_that_reads_backwards(folder: Path, marker: Path) -> None:
    text_model(folder)
    put(folder, "config\u202enosj.json", b"{}")


@hostile("name", "con\u200bfig.json", wears=False)
def name_with_an_invisible_letter(folder: Path, marker: Path) -> None:
    text_model(folder)
    put(folder, "con\u200bfig.json", b"{}")


@hostile("name", "a\x1b[2J\n.json", wears=False)
def name_that_steers_a_terminal(folder: Path, marker: Path) -> None:
    text_model(folder)
    put(folder, "a\x1b[2J\n.json", b"{}")


@hostile("name", "config.json.", wears=False)
def name_with_a_dot_at_its_end(folder: Path, marker: Path) -> None:
    text_model(folder)
    put(folder, "config.json.", b"{}")


@hostile("name", "aux.json", wears=False)
def name_of_a_device(folder: Path, marker: Path) -> None:
    text_model(folder)
    put(folder, "aux.json", b"{}")


@hostile("name_clash", "config.json", wears=False)
def names_that_differ_by_case(folder: Path, marker: Path) -> None:
    text_model(folder)
    put(folder, "CONFIG.json", b"{}")


# --- secrets -----------------------------------------------------------------------------------------

SECRETS = {  # made here from pieces, so that no scanner of this repository takes them for real
    "hugging_face": "hf" + "_" + "aBcDeFgHiJkLmNoPqRsTuVwXyZabcdefgh",
    "aws": "AKIA" + "Z2345672ABCDEFGH",
    "google": "AIza" + "SyA1234567890abcdefghijklmnopqrstuv",
    "github": "ghp" + "_" + "a1" * 18,
    "openai": "sk" + "-proj-" + "aB3_" * 12,
    "key": "-----BEGIN " + "RSA PRIVATE KEY-----\nMIIE",
    "address": "https://deploy:" + "hunter2hunter2" + "@models.example.org/v1",
}


def _secret(kind: str, name: str) -> None:
    def make(folder: Path, marker: Path) -> None:
        text_model(folder)
        text = SECRETS[kind]
        put(
            folder,
            name,
            (json.dumps({"token": text}) if name.endswith(".json") else f"Use {text} here").encode(),
        )

    make.__name__ = f"secret_of_{kind}"
    hostile("secret", name)(make)


for _kind, _name in zip(
    SECRETS,
    (
        "tokenizer_config.json",
        "README.md",
        "generation_config.json",
        "NOTICE.txt",
        "training_args.json",
        "README",
        "README.md",
    ),
    strict=True,
):
    _secret(_kind, _name)
