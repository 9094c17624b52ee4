"""Rankings: a better and a worse answer to the same prompt."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from ragkit.errors import ExamplePoolError
from ragkit.records import Message, Metadata, Role
from ragkit.tuning.data import LeakedRecord, TuningRecord, without_leaks

Prompt = str | Sequence[Message]
"""A question, or the messages of a prompt."""
_ROLES = ("system", "user", "assistant")
_OWN = ("prompt", "chosen", "rejected", "answers", "scores")
_Vote = tuple[tuple[tuple[str, str], ...], str, str]
"""Key of a prompt, the preferred answer, and the other."""
_SHAPES = (
    'Use {"prompt": "…", "chosen": "…", "rejected": "…"}, or {"prompt": "…", "answers": ["best", …, "worst"]}; '
    'with "scores" for "answers", the higher the better, the order is ignored.'
)


@dataclass(frozen=True, slots=True)
class Ranking:
    """Two answers to the same prompt, of which one is preferred."""

    prompt: Prompt
    chosen: str
    rejected: str
    metadata: Metadata = field(default_factory=dict)
    """Metadata of the ranking. A ``key`` identifies the prompt; see ``key``."""

    @property
    def messages(self) -> tuple[Message, ...]:
        """The prompt as messages."""
        return as_messages(self.prompt)

    @property
    def key(self) -> str:
        """Identifying part of the prompt: the last user message, unless the metadata has a ``key``."""
        own = self.metadata.get("key")
        said = (message.content for message in reversed(self.messages) if message.role == "user")
        return own if isinstance(own, str) else next(said, "")

    def record(self) -> TuningRecord:
        """Return a training record with the better answer."""
        return TuningRecord(self.messages, self.chosen, self.key)

    def to_dict(self) -> dict[str, Any]:
        """Return a row of a JSON Lines file that ``read_rankings`` reads."""
        prompt = (
            self.prompt
            if isinstance(self.prompt, str)
            else [{"role": m.role, "content": m.content} for m in self.prompt]
        )
        return {"prompt": prompt, "chosen": self.chosen, "rejected": self.rejected, **self.metadata}


@dataclass(frozen=True, slots=True)
class RankingsReport:
    """Usable rankings, and problems of others."""

    rankings: list[Ranking]
    refused: list[str] = field(default_factory=list)
    """Problems of refused rankings: an empty prompt or answer, or two equal answers."""
    contradictions: list[str] = field(default_factory=list)
    """Pairs of answers that were ranked both ways. Opposite votes cancel each other, so that only the surplus of the
    majority remains, and a tie leaves no vote."""
    repeats: int = 0
    """Number of repeated rankings; they are kept as votes."""


def as_messages(prompt: Prompt) -> tuple[Message, ...]:
    """Return a prompt as messages; a question becomes a user message."""
    return (Message("user", prompt),) if isinstance(prompt, str) else tuple(prompt)


def ranked(prompt: Prompt, answers: Sequence[str], scores: Sequence[float], **metadata: Any) -> list[Ranking]:
    """Return a ranking for each pair of answers with different scores.

    Args:
        prompt: the prompt.
        answers: answers to the prompt; duplicates count once, with the first score.
        scores: score of each answer, the higher the better.
        **metadata: metadata of the rankings.

    Raises:
        ExamplePoolError: if the numbers of answers and scores differ.
    """
    if len(answers) != len(scores):
        raise ExamplePoolError(
            f"There are {len(answers)} answers and {len(scores)} scores.", "Pass one score per answer."
        )
    first: dict[str, float] = {}
    for answer, score in zip(answers, scores, strict=True):
        first.setdefault(_normalized_space(answer), score)
    texts = {_normalized_space(answer): answer for answer in reversed(answers)}
    return [
        Ranking(prompt, texts[better], texts[worse], metadata)
        for better in first
        for worse in first
        if first[better] > first[worse]
    ]


def checked(rankings: Iterable[Ranking]) -> RankingsReport:
    """Remove invalid rankings, and resolve and report contradictions.

    Args:
        rankings: rankings by people.
    """
    refused: list[str] = []
    kept: list[tuple[Ranking, _Vote]] = []
    for number, one in enumerate(rankings, 1):
        vote = (_of_prompt(one), _normalized_space(one.chosen), _normalized_space(one.rejected))
        texts = {"prompt": one.key.strip(), "chosen": vote[1], "rejected": vote[2]}
        empty = [name for name, text in texts.items() if not text]
        if empty:
            refused.append(f"Ranking {number} has an empty {' and '.join(empty)}.")
        elif vote[1] == vote[2]:
            refused.append(f"Ranking {number} ranks two equal answers: {one.chosen[:60]!r}.")
        else:
            kept.append((one, vote))
    votes = Counter(vote for _, vote in kept)
    stay = {vote: max(0, count - votes[_against(vote)]) for vote, count in votes.items()}
    contradictions: dict[frozenset[_Vote], str] = {}
    left = Counter(stay)
    rest: list[Ranking] = []
    for one, vote in kept:
        against = votes[_against(vote)]
        if against:
            summary = f"{votes[vote]} to {against} for {one.chosen[:60]!r} over {one.rejected[:60]!r}: {one.key[:60]!r}"
            contradictions.setdefault(frozenset((vote, _against(vote))), summary)
        if left[vote]:
            left[vote] -= 1
            rest.append(one)
    return RankingsReport(rest, refused, list(contradictions.values()), len(rest) - sum(n > 0 for n in stay.values()))


def read_rankings(path: str | Path) -> RankingsReport:
    """Read the rankings of a JSON Lines file.

    A row has ``prompt`` (a question, or a list of messages), ``chosen`` and ``rejected``; or ``prompt`` and
    ``answers``, the best first, or with ``scores``. Its other fields are metadata.

    Raises:
        ExamplePoolError: if the file can't be read, a line is not a ranking, or no usable ranking remains.
    """
    file = Path(path)
    try:
        with file.open(encoding="utf-8-sig") as lines:
            found = [one for row, place in _rows(lines, file) for one in _rankings(row, place)]
    except (OSError, UnicodeDecodeError) as error:
        raise ExamplePoolError(f"{file} can't be read: {error}.", "Use a readable file in UTF-8.") from error
    report = checked(found)
    if not report.rankings:
        reasons = [*report.refused, *report.contradictions][:3]
        raise ExamplePoolError(f"{file} contains no usable ranking. {' '.join(reasons)}".rstrip(), _SHAPES)
    return report


def read_prompts(path: str | Path) -> list[TuningRecord]:
    """Read the distinct prompts of a JSON Lines file, such as one of rankings, as records without a reply.

    Raises:
        ExamplePoolError: if the file can't be read, or a line has no prompt.
    """
    file = Path(path)
    found: dict[tuple[Message, ...], TuningRecord] = {}
    try:
        with file.open(encoding="utf-8-sig") as lines:
            for row, place in _rows(lines, file):
                one = Ranking(_prompt(row["prompt"], place), "", "", {"key": row["key"]} if "key" in row else {})
                found.setdefault(one.messages, TuningRecord(one.messages, "", one.key))
    except (OSError, UnicodeDecodeError) as error:
        raise ExamplePoolError(f"{file} can't be read: {error}.", "Use a readable file in UTF-8.") from error
    return list(found.values())


def write_rankings(path: str | Path, rankings: Iterable[Ranking]) -> None:
    """Write rankings as JSON Lines, for ``read_rankings``."""
    with Path(path).open("w", encoding="utf-8") as file:
        for one in rankings:
            file.write(json.dumps(one.to_dict(), ensure_ascii=False) + "\n")


def split_rankings(
    rankings: Sequence[Ranking], val_fraction: float = 0.2, seed: int = 0, group_by: str | None = None
) -> tuple[list[Ranking], list[Ranking]]:
    """Split rankings into training and held-out ones; a prompt is never on both sides.

    Args:
        rankings: all rankings.
        val_fraction: fraction of the prompts to hold out, 0 to 1.
        seed: random seed; the side of a ranking does not depend on other rankings.
        group_by: metadata field, such as a document. Rankings with the same value are never split across train and
            validation; by default, those with the same prompt.
    """
    sides: tuple[list[Ranking], list[Ranking]] = ([], [])
    for one in rankings:
        own = str(one.metadata.get(group_by, "")) if group_by is not None else json.dumps(_of_prompt(one))
        digest = hashlib.blake2b(f"{seed}\0{own}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
        sides[int.from_bytes(digest) < val_fraction * 2**64].append(one)
    return sides


def unleaked(
    rankings: Sequence[Ranking], splits: Mapping[str, Sequence[Ranking]]
) -> tuple[list[Ranking], list[LeakedRecord]]:
    """Remove rankings whose key is a near-duplicate of a key of an evaluation split; see ``without_leaks``.

    Raises:
        ExamplePoolError: if no ranking remains.
    """
    records = [one.record() for one in rankings]
    clean, leaked = without_leaks(records, {name: [one.record() for one in rows] for name, rows in splits.items()})
    stay = {id(record) for record in clean}
    return [one for one, record in zip(rankings, records, strict=True) if id(record) in stay], leaked


def _rows(lines: Iterable[str], file: Path) -> Iterator[tuple[Mapping[str, Any], str]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ExamplePoolError(f"{file}, line {number} is not JSON: {error}.", "Correct the line.") from error
        if not isinstance(row, dict) or "prompt" not in row:
            raise ExamplePoolError(f"{file}, line {number} is not an object with a prompt.", _SHAPES)
        yield row, f"{file}, line {number}"


def _rankings(row: Mapping[str, Any], place: str) -> list[Ranking]:
    prompt = _prompt(row["prompt"], place)
    metadata = {
        key: value if isinstance(value, str | int | float | bool) else json.dumps(value, ensure_ascii=False)
        for key, value in row.items()
        if key not in _OWN and value is not None
    }
    chosen, rejected, answers, scores = (row.get(name) for name in _OWN[1:])
    if isinstance(chosen, str) and isinstance(rejected, str) and answers is None:
        return [Ranking(prompt, chosen, rejected, metadata)]
    if isinstance(answers, list) and all(isinstance(answer, str) for answer in answers):
        scores = list(range(len(answers), 0, -1)) if scores is None else scores
        if isinstance(scores, list) and len(scores) == len(answers) and all(map(_is_number, scores)):
            return ranked(prompt, answers, scores, **metadata)
    raise ExamplePoolError(f"{place} is not a ranking.", _SHAPES)


def _prompt(given: Any, place: str) -> Prompt:
    if isinstance(given, str):
        return given
    if isinstance(given, list) and given and all(_is_turn(turn) for turn in given):
        return tuple(Message(cast(Role, turn["role"]), turn["content"]) for turn in given)
    raise ExamplePoolError(
        f"The prompt in {place} is neither a text nor messages.",
        'Use a question, or [{"role": "user", "content": "…"}].',
    )


def _is_turn(turn: Any) -> bool:
    return isinstance(turn, dict) and turn.get("role") in _ROLES and isinstance(turn.get("content"), str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _of_prompt(one: Ranking) -> tuple[tuple[str, str], ...]:
    return tuple((message.role, _normalized_space(message.content)) for message in one.messages)


def _against(vote: _Vote) -> _Vote:
    return vote[0], vote[2], vote[1]


def _normalized_space(text: str) -> str:
    return " ".join(text.split())
