"""``ragkit agent``: run a task with tools, and make training rows of its trace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.options import Json
from ragkit.cli.output import err, one_line, out, print_json
from ragkit.cli.tasks import ModelName
from ragkit.cli.tools import DEFAULT_FILE, ToolsFile

if TYPE_CHECKING:
    from ragkit.agents import AgentResult, Call, Tool


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    agent = typer.Typer(help="Run tasks with tools.", no_args_is_help=True)
    agent.command()(run)
    agent.command()(rows)
    app.add_typer(agent, name="agent")


def run(
    task: Annotated[str, typer.Argument(metavar="TASK", help="What to do, in quotes.", show_default=False)],
    file: ToolsFile = DEFAULT_FILE,
    model: ModelName = None,
    method: Annotated[str, typer.Option(help="Search method: depth, breadth, chain or chains.")] = "depth",
    max_calls: Annotated[int, typer.Option("--max-calls", min=1, help="Maximum calls of tools.")] = 12,
    seconds: Annotated[float, typer.Option("--time-limit", metavar="SECONDS", help="Time limit of the task.")] = 300.0,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Confirm all calls that change something.")] = False,
    trace: Annotated[
        Path | None, typer.Option("--trace", metavar="FILE", help="Write the trace to a file, for `ragkit trace`.")
    ] = None,
    json: Json = False,
) -> None:
    """Run a task with the tools of a collection.

    Each call that changes something is shown and needs a confirmation. Tools in quarantine and tools that changed since
    they were added are not offered.
    """
    from ragkit.agents import Agent, AgentOptions, SearchBudget, ToolBox, ToolFile
    from ragkit.cli.tasks import opened_model
    from ragkit.errors import SettingsError
    from ragkit.models import open_model
    from ragkit.settings import load_settings

    if method not in ("depth", "breadth", "chain", "chains"):
        raise SettingsError(f"Unknown method: {method!r}.", "Methods: depth, breadth, chain, chains.")
    settings = load_settings()
    name = model or settings.model
    if name == "none":
        raise SettingsError("An agent needs a language model.", "Specify one: --model NAME")
    opened = opened_model(name, settings)
    with ToolFile.open(file) as collection:
        for item in collection.listed():
            if not item.offered and not json:
                reason = item.problem or (item.probe.reason if item.probe is not None else "")
                err.print(f"Not offered: {item.name}. {one_line(reason, 200)}", markup=False)
        agent = Agent(
            open_model(opened or "auto") if opened is None or isinstance(opened, str) else opened,
            ToolBox(collection.offered()),
            confirm=(lambda tool, call: True) if yes else _confirmed,
            options=AgentOptions(method=method, budget=SearchBudget(calls=max_calls, seconds=seconds)),  # type: ignore[arg-type]
        )
        result = agent.run(task)
    if trace is not None:
        result.trace.save(trace)
    print_agent_result(result, json)


def rows(
    files: Annotated[list[Path], typer.Argument(metavar="TRACE...", help="Trace files.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="JSON Lines file for `tune sft`.")],
    file: ToolsFile = DEFAULT_FILE,
    json: Json = False,
) -> None:
    """Write the calls of traces as training rows for `ragkit tune sft`.

    Only runs that were answered give rows. Pass traces that you have checked.
    """
    from json import dumps

    from ragkit._files import write_atomically
    from ragkit.agents import AgentTrace, ToolBox, ToolFile, tool_records

    with ToolFile.open(file) as collection:
        box = ToolBox(collection.offered())
    records = [record for path in files for record in tool_records(AgentTrace.load(path), box)]
    lines = [dumps({**record.to_dict(), "kind": "tool"}, ensure_ascii=False) + "\n" for record in records]
    write_atomically(output, "".join(lines).encode())
    if json:
        print_json({"rows": len(records), "output": output})
    else:
        out.print(f"{len(records):,} {'row' if len(records) == 1 else 'rows'}: {output}", markup=False)


def _confirmed(tool: Tool, call: Call) -> bool:
    err.print(f"{tool.name} changes something: {call.key()}", markup=False)
    return typer.confirm("Run it?", default=False, err=True)


def print_agent_result(result: AgentResult, json: bool) -> None:
    """Print what an agent found, with its calls."""
    if json:
        print_json(
            {
                "answer": result.answer,
                "outcome": result.outcome,
                "calls": [
                    {"tool": step.call.tool, "arguments": step.call.arguments, **step.outcome.to_dict()}
                    for step in result.steps
                ],
            }
        )
    else:
        for step in result.steps:
            err.print(f"{step.call.key()} -> {step.outcome.kind}: {one_line(step.outcome.text, 200)}", markup=False)
        out.print(result.answer, markup=False)
    if result.outcome in ("no_tool", "failed", "stopped"):
        raise typer.Exit(1)
