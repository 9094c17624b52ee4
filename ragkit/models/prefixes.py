"""States of evaluated prompts in memory, so that a prompt with the same beginning evaluates only the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int32]
_SHORTEST = 32
"""Tokens below which a state is not worth keeping."""


@dataclass(frozen=True, slots=True)
class SavedState:
    """The state of a sequence."""

    tokens: Tokens
    state: NDArray[np.uint8]


class SavedStates:
    """The most recently used states, up to a limit of memory.

    Args:
        limit: maximum bytes of all states together.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: list[SavedState] = []

    def wants(self, tokens: Sequence[int], size: int) -> bool:
        """Return whether a state would be kept: it is long enough, fits the limit, and no other begins with it."""
        if len(tokens) < _SHORTEST or size > self._limit // 2:
            return False
        mine = np.array(tokens, dtype=np.int32)
        return all(shared_length(kept.tokens, mine) < len(mine) for kept in self._kept)

    def add(self, saved: SavedState) -> None:
        """Keep a state; it replaces its prefixes and the least recently used states."""
        own = saved.tokens
        self._kept = [kept for kept in self._kept if shared_length(kept.tokens, own) < len(kept.tokens)]
        self._kept.append(saved)
        total = sum(len(kept.state) for kept in self._kept)
        while total > self._limit:
            total -= len(self._kept.pop(0).state)

    def best(self, tokens: Sequence[int]) -> tuple[SavedState | None, int]:
        """Return the state with the longest common prefix with some tokens, and the length of that prefix."""
        mine = np.array(tokens, dtype=np.int32)
        lengths = [shared_length(kept.tokens, mine) for kept in self._kept]
        longest = max(lengths, default=0)
        if longest == 0:
            return None, 0
        found = self._kept.pop(lengths.index(longest))
        self._kept.append(found)
        return found, longest

    def clear(self) -> None:
        """Free the memory."""
        self._kept.clear()


def shared_length(one: Tokens, other: Tokens) -> int:
    """Return the length of the common prefix of two lists of tokens."""
    length = min(len(one), len(other))
    differ = np.nonzero(one[:length] != other[:length])[0]
    return int(differ[0]) if len(differ) else length
