"""Writes plans with a model, so that the result is always a valid plan.

A local model writes one step at a time under a grammar that is made from the actions and from the steps so far: names,
number of arguments, order and kinds of earlier steps are right by construction, and ``answer`` gets all results that no
other step uses. Any other model writes JSON for a schema; problems are sent back to it for a limited number of times.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ragkit.agents.plans.actions import Action, table_of
from ragkit.agents.plans.demonstrations import Form, demonstrations_for, form_of
from ragkit.agents.plans.plan import ANSWER, MAX_STEPS, Plan, PlanStep, Ref
from ragkit.answering.routes import capability_of
from ragkit.errors import ModelOutputError, PlanError
from ragkit.models import ChatModel, ConstrainedModel, GenerationOptions, complete
from ragkit.records import Message

MAX_TEXT = 120
"""Maximum characters of a text argument under the grammar."""
_STEP_TOKENS = 96
_REPLY_TOKENS = 700
_TEMPERATURE = 0.7
"""Sampling temperature of a plan after one that gave a wrong answer."""
_FENCE = re.compile(r"^\s*```\w*\s*|\s*```\s*$")
_READERS = frozenset({"extract_value", "list_items", "summarise"})
_READS: dict[Form, frozenset[str]] = {
    "fact": frozenset({"extract_value"}),
    "linked": frozenset({"extract_value"}),
    "comparison": frozenset({"extract_value"}),
    "difference": frozenset({"extract_value"}),
    "superlative": frozenset({"list_items"}),
    "list": frozenset({"list_items"}),
    "summary": frozenset({"summarise"}),
    "count": frozenset({"list_items", "extract_value"}),
}
"""Built-in actions with which a small model may read passages, by the form of the question."""
_CLOSING: dict[Form, str] = {"comparison": "compare", "difference": "difference"}
"""The action that follows two values, by the form of the question."""
_PROMPT = (
    "Write a plan that answers the question from documents. Each step calls one action; its arguments are texts in "
    "quotes or earlier steps. Use few steps. The last step is answer.\n\nActions:\n"
)
_JSON_FORMAT = (
    '\n\nReply with JSON: {"steps": [{"action": "find_passages", "arguments": ["..."]}, ...]}. An argument is a text, '
    "or s1, s2, ... for the result of that step."
)


@dataclass(frozen=True, slots=True)
class PlanAttempt:
    """A plan as a model wrote it."""

    text: str
    problems: tuple[str, ...]
    """Problems found in the plan; empty for a valid plan."""


@dataclass(frozen=True, slots=True)
class WrittenPlan:
    """Result of writing a plan."""

    plan: Plan | None
    """None if no attempt was valid."""
    attempts: tuple[PlanAttempt, ...]


def write_plan(
    model: ChatModel,
    question: str,
    actions: Mapping[str, Action],
    demonstrations: Sequence[Plan] | None = None,
    *,
    max_steps: int = MAX_STEPS,
    retries: int = 3,
    rejected: Sequence[Plan] = (),
) -> WrittenPlan:
    """Let a model write a plan.

    Args:
        model: local model, API model, or any other chat model.
        question: question to answer.
        actions: available actions by name.
        demonstrations: plans that the model is shown; by default, built-in ones for the form of the question.
        max_steps: maximum steps, ``answer`` included.
        retries: maximum number of times that the problems of a plan are sent back to a model without grammar support.
        rejected: valid plans that gave a wrong answer; the model is asked for another one, and samples it.

    Raises:
        PromptOverflowError: if actions and demonstrations do not fit the window.
        ModelError: if the model fails.
    """
    if demonstrations is None:
        demonstrations = demonstrations_for(question)
    fitting = dict(actions) if capability_of(model) == "judges" else _fitting(actions, question)
    if isinstance(model, ConstrainedModel):
        return _constrained(model, question, actions, fitting, demonstrations, max_steps, rejected)
    return _free(model, question, actions, demonstrations, max_steps, retries, rejected)


def step_grammar(actions: Mapping[str, Action], earlier: Sequence[str], unused: Sequence[int], *, last: bool) -> str:
    """Return the grammar of the next step, in llama.cpp's GBNF.

    Passages have to be read before the next search and before the answer, unless no other step is left: small models
    else search for the same thing again and again, or answer like the direct answer.

    Args:
        actions: available actions by name.
        earlier: kind of each earlier step.
        unused: numbers of earlier steps that no step uses yet.
        last: whether only ``answer`` is allowed.

    Raises:
        PlanError: if no action fits.
    """
    calls: list[str] = []
    answer = json.dumps(f"{ANSWER}({', '.join(f's{number}' for number in unused)})")
    unread = any(earlier[number - 1] == "passages" for number in unused)
    for action in actions.values():
        if action.name == ANSWER:
            if unused and (last or not unread):
                calls.append(answer)
        elif not last and not (unread and action.returns == "passages"):
            arguments: list[str] = []
            for parameter in action.parameters:
                fitting = [f'"s{number}"' for number, kind in enumerate(earlier, 1) if kind in parameter.kinds]
                written = "text" if not parameter.kinds else f"({' | '.join(fitting)})" if fitting else ""
                comma = '", " ' if arguments else ""
                arguments.append(f"({comma}{written})?" if parameter.optional else written and comma + written)
            if all(arguments):
                calls.append(f'"{action.name}(" {" ".join(arguments)} ")"')
    if not calls and unused and ANSWER in actions:
        calls.append(answer)
    if not calls:
        raise PlanError("No action can be the next step.", f"Offer {ANSWER} and an action with text arguments only.")
    text = rf'text ::= "\"" [^"\\\x00-\x20] [^"\\\x00-\x1f]{{2,{MAX_TEXT}}} "\""'
    return f"root ::= {' | '.join(calls)}\n{text}\n"


def plan_schema(actions: Mapping[str, Action], max_steps: int = MAX_STEPS) -> dict[str, Any]:
    """Return the JSON schema of a plan for models that do not follow a grammar."""
    step = {
        "type": "object",
        "properties": {
            "action": {"enum": list(actions)},
            "arguments": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["action", "arguments"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"steps": {"type": "array", "items": step, "minItems": 1, "maxItems": max_steps}},
        "required": ["steps"],
        "additionalProperties": False,
    }


def plan_from_json(question: str, text: str, actions: Mapping[str, Action]) -> Plan:
    """Read the JSON of a plan. ``s1`` is a step if the action expects one, and otherwise a text.

    Raises:
        PlanError: if the text is not the JSON of steps.
    """
    try:
        steps = json.loads(_FENCE.sub("", text))["steps"]
        return Plan(question, tuple(_step(step["action"], step["arguments"], actions) for step in steps))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PlanError(f"The reply is not the JSON of a plan: {text[:120]!r}.", "Reply with JSON only.") from error


def plan_messages(
    question: str,
    actions: Mapping[str, Action],
    demonstrations: Sequence[Plan],
    *,
    as_json: bool = False,
    rejected: Sequence[Plan] = (),
) -> list[Message]:
    """Return the prompt for a plan; parts that are the same for all questions come first."""
    messages = [Message("system", _PROMPT + table_of(actions) + (_JSON_FORMAT if as_json else ""))]
    for plan in demonstrations:
        if all(step.action in actions for step in plan.steps):
            shown = _as_json(plan) if as_json else str(plan)
            messages += [Message("user", f"Question: {plan.question}"), Message("assistant", shown)]
    shown = "".join(f"\n\nThis plan gave a wrong answer:\n{_as_json(plan) if as_json else plan}" for plan in rejected)
    return [*messages, Message("user", f"Question: {question}{shown}")]


def _constrained(
    model: ConstrainedModel,
    question: str,
    actions: Mapping[str, Action],
    fitting: Mapping[str, Action],
    demonstrations: Sequence[Plan],
    max_steps: int,
    rejected: Sequence[Plan],
) -> WrittenPlan:
    messages = plan_messages(question, actions, demonstrations, rejected=rejected)
    steps: list[PlanStep] = []
    kinds: list[str] = []
    unused: list[int] = []
    closing = _CLOSING.get(form_of(question), "")
    offered = _next_actions(fitting, closing, steps, [])
    temperature = _TEMPERATURE if rejected else None
    while not steps or steps[-1].action != ANSWER:
        last = len(steps) == max_steps - 1
        grammar = step_grammar(actions if last else offered, kinds, unused, last=last)
        begun = "".join(f"s{number} = {step}\n" for number, step in enumerate(steps, 1)) + f"s{len(steps) + 1} = "
        options = GenerationOptions(_STEP_TOKENS, temperature, seed=len(rejected), stop=("\n",), grammar=grammar)
        made = model.continue_reply(messages, begun, options)
        line = "".join(delta.text for delta in made).strip()
        only = list(offered) == [closing]
        earlier = "".join(f"s{number} = {ANSWER}()\n" for number in range(1, len(steps) + 1))
        try:
            step = Plan.parse(question, f"{earlier}s{len(steps) + 1} = {line}").steps[-1]
        except PlanError:
            # Cut by the limit of tokens, inside a text.
            step = PlanStep(line.partition("(")[0], ())
        if only and len(set(step.refs)) == 1 < len(step.refs):
            # The two values in their order: one of them can't be compared with itself.
            texts = tuple(one for one in step.arguments if isinstance(one, str))
            step = PlanStep(step.action, (*texts, *map(Ref, unused)))
        incomplete = step.action in actions and actions[step.action].accepts(len(step.arguments)) is None
        if step in steps or incomplete:
            # A repeated or truncated step: the model chooses another action. ``answer`` remains, or a search.
            offered.pop(step.action, None)
            if unused:
                offered[ANSWER] = actions[ANSWER]
            if not any(action.parameters[0].kinds == () for action in offered.values()) and not unused:
                break
            continue
        steps.append(step)
        kinds.append(actions[step.action].returns)
        unused = [number for number in unused if Ref(number) not in step.refs] + [len(steps)]
        offered = _next_actions(fitting, closing, steps, [kinds[number - 1] for number in unused])
    plan = Plan(question, tuple(steps))
    problems = tuple(plan.problems(actions, max_steps))
    return WrittenPlan(None if problems else plan, (PlanAttempt(str(plan), problems),))


def _next_actions(
    fitting: Mapping[str, Action], closing: str, steps: Sequence[PlanStep], unused: Sequence[str]
) -> dict[str, Action]:
    """Return the actions that may come next: two values are compared at once, or small models continue to search.

    Args:
        fitting: actions that the question may need.
        closing: the action that compares two values; empty if the question has no such form.
        steps: steps so far.
        unused: kinds of the results that no step uses yet.
    """
    if closing not in fitting or any(step.action == closing for step in steps):
        return dict(fitting)
    if list(unused) == ["value", "value"]:
        return {closing: fitting[closing]}
    return {name: action for name, action in fitting.items() if name not in (closing, ANSWER)}


def _fitting(actions: Mapping[str, Action], question: str) -> dict[str, Action]:
    """Return the actions without the built-in ones that read passages in another way than the question's form needs."""
    reads = _READS.get(form_of(question), _READERS)
    return {name: action for name, action in actions.items() if name not in _READERS - reads}


def _free(
    model: ChatModel,
    question: str,
    actions: Mapping[str, Action],
    demonstrations: Sequence[Plan],
    max_steps: int,
    retries: int,
    rejected: Sequence[Plan],
) -> WrittenPlan:
    messages = plan_messages(question, actions, demonstrations, as_json=True, rejected=rejected)
    options = GenerationOptions(max_tokens=_REPLY_TOKENS, json_schema=plan_schema(actions, max_steps))
    attempts: list[PlanAttempt] = []
    for _ in range(1 + retries):
        reply = ""
        try:
            reply = complete(model, messages, options).text
            plan = plan_from_json(question, reply, actions)
            problems = tuple(plan.problems(actions, max_steps))
        except (PlanError, ModelOutputError) as error:
            problems = (error.message,)
        attempts.append(PlanAttempt(reply, problems))
        if not problems:
            return WrittenPlan(plan, tuple(attempts))
        feedback = f"The plan is invalid:\n{chr(10).join(problems)}\nWrite the corrected plan."
        messages += [Message("assistant", reply or "(invalid)"), Message("user", feedback)]
    return WrittenPlan(None, tuple(attempts))


def _step(name: str, arguments: Sequence[str], actions: Mapping[str, Action]) -> PlanStep:
    action = actions.get(name)
    parameters = action.accepts(len(arguments)) if action is not None else None
    read: list[str | Ref] = []
    for place, argument in enumerate(arguments):
        match = re.fullmatch(r"s(\d+)", argument)
        wants_text = parameters is not None and not parameters[place].kinds
        read.append(Ref(int(match[1])) if match is not None and not wants_text else argument)
    return PlanStep(name, tuple(read))


def _as_json(plan: Plan) -> str:
    steps = [{"action": step.action, "arguments": [str(one) for one in step.arguments]} for step in plan.steps]
    return json.dumps({"steps": steps}, ensure_ascii=False)
