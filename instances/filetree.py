"""A tree of small files to read: a folder, the live machine, or a tar archive.

Nothing is ever unpacked to disk, no link leads out of the tree, and the amount of data read has
bounds, so that a hostile archive costs a little time and an error.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import os
import posixpath
import re
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from numaplace.models.errors import InputError

if TYPE_CHECKING:
    import tarfile

FILE_MAX = 64 * 1024
UNPACKED_MAX = 128 * 2**20
MEMBERS_MAX = 200_000
_LINKS_MAX = 40
_OPENERS: tuple[tuple[bytes, Callable[[Path], Any]], ...] = (
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ", lzma.open),
)


class FileTree(ABC):
    """Read access to a tree by paths like ``sys/devices/system/cpu/online``, below `base`."""

    base = ""

    def __init__(self, name: str) -> None:
        self.name = name

    def real(self, path: str) -> str | None:
        """Return the path that links lead to; None if nothing is there or it lies outside."""
        return self._real(posixpath.join(self.base, path))

    def text(self, path: str) -> str | None:
        """Return a small file's text without padding; None if it is absent or cannot be read."""
        real = self.real(path)
        data = None if real is None else self._data(real)
        if data is None:
            return None
        if len(data) <= FILE_MAX:
            with contextlib.suppress(UnicodeDecodeError):
                return data.rstrip(b"\0").decode("utf-8")  # dumps of sysfs may end in NULs
        long = f"is larger than {FILE_MAX} bytes"
        reason = long if len(data) > FILE_MAX else "is no text in UTF-8"
        raise InputError(posixpath.join(self.base, path), "", reason, file=self.name)

    def names(self, path: str) -> list[str]:
        """Return the names in a folder in order; empty if there is no such folder."""
        real = self.real(path)
        return [] if real is None else sorted(self._entries(real))

    @abstractmethod
    def _real(self, path: str) -> str | None: ...

    @abstractmethod
    def _data(self, real: str) -> bytes | None: ...

    @abstractmethod
    def _entries(self, real: str) -> Iterable[str]: ...


class Folder(FileTree):
    """A folder on disk, or ``/`` for the machine at hand."""

    def __init__(self, root: Path) -> None:
        super().__init__(str(root))
        self.root = root.resolve()

    def _real(self, path: str) -> str | None:
        try:
            resolved = (self.root / path).resolve(strict=True)
        except (OSError, RuntimeError):
            return None
        inside = resolved.is_relative_to(self.root)
        return resolved.relative_to(self.root).as_posix() if inside else None

    def _data(self, real: str) -> bytes | None:
        try:
            if not stat.S_ISREG((self.root / real).stat().st_mode):
                return None
            with (self.root / real).open("rb") as stream:
                return stream.read(FILE_MAX + 1)
        except OSError:  # sysfs answers so for what an offline CPU or a driver does not know
            return None

    def _entries(self, real: str) -> Iterable[str]:
        try:
            return os.listdir(self.root / real)
        except OSError:
            return ()


class Archive(FileTree):
    """A tar archive, plain or packed by gzip, bzip2 or xz, read once from front to back.

    Of members whose path matches the pattern `wanted` the content is kept.
    """

    def __init__(self, path: Path, wanted: re.Pattern[str]) -> None:
        import tarfile

        super().__init__(str(path))
        self._files: dict[str, bytes] = {}
        self._links: dict[str, str] = {}
        self._folders: dict[str, set[str]] = {}
        try:
            with _unpacked(path) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
                self._read(tar, wanted)
        except InputError:
            raise
        except (tarfile.TarError, EOFError, lzma.LZMAError, OSError, ValueError) as error:
            reason = f"{error!s:.120}"
        except (MemoryError, RecursionError, OverflowError):
            reason = "too large"
        else:
            return
        reason = f"cannot be read as a tar archive ({reason})"
        raise InputError("archive", "", reason, file=self.name)

    def _read(self, tar: tarfile.TarFile, wanted: re.Pattern[str]) -> None:
        count = 0
        while (member := tar.next()) is not None:
            tar.members = []  # type: ignore[attr-defined]  # or it keeps all it saw
            count += 1
            if count > MEMBERS_MAX:
                raise self._error(member, f"is one member more than {MEMBERS_MAX}, the most read")
            path = self._inside(member)
            self._enter(path)
            if member.isdir():
                self._folders.setdefault(path, set())
            elif member.issym():
                self._links[path] = posixpath.join(posixpath.dirname(path), member.linkname)
            elif member.islnk():
                self._links[path] = member.linkname
            elif member.isreg() and wanted.search(path):
                if member.size > FILE_MAX:
                    raise self._error(member, f"is larger than {FILE_MAX} bytes")
                stream = tar.extractfile(member)
                self._files[path] = b"" if stream is None else stream.read(FILE_MAX)

    def _inside(self, member: tarfile.TarInfo) -> str:
        parts = [part for part in member.name.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise self._error(member, "leads out of the archive")
        return "/".join(parts)

    def _error(self, member: tarfile.TarInfo, reason: str) -> InputError:
        return InputError("archive", f"member {member.name!r:.120}", reason, file=self.name)

    def _enter(self, path: str) -> None:
        """List the path in its folder, and that folder in its own."""
        while path:
            folder, _, name = path.rpartition("/")
            names = self._folders.setdefault(folder, set())
            if name in names:
                return
            names.add(name)
            path = folder

    def _real(self, path: str) -> str | None:
        todo = [part for part in reversed(path.split("/")) if part not in ("", ".")]
        done: list[str] = []
        links = 0
        while todo:
            part = todo.pop()
            if part == "..":
                if not done:
                    return None
                done.pop()
                continue
            done.append(part)
            link = self._links.get("/".join(done))
            if link is not None:
                links += 1
                if links > _LINKS_MAX or link.startswith("/"):
                    return None
                todo += [part for part in reversed(link.split("/")) if part not in ("", ".")]
                done = []
        real = "/".join(done)
        return real if real in self._files or real in self._folders or not real else None

    def _data(self, real: str) -> bytes | None:
        return self._files.get(real)

    def _entries(self, real: str) -> Iterable[str]:
        return self._folders.get(real, ())


class _Bounded(io.RawIOBase):
    """Reads a stream up to a bound on what it yields."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self._stream = stream
        self._name = name
        self._left = UNPACKED_MAX

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(data)
        if self._left < 0:
            reason = f"unpacks to more than {UNPACKED_MAX} bytes, the most that is read"
            raise InputError("archive", "", reason, file=self._name)
        return data

    def close(self) -> None:
        self._stream.close()
        super().close()


def _unpacked(path: Path) -> _Bounded:
    with path.open("rb") as raw:
        magic = raw.read(6)
    found = (opener for start, opener in _OPENERS if magic.startswith(start))
    opener = next(found, lambda plain: plain.open("rb"))
    return _Bounded(opener(path), str(path))
