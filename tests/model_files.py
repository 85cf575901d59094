"""Small model folders that tests upload and inspect; sound unless a test damages them."""

from __future__ import annotations

import json
import struct
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

CONFIG = {"model_type": "bert", "architectures": ["BertForSequenceClassification"]}


def safetensors_bytes(header: dict[str, Any] | None = None, data: bytes = b"\x00" * 16) -> bytes:
    """A safetensors file with one 2 × 2 float tensor, or with the header given."""
    if header is None:
        header = {"w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}
    raw = json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def npy_bytes(descr: str = "<f8", shape: tuple[int, ...] = (2,), data: bytes = b"\x00" * 16) -> bytes:
    header = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def skops_bytes(node: dict[str, Any] | None = None, extra: dict[str, bytes] | None = None) -> bytes:
    """A skops file of one array; `node` replaces its object, `extra` adds members."""
    schema = {
        "__class__": "ndarray",
        "__module__": "numpy",
        "__loader__": "NdArrayNode",
        "type": "numpy",
        "file": "1.npy",
        "protocol": 2,
        **(node or {}),
    }
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("1.npy", npy_bytes())
        for name, data in (extra or {}).items():
            archive.writestr(name, data)
        archive.writestr("schema.json", json.dumps(schema))
    return out.getvalue()


def hugging_face(folder: Path) -> Path:
    """A text classifier as Hugging Face saves it, with one tiny tensor."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "model.safetensors").write_bytes(safetensors_bytes())
    (folder / "tokenizer.json").write_text('{"version": "1.0", "model": {"vocab": {"a": 0}}}')
    return folder


def tabular(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.skops").write_bytes(skops_bytes())
    return folder
