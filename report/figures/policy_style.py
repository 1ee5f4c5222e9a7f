"""How policies look in figures: one order and one look each, the same in every picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from numaplace.report.picture.palette import darker, vm_colours
from numaplace.solver.placing.rules import BASELINES, OURS

LineStyle = Literal["-"] | tuple[float, Sequence[float]]

# Hues of Okabe and Ito as in `palette`; what is lighter than they allow for lines is made darker.
_COLOURS = {
    "greedy_life": "#0072b2",
    "greedy_room": "#d55e00",
    "greedy": "#009e73",
    "first_fit": "#6b7280",
    "best_fit": "#cc79a7",
    "balance_fit": "#e69f00",
    "xen_4_2": "#1b1f24",
    "xen": "#56b4e9",
    "nova": "#8f8500",
}

_SOLID: LineStyle = "-"
# Baselines of like hue differ in their dashes.
_DASHES: tuple[LineStyle, ...] = ((0, (5, 2)), (0, (1, 1.4)), (0, (5, 1.5, 1, 1.5)))

STRONG = "#0072b2"
MUTED = "#9aa2ae"


@dataclass(frozen=True, slots=True)
class Look:
    """Colour, line style and line width (points) of a policy."""

    colour: str
    line: LineStyle
    width: float


def policy_order(names: Iterable[str]) -> list[str]:
    """Baselines, then policies of others, then ours; each of them in the order of `RULES`."""
    present = dict.fromkeys(names)
    known = {*BASELINES, *OURS}
    return [
        *(name for name in BASELINES if name in present),
        *(name for name in present if name not in known),
        *(name for name in OURS if name in present),
    ]


def policy_looks(names: Iterable[str]) -> dict[str, Look]:
    """Looks by name, in order: ours strong and solid, all others thin and dashed."""
    order = policy_order(names)
    unknown = [name for name in order if name not in _COLOURS]
    others = vm_colours(unknown)
    places = {name: at for at, name in enumerate([*BASELINES, *unknown])}
    looks: dict[str, Look] = {}
    for name in order:
        colour = _COLOURS.get(name) or darker(others[name])
        if name in OURS:
            looks[name] = Look(colour, _SOLID, 1.9)
        else:
            looks[name] = Look(colour, _DASHES[places[name] % len(_DASHES)], 1.2)
    return looks


def emphasis(name: str) -> str:
    """Colour where only two matter: strong for ours, muted for the others."""
    return STRONG if name in OURS else MUTED
