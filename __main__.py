"""The command ``numaplace``, also as ``python -m numaplace``: signals first, long imports later."""

import os
import signal


def main() -> None:
    """Entry point of the ``numaplace`` command; Ctrl-C while it starts is no error to report."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(130))
    from numaplace.cli import main as run

    run()


if __name__ == "__main__":
    main()
