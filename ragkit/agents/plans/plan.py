"""Plans: numbered steps, each an action whose arguments are strings or earlier steps, and the check of a plan.

A plan is written with one step per line and ends with ``answer``::

    s1 = find_passages("opening hours of the library")
    s2 = extract_value("When does the library open?", s1)
    s3 = answer(s2)
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragkit.errors import PlanError

if TYPE_CHECKING:
    from ragkit.agents.plans.actions import Action

ANSWER = "answer"
"""The action that ends a plan."""
MAX_STEPS = 8
"""Maximum steps of a plan, ``answer`` included."""
_LINE = re.compile(r"\s*(?:\d+[.)]\s*)?(?P<variable>\w+)\s*=\s*(?P<action>[\w.]+)\s*\((?P<arguments>.*)\)\s*;?\s*$")
_VARIABLE = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Ref:
    """An earlier step as an argument."""

    step: int
    """Number of the step, from 1."""

    def __str__(self) -> str:
        return f"s{self.step}"


@dataclass(frozen=True, slots=True)
class PlanStep:
    """An action with its arguments."""

    action: str
    arguments: tuple[str | Ref, ...]

    def __str__(self) -> str:
        shown = (str(one) if isinstance(one, Ref) else json.dumps(one, ensure_ascii=False) for one in self.arguments)
        return f"{self.action}({', '.join(shown)})"

    @property
    def refs(self) -> tuple[Ref, ...]:
        """Earlier steps that it uses."""
        return tuple(one for one in self.arguments if isinstance(one, Ref))


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps that answer a question."""

    question: str
    steps: tuple[PlanStep, ...]

    def __str__(self) -> str:
        return "\n".join(f"s{number} = {step}" for number, step in enumerate(self.steps, 1))

    @classmethod
    def parse(cls, question: str, text: str) -> Plan:
        """Read the steps of a text, one per line. Variables may have any names; lines in fences are read as well.

        Raises:
            PlanError: if a line is not a step, or uses a variable that no earlier line defines.
        """
        known: dict[str, int] = {}
        steps: list[PlanStep] = []
        for line in text.splitlines():
            if not line.strip() or line.strip().startswith("```"):
                continue
            match = _LINE.match(line)
            if match is None:
                raise PlanError(
                    f"The line {line.strip()[:120]!r} is not a step.", 'Write each step as s1 = action("text", s0).'
                )
            steps.append(PlanStep(match["action"], _arguments(match["arguments"], known, line)))
            known[match["variable"]] = len(steps)
        return cls(question, tuple(steps))

    def problems(self, actions: Mapping[str, Action], max_steps: int = MAX_STEPS) -> list[str]:
        """Return what is wrong with the plan, in sentences; empty if it can run.

        Args:
            actions: available actions by name.
            max_steps: maximum number of steps.
        """
        found: list[str] = []
        if not self.steps:
            return ["The plan has no steps."]
        if len(self.steps) > max_steps:
            found.append(f"The plan has {len(self.steps)} steps; the maximum is {max_steps}.")
        seen: dict[PlanStep, int] = {}
        for number, step in enumerate(self.steps, 1):
            found += self._step_problems(number, step, actions)
            if step in seen:
                found.append(f"s{number} repeats s{seen[step]}: {step}.")
            seen.setdefault(step, number)
            if (step.action == ANSWER) != (number == len(self.steps)):
                found.append(
                    f"s{number} is answer, but more steps follow."
                    if step.action == ANSWER
                    else f"The last step must be answer, got {step.action}."
                )
        used = {ref.step for step in self.steps for ref in step.refs}
        unused = [number for number in range(1, len(self.steps)) if number not in used]
        found += [f"No later step uses s{number}." for number in unused]
        return found

    def check(self, actions: Mapping[str, Action], max_steps: int = MAX_STEPS) -> None:
        """Check that the plan can run.

        Raises:
            PlanError: with the first problem.
        """
        if problems := self.problems(actions, max_steps):
            raise PlanError(f"The plan is invalid: {problems[0]}", "Correct the plan.")

    def _step_problems(self, number: int, step: PlanStep, actions: Mapping[str, Action]) -> list[str]:
        action = actions.get(step.action)
        if action is None:
            return [f"s{number} has the unknown action {step.action!r}. Legal actions: {', '.join(actions)}."]
        wanted = action.accepts(len(step.arguments))
        if wanted is None:
            return [f"s{number}: {action.signature} got {len(step.arguments)} arguments."]
        found = []
        for parameter, argument in zip(wanted, step.arguments, strict=True):
            if isinstance(argument, Ref):
                if argument.step >= number:
                    found.append(f"s{number} uses {argument}, which is not an earlier step.")
                    continue
                made = actions.get(self.steps[argument.step - 1].action)
                if made is not None and made.returns not in parameter.kinds:
                    wants = " or ".join(parameter.kinds) or "text in quotes"
                    found.append(
                        f"s{number}: {parameter.name} must be {wants}, got {argument}, which is {made.returns}."
                    )
            elif parameter.kinds:
                found.append(f"s{number}: {parameter.name} must be an earlier step, got {argument!r}.")
            elif not argument.strip():
                found.append(f"s{number}: {parameter.name} is empty.")
        return found


def _arguments(text: str, known: Mapping[str, int], line: str) -> tuple[str | Ref, ...]:
    decoder = json.JSONDecoder(strict=False)
    found: list[str | Ref] = []
    at = 0
    while at < len(text):
        if text[at] in " \t,":
            at += 1
        elif text[at] == '"':
            try:
                value, at = decoder.raw_decode(text, at)
            except ValueError as error:
                raise PlanError(
                    f"A string of {line.strip()[:120]!r} has no end.", "Write strings in double quotes."
                ) from error
            found.append(str(value))
        elif (match := _VARIABLE.match(text, at)) is not None:
            if match.group() not in known:
                raise PlanError(
                    f"{match.group()!r} in {line.strip()[:120]!r} is not an earlier step.",
                    "Use variables of earlier lines, and write strings in double quotes.",
                )
            found.append(Ref(known[match.group()]))
            at = match.end()
        else:
            raise PlanError(
                f"{text[at]!r} in {line.strip()[:120]!r} is not an argument.",
                "Write strings in double quotes, and variables as they are defined.",
            )
    return tuple(found)
