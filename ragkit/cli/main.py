"""The ``ragkit`` command: its commands, and how errors become exit codes.

Exit codes: 0 done; 1 failed; 2 wrong usage, setting or query; 3 done, but something of the documents is missing
(the coverage report names it); 4 an index is damaged; 5 an index is in use by another writer; 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from ragkit import __version__
from ragkit.cli import (
    advise,
    asking,
    calibrate,
    classify,
    doctor,
    examples,
    extract,
    feedback,
    formats,
    indexes,
    mcp,
    models,
    route,
    serve,
    tokens,
    tune,
)
from ragkit.cli import eval as evals
from ragkit.cli.output import err, print_error
from ragkit.errors import RagkitError, SettingsError

HELP = """Ask your documents, and get short, true answers with exact citations.

    ragkit ask ./docs "What does it cost?"

makes an index of the folder (or brings it up to date), finds the passages, and answers. Nothing leaves this machine
unless you name an endpoint.

Exit codes: 0 done · 1 failed · 2 wrong usage · 3 done, but some of the documents could not be read ·
4 index damaged · 5 index in use by another writer · 130 interrupted.
"""

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
    """Apply the settings that hold for all commands; ``--version`` ends in its callback."""
    from ragkit.embedding.opening import set_default_runtime
    from ragkit.settings import load_settings

    try:
        settings = load_settings()
    except SettingsError:
        return  # a command that needs settings says what is wrong with them; help and others still work
    set_default_runtime(settings.embedding_runtime, settings.device)


asking.register(app)
indexes.register(app)
examples.register(app)
classify.register(app)
extract.register(app)
doctor.register(app)
formats.register(app)
models.register(app)
route.register(app)
tune.register(app)
advise.register(app)
evals.register(app)
calibrate.register(app)
feedback.register(app)
serve.register(app)
mcp.register(app)
tokens.register(app)


def main() -> None:
    """Run the command line; every RagkitError becomes a message, a hint and an exit code."""
    # A Python process that a library starts must not import what lies beside the documents.
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    try:
        app()
    except RagkitError as error:
        print_error(error, as_json="--json" in sys.argv)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        err.print("Interrupted. What was acknowledged is kept; run the same command to go on.")
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
