"""Colours that people with any colour vision can tell apart, one for each VM."""

from __future__ import annotations

from collections.abc import Iterable

# Hues of Okabe and Ito, "Color universal design" (2008), without black.
_HUES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442")
# Shares of white (or black, if negative) mixed in: more VMs than hues are told apart by lightness.
_TINTS = (0.25, 0.62, -0.35)

WHITE = "#ffffff"
INK = "#1b1f24"
FAINT = "#6b7280"
LINES = "#c3c8d0"
PAPER = "#f6f7f9"
RESERVED = "#d9dce1"
SOCKET = "#eceef2"
LOSS = "#d55e00"
NO_OWNER = "#7d8794"


def vm_colours(names: Iterable[str]) -> dict[str, str]:
    """Return a colour for each name; the 22nd starts over (names are written next to them)."""
    colours = [_mixed(hue, tint) for tint in _TINTS for hue in _HUES]
    return {name: colours[index % len(colours)] for index, name in enumerate(names)}


def text_colour(background: str) -> str:
    """Return black or white, whichever contrasts more (WCAG 2 relative luminance)."""
    luminance = _luminance(background)
    return INK if (luminance + 0.05) ** 2 > 1.05 * (_luminance(INK) + 0.05) else WHITE


def heat_colour(level: float) -> str:
    """Colour of a distance: white for the nearest (0), dark blue for the farthest (1)."""
    low, high = (255, 255, 255), (8, 81, 156)
    share = min(1.0, max(0.0, level)) * 0.85
    return _hex(tuple(a + (b - a) * share for a, b in zip(low, high, strict=True)))


def darker(colour: str) -> str:
    """The same hue for lines."""
    return _mixed(colour, -0.35)


def _mixed(colour: str, tint: float) -> str:
    target = 255 if tint > 0 else 0
    return _hex(tuple(value + (target - value) * abs(tint) for value in _rgb(colour)))


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))


def _hex(values: tuple[float, ...]) -> str:
    return "#" + "".join(f"{round(value):02x}" for value in values)


def _luminance(colour: str) -> float:
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (channel / 255 for channel in _rgb(colour))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
