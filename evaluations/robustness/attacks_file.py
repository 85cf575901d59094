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
MOST_BYTES = 60 * 2**20  # of texts and images: workers/supervise.py takes over 64 MiB, or nothing


def keep_texts(
    ctx: Context,
    *,
    originals: Sequence[tuple[str, str]],
    texts: Sequence[str],
    labels: Sequence[str],
    recipes: Sequence[str],
    kind: str = "text_attack",
) -> list[str]:
    """Writes attacked texts. `originals` are (example id, text); one entry per attack in each sequence."""
    ids = [example for example, _ in originals]
    return keep_rows(
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
) -> list[str]:
    """Writes attacked images as the bytes of PNG files; one entry per attack in each sequence."""
    columns = {
        "image": pa.array(list(images), pa.binary()),
        "label": pa.array(list(labels), pa.string()),
    }
    return keep_rows(ctx, columns, original_ids=original_ids, recipes=recipes, kind=kind)


def keep_rows(
    ctx: Context,
    columns: dict[str, pa.Array],
    *,
    original_ids: Sequence[str],
    recipes: Sequence[str],
    kind: str,
) -> list[str]:
    """Writes attacked rows with the columns that a data set of them has; nothing where no attack succeeded.

    Returns what to warn of: the first attacks are written that are not too many, nor too large together.
    """
    from pyarrow import parquet

    if not len(original_ids):
        return []
    table = pa.table(
        {
            "id": pa.array([f"{r}:{i}" for r, i in zip(recipes, original_ids, strict=True)], pa.string()),
            **columns,
            "original_id": pa.array([str(i) for i in original_ids], pa.string()),
            "recipe": pa.array(list(recipes), pa.string()),
            "kind": pa.array([kind] * len(original_ids), pa.string()),
        }
    )
    written = table.slice(0, _fitting(table))
    if written.num_rows:
        parquet.write_table(written, ctx.artefact(NAME))
    if written.num_rows == table.num_rows:
        return []
    return [
        f"Of {table.num_rows:,} attacks that succeeded the first {written.num_rows:,} can be kept as a data set: at "
        f"most {MOST:,} of a run, and {MOST_BYTES // 2**20} MiB of texts and images. The figures count all of them."
    ]


def _fitting(table: pa.Table) -> int:
    """How many of the first rows may be written."""
    import numpy as np
    from pyarrow import compute, types

    sizes = np.zeros(table.num_rows, dtype=np.int64)
    long = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    for column in table.columns:
        if any(is_(column.type) for is_ in long):
            sizes += compute.fill_null(compute.binary_length(column), 0).to_numpy()
    return min(MOST, int(np.searchsorted(np.cumsum(sizes), MOST_BYTES, side="right")))
