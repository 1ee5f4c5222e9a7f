"""Changes to the text of an xl configuration that leave all else as it is, comments too."""

from __future__ import annotations

import re

from numaplace.instances.formats.xen.xl_text import XlValue, parse_xl_statements


class XlText:
    """An xl configuration and the changes to it; `result` applies them.

    Parameters
    ----------
    text, file
        As for `xl_text.parse_xl_statements`, which refuses what the grammar does not know.
    """

    def __init__(self, text: str, file: str) -> None:
        self.settings, self._statements = parse_xl_statements(text, file)
        self.text = text
        self._new: dict[str, str | None] = {}

    def value(self, key: str) -> XlValue | None:
        """Value of a key in the text as it was given, None if it has none."""
        return self.settings[key].value if key in self.settings else None

    def set(self, key: str, value: XlValue) -> None:
        """Set a key; its statement stays as it is if it says the same."""
        if self.value(key) != value:
            self._new[key] = f"{key} = {format_xl(value)}"

    def set_number(self, key: str, number: int) -> None:
        """Set a key to a number."""
        old = self.value(key)
        if not isinstance(old, str) or not re.fullmatch(rf"0*{number}", old) or old[0] == "0":
            self._new[key] = f"{key} = {number}"

    def remove(self, key: str) -> None:
        """Take a key away."""
        if key in self.settings:
            self._new[key] = None

    def result(self) -> str:
        """Return the text with all changes; what is new stands at its end."""
        parts: list[str] = []
        position = 0
        left = dict(self._new)
        seen: set[str] = set()
        for statement in self._statements:
            if statement.key not in self._new:
                continue
            new = None if statement.key in seen else left.pop(statement.key)
            seen.add(statement.key)
            start, end = statement.start, statement.end
            if new is None:
                start, end = self._whole_line(start, end)
            parts += [self.text[position:start], new or ""]
            position = max(position, end)
        text = "".join(parts) + self.text[position:]
        added = [line for line in left.values() if line is not None]
        newline = "\r\n" if "\r\n" in text else "\n"
        if added and text and not text.endswith("\n"):
            text += newline
        return text + "".join(line.replace("\n", newline) + newline for line in added)

    def _whole_line(self, start: int, end: int) -> tuple[int, int]:
        """The line of a statement with its end, if nothing else is on it."""
        first = self.text.rfind("\n", 0, start) + 1
        if self.text[first:start].strip():
            return start, end
        match = re.compile(r"[ \t\r]*(\n|\Z)").match(self.text, end)
        return (first, match.end()) if match else (start, end)


def format_xl(value: XlValue) -> str:
    """Return a value as xl reads it; lists of lists have a line for each."""
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    items = [format_xl(item) for item in value]
    if any(isinstance(item, tuple) for item in value):
        return "[\n" + "".join(f"    {item},\n" for item in items) + "]"
    return f"[{', '.join(items)}]"
