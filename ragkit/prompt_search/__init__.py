"""Prompt search: finds the instruction and shots with the best score on a dev split, within a budget of model calls.

``search_prompts(ModelObjective(model, labels=labels), train, dev, method="random")``, then the same with
``method="gepa"``, ``proposer=model`` and ``start=report.best``. ``print(report.table())`` shows all trials.
"""

from ragkit.prompt_search.base import ExampleScore, Objective, PromptCandidate, SearchOptions
from ragkit.prompt_search.objective import ModelObjective, exact_match
from ragkit.prompt_search.report import SearchReport, Trial
from ragkit.prompt_search.search import search_prompts

__all__ = [
    "ExampleScore",
    "ModelObjective",
    "Objective",
    "PromptCandidate",
    "SearchOptions",
    "SearchReport",
    "Trial",
    "exact_match",
    "search_prompts",
]
