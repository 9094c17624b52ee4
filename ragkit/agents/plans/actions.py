"""Actions of plan steps, with typed parameters, and the built-in actions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ragkit.agents.plans.computing import combine, compare, count_items, difference, extreme, intersect, keep_items
from ragkit.agents.plans.finding import find_linked, find_passages, find_section, read_document
from ragkit.agents.plans.plan import ANSWER
from ragkit.agents.plans.reading import answer, extract_value, list_items, summarise
from ragkit.agents.plans.values import Kind, Value

ModelUse = Literal["none", "reads", "writes"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of an action."""

    name: str
    kinds: tuple[Kind, ...] = ()
    """Kinds of earlier steps that it accepts; empty for a text in quotes."""
    optional: bool = False
    """Whether it can be left out; only the last one can."""


@dataclass(frozen=True, slots=True)
class Action:
    """An action that a step of a plan can run."""

    name: str
    parameters: tuple[Parameter, ...]
    returns: Kind
    purpose: str
    """Description in one sentence, shown to models."""
    run: Callable[..., Value]
    """Function of the ``Workbench`` and the arguments, in order."""
    model: ModelUse = "none"
    """Use of the model: ``reads`` uses any available model, ``writes`` only a model that can write free text."""
    pure: bool = False
    """Whether the result depends on the arguments alone, so that a replay computes it again."""

    @property
    def signature(self) -> str:
        """Name, parameters and result on one line."""
        shown = [
            f"{one.name}: {'|'.join(one.kinds) or 'text'}{' (optional)' if one.optional else ''}"
            for one in self.parameters
        ]
        more = ", ..." if self.is_variadic else ""
        return f"{self.name}({', '.join(shown)}{more}) -> {self.returns}"

    @property
    def is_variadic(self) -> bool:
        """Whether the last parameter can be repeated; only that of ``answer`` can."""
        return self.name == ANSWER

    def accepts(self, count: int) -> tuple[Parameter, ...] | None:
        """Return the parameter for each of ``count`` arguments, or None if the action does not take that many."""
        if self.is_variadic and count >= 1:
            return self.parameters * count
        if count == len(self.parameters) - 1 and self.parameters[-1].optional:
            return self.parameters[:-1]
        return self.parameters if count == len(self.parameters) else None


_ALL: tuple[Kind, ...] = ("passages", "items", "value")


def _action(
    run: Callable[..., Value],
    parameters: Mapping[str, Sequence[Kind]],
    returns: Kind,
    purpose: str,
    model: ModelUse = "none",
    *,
    name: str = "",
    pure: bool = False,
) -> Action:
    typed = tuple(
        Parameter(key.removesuffix("?"), tuple(kinds), key.endswith("?")) for key, kinds in parameters.items()
    )
    return Action(name or run.__name__, typed, returns, purpose, run, model, pure)


_BUILT_IN = (
    _action(find_passages, {"query": ()}, "passages", "Search the documents for passages."),
    _action(
        find_linked,
        {"query": (), "about": ("value", "items")},
        "passages",
        "Search for passages about the result of an earlier step, such as a person that it names.",
    ),
    _action(find_section, {"title": ()}, "passages", "Read the section with this heading."),
    _action(read_document, {"title": ()}, "passages", "Read the document with this title."),
    _action(
        extract_value,
        {"question": (), "source": ("passages",)},
        "value",
        "Extract the short answer to a question.",
        "reads",
    ),
    _action(list_items, {"topic": (), "source": ("passages",)}, "items", "List all items, steps or rows of a topic."),
    _action(keep_items, {"condition": (), "items": ("items",)}, "items", "Keep the items that meet a condition.",
            "writes"),
    _action(intersect, {"first": ("items",), "second": ("items",)}, "items", "Keep the items that are in both lists.",
            pure=True),
    _action(combine, {"first": ("items",), "second": ("items",)}, "items", "Join two lists, each item once.",
            pure=True),
    _action(count_items, {"items": ("items",)}, "value", "Count the items.", pure=True),
    _action(extreme("largest_item", 1), {"items": ("items",), "column?": ()}, "value",
            "Choose the item with the largest number, amount, duration or latest date.", name="largest_item",
            pure=True),
    _action(extreme("smallest_item", -1), {"items": ("items",), "column?": ()}, "value",
            "Choose the item with the smallest number, amount, duration or earliest date.", name="smallest_item",
            pure=True),
    _action(difference, {"first": ("value",), "second": ("value",)}, "value", "Subtract the second from the first.",
            pure=True),
    _action(compare, {"question": (), "first": ("value",), "second": ("value",)}, "value",
            "Compare two values, such as which is longer, cheaper or earlier.", "writes"),
    _action(summarise, {"topic": (), "source": ("passages",)}, "items", "Summarise what the text says about a topic.",
            "writes"),
    _action(answer, {"results": _ALL}, "value", "Answer the question from results; always the last step.", "writes"),
)  # fmt: skip

ACTIONS: dict[str, Action] = {action.name: action for action in _BUILT_IN}
"""Built-in actions by name."""


def table_of(actions: Mapping[str, Action]) -> str:
    """Return the signatures and purposes, one line each, for a prompt."""
    return "\n".join(f"- {action.signature}: {action.purpose}" for action in actions.values())


def fingerprint(action: Action) -> str:
    """Return a hash of what a plan can rely on: name, parameters and result; 16 hexadecimal digits."""
    content = json.dumps([action.signature, action.pure])
    return hashlib.sha256(content.encode()).hexdigest()[:16]
