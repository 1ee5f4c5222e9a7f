"""The application that commands are added to, and how it ends when the user got something wrong."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from numaplace import __version__
from numaplace.commands import output
from numaplace.commands.exit_codes import ABORTED, BAD_INPUT, NOT_WRITTEN, OK
from numaplace.commands.manual import COMMANDS, EPILOG, HELP, MOVED
from numaplace.commands.options import option
from numaplace.models.errors import InputError, WriteError, printable
from numaplace.solver.deadline import COMMAND_CLOCK, left_running

# Newer versions of typer bring a click of their own; this is the usage error of either.
UsageError: Any = typer.BadParameter.__base__


class Commands(TyperGroup):
    """The commands; whatever a user got wrong is one line on standard error and exit code 2.

    A command's module is imported when the command runs: help and completion of names do without.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        loaded: dict[str, Any] = dict(self.commands)
        for name, line in COMMANDS.items():
            command = loaded.get(name) or TyperCommand(name, help=line.text)
            command.rich_help_panel = line.panel
            self.commands[name] = command

    def list_commands(self, ctx: Any) -> list[str]:
        """Names of the commands, those a newcomer wants first."""
        return list(COMMANDS)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that is asked for, loaded."""
        name = args[0]
        if name in COMMANDS and self.commands[name].callback is None:
            import_module(f"numaplace.commands.{COMMANDS[name].module}")
            whole: Any = typer.main.get_command(app)
            self.commands[name] = whole.commands[name]
        for word in () if ctx.resilient_parsing else args[1:]:
            old = word.partition("=")[0]
            if (name, old) in MOVED:
                raise InputError(name, old, f"is now {MOVED[name, old]}")
        return super().resolve_command(ctx, args)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line, then exit."""
        try:
            code = super().main(*args, **{**kwargs, "standalone_mode": False})
            sys.stdout.flush()
        except WriteError as error:
            code = _complain(str(error), NOT_WRITTEN)
        except InputError as error:
            code = _complain(str(error))
        except UsageError as error:
            command = error.ctx.command_path if error.ctx else "numaplace"
            code = _complain(f"{error.format_message()} (see {command} --help)")
        except OSError as error:  # files that are written have errors of their own
            code = _complain_of(error)
        except (KeyboardInterrupt, typer.Abort):
            code = ABORTED
        sys.exit(code or OK)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help, and after it what is no list of options."""
        super().format_help(ctx, formatter)
        print(EPILOG)


class ListsFormats(TyperCommand):
    """A command whose help ends with the formats there are."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help, and after it what `registry` holds."""
        from numaplace.instances.formats import registry

        super().format_help(ctx, formatter)
        print(registry.listing(written=self.name == "apply"))


def _complain(text: str, code: int = BAD_INPUT) -> int:
    with contextlib.suppress(OSError):
        print(f"numaplace: error: {printable(' '.join(text.split()))}", file=sys.stderr)
    return code


def _complain_of(error: OSError) -> int:
    why = error.strerror or str(error)
    if error.filename is not None:
        return _complain(f"{os.fsdecode(error.filename)}: {why}")
    output.drop_output()
    why = "it is closed" if error.errno == errno.EBADF else why
    return _complain(f"standard output cannot be written ({why})", NOT_WRITTEN)


app = typer.Typer(
    cls=Commands,
    help=HELP,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Entry point of the ``numaplace`` command."""
    COMMAND_CLOCK.start()
    output.prepare_streams()
    try:
        app(prog_name="numaplace")
    except SystemExit as end:
        if left_running:  # solvers that were late are not waited for
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(end.code if isinstance(end.code, int) else BAD_INPUT)
        raise


@app.callback(invoke_without_command=True)
def _root(
    ctx: typer.Context,
    version: Annotated[bool, option("Print the version.", "--version", "-V")] = False,
) -> None:
    if version:
        print(f"numaplace {__version__}")
    elif ctx.invoked_subcommand is None:
        ctx.get_help()
