"""Training records from runs of agents: the prompt of each call with its arguments, as at inference."""

from __future__ import annotations

from collections.abc import Sequence

from ragkit.agents.agent import AgentOptions, replay, results_text
from ragkit.agents.choosing import argument_messages
from ragkit.agents.searching import Step
from ragkit.agents.tool import Tool
from ragkit.agents.toolbox import ToolBox
from ragkit.agents.trace import AgentTrace
from ragkit.agents.values import written
from ragkit.tuning.data import TuningRecord


def tool_records(
    trace: AgentTrace, tools: ToolBox | Sequence[Tool], max_shown: int = AgentOptions().max_shown
) -> list[TuningRecord]:
    """Return a training record for each successful call of a run that was answered; none for other runs.

    ``ragkit tune sft`` reads them. Pass traces that a person has checked.

    Args:
        trace: trace of the run.
        tools: tools of the run.
        max_shown: characters of a result that the prompts showed.

    Raises:
        ToolError: if the trace can't be replayed, or has a tool that is not in ``tools``.
    """
    box = tools if isinstance(tools, ToolBox) else ToolBox(tools)
    result = replay(trace)
    if result.outcome != "answered":
        return []
    records: list[TuningRecord] = []
    before: list[Step] = []
    for step in result.steps:
        if not step.outcome.ok:
            continue
        messages = argument_messages(trace.task, box[step.call.tool], results=results_text(before, max_shown))
        records.append(TuningRecord(tuple(messages), written(step.call.arguments), trace.task))
        before.append(step)
    return records
