"""Semantic roles: detects words that are swapped between a claim and its evidence."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from ragkit.answering.support.sentence import Parsed, main_verbs

_WINDOW = 3


def roles_swapped(claim: Parsed, evidence: Parsed, pairs: Mapping[int, int]) -> tuple[float, str] | None:
    """Return the confidence, 0 to 1, that agent and patient of a shared verb are swapped, and the words; None if not.

    They are swapped if the sides of the verb are exchanged in the same voice, or kept in a different voice.
    """
    best: tuple[float, str] | None = None
    verbs, there = main_verbs(claim), main_verbs(evidence)
    for verb, place in pairs.items():
        token, other = claim.tokens[verb], evidence.tokens[place]
        if token.kind != "content" or token.name or other.name or verb not in verbs or place not in there:
            continue
        before, after = _sides(claim, verb)
        if not before or not after:
            continue
        there_before, there_after = _sides(evidence, place)
        if verb in claim.passives:
            before, after = _by_agent(claim, verb, after), before
        if place in evidence.passives:
            there_before, there_after = _by_agent(evidence, place, there_after), there_before
        agents = [i for i in before if i in pairs]
        patients = [i for i in after if i in pairs]
        crossed_agents = [i for i in agents if pairs[i] in there_after and pairs[i] not in there_before]
        crossed_patients = [i for i in patients if pairs[i] in there_before and pairs[i] not in there_after]
        kept = any(pairs[i] in there_before for i in agents) or any(pairs[i] in there_after for i in patients)
        if crossed_agents and crossed_patients:
            words = f"{claim.tokens[crossed_agents[-1]].text!r} and {claim.tokens[crossed_patients[0]].text!r}"
            return 1.0, words
        if (crossed_agents or crossed_patients) and not kept:
            one = (crossed_agents or crossed_patients)[0]
            best = best or (0.5, f"{claim.tokens[one].text!r} is on the other side of {token.text!r}")
    return best


def _sides(parsed: Parsed, at: int) -> tuple[list[int], list[int]]:
    """Return the content words of the same clause left and right of a word, at most five each."""
    clause = parsed.tokens[at].clause
    inside = [i for i in parsed.content if parsed.tokens[i].clause == clause and i != at]
    return [i for i in inside if i < at][-5:], [i for i in inside if i > at][:5]


def _by_agent(parsed: Parsed, verb: int, after: list[int]) -> list[int]:
    """Return the words after the ``by`` of a passive verb."""
    for index in range(verb + 1, min(len(parsed.tokens), verb + 10)):
        if parsed.tokens[index].low == "by":
            return [i for i in parsed.content if index < i <= index + 4]
    return []


def misplaced(claim: Parsed, evidence: Parsed, pairs: Mapping[int, int]) -> tuple[float, str] | None:
    """Return how much better names and numbers of a claim match the place of another one in the evidence.

    The words beside a name or number are compared with the words beside its own place in the evidence and beside the
    places of the other names or numbers there.
    """
    worst: tuple[float, str] | None = None
    for kind in ("name", "number"):
        mine = _things(claim, kind)
        theirs = _things(evidence, kind)
        if kind == "name":
            lemmas = [token.lemma for token in evidence.tokens]
            theirs = [i for i in theirs if lemmas.count(lemmas[i]) == 1]
        if len(theirs) < 2:
            continue
        for at in mine:
            own = _own_place(claim, evidence, pairs, at, theirs, kind)
            if own is None:
                continue
            around = _around(claim, at, pairs)
            if not around:
                continue
            score = _overlap(around, _around(evidence, own, None))
            rivals = [(_overlap(around, _around(evidence, other, None)), other) for other in theirs if other != own]
            rival, other = max(rivals)
            # A neighbour that is the rival itself says nothing about who holds which place.
            if rival >= score + 1.0:
                gap = (rival - score) / max(1.0, float(len(around)))
                if worst is None or gap > worst[0]:
                    worst = (
                        gap,
                        f"{claim.tokens[at].text!r} is used, but the evidence has {evidence.tokens[other].text!r}",
                    )
    return worst


def _things(parsed: Parsed, kind: str) -> list[int]:
    if kind == "number":
        return [quantity.start for quantity in parsed.numbers]
    found = [i for i, token in enumerate(parsed.tokens) if token.name]
    return [i for i in found if i + 1 not in found]


def _own_place(
    claim: Parsed, evidence: Parsed, pairs: Mapping[int, int], at: int, theirs: list[int], kind: str
) -> int | None:
    if kind == "name":
        place = pairs.get(at)
        return place if place in theirs else None
    value = next(q.value for q in claim.numbers if q.start == at)
    same = [q.start for q in evidence.numbers if abs(q.value - value) < 1e-6]
    return same[0] if len(same) == 1 else None


def _around(parsed: Parsed, at: int, pairs: Mapping[int, int] | None) -> set[tuple[str, int]]:
    """Return the content words beside a word, as the side they are on and their place in the evidence."""
    clause = parsed.tokens[at].clause
    # Names hold places themselves: the words that tell a place are the others.
    inside = [i for i in parsed.content if parsed.tokens[i].clause == clause and not parsed.tokens[i].name]
    left = [i for i in inside if i < at][-_WINDOW:]
    right = [i for i in inside if i > at][:_WINDOW]
    sides = [("left", i) for i in left] + [("right", i) for i in right]
    if pairs is None:
        return set(sides)
    return {(side, pairs[i]) for side, i in sides if i in pairs}


def _overlap(mine: set[tuple[str, int]], theirs: set[tuple[str, int]]) -> float:
    """Return how many words are beside both; half for those on the other side."""
    mirrored = {("right" if side == "left" else "left", place) for side, place in mine}
    return len(mine & theirs) + 0.5 * len(mirrored & theirs)


def exchanged(claim: Parsed, evidence: Parsed, pairs: Mapping[int, int]) -> tuple[float, str] | None:
    """Return the confidence that two names are swapped, by the words directly beside them."""
    mine = [run for run in _runs(claim) if run[1] in pairs and claim.tokens[run[1]].name]
    held = {run[1]: run for run in _runs(evidence)}
    there = {run: held[pairs[run[1]]] for run in mine if pairs[run[1]] in held}
    for number, one in enumerate(mine):
        for other in mine[number + 1 :]:
            if one not in there or other not in there or there[one] == there[other]:
                continue
            here_one, here_other = _beside(claim, one), _beside(claim, other)
            was_one, was_other = _beside(evidence, there[one]), _beside(evidence, there[other])
            kept = _same(here_one, was_one) + _same(here_other, was_other)
            crossed = _same(here_one, was_other) + _same(here_other, was_one)
            if crossed >= kept + 2:
                return 1.0, f"{claim.tokens[one[1]].text!r} and {claim.tokens[other[1]].text!r}"
    return None


def _runs(parsed: Parsed) -> list[tuple[int, int]]:
    """Return the first and last index of each name, and of each other content word."""
    found: list[tuple[int, int]] = []
    for index in parsed.content:
        if found and found[-1][1] == index - 1 and parsed.tokens[index].name and parsed.tokens[index - 1].name:
            found[-1] = found[-1][0], index
        else:
            found.append((index, index))
    return found


def _beside(parsed: Parsed, run: tuple[int, int]) -> tuple[str, str]:
    left, right = run[0] - 1, run[1] + 1
    while left >= 0 and parsed.tokens[left].low in ("the", "a", "an", "your", "his", "its", "their"):
        left -= 1
    return (
        parsed.tokens[left].lemma if left >= 0 else "^",
        parsed.tokens[right].lemma if right < len(parsed.tokens) else ".",
    )


def _same(one: tuple[str, str], other: tuple[str, str]) -> int:
    return (one[0] == other[0]) + (one[1] == other[1])


def order_changes(claim: Parsed, pairs: Mapping[int, int]) -> float:
    """Return the share of neighbouring aligned words whose order differs in the evidence, 0 to 1."""
    places = [pairs[i] for i in claim.content if i in pairs]
    if len(places) < 2:
        return 0.0
    return sum(left > right for left, right in pairwise(places)) / (len(places) - 1)
