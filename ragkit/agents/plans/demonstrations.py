"""Plans that a model is shown: built-in ones, and those of a pool whose questions are most similar."""

from __future__ import annotations

from collections.abc import Mapping

from ragkit.agents.plans.actions import Action
from ragkit.agents.plans.plan import Plan
from ragkit.errors import PlanError
from ragkit.examples import DynamicSelector, ExamplePool, SelectorOptions

DEMONSTRATIONS = (
    Plan.parse(
        "Is the night train to Lyon or the bus cheaper?",
        's1 = find_passages("price of the night train to Lyon")\n'
        's2 = extract_value("How much is the night train to Lyon?", s1)\n'
        's3 = find_passages("price of the bus to Lyon")\n'
        's4 = extract_value("How much is the bus to Lyon?", s3)\n'
        's5 = compare("Is the night train to Lyon or the bus cheaper?", s2, s4)\n'
        "s6 = answer(s5)",
    ),
    Plan.parse(
        "How many of the workshops are free?",
        's1 = find_passages("workshops and their fees")\n'
        's2 = list_items("workshops", s1)\n'
        's3 = keep_items("free", s2)\n'
        "s4 = count_items(s3)\n"
        "s5 = answer(s4)",
    ),
    Plan.parse(
        "Where was the architect of the town hall born?",
        's1 = find_passages("architect of the town hall")\n'
        's2 = extract_value("Who is the architect of the town hall?", s1)\n'
        's3 = find_linked("birthplace", s2)\n'
        's4 = extract_value("Where was the architect born?", s3)\n'
        "s5 = answer(s4)",
    ),
)
"""Plans that the model is shown: a comparison, a count, and a question that needs two passages."""


def select_demonstrations(pool: ExamplePool, question: str, actions: Mapping[str, Action]) -> tuple[Plan, ...]:
    """Return plans of the pool, the most similar last, and built-in ones before them if they are fewer than these.

    Plans that do not fit the actions are left out.

    Args:
        pool: questions with plans.
        question: to answer.
        actions: by name.
    """
    most = len(DEMONSTRATIONS)
    found: list[Plan] = []
    for shot in DynamicSelector(pool, SelectorOptions(exclude_self=False)).select(question, most) if len(pool) else ():
        try:
            plan = Plan.parse(shot.example.input, shot.example.output)
        except PlanError:
            continue
        if not plan.problems(actions):
            found.append(plan)
    return (*DEMONSTRATIONS[: most - len(found)], *found)
