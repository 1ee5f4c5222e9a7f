"""The command ``numaplace``, also as ``python -m numaplace``: signals first, long imports later."""

import gc
import os
import signal


def main() -> None:
    """Entry point of the ``numaplace`` command; Ctrl-C while it starts is no error to report."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(130))
    # A tenth of the time that a short command takes: imports make hardly any garbage, and nothing
    # here multiplies matrices that are worth numpy's threads.
    gc.set_threshold(50_000)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from numaplace.cli import main as run

    run()


if __name__ == "__main__":
    main()
