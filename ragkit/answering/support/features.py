"""Features for deciding whether evidence entails a claim: one number per kind of mismatch, and its description."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ragkit.answering.support.alignment import Alignment, WordSimilarity, align
from ragkit.answering.support.lexicon import LIGHT_WORDS, RELATIONS, UNITS, antonyms, lemma
from ragkit.answering.support.quantities import Quantity, normal_unit
from ragkit.answering.support.roles import exchanged, misplaced, order_changes, roles_swapped
from ragkit.answering.support.sentence import Parsed, is_fragment, parse

FEATURES = (
    "uncovered",
    "uncovered_share",
    "worst_uncovered",
    "near_words",
    "synonyms",
    "name_missing",
    "name_replaced",
    "number_missing",
    "number_replaced",
    "unit",
    "counted",
    "time",
    "antonym",
    "polarity",
    "negation_count",
    "quantifier",
    "quantifier_added",
    "bound",
    "modal",
    "modal_weaker",
    "role",
    "misplaced",
    "order",
    "slot_replaced",
    "fragment",
    "verbatim",
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Comparison of a claim with its evidence."""

    values: tuple[float, ...]
    """Values, one per name of ``FEATURES``."""
    reasons: tuple[str, ...]


def compare(claim: str, evidence: str, similarity: WordSimilarity | None = None) -> Comparison:
    """Return the mismatches between a claim and its evidence.

    Args:
        claim: one sentence.
        evidence: one sentence or a few.
        similarity: similarity of words; without it, words in no list count as missing.
    """
    one, other = parse(claim), parse(evidence)
    found = _Findings(one, other, align(one, other, similarity))
    if is_fragment(claim):
        found.note("fragment", 1.0, "fragment: not a whole statement")
    elif _breaks_off(one, other):
        found.note("fragment", 1.0, "fragment: breaks off in mid-sentence")
    if other.text.rstrip().endswith(("?", "？", "؟")):
        found.note("fragment", 1.0, "evidence: a question states nothing")
    if _is_verbatim(one, other):
        found.values["verbatim"] = 1.0
    else:
        _polarity(found)
        _quantities(found)
        _words(found)
        _quantifiers(found)
        _modals(found)
        _roles(found)
    return Comparison(tuple(found.values[name] for name in FEATURES), tuple(found.reasons))


class _Findings:
    def __init__(self, claim: Parsed, evidence: Parsed, aligned: Alignment) -> None:
        self.claim, self.evidence, self.aligned = claim, evidence, aligned
        self.values = dict.fromkeys(FEATURES, 0.0)
        self.reasons: list[str] = []
        self.explained: set[int] = set()
        """Words of the claim whose mismatch has already been reported."""
        self.spent: set[int] = set()
        """Words of the evidence at whose place the claim has another word."""

    def note(self, name: str, value: float, reason: str = "") -> None:
        self.values[name] = min(3.0, self.values[name] + value)
        if reason:
            self.reasons.append(reason)

    def said(self, index: int) -> str:
        return self.claim.tokens[index].text

    def has(self, index: int) -> str:
        return self.evidence.tokens[index].text


def _is_verbatim(claim: Parsed, evidence: Parsed) -> bool:
    """Return whether the claim is a sentence of the evidence, marks and case aside."""
    words = [t.low for t in claim.tokens if t.kind != "mark"]
    runs: list[list[str]] = [[]]
    for token in evidence.tokens:
        if token.low in (".", "!", "?", ";"):
            runs.append([])
        elif token.kind != "mark":
            runs[-1].append(token.low)
    return bool(words) and (words in runs or words == [word for run in runs for word in run])


def _breaks_off(claim: Parsed, evidence: Parsed) -> bool:
    """Return whether a claim without a full stop begins the evidence and ends in the middle of a phrase."""
    if claim.text.rstrip()[-1:] in ".!。" or not claim.tokens:
        return False
    size = len(claim.tokens)
    if [t.low for t in claim.tokens] != [t.low for t in evidence.tokens[:size]] or size >= len(evidence.tokens):
        return False
    following = evidence.tokens[size]
    return following.kind in ("content", "number") or following.low in (
        "a",
        "an",
        "the",
        "your",
        "their",
        "its",
        "this",
    )


def _polarity(found: _Findings) -> None:
    claim, evidence, aligned = found.claim, found.evidence, found.aligned
    flips: list[tuple[int, int]] = []
    agreements = 0
    for index, place in aligned.pairs.items():
        if claim.tokens[index].kind != "content":
            continue
        if claim.tokens[index].negated != evidence.tokens[place].negated:
            flips.append((index, place))
        else:
            agreements += 1
    unaligned = [i for i, t in enumerate(claim.tokens) if t.kind in ("content", "relation") and i not in aligned.pairs]
    held = set(aligned.pairs.values())
    opposites = 0
    for index in unaligned:
        token = claim.tokens[index]
        for place, other in enumerate(evidence.tokens):
            if place in held or place in found.spent or other.kind not in ("content", "relation"):
                continue
            if antonyms(token.lemma, other.lemma) or antonyms(token.low, other.low):
                found.explained.add(index)
                found.spent.add(place)
                if token.negated == other.negated:
                    weight = 0.6 if token.kind == "relation" else 1.0
                    found.note("antonym", weight, f"antonym: {token.text!r} against {other.text!r}")
                    if token.low in RELATIONS:
                        found.note("time", 0.4)
                else:
                    opposites += 1
                break
    if flips and not opposites:
        names = ", ".join(repr(found.said(index)) for index, _ in flips[:3])
        found.note("polarity", min(1.0, len(flips) / max(1, agreements)) + 0.5, f"negation: {names}")
    mine, theirs = claim.negators > 0, evidence.negators > 0
    if mine != theirs and not opposites:
        found.note("negation_count", 1.0 if mine else 0.5)


def _quantities(found: _Findings) -> None:
    claim, evidence = found.claim, found.evidence
    matched: set[int] = set()
    for mine in claim.numbers:
        options = [(n, theirs) for n, theirs in enumerate(evidence.numbers) if _equal(mine, theirs)]
        if options:
            number, theirs = max(options, key=lambda option: _fit(found, mine, option[1]))
            matched.add(number)
            _same_value(found, mine, theirs)
            continue
        words = claim.tokens[mine.start : mine.end]
        text = " ".join(token.text for token in words)
        # "Three guests" contradicts "one guest"; two counts of one thing can't both hold.
        same_thing = [theirs for theirs in evidence.numbers if _count_one_thing(found, mine, theirs)]
        if (
            not same_thing
            and mine.value == 1
            and mine.kind in ("word", "ordinal")
            and any(t.low in ("a", "an", "every", "each", "single", "original", "earliest") for t in evidence.tokens)
        ):
            continue
        rivals = same_thing or [theirs for theirs in evidence.numbers if _rivals(mine, theirs)]
        if mine.kind == "word" and not rivals:
            continue
        if rivals:
            seen = " ".join(token.text for token in evidence.tokens[rivals[0].start : rivals[0].end])
            found.note("number_replaced", 1.0, f"number: {text} is not in the evidence, which has {seen}")
        else:
            found.note("number_missing", 1.0, f"number: {text} is not in the evidence")
    _lone_units(found)


def _equal(mine: Quantity, theirs: Quantity) -> bool:
    if "clock" in (mine.kind, theirs.kind) and mine.kind != theirs.kind:
        return False
    if abs(mine.value - theirs.value) <= 1e-6 * max(1.0, abs(mine.value)):
        return True
    if mine.bound == "~" and theirs.value:
        return abs(mine.value / theirs.value - 1) <= 0.1
    if mine.bound in (">", ">=") and theirs.bound in ("", ">", ">="):
        return mine.value <= theirs.value <= 1.25 * mine.value and mine.value >= 100
    return False


def _fit(found: _Findings, mine: Quantity, theirs: Quantity) -> float:
    near = range(theirs.start - 6, theirs.end + 6)
    around = [i for i in range(mine.start - 6, mine.end + 6) if found.aligned.pairs.get(i) in near]
    return len(around) + 2.0 * (mine.unit == theirs.unit) + (mine.kind == theirs.kind)


def _rivals(mine: Quantity, theirs: Quantity) -> bool:
    if mine.kind == "word" or theirs.kind == "word":
        return bool(mine.unit) and mine.unit == theirs.unit
    if "year" in (mine.kind, theirs.kind):
        return mine.kind == theirs.kind
    if "clock" in (mine.kind, theirs.kind):
        return mine.kind == theirs.kind
    return mine.family == theirs.family or not mine.family or not theirs.family


def _count_one_thing(found: _Findings, mine: Quantity, theirs: Quantity) -> bool:
    """Return whether two numbers directly precede the same counted word: "one guest" and "three guests"."""
    return any(
        found.aligned.pairs.get(index) in range(theirs.end, theirs.end + 2)
        for index in mine.counted
        if index in range(mine.end, mine.end + 2)
    )


def _same_value(found: _Findings, mine: Quantity, theirs: Quantity) -> None:
    claim, aligned = found.claim, found.aligned
    if mine.unit and theirs.unit and mine.unit != theirs.unit:
        found.explained.add(mine.unit_at)
        found.spent.add(theirs.unit_at)
        found.note("unit", 1.0, f"unit: {mine.value:g} {mine.unit} against {theirs.value:g} {theirs.unit}")
    elif mine.unit and not theirs.unit and theirs.counted and mine.unit_at not in aligned.pairs:
        found.note("unit", 0.7, f"unit: {mine.unit} is not what the evidence counts")
    elif theirs.unit and mine.counted and not mine.unit and theirs.unit not in ("percent",):
        if not any(aligned.pairs.get(i, -99) in range(theirs.start - 8, theirs.end + 8) for i in mine.counted):
            found.note("counted", 0.7, f"counted: {found.said(mine.counted[0])!r} against {theirs.unit}")
    elif mine.unit and mine.unit == theirs.unit:
        found.explained.add(mine.unit_at)
    if theirs.family == "money":
        # "A ticket is €12" says what a ticket costs.
        found.explained |= {i for i in aligned.missing if claim.tokens[i].lemma in _COSTS}
    for index in mine.counted:
        place = aligned.pairs.get(index)
        if place is None:
            others = [p for p in theirs.counted if p in aligned.spare and p not in found.spent]
            if others and aligned.similarity.get(index, 0.0) < 0.9:
                found.spent.add(others[0])
                found.explained.add(index)
                found.note("unit", 1.0, f"counted: {found.said(index)!r} against {found.has(others[0])!r}")
        elif abs(place - theirs.start) > 14:
            found.note("counted", 0.5)
    _bounds(found, mine, theirs)


_COSTS = frozenset(lemma(word) for word in ("cost", "price", "pay", "fee", "charge"))


def _bounds(found: _Findings, mine: Quantity, theirs: Quantity) -> None:
    pair = {mine.bound[:1], theirs.bound[:1]}
    if pair == {"<", ">"}:
        found.note("bound", 1.0, f"bound: {mine.bound} {mine.value:g} against {theirs.bound} {theirs.value:g}")
    elif mine.bound != theirs.bound and "~" not in pair and mine.bound:
        found.note("bound", 0.4 if not theirs.bound else 0.2)


def _lone_units(found: _Findings) -> None:
    """Compare units without a number, such as ``within a month``, and months and weekdays."""
    claim, evidence, aligned = found.claim, found.evidence, found.aligned
    for index in aligned.missing:
        token = claim.tokens[index]
        if index in found.explained:
            continue
        unit = normal_unit(token.lemma)
        for place in aligned.spare:
            other = evidence.tokens[place]
            if place in found.spent:
                continue
            rival = normal_unit(other.lemma)
            if unit and rival and UNITS[unit] == UNITS[rival] and unit != rival:
                found.note("unit", 1.0, f"unit: {token.text!r} against {other.text!r}")
            elif token.calendar and token.calendar == other.calendar:
                found.note("time", 1.0, f"time: {token.text!r} against {other.text!r}")
            else:
                continue
            found.explained.add(index)
            found.spent.add(place)
            break
        else:
            if token.calendar:
                found.explained.add(index)
                found.note("time", 0.7, f"time: {token.text!r} is not in the evidence")


def _words(found: _Findings) -> None:
    claim, evidence, aligned = found.claim, found.evidence, found.aligned
    spare_names = [p for p in aligned.spare if evidence.tokens[p].name and p not in found.spent]
    total = sum(_weight(claim, index) for index in claim.content) or 1.0
    lacking = 0.0
    for index in aligned.missing:
        if index in found.explained:
            continue
        token = claim.tokens[index]
        weight = _weight(claim, index)
        if token.name:
            near = _slot(found, index, names_only=True)
            if near is None and spare_names and token.text.isalpha():
                near = spare_names[0]
            if near is not None:
                found.spent.add(near)
                found.note("name_replaced", 1.0, f"name: {token.text!r} against {found.has(near)!r}")
            else:
                found.note("name_missing", 1.0, f"name: {token.text!r} is not in the evidence")
            lacking += 0.5 * weight
            continue
        near_by = aligned.similarity.get(index, 0.0)
        found.values["near_words"] += near_by > 0.55
        short = weight * max(0.0, 1.0 - near_by)
        lacking += short
        found.values["worst_uncovered"] = max(found.values["worst_uncovered"], short)
        if short > 0.4:
            found.reasons.append(f"not in the evidence: {token.text!r}")
        slot = _slot(found, index)
        if slot is not None and near_by < 0.8 and weight >= 1:
            found.note("slot_replaced", 1.0 - near_by, f"other word: {token.text!r} against {found.has(slot)!r}")
    found.values["uncovered"] = min(lacking, 4.0)
    found.values["uncovered_share"] = min(1.0, lacking / total)
    found.values["synonyms"] = min(4.0, float(aligned.by_synonym))


def _weight(claim: Parsed, index: int) -> float:
    token = claim.tokens[index]
    return 0.3 if token.low in LIGHT_WORDS or token.lemma in LIGHT_WORDS else 1.0


def _slot(found: _Findings, index: int, names_only: bool = False) -> int | None:
    """Return the unaligned word of the evidence that has the same neighbours as a word of the claim."""
    claim, evidence, aligned = found.claim, found.evidence, found.aligned
    content = claim.content
    position = content.index(index)
    left = aligned.pairs.get(content[position - 1]) if position else None
    right = aligned.pairs.get(content[position + 1]) if position + 1 < len(content) else None
    places = evidence.content
    best: int | None = None
    for number, place in enumerate(places):
        other = evidence.tokens[place]
        if place not in aligned.spare or place in found.spent or (names_only and not other.name):
            continue
        after_left = left is not None and number > 0 and places[number - 1] == left
        before_right = right is not None and number + 1 < len(places) and places[number + 1] == right
        if after_left and before_right:
            return place
        if (after_left or before_right) and best is None and (left is None or right is None or names_only):
            best = place
    return best


_STRENGTH = {"all": 4, "most": 3, "some": 2, "few": 1}


def _quantifiers(found: _Findings) -> None:
    claim, evidence = found.claim, found.evidence
    theirs = Counter(kind for kind, _ in evidence.quantifiers)
    mine = Counter(kind for kind, _ in claim.quantifiers)
    for kind in mine - theirs:
        rivals = [other for other in theirs - mine if other in _STRENGTH]
        if kind in ("all", "most"):
            weaker = [other for other in rivals if _STRENGTH[other] < _STRENGTH[kind]]
            if weaker:
                found.note("quantifier", 1.0, f"quantifier: {kind!r} against {weaker[0]!r}")
            elif "none" not in theirs:
                found.note("quantifier_added", 0.7 if kind == "all" else 1.0, f"quantifier: {kind!r} is added")
        elif kind == "some":
            if "none" in theirs or "few" in rivals or "only" in theirs:
                found.note("quantifier", 0.6)
        elif kind == "few":
            found.note("quantifier", 1.0 if rivals else 0.6, f"quantifier: {kind!r} is added")
        elif kind == "only":
            if not any(word.low in ("except", "unless", "until", "first", "unique") for word in evidence.tokens):
                found.note("quantifier_added", 1.0, "quantifier: 'only' is added")
        elif kind == "none" and rivals:
            found.note("quantifier", 0.5, f"quantifier: 'none' against {rivals[0]!r}")
    if "only" in theirs and "only" not in mine and "some" in mine:
        found.note("quantifier", 0.5, "quantifier: 'only' is lost")


def _modals(found: _Findings) -> None:
    mine = {kind for kind, _ in found.claim.modals}
    theirs = {kind for kind, _ in found.evidence.modals}
    if not mine or mine & theirs:
        return
    strength = {"may": 1, "should": 2, "must": 3}
    most = max(strength[kind] for kind in mine)
    if theirs:
        gap = most - max(strength[kind] for kind in theirs)
        if gap > 0:
            found.note("modal", 0.5 * gap, f"modality: {sorted(mine)[0]!r} against {sorted(theirs)[0]!r}")
        elif gap < 0:
            found.note("modal_weaker", -0.5 * gap)
    elif most == 3:
        found.note("modal", 0.2)


def _roles(found: _Findings) -> None:
    claim, evidence, pairs = found.claim, found.evidence, found.aligned.pairs
    swapped = exchanged(claim, evidence, pairs) or roles_swapped(claim, evidence, pairs)
    if swapped:
        found.note("role", swapped[0], f"roles: {swapped[1]}")
    place = misplaced(claim, evidence, pairs)
    if place:
        found.note("misplaced", place[0], f"place: {place[1]}")
    found.values["order"] = order_changes(claim, pairs)
