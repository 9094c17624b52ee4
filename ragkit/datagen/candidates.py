"""Candidate answers of a passage, found by rules, with exact spans.

A question is written for each (Alberti et al. 2019: the answer first, then its question). Numbers, codes, addresses
and quoted text are found in any language; names need a script with capitals, phrases and reasons an English text.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ragkit.answering.language import language_of
from ragkit.chunking import sentence_spans
from ragkit.chunking.tables import tables_in
from ragkit.datagen.answer_patterns import ANSWER_KINDS, PATTERNS, AnswerKind
from ragkit.retrieval.terms import is_stop

_CAPITALISED_ALWAYS = frozenset({"de"})
"""Languages that capitalise every noun: one capitalised word is not a name."""
_MARKUP = re.compile(r"[*_\[\]|<>`#~{}\\]|https?:")
_SOURCE_CODE = re.compile(
    r"</?[a-z]+[ >/]|^ *\||\| *$|^(?:title|subtitle|layout|permalink|redirect_from|tags|sidebar|cSpell): "
    r"|\{%|\{\{|\w\": ?[\"\[{]|^---$",
    re.M,
)
_ITEM = re.compile(r"^[ \t]*(?:[-*+•–]|\d{1,2}[.)])[ \t]+(?P<item>[^\n]{8,90})$", re.M)
_LIST = re.compile(r"\n[ \t]*(?:[-*+•–]|\d{1,2}[.)])[ \t]")
_ENDED = re.compile(r"[.!?。！？][\"'”’)\]*_]*$")
_AUXILIARY = re.compile(
    r"\b(?:is|are|was|were|has|have|had|can|could|must|should|may|will|would|ist|sind|war|hat|est|es)\b"
)
_SUBJECT_FOLLOWS = re.compile(r"(?:[.,;:()–—]|\b(?:and|but|that|when|while|because|as|if|where))$")
_URL = re.compile(r"\b(?:https?|mailto|ftp):[^\s>\"]+")
_LINK = re.compile(r"!?\[([^\]\n]*)\]\([^)\s]*\)")
_MARKER = re.compile(r"^(?:#{1,6}|[-+•–>]|\d{1,2}[.)])\s+")
_PRONOUN = re.compile(r"(?:It|They|He|She|This|These|Those|That|His|Her|Its|Their|There|Such)\b")
BLANK: Final = "____"
_WORD = re.compile(r"\w[\w'’-]*")
_BEGINNING = re.compile(r"(?:^|[\n:|(\"“*_]|(?:^|\s)[-*+•–]|(?:^|\s)\d{1,2}[.)])[ \t*_]*$")
_WEEKDAYS = frozenset(("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"))
_LONGEST = 14
"""Words of a candidate."""
_LEAD_WORDS = 4
"""Words of the line above a list from which it says what the items are."""
_NEAR = 220
"""Characters of a short sentence. Sentences of twice the length are lists or text without punctuation."""
_COMMAS = 6
"""Commas of a sentence up to which it is no enumeration."""
_VERB_LIKE = re.compile(r"(?:ing|ed|ly)$")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A span of a passage that may be an answer: ``passage[start:end] == text``."""

    text: str
    start: int
    end: int
    kind: AnswerKind
    blank: str
    """The sentence of the candidate without markup, with ``____`` instead of the candidate. A sentence that begins with
    a pronoun comes with the one before it; a cell and an item of a list, with the words that name them."""


def candidates(passage: str, heading: str = "") -> list[Candidate]:
    """Return the candidate answers of a passage, the most useful first.

    The kinds of answers take turns, beginning with a kind that depends on the passage, so that kinds are balanced over
    many passages while the candidates of one passage depend on nothing else.

    Args:
        passage: text of a passage.
        heading: title and headings; what they name makes a poor answer.
    """
    found = _without_overlaps([*_cells(passage), *_matches(passage), *_items(passage)])
    named = heading.casefold()
    seen: set[str] = set()
    by_kind: dict[AnswerKind, list[Candidate]] = {}
    for one in found:
        folded = one.text.casefold()
        if folded in seen or (one.kind in ("name", "phrase") and folded in named):
            continue
        seen.add(folded)
        by_kind.setdefault(one.kind, []).append(one)
    kinds = [kind for kind in ANSWER_KINDS if kind in by_kind]
    if not kinds:
        return []
    digest = int.from_bytes(hashlib.sha256(passage.encode("utf-8", "surrogatepass")).digest()[:4])
    # Phrases come last: they are the least reliable kind.
    sure = [kind for kind in kinds if kind != "phrase"]
    first = digest % len(sure) if sure else 0
    order = [*sure[first:], *sure[:first], *(kind for kind in kinds if kind == "phrase")]
    for kind, ones in by_kind.items():
        by_kind[kind] = _spread(sorted(ones, key=lambda one: -_weight(passage, one)), digest)
    turns = max(map(len, by_kind.values()))
    return [by_kind[kind][turn] for turn in range(turns) for kind in order if turn < len(by_kind[kind])]


def plain(text: str) -> str:
    """Return a text on one line, without the marks of Markdown and the targets of links."""
    return " ".join(re.sub(r"[*`]|\\(?=\w)|(?<!_)_(?!_)", "", _LINK.sub(r"\1", text)).split())


def _matches(passage: str) -> Iterator[Candidate]:
    language = language_of(passage)
    starts = {start for start, _ in sentence_spans(passage)}
    links = [match.span() for match in _URL.finditer(passage)]
    for kind, pattern in PATTERNS:
        if kind in ("phrase", "reason") and language not in ("en", None):
            continue
        for match in pattern.finditer(passage):
            start, end = match.span(match.lastindex or 0)
            if kind == "name":
                start, end = _name(passage, start, end, starts)
                if language in _CAPITALISED_ALWAYS and " " not in passage[start:end]:
                    continue
            if kind == "code":  # without the marks of code
                start, end = (start + 1, end - 1) if passage[start] == "`" else (start, end)
            text = passage[start:end]
            if any(first < end and start < last for first, last in links):
                continue
            if _usable(passage, text, kind, start):
                blank = _blank(passage, start, end)
                if blank.count(BLANK) == 1:  # the target of a link is not in it
                    yield Candidate(text, start, end, kind, blank)


def _blank(passage: str, start: int, end: int) -> str:
    first, last = _sentence(passage, start, end)
    sentence = plain(f"{passage[first:start]}{BLANK}{passage[end:last]}")
    if _PRONOUN.match(sentence) and first:
        before = _sentence(passage, max(0, len(passage[:first].rstrip()) - 1))
        if before[1] <= first:
            sentence = f"{plain(passage[slice(*before)])} {sentence}"
    return _MARKER.sub("", sentence)


def _name(passage: str, start: int, end: int, starts: set[int]) -> tuple[int, int]:
    """Return the span of a name without articles and, at the beginning of a sentence, without a common word."""
    while start < end:
        word = _WORD.match(passage, start)
        if word is None:
            break
        # A single word at the start of a sentence or an item is capitalised whether it is a name or not.
        at_start = start in starts or _BEGINNING.search(passage, max(0, start - 8), start)
        if is_stop(word.group()) or (at_start and word.end() >= end):
            start = min(end, word.end() + 1)
        else:
            break
    text = passage[start : min(end, _sentence(passage, start)[1])]
    stripped = text.rstrip(".-&'’ ")
    if stripped.endswith(("’s", "'s")):
        stripped = stripped[:-2]
    if text.endswith(".") and re.search(r"\b(?:[A-Z]|Jr|Sr|Inc|Co|Ltd|St)$", stripped):
        stripped += "."
    return start, start + len(stripped)


def _usable(passage: str, text: str, kind: AnswerKind, start: int) -> bool:
    words = _WORD.findall(text)
    if not words or len(words) > _LONGEST or "\n" in text:
        return False
    if _MARKUP.search(text) and kind not in ("contact", "code"):
        return False
    if kind == "name" and (
        len(text) < 3 or len(words) > 6 or text.casefold() in _WEEKDAYS or all(is_stop(word) for word in words)
    ):
        return False
    if kind == "name" and len(words) == 1 and re.search(rf"\b{re.escape(text.lower())}\b", passage):
        return False
    if kind == "reason" and (len(words) < 3 or is_stop(words[-1])):
        return False
    if kind == "phrase" and (is_stop(words[0]) or is_stop(words[-1]) or _VERB_LIKE.search(words[-1])):
        return False
    if kind == "phrase" and any(is_stop(word) for word in words):
        return False
    if kind == "code" and (len(text) > 24 or text.islower()):
        return False
    if kind == "quoted" and len(words) > 8:
        return False
    before = passage[max(0, start - 2) : start]
    if kind in ("number", "date", "quantity") and before.endswith(("[", "^", "#", "/")):  # a reference mark or a link
        return False
    first, last = _sentence(passage, start, start + len(text))
    context = passage[first:last]
    if _SOURCE_CODE.search(context) or _LIST.search(context):
        return False
    if kind in ("name", "phrase", "quoted", "number") and not (_ENDED.search(context) or _AUXILIARY.search(context)):
        return False
    if kind == "name" and not _is_complete(passage, start, start + len(text), first):
        return False
    # A heading or a caption says nothing of its words, and nobody asks about a link.
    if len(_WORD.findall(context)) < len(words) + 4 or context.endswith("?"):
        return False
    # A long enumeration has many equal answers.
    return last - first <= 2 * _NEAR and context.count(",") + 2 * context.count(";") <= _COMMAS


def _is_complete(passage: str, start: int, end: int, first: int) -> bool:
    """Return whether a name is a complete noun phrase: in "the Slack page" or "18F-Site" it only describes another."""
    before, after = passage[first:start].rstrip(" *_"), passage[end : end + 30]
    if before.endswith("-") or re.match(r"[-:/\w]|’?'?s\b", after.lstrip("*_")):
        return False
    noun = re.match(r"[*_]*\s([a-z][\w-]+)", after)
    if noun is None or is_stop(noun[1]):
        return True
    return not before or _SUBJECT_FOLLOWS.search(before) is not None


def _cells(passage: str) -> Iterator[Candidate]:
    for table in tables_in(passage):
        for row in table.rows:
            filled = [cell for cell in row.cells if cell.text]
            # The first cell names the row; the others are what is asked for.
            for cell in filled[1:]:
                if (
                    len(cell.text) <= 60
                    and "\n" not in cell.text
                    and not _MARKUP.search(cell.text)
                    and len(cell.text) > 1
                ):
                    text = passage[cell.start : cell.end]
                    column = table.names(row)[row.cells.index(cell)]
                    if column and text.strip():
                        blank = f"{plain(column)} of {plain(filled[0].text)}: {BLANK}"
                        yield Candidate(text, cell.start, cell.end, "cell", blank)


def _items(passage: str) -> Iterator[Candidate]:
    for match in _ITEM.finditer(passage):
        start, end = match.span("item")
        text = passage[start:end].rstrip(" .;,")
        words = _WORD.findall(text)
        if 2 <= len(words) <= 8 and not _MARKUP.search(text):
            lead = next(
                (line for line in reversed(passage[: match.start()].splitlines()) if line.rstrip()[-1:] == ":"), ""
            )
            if len(_WORD.findall(lead)) >= _LEAD_WORDS and "@" not in text and not _SOURCE_CODE.search(lead):
                yield Candidate(text, start, start + len(text), "item", f"{_MARKER.sub('', plain(lead))} {BLANK}")


def _without_overlaps(found: list[Candidate]) -> list[Candidate]:
    """Return the candidates in the order of the text; of overlapping ones the earlier kind, then the longer."""
    kept: list[Candidate] = []
    for one in sorted(found, key=lambda one: (ANSWER_KINDS.index(one.kind), one.start - one.end, one.start)):
        if all(one.end <= other.start or other.end <= one.start for other in kept):
            kept.append(one)
    return sorted(kept, key=lambda one: one.start)


def _weight(passage: str, one: Candidate) -> float:
    """Return how useful a candidate is among those of its kind: longer names and units say more than bare numbers."""
    words = len(_WORD.findall(one.text))
    weight = float(min(words, 4)) if one.kind in ("name", "phrase", "quoted") else 1.0
    if one.kind in ("number", "date"):
        weight += len(one.text) / 10
    start, end = _sentence(passage, one.start)
    return weight + (0.5 if 40 <= end - start <= _NEAR else 0.0) - 0.5 * (passage.count(one.text) > 1)


def _spread(ones: list[Candidate], digest: int) -> list[Candidate]:
    """Return the better half in an order that depends on the passage, then the rest."""
    half = (len(ones) + 1) // 2
    better = ones[:half]
    turn = digest // 16 % half if half else 0
    return [*better[turn:], *better[:turn], *ones[half:]]


def _sentence(passage: str, start: int, end: int = 0) -> tuple[int, int]:
    """Return the span of the sentence at ``start``, or of all sentences up to ``end``: "on the 3. May" has no end."""
    touched = [span for span in sentence_spans(passage) if span[0] < max(end, start + 1) and start < span[1]]
    return (touched[0][0], touched[-1][1]) if touched else (0, len(passage))
