"""Splits a task's examples into training and held-out parts, and chooses training set sizes."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ragkit.errors import ExamplePoolError, SettingsError
from ragkit.records import Example
from ragkit.tuning.data import fingerprint, records_from_examples, without_leaks
from ragkit.tuning.heads.data import usable

_LABELS, _EACH = 2, 5
"""Minimum number of labels, and of examples of each."""
_SHARE = 0.25
_MOST = 500
"""Default fraction of held-out examples, and their maximum number, as each method predicts them at each size."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Training and held-out examples, without near-duplicates between them."""

    train: tuple[Example, ...]
    """Training examples, ordered so that each prefix is stratified by label and has at least one example of each."""
    held_out: tuple[Example, ...]
    labels: int
    unmeasured: tuple[str, ...]
    """Labels without held-out examples."""
    leaked: int
    """Number of training examples excluded as duplicates or near-duplicates of held-out ones."""
    data: str
    """sha256 of both parts."""

    def sizes(self, wanted: Sequence[int] = ()) -> tuple[int, ...]:
        """Return training set sizes in ascending order, all examples last.

        Args:
            wanted: sizes in addition to all; by default a quarter and half of all, if that is two per label.

        Raises:
            SettingsError: if a size is too large, or below two examples per label.
        """
        count = len(self.train)
        least = min(2 * self.labels, count)
        if any(not least <= size <= count for size in wanted):
            raise SettingsError(
                f"Sizes must be between {least} and {count}, got {', '.join(map(str, wanted))}: "
                f"there are {count} training examples with {self.labels} labels.",
                f"Use sizes from {least} to {count}.",
            )
        return tuple(sorted({*(wanted or (max(count // 4, least), max(count // 2, least))), count}))


def parted(examples: Sequence[Example], held_out: int | None = None, seed: int = 0) -> Parts:
    """Hold out a stratified sample, and remove its near-duplicates from the training examples.

    The last training example of a label is never held out or removed.

    Args:
        examples: labelled examples; those without an input or a label and duplicates are ignored.
        held_out: number of held-out examples; by default a quarter, at most 500.
        seed: random seed.

    Raises:
        ExamplePoolError: if there are fewer than two labels with five examples each.
        SettingsError: if ``held_out`` is more than half of the examples.
    """
    rows = usable(examples)
    counts = Counter(row.output for row in rows)
    enough = sum(count >= _EACH for count in counts.values())
    if enough < _LABELS:
        raise ExamplePoolError(
            f"There are {len(rows)} distinct examples with {len(counts)} labels, {enough} with {_EACH} or more: "
            "too few for an evaluation.",
            f"Pass at least {_LABELS} labels with {_EACH} examples each.",
        )
    if held_out is not None and not 1 <= held_out <= len(rows) // 2:
        raise SettingsError(
            f"held_out must be between 1 and half of the {len(rows)} examples, got {held_out}.",
            f"Use a value from 1 to {len(rows) // 2}.",
        )
    chance = random.Random(seed)  # noqa: S311
    ranked = _spread(rows, chance)
    # The last example of each label must stay in training.
    seen: Counter[str] = Counter()
    may_go = []
    for row in ranked:
        seen[row.output] += 1
        if seen[row.output] < counts[row.output]:
            may_go.append(row)
    held = may_go[: held_out or min(_MOST, max(1, round(_SHARE * len(rows))))]
    train, leaked = _without_leaks(rows, held)
    while missing := {row.output for row in held} - {row.output for row in train}:
        held = [row for row in held if row.output not in missing]
        train, leaked = _without_leaks(rows, held)
    labels = {row.output for row in train}
    if len(labels) < _LABELS:
        raise ExamplePoolError(
            f"Training needs 2 labels, but {len(labels)} is left after {leaked} near-duplicates were removed.",
            "Add more varied examples.",
        )
    mixed = _spread(train, chance, each_first=True)
    both = [*records_from_examples(mixed), *records_from_examples(held)]
    unmeasured = tuple(sorted(labels - {row.output for row in held}))
    return Parts(tuple(mixed), tuple(held), len(labels), unmeasured, leaked, fingerprint(both))


def _without_leaks(rows: Sequence[Example], held: Sequence[Example]) -> tuple[list[Example], int]:
    """Return the rows that are neither held out nor near-duplicates of held-out ones, and the number of the latter."""
    out = {(row.input, row.output) for row in held}
    left = [row for row in rows if (row.input, row.output) not in out]
    clean, leaks = without_leaks(records_from_examples(left), {"held out": records_from_examples(held)})
    kept = {(record.key, record.reply) for record in clean}
    return [row for row in left if (row.input, row.output) in kept], len(leaks)


def _spread(rows: Sequence[Example], chance: random.Random, *, each_first: bool = False) -> list[Example]:
    """Return rows in a random order in which each prefix is stratified by label."""
    groups: dict[str, list[Example]] = defaultdict(list)
    for row in rows:
        groups[row.output].append(row)
    placed: list[tuple[bool, float, Example]] = []
    for label in sorted(groups):
        own = groups[label]
        chance.shuffle(own)
        offset = chance.random()
        placed += [(each_first and number > 0, (number + offset) / len(own), row) for number, row in enumerate(own)]
    return [row for _, _, row in sorted(placed, key=lambda one: one[:2])]
