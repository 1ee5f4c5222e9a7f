"""Provably good placement of virtual machines on NUMA nodes.

>>> import numaplace
>>> model = numaplace.Model()
>>> host = model.add_host(nodes=2, cores=8, memory_mib=32768)
>>> web = model.add_vm("web", vcpus=4, memory_mib=8192)
>>> model.solve().status.value
'optimal'
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numaplace.api import Model, plot, read, solve

__version__ = "0.1.0"
__all__ = ["Model", "plot", "read", "solve"]


def __getattr__(name: str) -> Any:
    """Import what is exported when it is asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from numaplace import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
