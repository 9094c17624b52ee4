"""Prices of hosted models, from a file that the user's file overrides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragkit.errors import SettingsError
from ragkit.models.tables import find_entry
from ragkit.records import Usage

PRICES = Path(__file__).with_name("prices.toml")
_NAMES = ("prompt", "cached", "completion")


@dataclass(frozen=True, slots=True)
class Price:
    """Price of a model, in US dollars per million tokens."""

    prompt: float
    completion: float
    cached: float | None = None
    """Price of cached prompt tokens; None for ``prompt``."""

    def cost(self, usage: Usage) -> float:
        """Return the cost of a usage in US dollars."""
        cached = self.prompt if self.cached is None else self.cached
        fresh = usage.prompt_tokens - usage.cached_tokens
        return (fresh * self.prompt + usage.cached_tokens * cached + usage.completion_tokens * self.completion) / 1e6


def find_price(provider: str, model: str, file: Path | None = None) -> Price | None:
    """Return the price of a model, or None if it is unknown; see ``find_entry``.

    Raises:
        SettingsError: if a file can't be read, or an entry is not a price.
    """
    return find_entry(provider, model, file, PRICES, "prices", _price)


def _price(file: Path, provider: str, model: str, entry: Any) -> Price:
    numbers = entry if isinstance(entry, dict) else {}
    wrong = [key for key in numbers if key not in _NAMES]
    right = all(type(number) in (int, float) and 0 <= number < float("inf") for number in numbers.values())
    if wrong or not right or not {"prompt", "completion"} <= set(numbers):
        raise SettingsError(
            f"The price of {provider} {model} in {file} is invalid: {entry!r}.",
            f"Set {', '.join(_NAMES)} in US dollars per million tokens; cached is optional.",
        )
    return Price(**numbers)
