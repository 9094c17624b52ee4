"""``ragkit tools``: add, list and probe tools for agents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragkit.cli.options import Json
from ragkit.cli.output import one_line, out, print_json, seconds_text

if TYPE_CHECKING:
    from ragkit.agents.tool_file import Listed

ToolsFile = Annotated[
    Path, typer.Option("--tools", "-t", metavar="FILE", help="File of the tool collection; it is created if missing.")
]
DEFAULT_FILE = Path("tools.json")


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    tools = typer.Typer(help="Add, list and probe tools for agents.", no_args_is_help=True)
    tools.command()(add)
    tools.command("list")(list_tools)
    tools.command()(probe)
    app.add_typer(tools, name="tools")


def add(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A Python file, an OpenAPI document (file or address), or `mcp:` and the command or address of an MCP "
            "server.",
            show_default=False,
        ),
    ],
    name: Annotated[
        list[str] | None,
        typer.Option("--name", "-n", metavar="NAME", help="Tool to add (default: all). Can be repeated."),
    ] = None,
    writes: Annotated[
        bool, typer.Option("--writes", help="Mark the tools as changing something; each call needs a confirmation.")
    ] = False,
    file: ToolsFile = DEFAULT_FILE,
    json: Json = False,
) -> None:
    """Add the tools of a Python file, an OpenAPI document or an MCP server to a collection, or update them.

    Public functions of a Python file that have type hints and a docstring become tools. The file is run in a child
    process; add only files that you trust.
    """
    from ragkit.agents.tool_file import ToolFile

    with ToolFile.open(file, create=True) as collection:
        added = collection.add(source, name or (), writes=writes)
        collection.save()
    if json:
        print_json({"added": [tool.name for tool in added]})
        return
    for tool in added:
        print_line(tool.name, "writes" if tool.writes else "", tool.description)


def list_tools(file: ToolsFile = DEFAULT_FILE, json: Json = False) -> None:
    """List the tools of a collection, with the results of the last probe."""
    from ragkit.agents.tool_file import ToolFile

    with ToolFile.open(file) as collection:
        rows = collection.listed()
    if json:
        print_json({"tools": [_row(item) for item in rows]})
        return
    for item in rows:
        row = _row(item)
        print_line(item.name, row["status"], row["problem"] or row["description"])


def probe(
    file: ToolsFile = DEFAULT_FILE,
    due: Annotated[
        bool, typer.Option("--due", help="Only tools that were never tried, or whose quarantine is over.")
    ] = False,
    seconds: Annotated[float, typer.Option("--time-limit", metavar="SECONDS", help="Time limit per call.")] = 10.0,
    json: Json = False,
) -> None:
    """Try each tool on examples of its schema, and quarantine those that fail.

    Agents are not offered tools in quarantine. With --due, they are tried again after 5 minutes, doubled up to a day.
    Tools that write are never tried.
    """
    from ragkit.agents.probing import probe as probe_tools
    from ragkit.agents.running import RunLimits
    from ragkit.agents.tool_file import ToolFile

    with ToolFile.open(file) as collection:
        tools = collection.due() if due else [item.tool for item in collection.listed() if item.tool is not None]
        results = probe_tools(tools, collection.probes, limits=RunLimits(seconds=seconds))
        collection.probes.update(results)
        collection.save()
    if json:
        print_json({"results": list(results.values())})
    else:
        for result in results.values():
            print_line(result.tool, result.status, result.reason or seconds_text(result.seconds))
    if any(result.quarantined for result in results.values()):
        raise typer.Exit(3)


def _row(item: Listed) -> dict[str, Any]:
    status = "unavailable" if item.problem else "not probed" if item.probe is None else item.probe.status
    return {
        "name": item.name,
        "source": item.source,
        "status": status,
        "problem": item.problem or (item.probe.reason if item.probe is not None else ""),
        "writes": item.tool is not None and item.tool.writes,
        "description": item.tool.description if item.tool is not None else "",
        "parameters": item.tool.parameters if item.tool is not None else None,
        "seconds": item.probe.seconds if item.probe is not None else None,
    }


def print_line(name: str, status: str, text: str) -> None:
    """Print a tool with its status on one line."""
    out.print(f"{name:<28} {status:<12} {one_line(text, 100)}".rstrip(), markup=False)
