"""Packs examples into rows of tokens: shared prefixes are processed once, and examples do not attend to each other.

Prompts about the same passage have a common prefix. Such examples share a row: the prefix first, then the rest of each
example as a branch that attends to the prefix and itself, but not to other branches. Positions of each branch continue
from the prefix, so that loss and gradient equal those of separate examples, at a fraction of the cost. Short examples
without a common prefix are packed likewise, with an empty prefix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

IGNORED = -100
"""Label of a token without loss."""
_BRANCHES = 64
"""Maximum number of examples that share a prefix."""


@dataclass(frozen=True, slots=True)
class TokenExample:
    """A tokenised example."""

    prompt: tuple[int, ...]
    """Tokens of the prompt, at least one."""
    reply: tuple[int, ...]
    """Tokens of the reply, including the end token."""
    weight: float = 1.0
    """Factor of the loss of the reply's tokens."""

    def __len__(self) -> int:
        return len(self.prompt) + len(self.reply)


@dataclass(slots=True)
class Pack:
    """One row of tokens; all lists have the same length."""

    tokens: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    """The token itself if it is trained on, else ``IGNORED``."""
    weights: list[float] = field(default_factory=list)
    """Factor of the loss of each token."""
    groups: list[int] = field(default_factory=list)
    """Group of each token; tokens of different groups do not attend to each other."""
    branches: list[int] = field(default_factory=list)
    """Branch of each token: 0 for the prefix of a group, then 1, 2, …"""
    examples: int = 0

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the model's inputs, ``[1, n]``, and the attention mask, ``[1, 1, n, n]``."""
        import torch

        group, branch = torch.tensor(self.groups), torch.tensor(self.branches)
        sees = group[:, None] == group[None, :]
        sees &= (branch[None, :] == 0) | (branch[:, None] == branch[None, :])
        sees = sees.tril()
        return {
            "input_ids": torch.tensor([self.tokens]),
            "position_ids": torch.tensor([self.positions]),
            "attention_mask": sees[None, None],
            "labels": torch.tensor([self.labels]),
            "weights": torch.tensor([self.weights]),
        }

    def _add(self, examples: Sequence[TokenExample], shared: int) -> None:
        group = self.groups[-1] + 1 if self.groups else 0
        self._extend(examples[0].prompt[:shared], 0, group, 0)
        for branch, example in enumerate(examples, 1):
            self._extend(example.prompt[shared:], shared, group, branch)
            self._extend(example.reply, len(example.prompt), group, branch, example.weight)
        self.examples += len(examples)

    def _extend(self, tokens: Sequence[int], first: int, group: int, branch: int, weight: float | None = None) -> None:
        """Add tokens; those without a weight are not trained on."""
        self.tokens += tokens
        self.positions += range(first, first + len(tokens))
        self.labels += [IGNORED] * len(tokens) if weight is None else tokens
        self.weights += [weight or 0.0] * len(tokens)
        self.groups += [group] * len(tokens)
        self.branches += [branch] * len(tokens)


def packed(examples: Sequence[TokenExample], room: int) -> list[Pack]:
    """Return rows that contain each example once.

    Args:
        examples: examples in any order.
        room: tokens of a row; a longer example has its own row.
    """
    packs: list[Pack] = []
    # First-fit decreasing.
    for group, shared in sorted(_groups(examples, room), key=_size, reverse=True):
        size = _size((group, shared))
        fitting = next((pack for pack in packs if len(pack.tokens) + size <= room), None)
        if fitting is None:
            fitting = Pack()
            packs.append(fitting)
        fitting._add(group, shared)
    return packs


def _size(grouped: tuple[Sequence[TokenExample], int]) -> int:
    group, shared = grouped
    return shared + sum(len(example) - shared for example in group)


def _groups(examples: Sequence[TokenExample], room: int) -> list[tuple[Sequence[TokenExample], int]]:
    """Return groups with the length of their common prefix, such that the total number of tokens is minimal.

    Sorted by prompt, examples with a common prefix are adjacent. Dynamic programming finds the best segmentation of
    that order.
    """
    order = sorted(examples, key=lambda example: example.prompt)
    common = [_common(one.prompt, other.prompt) for one, other in pairwise(order)]
    best = [0] + [-1] * len(order)
    began = [0] * (len(order) + 1)
    for end in range(1, len(order) + 1):
        own = 0
        # The last token of each prompt belongs to its branch, because it predicts the first token of the reply.
        shared = len(order[end - 1].prompt) - 1
        for first in range(end - 1, max(-1, end - 1 - _BRANCHES), -1):
            shared = min(shared, len(order[first].prompt) - 1, common[first] if first < end - 1 else shared)
            own += len(order[first])
            saved = (end - first - 1) * shared
            if first < end - 1 and (shared == 0 or own - saved > room):
                break
            if best[first] + saved > best[end]:
                best[end], began[end] = best[first] + saved, first
    groups: list[tuple[Sequence[TokenExample], int]] = []
    end = len(order)
    while end:
        first = began[end]
        group = order[first:end]
        shared = min((*common[first : end - 1], *(len(example.prompt) - 1 for example in group)))
        groups.append((group, shared if len(group) > 1 else 0))
        end = first
    return groups[::-1]


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
