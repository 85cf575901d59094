"""Reads folders of images: one folder per class, or a metadata.csv or metadata.jsonl with a column file_name.

Folders named after splits (train, test, …) may lie above the classes or the metadata.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from evaluations.data import folders
from evaluations.data.columns import names_of
from evaluations.data.folders import SPLITS, Found
from evaluations.spec import EvaluationError

IMAGE, FILE, LABEL, SPLIT = "image", "file_name", "label", "split"
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
METADATA = ("metadata.csv", "metadata.jsonl")
MAX_IMAGE = 64 * 2**20  # bytes of one file
MOST_PIXELS = 64 * 2**20  # of one image: a few kilobytes can unpack to gigabytes
AT_ONCE = 64 * 2**20  # bytes of images in one table


@dataclass(frozen=True)
class Row:
    """One image and what is said of it."""

    file: Found
    facts: dict[str, Any]


def schema(folder: Path) -> pa.Schema:
    """The columns that `tables` gives, in order."""
    return _schema(_rows(folder, ""))


def tables(folder: Path, wanted: Collection[str] | None = None, split: str = "") -> Iterator[pa.Table]:
    """The rows by file name, some at a time. `wanted` limits the columns, `split` the splits."""
    rows = _rows(folder, split)
    kinds = _schema(rows)
    names = [name for name in kinds.names if wanted is None or name in wanted] or kinds.names
    held: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        image = _checked(row.file) if IMAGE in names else b""
        held.append({FILE: row.file.name, IMAGE: image, **row.facts})
        size += len(image)
        if size > AT_ONCE:
            yield _table(held, kinds, names)
            held, size = [], 0
    if held:
        yield _table(held, kinds, names)


def _table(rows: list[dict[str, Any]], kinds: pa.Schema, names: list[str]) -> pa.Table:
    return pa.table(
        {name: pa.array([row.get(name) for row in rows], kinds.field(name).type) for name in names}
    )


def _schema(rows: list[Row]) -> pa.Schema:
    found = {FILE: pa.string(), IMAGE: pa.binary()}
    for name in dict.fromkeys(name for row in rows for name in row.facts):
        try:
            kind = pa.array([row.facts.get(name) for row in rows]).type
        except (pa.ArrowException, ValueError, OverflowError) as error:
            raise EvaluationError(
                "data_unreadable", f"The values of {name[:60]!r} are of different kinds: {str(error)[:200]}."
            ) from error
        found[name] = pa.string() if pa.types.is_null(kind) else kind
    return pa.schema(found)


# --- which images ----------------------------------------------------------------------------------


def _rows(folder: Path, split: str) -> list[Row]:
    files = [found for found in folders.listed(folder) if not found.hidden]
    tops = {found.name.split("/")[0] for found in files if "/" in found.name}
    described = {found.name for found in files} & set(METADATA)
    if tops and tops <= SPLITS and not described:
        parts = {top: [f for f in files if f.name.startswith(f"{top}/")] for top in sorted(tops)}
        if split and split not in parts:
            raise EvaluationError(
                "split_missing", f"There is no split {split[:60]!r}. There are: {names_of(parts)}."
            )
        chosen = [split] if split else list(parts)
        rows = [
            row
            for top in chosen
            for row in _part(parts[top], f"{top}/", {SPLIT: top} if len(parts) > 1 else {})
        ]
    elif split:
        raise EvaluationError(
            "split_missing", "The folder has no folders named after splits, such as train and test."
        )
    else:
        rows = _part(files, "", {})
    if not rows:
        raise EvaluationError(
            "data_missing",
            f"The folder holds no images ({', '.join(ENDINGS)}). Give one with a folder of images per class, or with "
            "metadata.csv.",
        )
    return rows


def _part(files: list[Found], prefix: str, facts: dict[str, Any]) -> list[Row]:
    """The images below `prefix`, with what metadata or their folders say, and `facts`."""
    images = {f.name.removeprefix(prefix): f for f in files if f.name.lower().endswith(ENDINGS)}
    described = [f for f in files if f.name.removeprefix(prefix) in METADATA]
    if len(described) > 1:
        raise EvaluationError("data_unreadable", f"There is more than one of {names_of(METADATA)}. Keep one.")
    if described:
        return [Row(images[name], {**said, **facts}) for name, said in _said(described[0], images)]
    below = {name for name in images if "/" in name}
    if below and len(below) < len(images):
        loose = sorted(images.keys() - below)
        raise EvaluationError(
            "label_missing", f"{loose[0][:80]!r} lies in no class folder. Move it into one, or leave it out."
        )
    return [
        Row(found, {**({LABEL: name.split("/")[0]} if below else {}), **facts})
        for name, found in images.items()
    ]


def _said(metadata: Found, images: dict[str, Found]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each image that metadata names, and the rest of its row. Every name is looked up among the listed files."""
    named: set[str] = set()
    for number, row in enumerate(folders.records(metadata), 1):
        name = str(row.pop(FILE, "") or "").removeprefix("./")
        taken = row.keys() & {IMAGE, FILE, SPLIT, None}
        if name not in images or name in named:
            what = "names an image twice" if name in named else "names no image of the folder"
            raise EvaluationError(
                "image_unknown", f"Row {number} of {metadata.name!r} {what}: {name[:80]!r}."
            )
        if taken:
            raise EvaluationError(
                "column_duplicate",
                f"Row {number} of {metadata.name!r} has a column {names_of(taken)}, which the folder itself gives. "
                "Rename it.",
            )
        named.add(name)
        yield name, row
    if left := sorted(images.keys() - named):
        raise EvaluationError(
            "image_unnamed",
            f"{len(left)} images are not in {metadata.name!r} (first: {left[0][:80]!r}). Add or remove them.",
        )


def _checked(file: Found) -> bytes:
    """The bytes of an image file whose header says a known format and a size that can be unpacked."""
    from PIL import Image

    data = folders.content(file, MAX_IMAGE)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            pixels = opened.width * opened.height
    except (OSError, ValueError, SyntaxError, EOFError, TypeError, Image.DecompressionBombError) as error:
        raise EvaluationError(
            "image_unreadable",
            f"{file.name[:120]!r} is no image that can be read: {str(error)[:120]}. Remove it.",
        ) from error
    if pixels > MOST_PIXELS:
        raise EvaluationError(
            "image_large",
            f"{file.name[:120]!r} has more than {MOST_PIXELS // 2**20} million pixels. Make it smaller.",
        )
    return data
