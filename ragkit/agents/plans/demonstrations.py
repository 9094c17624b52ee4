"""Demonstrations for the prompt: built-in plans for the form of the question, and plans of a pool for similar ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from ragkit.agents.plans.actions import Action
from ragkit.agents.plans.plan import Plan
from ragkit.answering.question import understand
from ragkit.answering.readers.superlatives import HIGHEST, LOWEST
from ragkit.errors import PlanError
from ragkit.examples import DynamicSelector, ExamplePool, SelectorOptions

Form = Literal["fact", "linked", "comparison", "difference", "superlative", "count", "list", "summary"]
SHOWN = 3
"""Number of plans in the prompt: small models do best with few, the most similar last."""
_DIFFERENCE = re.compile(
    r"\bhow (?:much|many) (?:\w+ )?(?:more|less|fewer|\w+er)\b|\bdifference\b.*\bbetween\b", re.IGNORECASE
)
_LINKED = re.compile(
    r"\bthe \w*(?:er|or|ist|ect|ian) (?:of|who|that|behind)\b|\b(?:whose|of the \w+ (?:who|that|which))\b",
    re.IGNORECASE,
)

_BY_FORM: dict[Form, Plan] = {
    "fact": Plan.parse(
        "When does the harbour office close on Fridays?",
        's1 = find_passages("closing time of the harbour office on Fridays")\n'
        's2 = extract_value("When does the harbour office close on Fridays?", s1)\n'
        "s3 = answer(s2)",
    ),
    "linked": Plan.parse(
        "Where was the architect of the town hall born?",
        's1 = find_passages("architect of the town hall")\n'
        's2 = extract_value("Who is the architect of the town hall?", s1)\n'
        's3 = find_linked("birthplace", s2)\n'
        's4 = extract_value("Where was the architect born?", s3)\n'
        "s5 = answer(s4)",
    ),
    "comparison": Plan.parse(
        "Is the night train to Lyon or the bus cheaper?",
        's1 = find_passages("price of the night train to Lyon")\n'
        's2 = extract_value("How much is the night train to Lyon?", s1)\n'
        's3 = find_passages("price of the bus to Lyon")\n'
        's4 = extract_value("How much is the bus to Lyon?", s3)\n'
        's5 = compare("Is the night train to Lyon or the bus cheaper?", s2, s4)\n'
        "s6 = answer(s5)",
    ),
    "difference": Plan.parse(
        "How many more loans were there in May than in April?",
        's1 = find_passages("number of loans in May")\n'
        's2 = extract_value("How many loans were there in May?", s1)\n'
        's3 = find_passages("number of loans in April")\n'
        's4 = extract_value("How many loans were there in April?", s3)\n'
        "s5 = difference(s2, s4)\n"
        "s6 = answer(s5)",
    ),
    "superlative": Plan.parse(
        "Which boat carries the most passengers?",
        's1 = find_passages("boats and their passengers")\n'
        's2 = list_items("boats", s1)\n'
        's3 = largest_item(s2, "passengers")\n'
        "s4 = answer(s3)",
    ),
    "count": Plan.parse(
        "How many of the workshops are free?",
        's1 = find_passages("workshops and their fees")\n'
        's2 = list_items("workshops", s1)\n'
        's3 = keep_items("free", s2)\n'
        "s4 = count_items(s3)\n"
        "s5 = answer(s4)",
    ),
    "list": Plan.parse(
        "What do I have to do to borrow a canoe?",
        's1 = find_passages("borrow a canoe")\ns2 = list_items("steps to borrow a canoe", s1)\ns3 = answer(s2)',
    ),
    "summary": Plan.parse(
        "Summarise the house rules of the hostel.",
        's1 = find_passages("house rules of the hostel")\n'
        's2 = summarise("house rules of the hostel", s1)\n'
        "s3 = answer(s2)",
    ),
}
DEMONSTRATIONS = tuple(_BY_FORM.values())
"""Built-in plans, one for each form of question."""
_OTHERS: tuple[Form, ...] = ("comparison", "count", "linked")
"""Forms that are shown besides that of the question, as far as they differ from it."""


def form_of(question: str) -> Form:
    """Return the form of a question, by rules."""
    asked = understand(question)
    words = set(re.findall(r"[a-z]+", question.lower()))
    if _DIFFERENCE.search(question):
        return "difference"
    if asked.kind == "comparison" and len(asked.sides) == 2:
        return "comparison"
    if asked.kind in ("summary", "about"):
        return "summary"
    if words & (HIGHEST | LOWEST) and not re.search(r"\bat (?:most|least)\b", question, re.IGNORECASE):
        return "superlative"
    if re.search(r"\bhow many\b", question, re.IGNORECASE):
        return "count"
    if asked.kind in ("list", "procedure"):
        return "list"
    return "linked" if _LINKED.search(question) else "fact"


def demonstrations_for(question: str) -> tuple[Plan, ...]:
    """Return the built-in plans that a model is shown for a question: that of the question's form last."""
    form = form_of(question)
    others = [other for other in _OTHERS if other != form]
    return (*(_BY_FORM[other] for other in others[: SHOWN - 1]), _BY_FORM[form])


def select_demonstrations(pool: ExamplePool, question: str, actions: Mapping[str, Action]) -> tuple[Plan, ...]:
    """Return plans of the pool, the most similar last, and built-in ones before them if they are fewer than these.

    Plans that do not fit the actions are left out.

    Args:
        pool: questions with plans.
        question: question to answer.
        actions: available actions by name.
    """
    found: list[Plan] = []
    for shot in DynamicSelector(pool, SelectorOptions(exclude_self=False)).select(question, SHOWN) if len(pool) else ():
        try:
            plan = Plan.parse(shot.example.input, shot.example.output)
        except PlanError:
            continue
        if not plan.problems(actions):
            found.append(plan)
    return (*demonstrations_for(question)[len(found) :], *found)
