"""Keeps plans that worked: questions with known answers are planned and run, and right plans go into a pool."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ragkit.agents.plans.plan import Plan
from ragkit.agents.plans.planner import Planner
from ragkit.examples import ExamplePool
from ragkit.records import Example
from ragkit.tasks.metrics import squad_words

_MARKS = re.compile(r"\s*\[\d+\]")


@dataclass(frozen=True, slots=True)
class RefineReport:
    """Result of a refinement."""

    questions: int
    kept: int
    """Number of plans that were added to the pool."""
    known: int
    """Number of questions that were already in the pool; they are not planned again."""
    direct: int
    """Number of questions with a right direct answer."""
    failed: tuple[str, ...]
    """Questions without a right plan after all attempts."""


def refine(planner: Planner, examples: Sequence[Example], pool: ExamplePool, *, tries: int = 3) -> RefineReport:
    """Plan questions with known answers, and add each plan whose answer is right to a pool (PEARL, Sun et al., 2023).

    After a wrong answer the model writes another plan. An answer is right if it contains the words of the expected one.
    Measure the pool on other questions than these.

    Args:
        planner: its model writes the plans; its demonstrations can be the same pool, which then grows while it is used.
        examples: questions with their answers.
        pool: gets the questions and plans.
        tries: maximum plans of a question.

    Raises:
        PlanError: if the planner has no model.
        StoreError: if the pool can't be written.
        ModelError: if the model fails.
    """
    before = {example.input for example in pool}
    kept = known = direct = 0
    failed: list[str] = []
    for example in examples:
        if example.input in before:
            known += 1
            continue
        rejected: list[Plan] = []
        for _ in range(tries):
            written = planner.plan(example.input, rejected)
            if written.plan is None:
                continue
            result = planner.ask(example.input, written.plan)
            if not rejected:
                direct += contains_answer(result.direct, example.output)
            if result.outcome == "plan" and contains_answer(result.answer, example.output):
                pool.add([Example(example.input, str(written.plan), {"tries": len(rejected) + 1})])
                kept += 1
                break
            rejected.append(written.plan)
        else:
            failed.append(example.input)
    return RefineReport(len(examples), kept, known, direct, tuple(failed))


def contains_answer(text: str, expected: str) -> bool:
    """Return whether a text contains the words of an expected answer, in their order."""
    said, wanted = squad_words(_MARKS.sub("", text)), squad_words(expected)
    return bool(wanted) and any(
        said[start : start + len(wanted)] == wanted for start in range(len(said) - len(wanted) + 1)
    )
