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
from typing import Any

from joblib.parallel import ParallelBackendBase

from numaplace.models.errors import InputError
from numaplace.solver.parallel import DASK, JobEngine, LostError

CONNECT_S = 10
_clients: dict[str, Any] = {}


class Futures(ParallelBackendBase):  # type: ignore[misc]
    """Tasks of an engine that gives a future for each, `size` of them at the same time.

    A task that the engine lost (after it had tried it again) is an outcome of this one job.

    Parameters
    ----------
    begin
        Takes a function to the engine, and returns what `cancel` takes, and a future.
    cancel
        Ends a task, whether it has begun or not.
    size
        Cores of the cluster.
    """

    supports_retrieve_callback = True

    def __init__(
        self,
        begin: Callable[[Callable[[], Any]], tuple[Any, Any]],
        cancel: Callable[[Any], object],
        size: int,
    ) -> None:
        super().__init__()
        self.size = size
        self._begin, self._cancel = begin, cancel
        self._open: dict[Any, tuple[Any, int]] = {}

    def effective_n_jobs(self, n_jobs: int) -> int:
        """As many as are asked for: what is too much waits in the cluster."""
        return n_jobs

    def configure(self, n_jobs: int = 1, parallel: Any = None, **_: Any) -> int:
        """Take on the jobs of a call."""
        self.parallel = parallel
        return n_jobs

    def submit(self, func: Any, callback: Callable[[Any], None] | None = None) -> Any:
        """Begin a batch, which is of one job."""
        (_, (errand,), _), *_ = func.items
        task, future = self._begin(func)
        self._open[future] = task, errand.index
        future.add_done_callback(callback)
        return future

    def retrieve_result_callback(self, future: Any) -> list[Any]:
        """Return the outcomes of a batch."""
        _, index = self._open.pop(future)
        try:
            return list(future.result())
        except Exception as error:
            return [(index, None, LostError(error))]

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Cancel all that has not ended."""
        for task, _ in tuple(self._open.values()):
            self._cancel(task)


def connected(engine: JobEngine) -> Futures:
    """Connect to a cluster, once; `InputError` if there is none, or no library for it."""
    try:
        return _dask(engine) if engine.name == DASK else _ray(engine)
    except ModuleNotFoundError as error:
        reason = f"needs {error.name}: pip install 'numaplace[{engine.name}]'"
    except (OSError, ValueError, RuntimeError) as error:
        reason = f"cannot reach {engine.name} {engine.address}".rstrip() + f" ({error})"
    raise InputError("jobs", "--parallel", reason)


def _dask(engine: JobEngine) -> Futures:
    from distributed import Client

    client = _clients.get(engine.address)
    if client is None and not engine.address:
        with suppress(ValueError):
            client = Client.current()
    if client is None or client.status != "running":
        if engine.address:
            client = Client(engine.address, timeout=CONNECT_S, set_as_default=False)
        else:
            size = engine.jobs or os.cpu_count() or 1
            client = Client(
                n_workers=size,
                threads_per_worker=1,
                dashboard_address=None,
                silence_logs=logging.CRITICAL,
            )
        _clients[engine.address] = client
    client.wait_for_workers(1, timeout=CONNECT_S)

    def begin(func: Callable[[], Any]) -> tuple[Any, Any]:
        future = client.submit(func, pure=False)
        return future, future

    return Futures(begin, client.cancel, max(1, sum(client.ncores().values())))


def _ray(engine: JobEngine) -> Futures:
    import ray

    if not ray.is_initialized():
        size = None if engine.address else engine.jobs or os.cpu_count()
        ray.init(
            engine.address or "local",
            num_cpus=size,
            include_dashboard=None if engine.address else False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    remote = ray.remote(max_retries=1)(_call)

    def begin(func: Callable[[], Any]) -> tuple[Any, Any]:
        task = remote.remote(func)
        return task, task.future()

    return Futures(begin, ray.cancel, max(1, int(ray.cluster_resources().get("CPU", 1))))


def _call(func: Callable[[], Any]) -> Any:
    return func()
