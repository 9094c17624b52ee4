"""Leaderboard of configurations: wins, losses and thumbs, with the interval of the win rate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from ragkit._stats import wilson_interval
from ragkit.feedback.log import Feedback
from ragkit.feedback.records import Comparison, Configuration, Correction, ExampleChoice, Rating, Reply


@dataclass(frozen=True, slots=True)
class Standing:
    """People's ratings of a configuration."""

    config: Configuration
    answers: int
    """Number of its answers with feedback."""
    wins: int
    losses: int
    ties: int
    """Number of comparisons that ended in a tie, or in which neither answer was good."""
    rate: float | None
    """Wins and half of the ties over all its comparisons; None if there are none."""
    low: float | None
    """Lower end of the interval of the win rate."""
    high: float | None
    """Upper end of the interval, with 95 % confidence (Wilson's interval)."""
    up: int
    """Number of thumbs up."""
    down: int
    corrected: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**asdict(self), "label": self.config.label}


def standings(events: Iterable[Feedback]) -> list[Standing]:
    """Return the rating of each configuration, sorted by the lower end of the win rate's interval, highest first.

    Args:
        events: events from ``FeedbackLog.events``. A comparison of a configuration with itself is ignored.
    """
    tallies: dict[str, _Tally] = {}

    def tally(reply: Reply) -> _Tally:
        return tallies.setdefault(reply.configuration.label, _Tally(reply.configuration))

    for one in events:
        if isinstance(one, Rating) and one.thumb is not None:
            tally(one.reply).rated(one)
        elif isinstance(one, Correction) and one.text:
            tally(one.reply).corrected.add(_seen(one.reply, one.subject))
        elif isinstance(one, ExampleChoice) and one.reply is not None and one.kept:
            tally(one.reply).answers.add(_seen(one.reply, one.subject))
        elif isinstance(one, Comparison) and one.a.configuration.label != one.b.configuration.label:
            first, second = tally(one.a), tally(one.b)
            first.answers.add(_seen(one.a, f"{one.subject} a"))
            second.answers.add(_seen(one.b, f"{one.subject} b"))
            first.compared[{"a": 0, "b": 1}.get(one.winner, 2)] += 1
            second.compared[{"b": 0, "a": 1}.get(one.winner, 2)] += 1
    found = [tally.standing() for tally in tallies.values()]
    return sorted(found, key=lambda one: (one.low is None, -(one.low or 0.0), one.down - one.up, one.config.label))


class _Tally:
    def __init__(self, config: Configuration) -> None:
        self.config = config
        self.answers: set[str] = set()
        self.corrected: set[str] = set()
        self.compared = [0, 0, 0]
        self.thumbs = {"up": 0, "down": 0}

    def rated(self, one: Rating) -> None:
        self.answers.add(_seen(one.reply, one.subject))
        self.thumbs[one.thumb or ""] += 1

    def standing(self) -> Standing:
        wins, losses, ties = self.compared
        trials = wins + losses + ties
        points = wins + ties / 2
        low, high = wilson_interval(points, trials) if trials else (None, None)
        return Standing(
            self.config,
            len(self.answers | self.corrected),
            wins,
            losses,
            ties,
            points / trials if trials else None,
            low,
            high,
            self.thumbs["up"],
            self.thumbs["down"],
            len(self.corrected),
        )


def _seen(reply: Reply, otherwise: str) -> str:
    return reply.message or otherwise
