"""What hosted models cost, from a plain file that a user's own file goes before."""

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
    """What a model costs, in US dollars for a million tokens."""

    prompt: float
    completion: float
    cached: float | None = None
    """Of prompt tokens that the endpoint had read before; None for the price of others."""

    def cost(self, usage: Usage) -> float:
        """Return the US dollars that a usage costs."""
        cached = self.prompt if self.cached is None else self.cached
        fresh = usage.prompt_tokens - usage.cached_tokens
        return (fresh * self.prompt + usage.cached_tokens * cached + usage.completion_tokens * self.completion) / 1e6


def find_price(provider: str, model: str, file: Path | None = None) -> Price | None:
    """Return what a model costs, or None where no file names it; see ``find_entry``.

    Raises:
        SettingsError: if a file can't be read, or holds something else than prices.
    """
    return find_entry(provider, model, file, PRICES, "prices", _price)


def _price(file: Path, provider: str, model: str, entry: Any) -> Price:
    numbers = entry if isinstance(entry, dict) else {}
    wrong = [key for key in numbers if key not in _NAMES]
    right = all(type(number) in (int, float) and 0 <= number < float("inf") for number in numbers.values())
    if wrong or not right or not {"prompt", "completion"} <= set(numbers):
        raise SettingsError(
            f"{file} holds no price for {provider} {model}: {entry!r}.",
            f"Write {', '.join(_NAMES)} in US dollars for a million tokens; cached may be left out.",
        )
    return Price(**numbers)
