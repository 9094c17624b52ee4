"""The ``ragkit`` command: its subcommands, and the exit codes of errors.

Exit codes: 0 success; 1 failure; 2 invalid usage, setting or query; 3 success with omissions (see the coverage
report); 4 damaged index; 5 index in use by another writer; 130 interrupted.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Annotated

import typer

from ragkit import __version__
from ragkit.cli import (
    adapt,
    advise,
    agent,
    asking,
    backends,
    backup,
    calibrate,
    chat,
    classify,
    data,
    doctor,
    examples,
    extract,
    feedback,
    formats,
    indexes,
    maintenance,
    mcp,
    models,
    plan,
    records,
    route,
    serve,
    table,
    tokens,
    tools,
    trace,
    tune,
)
from ragkit.cli import eval as evals
from ragkit.cli.output import err, print_error
from ragkit.errors import RagkitError, SettingsError

HELP = """Ask questions about your documents, and get short answers with exact citations.

    ragkit ask ./docs "What does it cost?"

indexes the folder (or updates its index), retrieves the relevant passages, and answers. No data leaves this machine
unless you specify an API model.

Exit codes: 0 success · 1 failure · 2 invalid usage · 3 success, but some of the documents could not be read ·
4 index damaged · 5 index in use by another writer · 130 interrupted.
"""

_LOG = "RAGKIT_LOG"

app = typer.Typer(
    help=HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    add_completion=True,
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"ragkit {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Apply the settings that are common to all commands; ``--version`` exits in its callback."""
    _log_to_stderr(os.environ.get(_LOG))
    from ragkit.embedding.opening import set_default_runtime
    from ragkit.settings import load_settings

    try:
        settings = load_settings()
    except SettingsError:
        return  # a command that needs settings reports the error; --help and others still work
    set_default_runtime(settings.embedding_runtime, settings.device)


def _log_to_stderr(level: str | None) -> None:
    """Show ragkit's log at a level; nothing without one.

    Raises:
        SettingsError: if the level is unknown.
    """
    if not level:
        return
    levels = ("debug", "info", "warning", "error")
    if level.lower() not in levels:
        raise SettingsError(f"Unknown level {level!r} in {_LOG}.", f"Legal values: {', '.join(levels)}.")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("ragkit").setLevel(level.upper())


asking.register(app)
chat.register(app)
indexes.register(app)
maintenance.register(app)
backends.register(app)
backup.register(app)
examples.register(app)
classify.register(app)
extract.register(app)
doctor.register(app)
formats.register(app)
models.register(app)
records.register(app)
route.register(app)
tune.register(app)
data.register(app)
adapt.register(app)
advise.register(app)
evals.register(app)
calibrate.register(app)
feedback.register(app)
serve.register(app)
mcp.register(app)
tokens.register(app)
tools.register(app)
agent.register(app)
plan.register(app)
trace.register(app)
table.register(app)


def main() -> None:
    """Run the command line. A RagkitError is printed with its hint, and sets the exit code."""
    # A Python process started by a library must not import modules from the folder of the documents.
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    try:
        app()
    except RagkitError as error:
        print_error(error, as_json="--json" in sys.argv)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        err.print("Interrupted. Completed work is kept; run the same command again to continue.")
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
