"""The syntax of xl configuration files: ``key = value`` with strings, numbers and nested lists.

They are read, and changed so that all else stays as it is, comments too.

Xen reads these files with a grammar of its own; they look like Python but are never executed,
neither there nor here. What the grammar says (``libxlu_cfg``, xl.cfg(5)):

- statements end at a line's end or at ``;``; ``#`` begins a comment;
- a key is lower-case, a value is a string in ``'`` or ``"`` with backslash escapes, a bare number,
  or a list in ``[ ]`` that may run over several lines, nest, and end in a comma;
- a number is kept as text and read where one is wanted (`parse_c_whole`): ``0x1f`` is
  hexadecimal, ``017`` is octal, and ``"4"`` in quotes counts as 4;
- ``+=`` adds to an earlier string or list; of two values for one key the later one counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from numaplace.models.errors import InputError

XlValue = str | tuple["XlValue", ...]
"""A string (numbers too), or a list of values."""

DEPTH_MAX = 16
TOKENS_MAX = 1_000_000
ADDITIONS_MAX = 1000

_TOKEN = re.compile(
    r"""(?P<blank>[ \t\r]+)
    |(?P<newline>\n|\#[^\n]*)
    |(?P<key>[a-z][_0-9a-z]*)
    |(?P<number>[0-9][0-9a-fx]*)
    |(?P<string>'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")
    |(?P<mark>\+=|[=\[\],;])""",
    re.VERBOSE | re.ASCII,
)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{1,2}|[0-7]{1,3}|.)")
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


@dataclass(frozen=True, slots=True)
class XlSetting:
    """A value and the line it begins on; `earlier` is the line of a value it replaces."""

    value: XlValue
    line: int
    earlier: int | None = None


@dataclass(frozen=True, slots=True)
class XlStatement:
    """``key = value`` from its first to behind its last character."""

    key: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    line: int
    start: int


def parse_xl_text(text: str, file: str) -> dict[str, XlSetting]:
    """Return the settings of an xl configuration file by key.

    Raises
    ------
    InputError
        With file and line, for anything the grammar does not know.
    """
    return _Parser(_tokens(text, file), file).settings()


def _tokens(text: str, file: str) -> list[_Token]:
    tokens: list[_Token] = []
    position, line = 0, 1
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _lexical_error(text, position, file, line)
        kind = match.lastgroup or ""
        if kind != "blank":
            tokens.append(_Token(kind, match[0], line, position))
        if len(tokens) > TOKENS_MAX:
            reason = f"has more than {TOKENS_MAX} words, the most that is read"
            raise InputError("xl configuration", "", reason, file=file, line=line)
        line += match[0] == "\n"
        position = match.end()
    tokens.append(_Token("newline", "", line, position))
    return tokens


def _lexical_error(text: str, position: int, file: str, line: int) -> InputError:
    if text[position] in "'\"":
        reason = "a string is not closed on its line"
    else:
        ahead = text[position : position + 30]
        word = re.split(r"[\s;,\]]", ahead, maxsplit=1)[0] or text[position]
        reason = f"{word!r} is neither key, number, quoted string nor list"
    return InputError("xl configuration", "", reason, file=file, line=line)


class _Parser:
    """Recursive descent over the tokens; the last token is always a newline."""

    def __init__(self, tokens: list[_Token], file: str) -> None:
        self.tokens = tokens
        self.file = file
        self.position = 0
        self.additions = 0
        self.statements: list[XlStatement] = []

    def settings(self) -> dict[str, XlSetting]:
        found: dict[str, XlSetting] = {}
        while self.position < len(self.tokens):
            token = self._take()
            if token.kind == "newline" or token.text == ";":
                continue
            if token.kind != "key":
                raise self._error(token, f"{token.text!r:.60} stands where a key is expected")
            self._assign(token, found)
        return found

    def _assign(self, key: _Token, found: dict[str, XlSetting]) -> None:
        sign = self._take()
        if sign.text not in ("=", "+="):
            raise self._error(key, "must be followed by '='", key.text)
        value = self._value(self._take(), key.text, 0)
        last = self.tokens[self.position - 1]
        self.statements.append(XlStatement(key.text, key.start, last.start + len(last.text)))
        earlier = found.get(key.text)
        if sign.text == "=" or earlier is None:
            line = earlier.line if earlier else None
            found[key.text] = XlSetting(value, key.line, line)
        else:
            found[key.text] = XlSetting(self._sum(earlier.value, value, key), key.line)
        end = self._take()
        if end.kind != "newline" and end.text != ";":
            reason = f"the value is followed by {end.text!r:.60}, must end the line or with ';'"
            raise self._error(end, reason, key.text)

    def _sum(self, earlier: XlValue, value: XlValue, key: _Token) -> XlValue:
        self.additions += 1
        if self.additions > ADDITIONS_MAX:
            reason = f"is one '+=' more than {ADDITIONS_MAX}, the most read"
            raise self._error(key, reason, key.text)
        if isinstance(earlier, str) and isinstance(value, str):
            return earlier + value
        if isinstance(earlier, tuple) and isinstance(value, tuple):
            return earlier + value
        raise self._error(key, "cannot add a list to a string or a string to a list", key.text)

    def _value(self, token: _Token, key: str, depth: int) -> XlValue:
        if token.kind == "number":
            return token.text
        if token.kind == "string":
            return self._unquoted(token, key)
        if token.text != "[":
            shown = f"{token.text!r:.60}" if token.kind != "newline" else "the end of the line"
            reason = f"{shown} stands where a number, a quoted string or a list is expected"
            raise self._error(token, reason, key)
        if depth == DEPTH_MAX:
            raise self._error(token, f"lists are nested deeper than {DEPTH_MAX}", key)
        return self._list(token, key, depth)

    def _list(self, opening: _Token, key: str, depth: int) -> XlValue:
        values: list[XlValue] = []
        while (token := self._next_in_list(opening, key)).text != "]":
            values.append(self._value(token, key, depth + 1))
            token = self._next_in_list(opening, key)
            if token.text == "]":
                break
            if token.text != ",":
                reason = f"{token.text!r:.60} stands where ',' or ']' is expected"
                raise self._error(token, reason, key)
        return tuple(values)

    def _next_in_list(self, opening: _Token, key: str) -> _Token:
        while self.position < len(self.tokens):
            token = self._take()
            if token.kind != "newline":
                return token
        raise self._error(opening, "the list that begins here is not closed by ']'", key)

    def _unquoted(self, token: _Token, key: str) -> str:
        def plain(match: re.Match[str]) -> str:
            code = match[1]
            if code[0] == "x" and len(code) > 1:
                return chr(int(code[1:], 16))
            if code.isdigit() and code[0] in "01234567":
                return chr(int(code, 8))
            if code in "'\"\\":
                return code
            if code not in _ESCAPED:
                raise self._error(token, f"a string holds the unknown escape \\{code}", key)
            return _ESCAPED[code]

        return _ESCAPE.sub(plain, token.text[1:-1])

    def _take(self) -> _Token:
        if self.position == len(self.tokens):
            return self.tokens[-1]
        token = self.tokens[self.position]
        self.position += 1
        return token

    def _error(self, token: _Token, reason: str, key: str = "") -> InputError:
        return InputError("xl configuration", key, reason, file=self.file, line=token.line)


class XlText:
    """An xl configuration as `parse_xl_text` reads it and changes to it; `result` applies them."""

    def __init__(self, text: str, file: str) -> None:
        parser = _Parser(_tokens(text, file), file)
        self.settings, self._statements = parser.settings(), parser.statements
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
