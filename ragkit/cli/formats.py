"""``ragkit formats``: the file formats that ragkit reads."""

from __future__ import annotations

from dataclasses import asdict

import typer
from rich.table import Table

from ragkit.cli.options import Json
from ragkit.cli.output import out, print_json


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(formats)


def formats(json: Json = False) -> None:
    """List supported file formats, the unit used in citations, and missing packages."""
    from ragkit.documents import registry

    found = registry.formats()
    if json:
        names = ("name", "suffixes", "media_type", "unit", "version", "extra")
        print_json(
            {"formats": [{**{name: asdict(each)[name] for name in names}, "missing": each.missing()} for each in found]}
        )
        return
    table = Table("format", "suffixes", "unit", "status", box=None, header_style="bold")
    for each in found:
        install = f"pip install 'ragkit\\[{each.extra}]'" if each.extra else f"install {', '.join(each.missing())}"
        status = f"[yellow]not installed:[/] {install}" if each.missing() else "[green]ready[/]"
        table.add_row(each.name, " ".join(each.suffixes), each.unit, status)
    out.print(table)
