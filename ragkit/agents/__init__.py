"""Tools that a model calls: described by JSON schemas, chosen and filled in under constraints, and run.

``Tool.from_function``, ``tools_from_openapi`` and ``tools_from_mcp`` make tools, ``choose_call`` returns a valid call
or None, and ``Agent`` runs a task and returns an answer with a trace that replays.
"""

from typing import TYPE_CHECKING

from ragkit._lazy import lazy_names

if TYPE_CHECKING:
    from ragkit.agents.agent import Agent, AgentOptions, AgentResult, replay
    from ragkit.agents.arguments import ArgumentOptions
    from ragkit.agents.choosing import CallOptions, choose_call, choose_calls
    from ragkit.agents.mcp_client import McpTools, tools_from_mcp
    from ragkit.agents.openapi import tools_from_openapi
    from ragkit.agents.plans.actions import ACTIONS, Action, Parameter
    from ragkit.agents.plans.mined import MinedAction, load_actions, save_actions
    from ragkit.agents.plans.mining import MiningReport, mine_actions
    from ragkit.agents.plans.outcome import PlanResult
    from ragkit.agents.plans.plan import Plan, PlanStep
    from ragkit.agents.plans.planner import PlanBudget, Planner, PlannerOptions
    from ragkit.agents.plans.quoting import PlanQuote
    from ragkit.agents.plans.refining import RefineReport, refine
    from ragkit.agents.plans.replaying import replay_plan
    from ragkit.agents.plans.values import Item, Value
    from ragkit.agents.probing import ProbeResult, probe
    from ragkit.agents.running import Call, CallRefusedError, Outcome, RunLimits, ToolRunner
    from ragkit.agents.searching import SearchBudget, SearchResult, Step, search
    from ragkit.agents.sources import tools_from_file
    from ragkit.agents.tool import Tool
    from ragkit.agents.tool_file import ToolFile
    from ragkit.agents.toolbox import ToolBox
    from ragkit.agents.trace import AgentTrace
    from ragkit.agents.tuning_rows import tool_records

_HOMES = {
    "ACTIONS": "ragkit.agents.plans.actions",
    "Action": "ragkit.agents.plans.actions",
    "Agent": "ragkit.agents.agent",
    "AgentOptions": "ragkit.agents.agent",
    "AgentResult": "ragkit.agents.agent",
    "AgentTrace": "ragkit.agents.trace",
    "ArgumentOptions": "ragkit.agents.arguments",
    "Call": "ragkit.agents.running",
    "CallRefusedError": "ragkit.agents.running",
    "CallOptions": "ragkit.agents.choosing",
    "Item": "ragkit.agents.plans.values",
    "McpTools": "ragkit.agents.mcp_client",
    "MinedAction": "ragkit.agents.plans.mined",
    "MiningReport": "ragkit.agents.plans.mining",
    "Outcome": "ragkit.agents.running",
    "Parameter": "ragkit.agents.plans.actions",
    "Plan": "ragkit.agents.plans.plan",
    "PlanBudget": "ragkit.agents.plans.planner",
    "PlanQuote": "ragkit.agents.plans.quoting",
    "PlanResult": "ragkit.agents.plans.outcome",
    "PlanStep": "ragkit.agents.plans.plan",
    "Planner": "ragkit.agents.plans.planner",
    "PlannerOptions": "ragkit.agents.plans.planner",
    "ProbeResult": "ragkit.agents.probing",
    "RunLimits": "ragkit.agents.running",
    "RefineReport": "ragkit.agents.plans.refining",
    "SearchBudget": "ragkit.agents.searching",
    "SearchResult": "ragkit.agents.searching",
    "Step": "ragkit.agents.searching",
    "Tool": "ragkit.agents.tool",
    "ToolBox": "ragkit.agents.toolbox",
    "ToolFile": "ragkit.agents.tool_file",
    "ToolRunner": "ragkit.agents.running",
    "Value": "ragkit.agents.plans.values",
    "choose_call": "ragkit.agents.choosing",
    "choose_calls": "ragkit.agents.choosing",
    "load_actions": "ragkit.agents.plans.mined",
    "mine_actions": "ragkit.agents.plans.mining",
    "probe": "ragkit.agents.probing",
    "refine": "ragkit.agents.plans.refining",
    "replay": "ragkit.agents.agent",
    "replay_plan": "ragkit.agents.plans.replaying",
    "save_actions": "ragkit.agents.plans.mined",
    "search": "ragkit.agents.searching",
    "tool_records": "ragkit.agents.tuning_rows",
    "tools_from_file": "ragkit.agents.sources",
    "tools_from_mcp": "ragkit.agents.mcp_client",
    "tools_from_openapi": "ragkit.agents.openapi",
}
"""Public names whose modules are loaded on first use."""

__all__ = [
    "ACTIONS",
    "Action",
    "Agent",
    "AgentOptions",
    "AgentResult",
    "AgentTrace",
    "ArgumentOptions",
    "Call",
    "CallOptions",
    "CallRefusedError",
    "Item",
    "McpTools",
    "MinedAction",
    "MiningReport",
    "Outcome",
    "Parameter",
    "Plan",
    "PlanBudget",
    "PlanQuote",
    "PlanResult",
    "PlanStep",
    "Planner",
    "PlannerOptions",
    "ProbeResult",
    "RefineReport",
    "RunLimits",
    "SearchBudget",
    "SearchResult",
    "Step",
    "Tool",
    "ToolBox",
    "ToolFile",
    "ToolRunner",
    "Value",
    "choose_call",
    "choose_calls",
    "load_actions",
    "mine_actions",
    "probe",
    "refine",
    "replay",
    "replay_plan",
    "save_actions",
    "search",
    "tool_records",
    "tools_from_file",
    "tools_from_mcp",
    "tools_from_openapi",
]

__getattr__ = lazy_names("ragkit.agents", _HOMES)


def __dir__() -> list[str]:
    return __all__
