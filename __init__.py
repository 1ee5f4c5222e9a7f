"""Provably good placement of virtual machines on NUMA nodes; import from the submodules."""

__version__ = "0.1.0"
