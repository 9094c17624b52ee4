"""Few-shot examples: a pool on disk, and selectors that choose examples for each input.

``ExamplePool.create(path).add(read_examples("train.csv", input_field="text", output_field="label"))``, then
``DynamicSelector(pool).select("the new input", k=8)``.
"""

from ragkit.examples.base import ExampleSelector, Shot, TokenBudget
from ragkit.examples.fixed import FixedSelector
from ragkit.examples.leaks import find_leaks
from ragkit.examples.learned import LearnedSelector
from ragkit.examples.pool import ExamplePool
from ragkit.examples.reading import read_examples
from ragkit.examples.selector import DynamicSelector, SelectorOptions

__all__ = [
    "DynamicSelector",
    "ExamplePool",
    "ExampleSelector",
    "FixedSelector",
    "LearnedSelector",
    "SelectorOptions",
    "Shot",
    "TokenBudget",
    "find_leaks",
    "read_examples",
]
