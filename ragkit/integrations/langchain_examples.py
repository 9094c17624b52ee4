"""Example selectors: ragkit's for LangChain's few-shot prompts, and LangChain's for ragkit's tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.example_selectors import BaseExampleSelector
from pydantic import BaseModel

from ragkit.errors import ExamplePoolError, QueryError, SettingsError
from ragkit.examples import ExamplePool, ExampleSelector, Shot, TokenBudget
from ragkit.examples.base import check_request
from ragkit.examples.pool import PoolReport, normal
from ragkit.examples.reading import examples_from_rows
from ragkit.records import Example

_SPARE = 8
"""Number of examples requested beyond k, since the leakage guard may exclude some."""
_CANDIDATES = 100
"""Number of candidates under a token budget, so that short examples can replace long ones."""


class RagkitExampleSelector(BaseExampleSelector):  # type: ignore[misc]  # langchain_core is not looked into
    """A ragkit selector as a LangChain selector; ``aselect_examples`` and ``aadd_example`` run in a thread.

    Args:
        selector: chooses the examples and their order.
        k: number of examples.
        input_key: the variable that contains the input, and the key of an example's input.
        output_key: the key of an example's output.
        fields: metadata fields of the examples that are returned as further keys.
        budget: token budget for all examples.

    Raises:
        SettingsError: if ``selector`` is not a selector, ``k`` is below 1, or a key is named twice.
    """

    def __init__(
        self,
        selector: ExampleSelector,
        k: int = 8,
        *,
        input_key: str = "input",
        output_key: str = "output",
        fields: Sequence[str] = (),
        budget: TokenBudget | None = None,
    ) -> None:
        if not isinstance(selector, ExampleSelector):
            hint = (
                "It is LangChain's already." if isinstance(selector, BaseExampleSelector) else "Pass one of ragkit's."
            )
            raise SettingsError(f"{type(selector).__name__} is not an ExampleSelector.", hint)
        if k < 1:
            raise SettingsError(f"k must be > 0, got {k}.", "Specify k=1 or more.")
        keys = [input_key, output_key, *fields]
        if len(set(keys)) < len(keys):
            raise SettingsError(f"A key is named twice: {', '.join(keys)}.", "Use a unique name for each key.")
        self.selector = selector
        self.k = k
        self.input_key = input_key
        self.output_key = output_key
        self.fields = tuple(fields)
        self.budget = budget

    def select_examples(self, input_variables: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the examples for an input, each with its input, its output and the requested fields.

        Raises:
            QueryError: if the variables lack the input, or it is empty.
            ExamplePoolError: if the pool is empty, or an example lacks a requested field.
        """
        if self.input_key not in input_variables:
            there = ", ".join(map(repr, input_variables)) or "none"
            raise QueryError(
                f"The variables have no {self.input_key!r}; they have {there}.",
                "Name the one that contains the input: RagkitExampleSelector(..., input_key=...)",
            )
        shots = self.selector.select(str(input_variables[self.input_key]), self.k, self.budget)
        return [self._row(shot.example) for shot in shots]

    def add_example(self, example: dict[str, Any]) -> PoolReport:
        """Add an example to the selector's pool; keys other than input and output become its metadata.

        Raises:
            ExamplePoolError: if the selector has no pool, or the example lacks its input or output.
        """
        pool = getattr(self.selector, "pool", None)
        if not isinstance(pool, ExamplePool):
            raise ExamplePoolError(
                f"{type(self.selector).__name__} has no pool that an example could be added to.",
                "Use a selector that has one, such as DynamicSelector(ExamplePool.open(path)).",
            )
        report = pool.add(examples_from_rows([example], self.input_key, self.output_key))
        if report.refused:
            raise ExamplePoolError(f"The example was refused: {report.refused[0]}", "Correct it and add it again.")
        return report

    def _row(self, example: Example) -> dict[str, Any]:
        missing = [name for name in self.fields if name not in example.metadata]
        if missing:
            raise ExamplePoolError(
                f"The example {example.input[:60]!r} has no field {missing[0]!r}; "
                f"it has {', '.join(map(repr, example.metadata)) or 'none'}.",
                "Ask only for fields that all examples have: RagkitExampleSelector(..., fields=[...])",
            )
        own = {self.input_key: example.input, self.output_key: example.output}
        return own | {name: example.metadata[name] for name in self.fields}


class LangChainSelector:
    """A LangChain selector as a ragkit selector.

    The order of the examples is the selector's own, as in LangChain's prompts: nearest first for selectors over a
    vector store. If there are more than ``k``, the first are used. If the selector has its own ``k``, a copy with the
    required ``k`` is used; the selector is not changed. LangChain returns no scores, so the score of a shot is 1 over
    its rank: 1, 1/2, 1/3 and so on. A ``RagkitExampleSelector`` is unwrapped.

    Args:
        selector: any ``BaseExampleSelector``.
        input_key: the variable that it reads the input from, and the key of an example's input.
        output_key: the key of an example's output; further keys become metadata.
        variables: values of its other variables, the same for every input.
        best_last: reverse the order, so that the nearest example is next to the input.
        exclude_self: the leakage guard: an example with the same input is never chosen.

    Raises:
        SettingsError: if ``selector`` is not a ``BaseExampleSelector``.
    """

    def __init__(
        self,
        selector: BaseExampleSelector,
        *,
        input_key: str = "input",
        output_key: str = "output",
        variables: Mapping[str, str] | None = None,
        best_last: bool = False,
        exclude_self: bool = True,
    ) -> None:
        if not isinstance(selector, BaseExampleSelector):
            raise SettingsError(
                f"{type(selector).__name__} is not a LangChain selector.", "Pass a BaseExampleSelector."
            )
        self.selector = selector
        self._input_key, self._output_key = input_key, output_key
        self._variables = dict(variables or {})
        self._best_last = best_last
        self._exclude_self = exclude_self

    def select(self, text: str, k: int = 8, budget: TokenBudget | None = None) -> list[Shot]:
        """Return at most ``k`` examples in prompt order; see ``ExampleSelector``.

        Raises:
            ExamplePoolError: if LangChain's selector gives an example that lacks the input or output key.
        """
        check_request(text, k)
        if isinstance(self.selector, RagkitExampleSelector):
            return self.selector.selector.select(text, k, budget)
        wanted = k + _SPARE if budget is None else max(k + _SPARE, _CANDIDATES)
        rows = self._asking_for(k, wanted).select_examples({**self._variables, self._input_key: text})
        examples = examples_from_rows(rows, self._input_key, self._output_key)
        if self._exclude_self:
            own = normal(text)
            examples = [example for example in examples if normal(example.input) != own]
        taken = range(min(k, len(examples))) if budget is None else budget.fitting(examples, k)
        name = type(self.selector).__name__
        shots = [Shot(examples[n], 1 / (n + 1), f"number {n + 1} of LangChain's {name}, without scores") for n in taken]
        return shots[::-1] if self._best_last else shots

    def _asking_for(self, k: int, wanted: int) -> BaseExampleSelector:
        """Return LangChain's selector; if it has a ``k``, return a copy that finds ``wanted`` examples."""
        if not isinstance(self.selector, BaseModel):
            return self.selector
        own = type(self.selector).model_fields
        update = {"k": wanted} if "k" in own else {}
        # From how many it chooses decides what it chooses, so that stays where it can.
        if "fetch_k" in own and getattr(self.selector, "fetch_k", k) < k:
            update["fetch_k"] = wanted
        return self.selector.model_copy(update=update)
