"""Dask and Ray as engines of joblib.

joblib 1.6 and Ray 2.60 bring a backend for each, but with Dask's a job whose worker died is waited
for without end, and with Ray's no result comes before the last. So both are joined here through
what they have in common: a task has a future.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

from joblib.parallel import ParallelBackendBase

from numaplace.models.errors import InputError
from numaplace.solver.parallel import DASK, JobEngine, LostError

CONNECT_S = 10


class _Futures(ParallelBackendBase):  # type: ignore[misc]
    """Takes functions to a cluster with so many cores by `begin`, which returns a future.

    A task that the cluster lost is an outcome of this one job, and ends no other.
    """

    supports_retrieve_callback = True

    def __init__(self, begin: Callable[[Callable[[], Any]], Any], cores: float) -> None:
        super().__init__()
        self.begin, self.size = begin, max(1, int(cores))

    def effective_n_jobs(self, n_jobs: int) -> int:
        return n_jobs

    def configure(self, n_jobs: int = 1, parallel: Any = None, **_: Any) -> int:
        self.parallel = parallel
        return n_jobs

    def submit(self, func: Any, callback: Callable[[Any], None] | None = None) -> Any:
        ((_, (index, *_), _),) = func.items  # a batch of one
        future = self.begin(func)
        future.numaplace_job = index
        future.add_done_callback(callback)
        return future

    def retrieve_result_callback(self, future: Any) -> Any:
        try:
            return future.result()
        except Exception as error:
            return [(future.numaplace_job, None, LostError(error))]


def connected(engine: JobEngine) -> _Futures:
    """Connect to a cluster, once; `InputError` if there is none, or no library for it."""
    try:
        return _dask(engine) if engine.name == DASK else _ray(engine)
    except ModuleNotFoundError as error:
        reason = f"needs {error.name}: pip install 'numaplace[{engine.name}]'"
    except (OSError, ValueError, RuntimeError) as error:
        reason = f"cannot reach {engine.name} {engine.address}".rstrip() + f" ({error})"
    raise InputError("jobs", "--parallel", reason)


def _dask(engine: JobEngine) -> _Futures:
    client = dask_client(engine)
    client.wait_for_workers(1, timeout=CONNECT_S)
    return _Futures(lambda func: client.submit(func, pure=False), sum(client.ncores().values()))


@cache
def dask_client(engine: JobEngine) -> Any:
    """Return the connection of this process, made the first time."""
    from distributed import Client

    if engine.address:
        return Client(engine.address, timeout=CONNECT_S)
    with suppress(ValueError):
        return Client.current()
    return Client(
        n_workers=engine.jobs or os.cpu_count(),
        threads_per_worker=1,
        dashboard_address=None,
        silence_logs=logging.CRITICAL,
    )


def _ray(engine: JobEngine) -> _Futures:
    import ray

    if not ray.is_initialized():
        own = (
            {} if engine.address else {"num_cpus": engine.jobs or None, "include_dashboard": False}
        )
        ray.init(engine.address or "local", log_to_driver=False, logging_level="ERROR", **own)
    call = ray.remote(max_retries=0)(lambda func: func())
    return _Futures(lambda func: call.remote(func).future(), ray.cluster_resources().get("CPU", 1))
