"""Questions for candidate answers, written by a language model.

The model sees a sentence with a blank instead of the answer, so that it can't repeat the answer, and a few examples. A
local model is constrained by a grammar: one line that begins with words that ask for the kind of answer and ends with a
question mark. Where a rule can turn the sentence into a question, that question competes by its likelihood. Replies of
other models are checked by the same rules.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from ragkit.answering.language import language_name, language_of
from ragkit.datagen.answer_patterns import AnswerKind
from ragkit.datagen.candidates import BLANK, Candidate, plain
from ragkit.datagen.ledger import digest
from ragkit.datagen.rule_questions import rule_questions
from ragkit.errors import ModelOutputError
from ragkit.models.base import ChatModel, GenerationOptions, ScoringModel, complete
from ragkit.records import Message
from ragkit.retrieval.terms import content_terms, words

Context = Literal["auto", "sentence", "passage"]
OPENERS: Final[Mapping[AnswerKind, tuple[str, ...]]] = {
    "money": ("How much", "What"),
    "percent": ("What percentage", "How much"),
    "contact": ("Where", "What", "Which"),
    "code": ("Which", "What"),
    "clock": ("At what time", "When"),
    "date": ("When", "In what year", "In which month"),
    "duration": ("How long", "How many"),
    "quantity": ("How many", "How much", "What"),
    "quoted": ("What", "How"),
    "reason": ("Why",),
    "name": ("Who", "What", "Which", "Where"),
    "cell": ("What is the", "What are the"),
    "item": ("What", "Which"),
    "number": ("How many", "What"),
    "phrase": ("What", "Which"),
}
"""Words that an English question for each kind of answer begins with."""
_PLACE = ("Where", "In which", "Which")
_PERSON = ("Who", "Which", "What")
_BEFORE_PLACE = frozenset({"in", "at", "near", "from", "to", "into", "across"})
_SYSTEM = "Turn the sentence into a question that asks for the blank."
_SYSTEM_PASSAGE = (
    "Turn the sentence of the text into a question that asks for the blank. Name what the question is about, so that "
    "it can be understood without the text."
)
_EXAMPLES = (
    ("The observatory was built in ____ on the hill above Arles.", "When was the observatory above Arles built?"),
    (
        "The telescope was paid for by the shipowner ____, who never saw a star through it.",
        "Which shipowner paid for the telescope?",
    ),
    ("Members can borrow up to twelve books at a time for ____.", "How long can members borrow books?"),
    (
        "Because the railway was cheaper, the farmers of Oke took their grain to ____ after 1904.",
        "Where did the farmers of Oke take their grain after 1904?",
    ),
    (
        "To change your address, fill in ____ and send it to the office in Leeds.",
        "Which form do I fill in to change my address?",
    ),
    ("Each further day costs ____ per book.", "How much does each further day cost per book?"),
    ("The mill of Oke was closed because ____.", "Why was the mill of Oke closed?"),
)
_WORDS = 26
"""Words of a question after its first ones. A reply that reaches the limit is no sentence."""
_TOKENS = 60
_SMALL = 300_000_000
"""Parameters below which a model sees the sentence only: it is confused by the rest of the passage."""
_COPIED = 12
"""Words in a row that a question may have in common with its passage."""
_INVENTED = 0.4
"""Share of a question's words with a meaning that its passage may lack."""
_NAMED = re.compile(r"(?<=\s)[A-Z][\w-]+|\b\w*\d\w*")
"""Names and numbers, which a question takes from its passage."""
_DEFINITION = re.compile(r"^(?:What|Who) (?:is|are|was|were) (?:the |an? )?((?:[\w'’-]+ ){0,2}[\w'’-]+)\?$")
_FEWEST = 2
"""Content words of a question."""
_PREFIX = re.compile(r"^\s*(?:[*_#>\"“-]|\d+[.)]|(?:question|frage|pregunta|q)\s*\d*\s*:)*\s*", re.I)


@dataclass(frozen=True, slots=True)
class Draft:
    """A question as the model wrote it."""

    question: str
    logprob: float | None
    """Mean natural log-probability of its tokens, if known."""
    ruled: bool = False
    """Whether a rule made it from the sentence."""


class QuestionWriter:
    """Writes questions for candidate answers.

    Args:
        model: writes the questions.
        context: text shown to the model: the ``sentence`` of the answer, or the complete ``passage`` before it.
            ``auto`` is the sentence for local models with fewer than 300 million parameters, else the passage.
        variants: maximum number of questions per answer, each with other first words. Models that do not run locally
            write one.
    """

    def __init__(self, model: ChatModel, context: Context = "auto", variants: int = 2) -> None:
        self.model = model
        small = getattr(model, "parameters", _SMALL) < _SMALL
        self.context: Context = ("sentence" if small else "passage") if context == "auto" else context
        self.constrained = isinstance(model, ScoringModel)
        self.variants = variants if self.constrained else 1
        self.calls = 0
        """Number of model calls."""

    @property
    def template(self) -> str:
        """Name and hash of the prompt."""
        parts = (_SYSTEM, _SYSTEM_PASSAGE, _EXAMPLES, list(OPENERS.items()), _PLACE, _PERSON)
        return f"question-2-{self.context}@{digest(*parts)[:8]}"

    @property
    def sampling(self) -> Mapping[str, float]:
        """Sampling options of the calls."""
        return {"temperature": 0.0}

    def messages(self, passage: str, heading: str, candidate: Candidate) -> list[Message]:
        """Return the prompt. The passage comes before what differs between its candidates, so it is evaluated once."""
        whole = self.context == "passage"
        language = language_of(passage)
        system = _SYSTEM_PASSAGE if whole else _SYSTEM
        if language not in ("en", None):
            system += f" Write the question in {language_name(language)}."
        turns = [Message("system", system)]
        for sentence, question in _EXAMPLES:
            turns += [Message("user", _asked(sentence, "", sentence, whole)), Message("assistant", question)]
        return [*turns, Message("user", _asked(candidate.blank, heading, passage, whole))]

    def write(self, passage: str, heading: str, candidate: Candidate) -> list[Draft]:
        """Return the questions for a candidate; see ``order``.

        Raises:
            ModelError: if a call fails.
        """
        prompt = self.messages(passage, heading, candidate)
        english = language_of(passage) in ("en", None)
        grammars: Sequence[str | None] = [None]
        if self.constrained:
            grammars = _grammars(openers_for(candidate) if english else (), self.variants)
        drafts: dict[str, Draft] = {}
        ruled = rule_questions(candidate) if english and isinstance(self.model, ScoringModel) else []
        ruled = [one for one in ruled if not fault(one, candidate, f"{heading} {passage}")]
        if ruled and isinstance(self.model, ScoringModel):
            self.calls += 1
            scores = [_mean(logprobs) for logprobs in self.model.score(prompt, ruled)]
            best = max(range(len(ruled)), key=scores.__getitem__)
            drafts[ruled[best]] = Draft(ruled[best], scores[best], ruled=True)
        for grammar in grammars:
            self.calls += 1
            stop = ("\n",) if self.constrained else ()
            options = GenerationOptions(_TOKENS, 0.0, stop=stop, grammar=grammar, logprobs=self.constrained)
            reply = complete(self.model, prompt, options)
            question = cleaned(reply.text)
            drafts.setdefault(question, Draft(question, _mean(reply.logprobs) if reply.logprobs else None))
        return list(drafts.values())

    def order(self, drafts: Sequence[Draft]) -> list[Draft]:
        """Return drafts, the one to try first at the beginning: the most probable one.

        A model that sees the sentence only finds vague questions the most probable, so its drafts follow the rule's.
        """
        first = self.context == "sentence"
        return sorted(drafts, key=lambda one: (not (first and one.ruled), -(one.logprob or 0.0)))


def openers_for(candidate: Candidate) -> tuple[str, ...]:
    """Return the words that an English question for a candidate may begin with."""
    if candidate.kind == "name":
        before = words(candidate.blank.partition(BLANK)[0])[-1:]
        return _PLACE if before and before[0] in _BEFORE_PLACE else _PERSON
    if candidate.kind == "date":
        digits = re.search(r"\d", candidate.text)
        return ("When", "In what year") if digits else ("When", "In which month")
    return OPENERS[candidate.kind]


def cleaned(reply: str) -> str:
    """Return the question of a reply: its first line that ends with a question mark, without labels and quotes."""
    lines = [_PREFIX.sub("", line).strip(' *_"”“') for line in reply.splitlines()]
    return next((line for line in lines if line.endswith(("?", "？", "؟"))), lines[0] if lines else "")


def fault(question: str, candidate: Candidate, source: str) -> str:
    """Return why a question is not usable, as a sentence, or an empty text.

    Args:
        question: question as the model wrote it.
        candidate: its answer.
        source: headings and text of the passage.
    """
    found = words(question)
    if not found:
        return "The model wrote no question."
    if not question.endswith(("?", "？", "؟")):
        return "The reply is not a question."
    if BLANK in question or "..." in question or len(found) > _WORDS + 2:
        return "The question is not a complete sentence."
    asked, answer = set(content_terms(question)), set(content_terms(candidate.text))
    if candidate.text.casefold() in question.casefold() or (answer and answer <= asked):
        return "The question contains the answer."
    if len(asked) < _FEWEST:
        return f"The question has fewer than {_FEWEST} words with a meaning of their own."
    invented = asked - set(content_terms(source))
    if len(invented) > _INVENTED * len(asked):
        return f"The passage does not contain {', '.join(map(repr, sorted(invented)))}."
    text = f" {' '.join(words(source))} "
    named = (one for one in _NAMED.findall(question) if not any(f" {word} " in text for word in words(one)))
    if (name := next(named, None)) is not None:
        return f"The passage does not contain {name!r}."
    defined = _DEFINITION.match(question)
    if defined and not re.search(rf"{re.escape(defined[1])}\W+(?:\w+\W+){{0,2}}{BLANK}", candidate.blank, re.I):
        return "The question asks for a definition, but the answer is not one."
    grams = [tuple(found[at : at + 3]) for at in range(len(found) - 2)]
    if len(set(grams)) < len(grams):
        return "The question repeats itself."
    if any(question == example for _, example in _EXAMPLES):
        return "The question is an example of the prompt."
    if any(f" {' '.join(found[at : at + _COPIED])} " in text for at in range(len(found) - _COPIED + 1)):
        return f"The question copies more than {_COPIED - 1} words of the passage in a row."
    return ""


def check_writes(writer: QuestionWriter, drafts: Sequence[Draft]) -> None:
    """Check that a model writes anything at all.

    Raises:
        ModelOutputError: if all replies are empty.
    """
    if drafts and all(not draft.question.strip() for draft in drafts):
        raise ModelOutputError(
            f"{writer.model.name} returned no text for the first {len(drafts)} questions.",
            "Check the model with `ragkit ask`, or use another model.",
        )


def _mean(logprobs: Sequence[float]) -> float:
    return sum(logprobs) / max(1, len(logprobs))


def _asked(sentence: str, heading: str, passage: str, whole: bool) -> str:
    if not whole:
        return sentence
    text = plain(passage.replace(BLANK, "…"))
    return (
        f"Text: {plain(heading)}\n{text}\n\nSentence: {sentence}"
        if heading
        else f"Text: {text}\n\nSentence: {sentence}"
    )


def _grammars(openers: Sequence[str], count: int) -> list[str]:
    """Return grammars of one line that ends with a question mark, each with other first words."""
    rest = f'(" " word){{2,{_WORDS}}} "?"\nword ::= [^ ?\\n]+\n'
    if not openers:
        return [f'root ::= " "? word {rest.replace("[^ ?", "[^ ?？")}']
    # The last grammar leaves the choice among the remaining words to the model.
    first, others = openers[: count - 1], openers[count - 1 :]
    groups = [(one,) for one in first] + ([others] if others else [])
    return [f'root ::= " "? ({" | ".join(f"{chr(34)}{one}{chr(34)}" for one in group)}) {rest}' for group in groups]
