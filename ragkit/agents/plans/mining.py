"""Mines actions from people's questions: information that they ask for repeatedly becomes a named action.

PEARL (Sun et al., 2023) lets GPT-4 propose actions for each question, and merges them to 81, of which three make up 72
% of the steps of its plans. Here, rules read what a question asks for ("the deadline of", "which form", "how do I
submit"), phrases of similar meaning are merged by their vectors, and actions with few questions are dropped. A model
can name what the rules do not read.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ragkit.agents.plans.mined import MinedAction
from ragkit.answering.kinds import Kind, kind_of
from ragkit.models import ConstrainedModel, GenerationOptions
from ragkit.records import Message
from ragkit.retrieval.terms import is_stop

if TYPE_CHECKING:
    from ragkit.embedding import Embedder

LEAST_SUPPORT = 3
"""Minimum number of questions for an action."""
_SAME = 0.65
"""Cosine of two phrases from which they mean the same."""
_WORD = r"[a-z][a-z-]+"
_NOUN = rf"(?P<noun>{_WORD}(?: {_WORD}){{0,2}}?)"
_BE = r"(?:'s| is| are| was| were)"
_NEXT = r"(?:of|for|to|in|on|at|when|if|that|from|about|between|with|during|after|before|i|we|you|they|he|she)"
_DOES = r"(?:is|are|was|were|do|does|did|can|could|must|should|has|have|had|will|would|may)"
_FORMS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), phrase)
    for pattern, phrase in (
        (r"^\W*(?:please )?(?:summari[sz]e|give (?:me )?a summary)\b", "=summarise"),
        (r"^\W*(?:please )?(?:list|name all|show all)\b", "=list_items"),
        (r"\b(?:compare|difference between|differ)\b", "=compare"),
        (r"\bhow (?:do|can|should|would|could|did) (?:i|we|you|one|they)\b|^\W*how to\b|\bsteps (?:to|for)\b", "steps"),
        (r"\bhow (?:long|much time|many (?:days|weeks|months|hours|years|minutes))\b", "duration"),
        (r"\bhow old\b", "age"),
        (r"\bhow (?:much|expensive)\b", "amount"),
        (r"\bhow (?:many|often)\b", "number"),
        (rf"\bwhat{_BE} (?:the |a |an |my |our |your )?(?:name of the |kind of |type of )?{_NOUN} {_NEXT}\b", ""),
        (rf"\b(?:which|what) {_NOUN} {_DOES}\b", ""),
        (rf"\bwhat{_BE} (?:\w+ ){{0,3}}\w+['’]s? {_NOUN}(?: {_NEXT}\b|\W*$)", ""),
        (r"^\W*(?:\w+ ){0,3}who(?:m|se)?\b", "person"),
        (r"^\W*(?:\w+ ){0,3}when\b|\bwhat time\b|\bby when\b", "date"),
        (r"^\W*(?:\w+ ){0,3}where\b", "place"),
        (r"\bwhy\b|\bfor what reason\b", "reason"),
        (r"^\W*(?:can|may|am|are|is|do|does|must|should|will)\b", "rule"),
    )
)
"""Information that a question form asks for: ``=`` marks a built-in action, an empty phrase the noun of the match."""
_LISTS = frozenset({"step", "requirement", "condition", "reason", "rule", "document", "option", "example", "type"})
"""Phrases that are answered by several items."""
_NOT_NOUNS = frozenset({"way", "thing", "one", "best", "following", "kind", "type", "name", "maximum", "minimum"})
_NOT_FIRST = frozenset({"another", "other", "first", "last", "next", "best", "main", "only", "same", "current", "new"})
_KINDS: dict[Kind, str] = {
    "procedure": "step",
    "list": "=list_items",
    "summary": "=summarise",
    "comparison": "=compare",
    "definition": "definition",
}
"""Information that a kind of question asks for, if no form fits."""
_MOST = 12
_PROMPT = (
    "Name the kind of information that a question asks for, in one or two common words, such as: deadline, contact "
    "person, required form, reason, price."
)
_SHOTS = (
    ("By which day do I have to hand in my receipts?", "deadline"),
    ("To whom can I turn if my badge is lost?", "contact person"),
    ("I would like to know what a locker costs.", "price"),
)
_GRAMMAR = 'root ::= word (" " word)?\nword ::= [a-z] [a-z] [a-z] [a-z]? [a-z]? [a-z]? [a-z]? [a-z]? [a-z]? [a-z]?\n'


@dataclass(frozen=True, slots=True)
class MiningReport:
    """Result of mining."""

    actions: tuple[MinedAction, ...]
    """Mined actions, in descending order of the number of questions."""
    built_in: dict[str, int]
    """Questions that ask for what a built-in action does, by its name."""
    dropped: dict[str, int]
    """Phrases that too few questions ask for, with their number."""
    unread: tuple[str, ...]
    """Questions in which nothing was found."""


@dataclass(slots=True)
class _Group:
    phrase: str
    vector: np.ndarray
    questions: list[str] = field(default_factory=list)
    phrases: Counter[str] = field(default_factory=Counter)


def mine_actions(
    questions: Iterable[str],
    embedder: Embedder,
    *,
    model: ConstrainedModel | None = None,
    least_support: int = LEAST_SUPPORT,
    most: int = _MOST,
    progress: Callable[[int, int], None] | None = None,
) -> MiningReport:
    """Mine actions from questions.

    Args:
        questions: questions as people ask them; equal ones count once.
        embedder: merges phrases of similar meaning.
        model: a local model, which names what the questions ask for that the rules do not read.
        least_support: minimum number of questions for an action.
        most: maximum number of actions.
        progress: gets the number of questions that the model has read, and of those that it has to read.

    Raises:
        ModelError: if the model fails.
    """
    asked = list(dict.fromkeys(text for text in (" ".join(one.split()) for one in questions) if text))
    phrases = {question: asked_for(question) for question in asked}
    if model is not None:
        left = [question for question, phrase in phrases.items() if not phrase]
        for number, question in enumerate(left, 1):
            phrases[question] = _singular(_named(model, question))
            if progress is not None:
                progress(number, len(left))
    built_in: Counter[str] = Counter(phrase[1:] for phrase in phrases.values() if phrase.startswith("="))
    read = {question: phrase for question, phrase in phrases.items() if phrase and not phrase.startswith("=")}
    groups = _groups(read, embedder)
    kept = [group for group in groups if len(group.questions) >= least_support][:most]
    return MiningReport(
        tuple(_action(group) for group in kept),
        dict(built_in),
        {group.phrase: len(group.questions) for group in groups if group not in kept},
        tuple(question for question, phrase in phrases.items() if not phrase),
    )


def asked_for(question: str) -> str:
    """Return what a question asks for: a noun such as ``deadline``, ``=`` and a built-in action, or nothing."""
    for pattern, phrase in _FORMS:
        match = pattern.search(question)
        if match is None:
            continue
        if phrase:
            return phrase if phrase.startswith("=") else _singular(phrase)
        noun = match["noun"].lower().split()
        words = [word for word in noun if not is_stop(word) and word not in _NOT_FIRST]
        if words and words[-1] == noun[-1] and words[-1] not in _NOT_NOUNS:
            return " ".join([*words[:-1], _singular(words[-1])])
    return _KINDS.get(kind_of(question).kind, "")


def _groups(phrases: dict[str, str], embedder: Embedder) -> list[_Group]:
    """Return phrases of similar meaning together, those of most questions first."""
    counts = Counter(phrases.values())
    ordered = [phrase for phrase, _ in counts.most_common()]
    if not ordered:
        return []
    vectors = np.asarray(embedder.embed(ordered, "document"))
    groups: list[_Group] = []
    of: dict[str, _Group] = {}
    for phrase, vector in zip(ordered, vectors, strict=True):
        best = max(groups, key=lambda group: float(group.vector @ vector), default=None)
        if best is None or float(best.vector @ vector) < _SAME:
            best = _Group(phrase, vector)
            groups.append(best)
        of[phrase] = best
    for question, phrase in phrases.items():
        of[phrase].questions.append(question)
        of[phrase].phrases[phrase] += 1
    return sorted(groups, key=lambda group: -len(group.questions))


def _action(group: _Group) -> MinedAction:
    others = [phrase for phrase, _ in group.phrases.most_common(4) if phrase != group.phrase]
    also = f" (also: {', '.join(others)})" if others else ""
    items = group.phrase.split()[-1] in _LISTS
    noun = f"{group.phrase}s" if items else group.phrase
    return MinedAction(
        "find_" + re.sub(r"\W+", "_", noun),
        "items" if items else "value",
        f"Find the {noun} for a subject in passages{also}.",
        _TEMPLATES.get(group.phrase, f"What {'are' if items else 'is'} the {noun} for {{subject}}?"),
        len(group.questions),
        tuple(group.questions[:3]),
    )


_TEMPLATES = {
    "step": "What are the steps for {subject}?",
    "duration": "How long does {subject} take?",
    "amount": "How much is {subject}?",
    "number": "How many {subject} are there?",
    "age": "How old is {subject}?",
    "definition": "What is {subject}?",
    "person": "Who is responsible for {subject}?",
    "date": "When is {subject}?",
    "place": "Where is {subject}?",
    "reason": "Why {subject}?",
    "rule": "What are the rules on {subject}?",
}
"""Questions about a subject, by the phrase of a rule."""


def _named(model: ConstrainedModel, question: str) -> str:
    """Return what a model says that a question asks for."""
    messages = [Message("system", _PROMPT)]
    for shot, name in _SHOTS:
        messages += [Message("user", f"Question: {shot}"), Message("assistant", name)]
    messages.append(Message("user", f"Question: {question}"))
    options = GenerationOptions(max_tokens=12, grammar=_GRAMMAR, stop=("\n",))
    return "".join(delta.text for delta in model.continue_reply(messages, "", options)).strip()


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3 else word
