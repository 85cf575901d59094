"""Results of a child are read as hostile: what is refused, what is copied, and what a full disk leaves."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from workers.isolation.collect import (
    Caps,
    Collected,
    CollectError,
    StorageFull,
    copy_files,
    folder_bytes,
    read_file,
)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "result.json").write_text("{}")
    return folder


def test_a_plain_file_is_read_and_copied(out: Path, tmp_path: Path) -> None:
    (out / "charts").mkdir()
    (out / "charts" / "a.json").write_bytes(b"12345")
    (out / ".home").mkdir()
    (out / ".home" / "cache").write_text("left behind")
    assert read_file(out, "result.json", max_bytes=10) == b"{}"
    assert read_file(out, "charts/a.json", max_bytes=5) == b"12345"
    copied = copy_files(out, tmp_path / "kept", caps=Caps())
    assert copied == [Collected("charts/a.json", 5), Collected("result.json", 2)]
    assert (tmp_path / "kept" / "charts" / "a.json").read_bytes() == b"12345"
    assert not (tmp_path / "kept" / ".home").exists()


def test_links_fifos_and_hard_links_are_refused(out: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    (out / "link").symlink_to(secret)
    os.mkfifo(out / "fifo")
    (out / "hard").hardlink_to(secret)
    (out / "folder").symlink_to(tmp_path)
    for name in ("link", "fifo", "hard"):
        with pytest.raises(CollectError, match="not a plain file"):
            read_file(out, name, max_bytes=100)
    for name in ("folder/secret", "folder"):
        with pytest.raises(CollectError):
            read_file(out, name, max_bytes=100)


@pytest.mark.parametrize("trap", ["link", "fifo", "hard", "folder"])
def test_one_trap_refuses_the_whole_copy_and_leaves_nothing(out: Path, tmp_path: Path, trap: str) -> None:
    (tmp_path / "secret").write_text("hunter2")
    if trap == "link":
        (out / trap).symlink_to(tmp_path / "secret")
    elif trap == "fifo":
        os.mkfifo(out / trap)
    elif trap == "hard":
        (out / trap).hardlink_to(tmp_path / "secret")
    else:
        (out / trap).symlink_to(tmp_path)
    with pytest.raises(CollectError, match="not a plain file"):
        copy_files(out, tmp_path / "kept", caps=Caps())
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "a/../../b", "", ".hidden", "a//b", "x\n", "x" * 101]
)
def test_names_that_leave_the_folder_are_refused(out: Path, name: str) -> None:
    with pytest.raises(CollectError, match="not an acceptable path"):
        read_file(out, name, max_bytes=100)


def test_odd_names_too_many_files_and_deep_folders_are_refused(out: Path, tmp_path: Path) -> None:
    with pytest.raises(CollectError, match="more than 0 files"):
        copy_files(out, tmp_path / "kept", caps=Caps(files=0))
    (out / "a" / "b").mkdir(parents=True)
    (out / "a" / "b" / "c").write_text("deep")
    with pytest.raises(CollectError, match="deep"):
        copy_files(out, tmp_path / "kept", caps=Caps(depth=1))
    (out / "z\nz").write_text("")
    with pytest.raises(CollectError, match="unacceptable name"):
        copy_files(out, tmp_path / "kept", caps=Caps())
    assert not (tmp_path / "kept").exists()


def test_sizes_are_capped_each_and_together(out: Path, tmp_path: Path) -> None:
    (out / "a").write_bytes(b"x" * 60)
    (out / "b").write_bytes(b"x" * 60)
    with pytest.raises(CollectError, match="60 bytes; 50 are allowed"):
        read_file(out, "a", max_bytes=50)
    with pytest.raises(CollectError, match="50 are allowed"):
        copy_files(out, tmp_path / "kept", caps=Caps(file_bytes=50))
    with pytest.raises(CollectError, match="40 are allowed"):
        copy_files(out, tmp_path / "kept", caps=Caps(total_bytes=100))


def test_a_missing_file_is_named(out: Path) -> None:
    with pytest.raises(CollectError, match=r"metrics\.json.*No such file"):
        read_file(out, "metrics.json", max_bytes=100)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_an_error_of_its_own_and_leaves_nothing(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(descriptor: int, data: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StorageFull, match="Free some space"):
        copy_files(out, tmp_path / "kept", caps=Caps())
    assert not (tmp_path / "kept").exists()


def test_counting_stops_above_the_limit_and_follows_no_link(out: Path, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 2**20)
    (out / "link").symlink_to(tmp_path / "big")
    (out / "loop").symlink_to(out)
    assert 4096 <= folder_bytes(out, stop_above=2**30) < 2**20
    assert folder_bytes(out, stop_above=0) > 0
