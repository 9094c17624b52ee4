"""``ragkit trace``: show and replay the traces of agents and plans."""

from __future__ import annotations

from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ragkit.cli.agent import print_agent_result
from ragkit.cli.options import Json
from ragkit.cli.output import one_line, out, print_json
from ragkit.cli.plan import ActionsFile, print_plan_result
from ragkit.serving.names import harmless

if TYPE_CHECKING:
    from ragkit.agents.trace import Event

TraceFile = Annotated[Path, typer.Argument(metavar="FILE", help="Trace file.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    trace = typer.Typer(help="Show and replay traces of agents and plans.", no_args_is_help=True)
    trace.command()(show)
    trace.command()(replay)
    app.add_typer(trace, name="trace")


def show(file: TraceFile, json: Json = False) -> None:
    """Show each step of a trace: inputs, output, tokens and time."""
    from dataclasses import asdict

    from ragkit.agents import AgentTrace

    trace = AgentTrace.load(file)
    if json:
        print_json(asdict(trace))
        return
    out.print(harmless(f"{trace.task}"), style="bold", markup=False)
    out.print(f"{trace.method}, {trace.model or 'no model'}", style="dim", markup=False)
    for number, event in enumerate(trace.events, 1):
        prompts = (
            f", {len(event.prompts)} {'prompt' if len(event.prompts) == 1 else 'prompts'}" if event.prompts else ""
        )
        out.print(
            harmless(f"{number}. {event.kind} ({event.seconds:.2f} s, {event.tokens:,} tokens{prompts})"), markup=False
        )
        for line in _lines(event):
            out.print(harmless(f"   {line}"), style="dim", markup=False)
    out.print(harmless(f"{trace.outcome}: {trace.answer}"), style="bold", markup=False)


def replay(file: TraceFile, actions: ActionsFile = None, json: Json = False) -> None:
    """Replay a trace without a model, tools or documents; the answer is the same."""
    from ragkit.agents import ACTIONS, AgentTrace, load_actions, replay_plan
    from ragkit.agents import replay as replay_agent
    from ragkit.agents.plans.outcome import METHOD

    trace = AgentTrace.load(file)
    if trace.method == METHOD:
        print_plan_result(replay_plan(trace, ACTIONS if actions is None else load_actions(actions)), json)
    else:
        print_agent_result(replay_agent(trace), json)


def _lines(event: Event) -> list[str]:
    """Return the inputs and the output of an event, one line each."""
    output: Any = event.output
    if isinstance(output, dict) and "value" in output and isinstance(output["value"], dict):
        from ragkit.agents import Value

        output = Value.from_dict(output["value"]).text
    elif event.kind == "plan":
        return [*(output["plan"] or output["error"]).splitlines()]
    else:
        output = output if isinstance(output, str) else dumps(output, ensure_ascii=False)
    given = event.inputs.get("step") or dumps(event.inputs, ensure_ascii=False)
    return [one_line(given, 200), f"-> {one_line(output, 200)}"]
