"""The command that lists the vector stores that an index can use."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from ragkit.cli.options import Json
from ragkit.cli.output import out, print_json

if TYPE_CHECKING:
    from ragkit.indexing.backends import Kind


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(backends)


def backends(json: Json = False) -> None:
    """List the vector stores that an index can use, their addresses, and what each missing extra adds."""
    from rich.table import Table

    from ragkit.indexing.backends import KINDS

    if json:
        print_json({"backends": [{**asdict(kind), "installed": kind.installed} for kind in KINDS]})
        return
    table = Table(box=None, header_style="bold")
    for column in ("store", "address", "installed", "notes"):
        table.add_column(column, overflow="fold")
    for kind in KINDS:
        table.add_row(kind.name, kind.address, _installed(kind), kind.note)
    out.print(table)
    out.print("Use one: ragkit sync PATH --index NAME --backend ADDRESS", style="cyan", markup=False)


def _installed(kind: Kind) -> str:
    return "yes" if kind.installed else f"pip install 'ragkit\\[{kind.extra}]'"
