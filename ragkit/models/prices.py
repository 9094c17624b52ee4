"""What hosted models cost, from a plain file that a user's own file goes before."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ragkit.errors import SettingsError
from ragkit.records import Usage

PRICES = Path(__file__).with_name("prices.toml")
_DATE = re.compile(r"-\d{4}-?\d{2}-?\d{2}$")
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
    """Return what a model costs, or None where no file names it.

    A model with a date at its end, such as ``gpt-4o-mini-2024-07-18``, costs what the one without costs, unless it is
    named itself.

    Args:
        provider: such as ``openai``; the host where an endpoint is none that ragkit knows.
        model: as the provider names it.
        file: one of the same form as ``prices.toml`` beside this module, which goes before that.

    Raises:
        SettingsError: if a file can't be read, or holds something else than prices.
    """
    for source in (file, PRICES):
        if source is None:
            continue
        named = _read(source).get(provider, {})
        for name in (model, _DATE.sub("", model)):
            if name in named:
                return named[name]
    return None


@cache
def _read(file: Path) -> Mapping[str, Mapping[str, Price]]:
    try:
        tables = tomllib.loads(file.expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"The prices {file} can't be read: {error.strerror}.", "Check prices=...") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is not valid TOML: {error}.", "Mend the line that is named.") from error
    tables.pop("written", None)
    for provider, models in tables.items():
        if not isinstance(models, dict):
            raise SettingsError(
                f"{file} holds no models of {provider}.", f'Write [{provider}], then "MODEL" = {{...}}.'
            )
    return {
        provider: {model: _price(file, provider, model, entry) for model, entry in models.items()}
        for provider, models in tables.items()
    }


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
