"""The attacks that succeeded, written beside the result so that they can be kept as a data set.

`OUT/artefacts/attacks.parquet` has a row per attack. Each row is what the model was fed, under the columns `text`,
`image` (the file's bytes) or the input columns of the table; its true label (`label`, or the target column of the
table); and `id`, `original_id`, `recipe` and `kind`. Texts have `original_text` too.
`auditor/registry/attack_tables.py` reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from evaluations.context import Context

NAME = "attacks.parquet"
MOST = 10_000  # of one run: what a later version must withstand has to be run each time


def keep_texts(
    ctx: Context,
    *,
    originals: Sequence[tuple[str, str]],
    texts: Sequence[str],
    labels: Sequence[str],
    recipes: Sequence[str],
    kind: str = "text_attack",
) -> None:
    """Writes attacked texts. `originals` are (example id, text); one entry per attack in each sequence."""
    ids = [example for example, _ in originals]
    keep_rows(
        ctx,
        {
            "text": pa.array(list(texts), pa.string()),
            "label": pa.array(list(labels), pa.string()),
            "original_text": pa.array([text for _, text in originals], pa.string()),
        },
        original_ids=ids,
        recipes=recipes,
        kind=kind,
    )


def keep_images(
    ctx: Context,
    *,
    original_ids: Sequence[str],
    images: Sequence[bytes],
    labels: Sequence[str],
    recipes: Sequence[str],
    kind: str = "image_attack",
) -> None:
    """Writes attacked images as the bytes of PNG files; one entry per attack in each sequence."""
    columns = {
        "image": pa.array(list(images), pa.binary()),
        "label": pa.array(list(labels), pa.string()),
    }
    keep_rows(ctx, columns, original_ids=original_ids, recipes=recipes, kind=kind)


def keep_rows(
    ctx: Context,
    columns: dict[str, pa.Array],
    *,
    original_ids: Sequence[str],
    recipes: Sequence[str],
    kind: str,
) -> None:
    """Writes attacked rows with the columns that a data set of them has; nothing where no attack succeeded."""
    from pyarrow import parquet

    if not len(original_ids):
        return
    table = pa.table(
        {
            "id": pa.array([f"{r}:{i}" for r, i in zip(recipes, original_ids, strict=True)], pa.string()),
            **columns,
            "original_id": pa.array([str(i) for i in original_ids], pa.string()),
            "recipe": pa.array(list(recipes), pa.string()),
            "kind": pa.array([kind] * len(original_ids), pa.string()),
        }
    )
    parquet.write_table(table.slice(0, MOST), ctx.artefact(NAME))
