"""Reads the texts and configurations that go with a model: no pickle, no code, no templates that escape, no secrets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO

from evaluations.intake import secret_texts, template_trial
from evaluations.intake.formats import chat_template, code_hooks, config_sizes, json_text
from evaluations.intake.formats.fault import Fault
from evaluations.intake.formats.pickles import is_pickle

MAX_TEXT = 64 * 2**20
INDEX = "model.safetensors.index.json"
_WORDS = {"vocab", "merges"}  # a table or list; a text is taken for the name of a file
_FOLLOWED = {"class_info_file", "repo_path", "gguf_file", "mecab_option", "sudachi_config_path"}


def read(file: BinaryIO, size: int) -> str:
    """The text in a file of `size` bytes. Raises Fault `text…`, `pickle` or `secret`."""
    if size > MAX_TEXT:
        raise Fault("text_large", f"Text files have at most {MAX_TEXT // 2**20} MB. Leave this one out.")
    data = file.read()
    if is_pickle(data):
        raise Fault("pickle", "")  # said in the words for every pickle
    if b"\x00" in data:
        raise Fault("text", "This is a binary file under the name of a text. Remove it.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Fault("text", f"This is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from error
    refuse_secrets(data)
    return text


def read_json(file: BinaryIO, size: int, name: str) -> Any:
    """The value in a file of `size` bytes, where it asks for no code and holds no secret."""
    if size > json_text.MAX_BYTES:
        raise Fault(
            "json_large", f"JSON files have at most {json_text.MAX_BYTES // 2**20} MB. Leave this one out."
        )
    data = file.read()
    if not data.lstrip(b" \t\r\n\xef\xbb\xbf").startswith((b"{", b"[")) and is_pickle(data):
        raise Fault("pickle", "")  # said in the words for every pickle
    value = json_text.parse(data, "The file")
    if name.endswith(".index.json") and name != INDEX:
        raise Fault(
            "index",
            f"An index of weights is called {INDEX}. Save the model as safetensors, and remove this one.",
        )
    if name.startswith("adapter_"):
        message = "An adapter loads another model that it names. Merge it: model.merge_and_unload(), then save that."
        raise Fault("adapter", message)
    _refuse_files_elsewhere(value, name)
    code_hooks.refuse(value)
    if name == "config.json":
        config_sizes.refuse(value)
    if templates := list(chat_template.of_configuration(value, name)):
        check_templates(templates)
    refuse_secrets(data)
    return value


def _refuse_files_elsewhere(value: Any, name: str) -> None:
    """What transformers opens wherever it lies: one of `fast_tokenizer_files`, chosen by the end of its name; a text
    where the words of a tokenizer belong; files of other libraries; the classes of an image processor, which it also
    looks for on the network."""
    named = value.get("fast_tokenizer_files") if isinstance(value, dict) else None
    if isinstance(named, list) and any(isinstance(one, str) and ("/" in one or "\\" in one) for one in named):
        raise Fault(
            "index", "fast_tokenizer_files names files outside of the folder. Remove it from the file."
        )
    for key, held in code_hooks.items(value):
        if (
            (key in _WORDS and isinstance(held, str))
            or (key in _FOLLOWED and held is not None)
            or (key == "init_inputs" and held)  # given to the tokenizer as they are, its files among them
            or (name == "special_tokens_map.json" and key.endswith("_file") and held is not None)
        ):
            raise Fault(
                "index",
                f"The configuration has a file read from outside of the folder ({key}). Remove {key} from the file, "
                "and save the model or tokenizer again.",
            )


def check_templates(templates: Sequence[str]) -> None:
    """Raise Fault `template…` for a chat template that does more than write a prompt. Rendered where Jinja is."""
    for template in templates:
        chat_template.check(template)
    if template_trial.available():
        template_trial.refuse_runaways(templates)


def refuse_secrets(data: bytes) -> None:
    found = secret_texts.find(data)
    if found:
        what = "; ".join(f"{secret.kind}: {secret.masked}" for secret in found)
        raise Fault(
            "secret",
            f"The file holds what looks like {what}. Remove it, and withdraw it where it was issued: others may have "
            "read it.",
        )
