"""A task's examples in two parts, one to learn from and one to measure on, and how much of the first is learned."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ragkit.errors import ExamplePoolError, SettingsError
from ragkit.records import Example
from ragkit.tuning.data import fingerprint, records_from_examples, without_leaks
from ragkit.tuning.head_data import usable

_LABELS, _EACH = 2, 5
"""Fewer labels with so many examples tell nothing."""
_SHARE = 0.25
_MOST = 500
"""Held out by default: a share, and at most so many, as each way has to answer them at each size."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Examples for training and those held out, with nothing of the one in the other."""

    train: tuple[Example, ...]
    """In such an order that each beginning of it has the labels in the shares that all have; at least one of each in
    the first ones."""
    held_out: tuple[Example, ...]
    labels: int
    unmeasured: tuple[str, ...]
    """Labels of which no example is held out."""
    leaked: int
    """Left out of training because they stand in the held-out part, or nearly."""
    data: str
    """The sha256 of both parts."""

    def sizes(self, wanted: Sequence[int] = ()) -> tuple[int, ...]:
        """Return how many examples to learn from, the fewest first, all of them last.

        Args:
            wanted: sizes to have beside all; by default a quarter and half of all, where that is two a label.

        Raises:
            SettingsError: if there are not so many, or fewer than two a label.
        """
        count = len(self.train)
        least = min(2 * self.labels, count)
        if any(not least <= size <= count for size in wanted):
            raise SettingsError(
                f"Sizes of {', '.join(map(str, wanted))} can't be: {count} examples of {self.labels} labels are left "
                "to learn from.",
                f"Give sizes from {least} to {count}.",
            )
        return tuple(sorted({*(wanted or (max(count // 4, least), max(count // 2, least))), count}))


def parted(examples: Sequence[Example], held_out: int | None = None, seed: int = 0) -> Parts:
    """Hold some examples out, of each label its share, and leave out of training what is like these.

    A label's last example is never held out; nor are those of a label of which nothing else would be left.

    Args:
        examples: labelled; those without an input or a label are passed over, and equal ones count once.
        held_out: how many; by default a quarter, at most 500.
        seed: of chance.

    Raises:
        ExamplePoolError: if there are fewer than two labels with five examples each.
        SettingsError: if more than half are to be held out.
    """
    rows = usable(examples)
    counts = Counter(row.output for row in rows)
    enough = sum(count >= _EACH for count in counts.values())
    if enough < _LABELS:
        raise ExamplePoolError(
            f"There are {len(rows)} different examples of {len(counts)} labels, and {enough} of these have {_EACH} or "
            "more: too few to measure anything on.",
            f"Give at least {_LABELS} labels with {_EACH} examples each.",
        )
    if held_out is not None and not 1 <= held_out <= len(rows) // 2:
        raise SettingsError(
            f"{held_out} of {len(rows)} examples can't be held out.", f"Give 1 to {len(rows) // 2}, half of them."
        )
    chance = random.Random(seed)  # noqa: S311
    ranked = _spread(rows, chance)
    # The last of each label is not among those that may go.
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
            f"Nothing but {len(labels)} label is left to learn from: {leaked} examples are nearly the same as others.",
            "Give examples that differ.",
        )
    mixed = _spread(train, chance, each_first=True)
    both = [*records_from_examples(mixed), *records_from_examples(held)]
    unmeasured = tuple(sorted(labels - {row.output for row in held}))
    return Parts(tuple(mixed), tuple(held), len(labels), unmeasured, leaked, fingerprint(both))


def _without_leaks(rows: Sequence[Example], held: Sequence[Example]) -> tuple[list[Example], int]:
    """Return the rows that are not held out, nor like one that is, and how many are."""
    out = {(row.input, row.output) for row in held}
    left = [row for row in rows if (row.input, row.output) not in out]
    clean, leaks = without_leaks(records_from_examples(left), {"held out": records_from_examples(held)})
    kept = {(record.key, record.reply) for record in clean}
    return [row for row in left if (row.input, row.output) in kept], len(leaks)


def _spread(rows: Sequence[Example], chance: random.Random, *, each_first: bool = False) -> list[Example]:
    """Return rows in an order by chance in which each beginning has of each label its share."""
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
