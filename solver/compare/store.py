"""Results of long runs, kept line by line as they come, so that nothing is lost or done twice."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, TextIO

from numaplace.models.errors import InputError, WriteError

FORMAT = "numaplace-results/1"
HEAD = json.dumps({"format": FORMAT}) + "\n"
BYTES_MAX = 1 << 28
"""Bytes that a store may have: what is read into memory is bounded."""

Record = dict[str, Any]


def _check_file(path: Path) -> None:
    """Raise `InputError` if a path is something else than a file of bounded size."""
    if not path.exists():
        return
    if not path.is_file():
        raise InputError("store", "", "cannot be used (no regular file)", file=str(path))
    size = path.stat().st_size
    if size > BYTES_MAX:
        reason = f"has {size} bytes, more than the {BYTES_MAX} that are read"
        raise InputError("store", "", reason, file=str(path))


def _lock(stream: TextIO, path: Path) -> None:
    """Keep other processes from the file; `InputError` if one has it. Not on Windows."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise InputError("store", "", "is in use by another run", file=str(path)) from None


class Store:
    """A file of JSON lines, one record a line under a key; the latest record of a key counts.

    A record is on the disk before `put` returns. A last line that was cut off, as by a power
    failure, is dropped when the file is opened again. A file is made if there is none; without a
    path, records are in memory only. `InputError` is raised if the file is no such store, or cannot
    be read or written (`WriteError` if it is full).
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._records: dict[str, Record] = {}
        self._stream: TextIO | None = None
        if path is None:
            return
        try:
            _check_file(path)
            self._stream = path.open("a+", encoding="utf-8", newline="")
            _lock(self._stream, path)
            self._stream.seek(0)
            text = self._stream.read()
            kept = self._read(text)
            self._stream.truncate(len(text[:kept].encode()))
            if not kept:
                self._write({"format": FORMAT})
        except (OSError, UnicodeDecodeError, InputError) as error:
            if self._stream is not None:
                self._stream.close()
            if isinstance(error, InputError):
                raise
            why = (getattr(error, "strerror", None) or "").lower() or "it is no text in UTF-8"
            reason = f"cannot be used ({why})"
            raise InputError("store", "", reason, file=str(path)) from None

    def _read(self, text: str) -> int:
        """Take in the lines of a file; return how many characters of it are whole lines."""
        kept = 0
        for number, line in enumerate(text.splitlines(keepends=True), start=1):
            if not line.endswith("\n"):
                break
            try:
                entry = json.loads(line)
                if number == 1:
                    good = entry["format"] == FORMAT
                else:
                    good = isinstance(entry["record"], dict)
                    self._records[entry["key"]] = entry["record"]
            except (ValueError, KeyError, TypeError, RecursionError):
                good = False
            if not good:
                reason = "is no line of a store of results" if number > 1 else f"is no {FORMAT}"
                raise InputError("store", "", reason, file=str(self.path), line=number)
            kept += len(line)
        if not kept and not HEAD.startswith(text):
            raise InputError("store", "", f"is no {FORMAT}", file=str(self.path), line=1)
        return kept

    def __len__(self) -> int:
        return len(self._records)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._stream is not None:
            self._stream.close()

    def keys(self) -> tuple[str, ...]:
        """Keys of all records."""
        return tuple(self._records)

    def get(self, key: str) -> Record | None:
        """Return the record of a key, None if there is none."""
        return self._records.get(key)

    def put(self, key: str, record: Record) -> None:
        """Keep a record."""
        self._records[key] = record
        self._write({"key": key, "record": record})

    def _write(self, entry: Record) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(json.dumps(entry) + "\n")
            self._stream.flush()
            os.fsync(self._stream.fileno())
        except OSError as error:
            reason = f"takes no more results ({(error.strerror or str(error)).lower()})"
            raise WriteError("store", "", reason, file=str(self.path)) from None
