"""Where the recorded machines lie that are not part of the repository."""

import os
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).parents[2]


def shared_data(name: str) -> Path:
    """Return a file of the shared data; skip the test where it is absent."""
    root = os.environ.get("NUMAPLACE_SHARED_DATA", str(_REPOSITORY.parent / "shared" / "data"))
    path = Path(root) / name
    if not path.exists():
        pytest.skip(f"no {path} (set NUMAPLACE_SHARED_DATA)")
    return path
