"""Mined actions: a name and a question about a subject, kept as JSON, and run on passages with citations."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ragkit._files import write_atomically
from ragkit.agents.plans.actions import ACTIONS, Action, Parameter
from ragkit.agents.plans.reading import extract_value, list_items, write_cited
from ragkit.agents.plans.values import Value
from ragkit.agents.plans.workbench import Workbench
from ragkit.errors import PlanError

_VERSION = 1
_NAME = re.compile(r"[a-z][a-z0-9_]{2,40}")
_SUBJECT = "{subject}"


@dataclass(frozen=True, slots=True)
class MinedAction:
    """An action that asks one question about a subject.

    Raises:
        PlanError: if the name or the question is invalid.
    """

    name: str
    """Lower-case letters, digits and ``_``; not that of a built-in action."""
    returns: Literal["value", "items"]
    purpose: str
    """Description in one sentence, shown to models."""
    question: str
    """Question put to the passages; ``{subject}`` is replaced by the argument."""
    support: int = 0
    """Number of questions that it was mined from."""
    examples: tuple[str, ...] = ()
    """Some of these questions."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name in ACTIONS:
            raise PlanError(
                f"Invalid action name: {self.name!r}.",
                "Use 3 to 41 lower-case letters, digits and underscores, and no name of a built-in action.",
            )
        if self.returns not in ("value", "items") or _SUBJECT not in self.question:
            raise PlanError(
                f"The action {self.name} is invalid.",
                'It must return "value" or "items", and its question must contain {subject}.',
            )

    def action(self) -> Action:
        """Return the action for a planner."""
        parameters = (Parameter("subject"), Parameter("source", ("passages",)))
        return Action(self.name, parameters, self.returns, self.purpose, self._run, "reads")

    def _run(self, bench: Workbench, subject: str, source: Value) -> Value:
        """Ask the question: a model that can write answers with citations; otherwise a span or a list is read."""
        # Not str.format: the subject is data.
        question = self.question.replace(_SUBJECT, subject)
        written = write_cited(bench, question, source)
        if written is not None:
            return written
        return (
            extract_value(bench, question, source) if self.returns == "value" else list_items(bench, question, source)
        )


def save_actions(actions: Sequence[MinedAction], path: str | Path) -> None:
    """Write actions to a JSON file."""
    content = {"version": _VERSION, "actions": [asdict(action) for action in actions]}
    write_atomically(Path(path), (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode())


def load_actions(path: str | Path) -> dict[str, Action]:
    """Return the built-in actions and those of a file, by name.

    Raises:
        PlanError: if the file can't be read, or an action is invalid.
    """
    try:
        content: Mapping[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        if content["version"] == _VERSION:
            read = [MinedAction(**{**one, "examples": tuple(one.get("examples", ()))}) for one in content["actions"]]
            return {**ACTIONS, **{one.name: one.action() for one in read}}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PlanError(
            f"{path} is not a file of actions: {error}.", "Make one: ragkit plan mine FILE -o FILE"
        ) from error
    raise PlanError(f"{path} has version {content['version']!r}; supported: {_VERSION}.", "Mine the actions again.")
