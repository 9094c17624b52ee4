"""Estimated cost of a plan before it runs: calls, tokens and minutes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ragkit.agents.plans.actions import Action
from ragkit.agents.plans.finding import find_section, read_document
from ragkit.agents.plans.plan import Plan
from ragkit.agents.plans.running import asks_model
from ragkit.agents.plans.workbench import NARROWED, WINDOW_SHARE, WRITTEN_TOKENS, Workbench
from ragkit.models import ScoringModel

_PER_CHARACTER = 0.25
"""Tokens of a character."""
_PROMPT = 500
"""Tokens of instructions and examples that come before a text."""
_TASK = 60
"""Tokens of a task on a text that was read before."""
_PASSAGE = 256
"""Maximum tokens of a passage, if the index has no chunk size."""
_SECTION = 3000
"""Characters of a section."""


@dataclass(frozen=True, slots=True)
class PlanQuote:
    """Estimate of what a plan takes."""

    calls: int
    """Calls of the model."""
    tokens: int
    """Tokens of prompts and replies; a text that several steps read is counted once for a local model."""
    minutes: float | None
    """None if no call of the model was timed yet."""


def quote_plan(
    plan: Plan, actions: Mapping[str, Action], bench: Workbench, tokens_per_second: float | None
) -> PlanQuote:
    """Estimate what a plan takes.

    Args:
        plan: a checked plan.
        actions: available actions by name.
        bench: index and model.
        tokens_per_second: tokens per second of the model, prompt and reply together; None if it is not known.
    """
    shares_texts = isinstance(bench.model, ScoringModel)
    calls = tokens = 0
    read: set[int] = set()
    for step in plan.steps:
        action = actions[step.action]
        if not asks_model(action, bench):
            continue
        calls += 1
        tokens += _TASK + WRITTEN_TOKENS // 2
        for ref in step.refs:
            if not shares_texts or ref.step not in read:
                tokens += _PROMPT + _tokens_of(plan, ref.step, actions, bench, one_passage=shares_texts)
            read.add(ref.step)
    minutes = round(tokens / tokens_per_second / 60, 2) if tokens_per_second else None
    return PlanQuote(calls, tokens, minutes if calls else 0.0)


def _tokens_of(plan: Plan, number: int, actions: Mapping[str, Action], bench: Workbench, *, one_passage: bool) -> int:
    """Return about how many tokens the result of a step has."""
    action = actions[plan.steps[number - 1].action]
    if action.returns != "passages":
        return _TASK
    if action.run in (read_document, find_section):
        characters = _mean_characters(bench) if action.run is read_document else _SECTION
        window = bench.model.window if bench.model is not None else 0
        if not bench.reads_all:
            characters = min(characters, NARROWED)
        return min(int(_PER_CHARACTER * characters), int(WINDOW_SHARE * window))
    passages = 1 if one_passage else bench.retriever.options.k
    return passages * (bench.index.chunking.size or _PASSAGE)


def _mean_characters(bench: Workbench) -> int:
    infos = bench.index.documents(bench.where)
    return sum(info.characters for info in infos) // max(1, len(infos))
