"""Sources of choices for random test data: a seeded generator, or hypothesis."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")


class Choices(Protocol):
    """A source of whole numbers; 0 and False are what hypothesis shrinks to."""

    def integer(self, low: int, high: int) -> int:
        """Return a number in [low, high]."""


class SeededChoices:
    """Choices of a pseudo-random generator."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def integer(self, low: int, high: int) -> int:
        """Return a number in [low, high], all equally likely."""
        return self._random.randint(low, high)


class DrawnChoices:
    """Choices that hypothesis makes and shrinks."""

    def __init__(self, draw: Callable[[st.SearchStrategy[int]], int]) -> None:
        self._draw = draw

    def integer(self, low: int, high: int) -> int:
        """Return a number in [low, high]."""
        return self._draw(st.integers(low, high))


def of(c: Choices, options: Sequence[T]) -> T:
    return options[c.integer(0, len(options) - 1)]


def chance(c: Choices, percent: int) -> bool:
    return percent > 0 and c.integer(0, 99) >= 100 - percent


def some(c: Choices, items: Sequence[T]) -> frozenset[T]:
    """Return a non-empty subset."""
    chosen = frozenset(item for item in items if chance(c, 50))
    return chosen or frozenset({of(c, items)})
