"""Reading files with a bound on their size, and writing them whole or not at all."""

from __future__ import annotations

import contextlib
import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from numaplace.models.errors import InputError, WriteError

STDIN = Path("-")
LIMIT_BYTES = 64 * 2**20


def read_bytes(path: Path, *, limit_bytes: int = LIMIT_BYTES) -> bytes:
    """Return the content of a file, or of standard input for the path ``-``.

    Raises
    ------
    InputError
        If there is no such file, it is a folder, it may not be read or it is too large.
    """
    try:
        if path == STDIN:
            if sys.stdin is None:
                raise ValueError("standard input is closed")
            data = _piped(sys.stdin.buffer)
        else:
            with path.open("rb") as stream:
                data = stream.read(limit_bytes + 1)
    except (OSError, ValueError) as error:
        raise InputError("file", "", f"cannot be read ({_why(error)})", file=str(path)) from None
    if len(data) > limit_bytes:
        reason = f"is larger than {limit_bytes} bytes, the most that is read"
        raise InputError("file", "", reason, file=str(path))
    return data


@lru_cache(maxsize=1)
def _piped(stream: BinaryIO) -> bytes:
    """Standard input, for all who ask for it."""
    return stream.read(LIMIT_BYTES + 1)


def read_text(path: Path, *, limit_bytes: int = LIMIT_BYTES) -> str:
    """Return the text of a UTF-8 file, or of standard input for the path ``-``.

    Raises
    ------
    InputError
        As `read_bytes`, or if the file is no text in UTF-8.
    """
    return decode(read_bytes(path, limit_bytes=limit_bytes), str(path))


def decode(data: bytes, file: str) -> str:
    """Return bytes as text; `InputError` naming `file` and the line if they are no UTF-8 text."""
    nul = data.find(b"\0")
    if nul >= 0:
        reason = "is no text but binary data (it holds a NUL byte)"
        raise InputError("file", "", reason, file=file, line=data.count(b"\n", 0, nul) + 1)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError("file", "", "is no text in UTF-8", file=file, line=line) from None


def write_text(path: Path, text: str, *, overwrite: bool = False) -> None:
    """Write a UTF-8 file whole or not at all; see `write_bytes`."""
    write_bytes(path, text.encode("utf-8"), overwrite=overwrite)


def write_bytes(path: Path, data: bytes, *, overwrite: bool = False) -> None:
    """Write a file whole or not at all.

    The data goes to a new file in the same folder, which takes the name once it is on the disk:
    nobody ever sees half a file, and nothing is left behind if the writing fails.

    Raises
    ------
    WriteError
        If the file exists and `overwrite` is false, or if it cannot be written.
    """
    try:
        if path.exists() and not path.is_file():
            raise WriteError("file", "", "cannot be written (not a regular file)", file=str(path))
        if path.exists() and not overwrite:
            raise WriteError("file", "", "exists and is not overwritten", file=str(path))
        _replace(path.resolve(), data)  # a link stays a link, its target is replaced
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        reason = f"cannot be written ({_why(error)})"
        raise WriteError("file", "", reason, file=str(path)) from None


def _replace(target: Path, data: bytes) -> None:
    temporary = target.with_name(f".{target.name[:50]}.{os.urandom(6).hex()}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    with contextlib.suppress(OSError):  # some systems let no folder be opened, or synced
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def same_file(path: Path, other: Path) -> bool:
    """Tell whether two paths lead to one file that exists, through links of any kind."""
    try:
        stats = [os.fstat(0) if each == STDIN else each.stat() for each in (path, other)]
    except (OSError, ValueError):
        return False
    return os.path.samestat(*stats)


def _why(error: Exception) -> str:
    strerror = error.strerror if isinstance(error, OSError) else None
    return (strerror or str(error) or type(error).__name__).lower()
