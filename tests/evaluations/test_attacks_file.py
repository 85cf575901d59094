"""The file of attacks stays as small as a run may leave it, and says what it leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

from evaluations.robustness import attacks_file
from workers import supervise


class Folder:
    """A stand-in for the context, which says where files go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def artefact(self, name: str) -> Path:
        return self.folder / name


def kept(images: list[bytes], folder: Path) -> tuple[list[str], Path]:
    context: Any = Folder(folder)
    ids = [f"e{i}" for i in range(len(images))]
    told = attacks_file.keep_images(
        context, original_ids=ids, images=images, labels=["cat"] * len(ids), recipes=["apgd"] * len(ids)
    )
    return told, folder / attacks_file.NAME


def test_images_that_are_too_large_together_are_kept_as_far_as_they_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0)
    images = [noise.bytes(2**20) for _ in range(5)]
    monkeypatch.setattr(attacks_file, "MOST_BYTES", 3 * 2**20 + 4096)
    [said], file = kept(images, tmp_path)
    assert said.startswith("Of 5 attacks that succeeded the first 3 can be kept")
    assert parquet.read_table(file).column("image").to_pylist() == images[:3]
    assert file.stat().st_size < 1.01 * attacks_file.MOST_BYTES


def test_what_fits_is_kept_without_a_word(tmp_path: Path) -> None:
    told, file = kept([b"one", b"two"], tmp_path)
    assert told == []
    assert parquet.read_table(file).column("original_id").to_pylist() == ["e0", "e1"]


def test_what_an_evaluation_writes_the_worker_takes_over() -> None:
    assert 1.05 * attacks_file.MOST_BYTES < supervise.ATTACKS_BYTES
