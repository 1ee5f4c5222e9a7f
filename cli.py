"""The command line: ``numaplace.commands`` as a program; each command loads what it needs."""

from numaplace.commands.app import app, main

__all__ = ["app", "main"]

if __name__ == "__main__":
    main()
