"""The catalogue of public data: what is fetched has the right digest, or nothing is left of it."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from evaluations.data import fetch
from evaluations.data.fetch import Entry, FetchError, File

CONTENT = b"who,what\nme,this\n"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def wheel(folder: Path, members: dict[str, bytes]) -> Path:
    path = folder / "sample_words-1.0-py3-none-any.whl"
    info = "sample_words-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: sample-words\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def entry(archive: Path, *files: File) -> Entry:
    digest = sha256(archive.read_bytes())
    return Entry("sample", "Sample", "dataset", "sample-words", "1.0", archive.name, digest, "CC0", files)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package index that is a folder; no other is asked."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


def catalogue(monkeypatch: pytest.MonkeyPatch, one: Entry) -> None:
    monkeypatch.setattr(fetch, "entries", lambda: {one.name: one})


def test_only_the_named_file_is_unpacked_under_the_name_the_catalogue_gives(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = wheel(index, {"words/a.csv": CONTENT, "words/b.csv": b"not asked for"})
    catalogue(monkeypatch, entry(archive, File("words/a.csv", "deep/a.csv", sha256(CONTENT), len(CONTENT))))
    assert fetch.fetch("sample", tmp_path / "out") == [tmp_path / "out" / "deep" / "a.csv"]
    assert [p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()] == [CONTENT]


def test_what_is_there_already_is_not_fetched_again(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = wheel(index, {"a.csv": CONTENT})
    catalogue(monkeypatch, entry(archive, File("a.csv", "a.csv", sha256(CONTENT), len(CONTENT))))
    (found,) = fetch.fetch("sample", tmp_path)
    archive.unlink()
    assert fetch.fetch("sample", tmp_path) == [found]
    found.write_bytes(CONTENT[::-1])
    assert not fetch.present("sample", tmp_path)


def test_a_package_with_another_digest_is_refused(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = wheel(index, {"a.csv": CONTENT})
    catalogue(monkeypatch, entry(archive, File("a.csv", "a.csv", sha256(CONTENT), len(CONTENT))))
    wheel(index, {"a.csv": CONTENT, "added.py": b"import os"})
    with pytest.raises(FetchError, match="HASHES"):
        fetch.fetch("sample", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT + b"x", CONTENT[:-1] + b"x"])
def test_a_file_with_another_digest_is_refused_and_leaves_nothing(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    archive = wheel(index, {"a.csv": content})
    catalogue(monkeypatch, entry(archive, File("a.csv", "a.csv", sha256(CONTENT), len(CONTENT))))
    with pytest.raises(FetchError, match="digest"):
        fetch.fetch("sample", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_package_without_the_file_is_named(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = wheel(index, {"a.csv": CONTENT})
    catalogue(monkeypatch, entry(archive, File("b.csv", "b.csv", sha256(CONTENT), len(CONTENT))))
    with pytest.raises(FetchError, match=r"holds no file b\.csv"):
        fetch.fetch("sample", tmp_path / "out")


def test_a_link_in_a_source_archive_is_not_followed(tmp_path: Path) -> None:
    archive = tmp_path / "a-1.tar.gz"
    with tarfile.open(archive, "w:gz") as source:
        link = tarfile.TarInfo("a.csv")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        source.addfile(link)
        plain = tarfile.TarInfo("b.csv")
        plain.size = len(CONTENT)
        source.addfile(plain, io.BytesIO(CONTENT))
    named = entry(archive)
    with fetch._opened(archive) as open_member:
        with pytest.raises(FetchError, match=r"holds no file a\.csv"):
            fetch._unpack(
                open_member, File("a.csv", "a.csv", sha256(CONTENT), len(CONTENT)), tmp_path / "o", named
            )
        fetch._unpack(
            open_member, File("b.csv", "b.csv", sha256(CONTENT), len(CONTENT)), tmp_path / "o", named
        )
    assert (tmp_path / "o").read_bytes() == CONTENT


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(FetchError, match=r"It has: adult, .*, compas, .*, pang-lee, "):
        fetch.entry("imagenet")


def test_every_entry_states_licence_digests_and_names_inside_its_folder() -> None:
    for each in fetch.entries().values():
        assert each.licence
        assert len(each.sha256) == 64
        assert each.files
        for file in each.files:
            assert len(file.sha256) == 64
            assert not Path(file.name).is_absolute()
            assert ".." not in Path(file.name).parts
        names = [file.name for file in each.files]
        assert len(set(names)) == len(names)
