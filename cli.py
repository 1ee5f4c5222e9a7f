"""The command line.

Each command lives in `numaplace.commands`; what is heavy (solvers, pydantic, matplotlib) is
imported by the commands that need it, so that help and completion are quick.
"""

from numaplace.commands import (
    applying,
    ballooning,
    instances,
    plans,
    questions,
    rebalancing,
    reporting,
    simulations,
    tour,
    traces,
)
from numaplace.commands.app import app, main

__all__ = [
    "app",
    "applying",
    "ballooning",
    "instances",
    "main",
    "plans",
    "questions",
    "rebalancing",
    "reporting",
    "simulations",
    "tour",
    "traces",
]

if __name__ == "__main__":
    main()
