"""Chooses the answer mode for ``auto`` by the kind of question and the capability of the model.

The choices are those that measured best over real handbook pages (docs/benchmarks.md).
"""

from __future__ import annotations

from typing import Literal

from ragkit.answering.kinds import Kind
from ragkit.models.base import ChatModel, ScoringModel

Capability = Literal["none", "scores", "judges"]
"""Capability of a model: ``none``; ``scores``, it can choose between given replies; ``judges``, it can judge and
write."""
JUDGES_FROM = 1_000_000_000
"""Minimum number of parameters of a local model that decides itself whether passages answer a question."""


def capability_of(model: ChatModel | None) -> Capability:
    """Return what a model can do: a local one by its size; an endpoint is taken to judge passages by itself."""
    if model is None:
        return "none"
    parameters = getattr(model, "parameters", None)
    if parameters is not None:
        return capability_of_size(parameters)
    return "scores" if isinstance(model, ScoringModel) else "judges"


def capability_of_size(parameters: int) -> Capability:
    """Return the capability of a local model by its number of parameters."""
    return "judges" if parameters >= JUDGES_FROM else "scores"


def route(kind: Kind, able: Capability) -> tuple[str, str]:
    """Return the mode for a kind of question and the reason."""
    if able == "judges":
        return "chat", "auto: the model can judge the passages itself"
    if able == "none":
        return "quotes", "auto: there is no model"
    return "quotes", f"auto: for a {kind.replace('_', ' ')} question, quotes measured better than a model of this size"
