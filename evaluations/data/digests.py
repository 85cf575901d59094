"""Digests of models and data sets on disk: the same that the service gives them.

python -m evaluations.data.digests PATH …
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable
from pathlib import Path

from evaluations.data import folders
from evaluations.spec import EvaluationError


def file_digest(path: Path) -> str:
    """`sha256:` and the hex digest of a file's content."""
    with path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def folder_digest(folder: Path) -> str:
    """The digest of a folder: that of the canonical JSON of its sorted [relative path, sha256] pairs."""
    return _over((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*") if path.is_file())


def _over(files: Iterable[tuple[str, Path]]) -> str:
    pairs = sorted([name, file_digest(path).removeprefix("sha256:")] for name, path in files)
    content = json.dumps(pairs, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"


def path_digest(path: Path) -> str:
    """The digest of a data set: a file, or a folder without links. Raises EvaluationError."""
    if path.is_dir():
        return _over((found.name, found.path) for found in folders.listed(path))
    if not path.is_file():
        raise EvaluationError("data_missing", f"There is no file or folder {path.name!r}.")
    return file_digest(path)


def main(paths: list[str]) -> int:
    try:
        for path in paths:
            print(f"{path_digest(Path(path))}  {path}")
    except EvaluationError as error:
        print(error.message, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
