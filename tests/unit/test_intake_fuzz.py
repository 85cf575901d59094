"""Damaged bytes of every format are accepted or refused, never an error, and never slow."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evaluations.intake.inspection import Accepted, Refused, inspect_model
from tests.model_files import hugging_face, safetensors_bytes, skops_bytes
from tests.unit.honest_artefacts import CHAT
from tests.unit.hostile_artefacts import lightgbm_json, lightgbm_text, onnx_model, xgboost_json

SEEDS = {
    "model.safetensors": safetensors_bytes(),
    "model.onnx": onnx_model().SerializeToString(),
    "model.skops": skops_bytes(),
    "model.json": json.dumps(xgboost_json()).encode(),
    "dump/model.json": json.dumps(lightgbm_json()).encode(),
    "model.txt": lightgbm_text(),
    "tokenizer_config.json": json.dumps({"chat_template": CHAT}).encode(),
    "endpoint.json": b'{"schema": "endpoint/1", "protocol": "rest", "url": "https://models.example.org", "rest": {}}',
    "ids.json": b'{"users": ["a", 1], "items": ["x"]}',
}
SECONDS = 2.0
# what bends lengths, offsets and nesting, rather than letters
EDGES = st.sampled_from(
    [
        b"\x00",
        b"\xff",
        b"\x80\x04",
        b"\xff" * 8,
        b"PK\x05\x06",
        b"{",
        b"[" * 50,
        b'"',
        b"-1",
        b"1e999",
        b"NaN",
        b"null",
    ]
)


@st.composite
def damaged(draw: st.DrawFn, seed: bytes) -> bytes:
    """The seed with some bytes replaced, put in, cut out or repeated."""
    data = bytearray(seed)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(data)))
        stop = min(len(data), at + draw(st.integers(0, 12)))
        new = draw(EDGES | st.binary(max_size=8) | st.just(bytes(data[at:stop]) * 3))
        data[at:stop] = new
    return bytes(data)


@pytest.mark.parametrize("name", SEEDS)
def test_damaged_files_are_accepted_or_refused_without_an_error(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    modality = {"tokenizer_config.json": "text_classifier", "ids.json": "recommender"}.get(name, "tabular")
    slowest = [0.0]

    @settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(damaged(SEEDS[name]))
    def check(data: bytes) -> None:
        folder: Path = tmp_path_factory.mktemp("fuzz")
        if modality == "text_classifier" or name == "model.safetensors":
            hugging_face(folder)
        if name == "ids.json":
            (folder / "model.safetensors").write_bytes(safetensors_bytes())
        (folder / name.split("/")[-1]).write_bytes(data)
        start = time.process_time()
        result = inspect_model(folder, modality)
        slowest[0] = max(slowest[0], time.process_time() - start)
        assert isinstance(result, (Accepted, Refused))

    check()
    assert slowest[0] < SECONDS


@pytest.mark.parametrize(
    "data", [b"N" * 2**20, b"(" * 2**20, b"((lp0\n" * 10**5, b"'" * 2**20, b"{{" * 2**18, b"://" * 2**18]
)
def test_texts_that_are_made_to_be_slow_are_not(data: bytes, tmp_path: Path) -> None:
    folder = hugging_face(tmp_path)
    for name in ("README.md", "chat_template.jinja", "tokenizer_config.json"):
        (folder / name).write_bytes(
            data if name.endswith((".md", ".jinja")) else json.dumps([data.decode()]).encode()
        )
    start = time.process_time()
    inspect_model(folder, "text_classifier")
    assert time.process_time() - start < SECONDS
