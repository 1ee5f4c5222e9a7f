"""The text of a Proxmox VM configuration: ``key: value`` lines before the first section."""

from __future__ import annotations

import re
from pathlib import Path

from numaplace.instances.files import STDIN, read_text
from numaplace.instances.ranges import parse_ids, parse_whole
from numaplace.instances.reading import located
from numaplace.models.errors import InputError

LIMIT_BYTES = 2**20
_LINE = re.compile(r"([A-Za-z][A-Za-z0-9_-]*):\s*(.*?)\s*")


def read_conf(path: Path) -> Conf:
    """Read a configuration; a VM without a name has that of its file."""
    file = str(path)
    conf = Conf(parse_conf(read_text(path, limit_bytes=LIMIT_BYTES), file), file)
    if not conf.values:
        raise conf.error("", "holds no 'key: value' line")
    conf.name = conf.text("name") or ("vm" if path == STDIN else path.stem)
    conf.thing = f"VM {conf.name!r:.80}"
    return conf


class Conf:
    """Values of one file and the lines they are on; errors name key and line."""

    def __init__(self, values: dict[str, tuple[str, int]], file: str) -> None:
        self.values = values
        self.file = file
        self.name = ""
        self.thing = "VM configuration"

    def line(self, key: str) -> int | None:
        """Line of a key, None if it is not given."""
        return self.values[key][1] if key in self.values else None

    def text(self, key: str) -> str | None:
        """Value of a key, None if it is not given."""
        return self.values[key][0] if key in self.values else None

    def error(self, key: str, reason: str) -> InputError:
        """Make an error that names the key and its line."""
        return InputError(self.thing, key, reason, file=self.file, line=self.line(key))

    def whole(self, key: str, low: int, high: int, prefix: str = "") -> int | None:
        """Value of a key that is a whole number, maybe behind a prefix; None if not given."""
        text = self.text(key)
        if text is None:
            return None
        with located(self.file, self.line(key)):
            plain = text.removeprefix(prefix)
            return parse_whole(plain, thing=self.thing, field=key, low=low, high=high)

    def flag(self, key: str, default: bool) -> bool:
        """Value of a key that is 0 or 1."""
        text = self.text(key)
        if text is None:
            return default
        if text not in ("0", "1"):
            raise self.error(key, f"must be 0 or 1, not {text!r:.20}")
        return text == "1"

    def numbered(self, prefix: str) -> list[str]:
        """Keys like ``numa0`` in ascending order."""
        keys = [key for key in self.values if re.fullmatch(prefix + r"[0-9]{1,3}", key)]
        return sorted(keys, key=lambda key: int(key[len(prefix) :]))

    def options(self, key: str, known: tuple[str, ...]) -> dict[str, str]:
        """Comma-separated ``option=value`` pairs of a line; `known` empty allows any option."""
        options: dict[str, str] = {}
        for item in (self.text(key) or "").split(","):
            option, sign, value = (part.strip() for part in item.partition("="))
            if not sign:
                option, value = "", option
            if (known and option not in known) or not value:
                wanted = ", ".join(f"{word}=" for word in known) or "'option=value'"
                raise self.error(key, f"{item.strip()!r:.60} is none of {wanted}")
            if option in options:
                raise self.error(key, f"{option or item!r:.60} is given twice")
            options[option] = value
        return options

    def ids(self, text: str, field: str) -> frozenset[int]:
        """Ids of a list with commas or semicolons; `InputError` if there are none."""
        ids = parse_ids(text.replace(";", ","), thing=self.thing, field=field, exclusions=False)
        if not ids:
            raise InputError(self.thing, field, "names none")
        return ids


def parse_conf(text: str, file: str) -> dict[str, tuple[str, int]]:
    """Return the value of each key of a configuration, and the line it is on."""
    values: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("["):
            break  # snapshots and pending changes follow
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            reason = f"{line.strip()!r:.60} is not of the form 'key: value'"
            raise InputError("VM configuration", "", reason, file=file, line=number)
        key, value = match.groups()
        if key in values:
            reason = f"is given in line {values[key][1]} already"
            raise InputError("VM configuration", key, reason, file=file, line=number)
        values[key] = (value, number)
    return values
