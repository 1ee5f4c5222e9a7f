"""Files are read with bounds and written whole or not at all."""

import io
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from numaplace.instances.files import read_bytes, read_text, write_bytes, write_text
from numaplace.models.errors import InputError


def test_text_comes_back_as_written(tmp_path: Path) -> None:
    """What is written is read again, and a byte order mark is no text."""
    path = tmp_path / "a.txt"
    write_text(path, "größe: 3\n")
    assert read_text(path) == "größe: 3\n"
    path.write_bytes(b"\xef\xbb\xbfx")
    assert read_text(path) == "x"


def test_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """The path "-" reads what is piped in."""
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"piped")))
    assert read_text(Path("-")) == "piped"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a\nb\0c", ["file.txt:2:", "NUL"]),
        (b"a\n\xff", ["file.txt:2:", "UTF-8"]),
        (b"x" * 101, ["file.txt:", "larger than 100 bytes"]),
    ],
)
def test_unfit_content_is_refused(tmp_path: Path, content: bytes, words: list[str]) -> None:
    """Binary, foreign or large files end in an error that names file and line."""
    path = tmp_path / "file.txt"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_text(path, limit_bytes=100)
    assert [word for word in words if word not in str(caught.value)] == []


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    """A name without a file, and a folder, say so."""
    with pytest.raises(InputError, match="no such file"):
        read_bytes(tmp_path / "none")
    with pytest.raises(InputError, match="is a directory"):
        read_bytes(tmp_path)


def test_existing_file_is_kept_unless_told(tmp_path: Path) -> None:
    """Only `overwrite` replaces a file."""
    path = tmp_path / "a"
    write_text(path, "old")
    with pytest.raises(InputError, match="exists"):
        write_text(path, "new")
    assert path.read_text() == "old"
    write_text(path, "new", overwrite=True)
    assert path.read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_failed_writing_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the last step fails, the old file and no other is there."""
    path = tmp_path / "a"
    write_text(path, "old")

    def broken(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(InputError, match="no space left"):
        write_bytes(path, b"new", overwrite=True)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_writing_into_missing_folder_or_onto_folder_is_refused(tmp_path: Path) -> None:
    """No folder is made, and none is replaced."""
    with pytest.raises(InputError, match="cannot be written"):
        write_text(tmp_path / "none" / "a", "x")
    with pytest.raises(InputError, match="not a regular file"):
        write_text(tmp_path, "x", overwrite=True)


def test_link_stays_a_link(tmp_path: Path) -> None:
    """Writing through a link changes its target."""
    target = tmp_path / "target"
    write_text(target, "old")
    link = tmp_path / "link"
    link.symlink_to(target)
    write_text(link, "new", overwrite=True)
    assert link.is_symlink()
    assert target.read_text() == "new"
