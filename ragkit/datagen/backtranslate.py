"""Instructions written to sections of documents (Li et al. 2023, https://arxiv.org/abs/2308.06259).

A section is the answer, so that every answer is a person's own text with an exact span; a model writes the instruction.
Which instructions are kept does not depend on a model's opinion of itself: the section must be more likely after its
own instruction than after those of other sections, and a search for the instruction must find the section.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Final

from ragkit._progress import Progress, ProgressCallback
from ragkit.datagen.gates.base import GateScore
from ragkit.datagen.gates.reading import mean
from ragkit.datagen.ledger import Ledger, digest
from ragkit.datagen.rows import DataRow, Generator, TextSpan
from ragkit.errors import PromptOverflowError, SettingsError
from ragkit.models.base import ChatModel, GenerationOptions, ScoringModel, complete
from ragkit.records import Document, Message
from ragkit.retrieval.terms import words

MIN_WORDS: Final = 40
MAX_WORDS: Final = 400
STAGE: Final = "instructions"
_SYSTEM: Final = "You write the question or request of a person to which a text is the complete answer."
_SHOTS: Final = (
    (
        "Fees > Refunds",
        "You get the full fee back if you cancel more than 14 days before the course begins. After that, half of it is "
        "paid back until the day before. Write to the office and name the account.",
        "How do I cancel a course and get the fee back?",
    ),
    (
        "Care of the plants > Watering",
        "Water the trays from below every second morning. In summer, check the soil in the evening as well, and empty "
        "the saucers after an hour, since standing water rots the roots.",
        "Explain how the plants have to be watered in summer.",
    ),
    (
        "History > The bridge",
        "The first bridge was built of oak in 1742 and burnt down eight years later. The present one, of stone, took "
        "eleven years and was paid for by a toll on salt.",
        "What is the history of the bridge?",
    ),
)
_TEMPLATE: Final = "Topic: {topic}\nText: {text}\nRequest:"
_GRAMMAR: Final = (
    'root ::= opener " " [^\\n.?!"]{8,120} [.?]\n'
    'opener ::= "How" | "What" | "Why" | "When" | "Where" | "Who" | "Which" | "Explain" | "Describe" | "Tell me" | '
    '"List" | "Give" | "Summarize"'
)
_SCORED_CHARACTERS: Final = 600
"""Beginning of the section whose likelihood is compared; more costs time and changes little."""
_TRIES: Final = 4
"""Instructions that are written to each section, of which the best is taken."""
_OTHERS: Final = 3
"""Instructions of other sections that each section is compared with."""
_LIST = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s")


def sections(document: Document) -> list[tuple[int, int]]:
    """Return the spans of sections that can be answers: 40 to 400 words of prose, steps or lists, without subsections.

    A document without headings is read by paragraphs. Tables, lists of links and the like are left out.
    """
    spans = []
    for number, heading in enumerate(document.headings):
        following = document.headings[number + 1] if number + 1 < len(document.headings) else None
        end = heading.end if following is None else min(heading.end, following.start)
        own_line = document.text.find("\n", heading.start, end)
        if own_line >= 0:
            spans.append((own_line + 1, end))
    if not document.headings:
        spans = list(_paragraphs(document.text))
    stripped = (_stripped(document.text, start, end) for start, end in spans)
    return [(start, end) for start, end in stripped if _is_answer(document.text[start:end])]


def write_instructions(
    documents: Iterable[Document],
    model: ChatModel,
    *,
    number: int = 0,
    seed: int = 0,
    ledger: Ledger | None = None,
    generator: Generator | None = None,
    progress: ProgressCallback | None = None,
) -> list[DataRow]:
    """Return a row for each section: an instruction of the model, and the section as the answer.

    Args:
        documents: documents, of which every section is tried.
        model: writes the instructions; a local model is constrained to one sentence.
        number: maximum number of sections, chosen at random; 0 for all.
        seed: random seed of the choice.
        ledger: finished work is taken from it and recorded in it.
        generator: recorded in the rows; by default the model's name.
        progress: called after each section, with the stage ``instructions``.

    Raises:
        SettingsError: if no document has a section of 40 to 400 words.
    """
    places = [(document, start, end) for document in documents for start, end in sections(document)]
    if not places:
        raise SettingsError(
            f"No section has {MIN_WORDS} to {MAX_WORDS} words of prose.", "Use documents with longer sections."
        )
    if number and number < len(places):
        chosen = sorted(random.Random(seed).sample(range(len(places)), number))  # noqa: S311
        places = [places[one] for one in chosen]
    template = digest(_SYSTEM, _SHOTS, _TEMPLATE, _GRAMMAR)[:8]
    made_by = generator or Generator(model.name, template=f"instructions@{template}", seed=seed)
    rows = []
    for done, (document, start, end) in enumerate(places):
        if progress is not None:
            progress(Progress(STAGE, done, len(places), document.title))
        section = TextSpan.of(document, start, end)
        configuration = digest(model.name, made_by.model_sha256, template, seed)
        text = _instruction(model, _topic(document, start), section.quote, seed, ledger, configuration)
        if text:
            message = (Message("user", text),)
            rows.append(DataRow("instruction", message, section.quote, section, (section,), made_by))
    if progress is not None:
        progress(Progress(STAGE, len(places), len(places)))
    return rows


class InstructionGate:
    """Keeps rows whose answer is more likely after its instruction than after those of other rows.

    The score is the pointwise mutual information of instruction and answer minus the highest one with three other
    instructions, in nats per token. It abstains for models that return no log-probabilities, and for a single row.

    Args:
        model: model that returns log-probabilities.
        seed: random seed of the choice of the others.
        threshold: minimum score.
    """

    name = "instruction"

    def __init__(self, model: object, seed: int = 0, threshold: float = 0.1) -> None:
        self._model = model
        self._seed = seed
        self.threshold = threshold

    def scores(self, rows: Sequence[DataRow]) -> list[GateScore]:
        """Return how much better the own instruction fits than others."""
        model = self._model
        if not isinstance(model, ScoringModel) or len(rows) < 2:
            why = "There is no other row." if len(rows) < 2 else "The model returns no log-probabilities."
            return [GateScore(None, why) for _ in rows]
        found = []
        for number, row in enumerate(rows):
            rng = random.Random(f"{self._seed}/{row.id}")  # noqa: S311
            others = [
                one.question for place, one in enumerate(rows) if place != number and one.question != row.question
            ]
            beside = rng.sample(others, min(_OTHERS, len(others)))
            try:
                # The likelihood without an instruction is the same for all, and need not be subtracted.
                text = row.answer[:_SCORED_CHARACTERS]
                own, *rest = (_likelihood(model, one, text) for one in (row.question, *beside))
                best = max(rest, default=own)
            except PromptOverflowError:
                found.append(GateScore(None, "The section does not fit the model's window."))
                continue
            found.append(GateScore(own - best, "The text fits the request of another section better."))
        return found


class CopyGate:
    """Rejects instructions that copy the answer instead of asking for it.

    The score is 1 minus the longest run of words that both share, as a fraction of the instruction.
    """

    name = "copied"
    threshold = 0.5

    def scores(self, rows: Sequence[DataRow]) -> list[GateScore]:
        """Return how much of each instruction is in words of its own."""
        found = []
        for row in rows:
            asked, said = words(row.question), words(row.answer)
            run = SequenceMatcher(None, asked, said, autojunk=False).find_longest_match().size
            found.append(
                GateScore(
                    1 - run / max(len(asked), 1),
                    f"The instruction copies {run} of its {len(asked)} words from the answer.",
                )
            )
        return found


def mutual_information(model: ScoringModel, instruction: str, output: str) -> float:
    """Return the pointwise mutual information of an instruction and a text, in nats per token of the text.

    Only the first 600 characters of the text are scored.
    """
    text = output[:_SCORED_CHARACTERS]
    return _likelihood(model, instruction, text) - _likelihood(model, "Write a text.", text)


def _likelihood(model: ScoringModel, prompt: str, text: str) -> float:
    (logprobs,) = model.score([Message("user", prompt)], [text])
    return mean(logprobs)


def _topic(document: Document, start: int) -> str:
    titles = [document.title, *(heading.title for heading in document.headings_at(start))]
    return " > ".join(dict.fromkeys(title for title in titles if title))


def _instruction(model: ChatModel, topic: str, text: str, seed: int, ledger: Ledger | None, configuration: str) -> str:
    """Return the best of several instructions: the one after which the text is most likely."""

    def work() -> Mapping[str, str]:
        prompt = [Message("system", _SYSTEM)]
        # In a fixed order, a small model would imitate the last example.
        for shot_topic, shot_text, request in random.Random(digest(seed, text)).sample(_SHOTS, len(_SHOTS)):  # noqa: S311
            shot = _TEMPLATE.format(topic=shot_topic, text=shot_text)
            prompt += [Message("user", shot), Message("assistant", request)]
        prompt.append(Message("user", _TEMPLATE.format(topic=topic, text=text)))
        written: dict[str, None] = {}
        for number in range(_TRIES if isinstance(model, ScoringModel) else 1):
            temperature = 0.0 if number == 0 else 0.8
            options = GenerationOptions(max_tokens=40, temperature=temperature, seed=seed + number, grammar=_GRAMMAR)
            try:
                reply = complete(model, prompt, options).text
            except PromptOverflowError:
                break
            # Models that do not follow the grammar may add quotation marks or further lines.
            written[next((line.strip(" \"'“”*") for line in reply.splitlines() if line.strip()), "")] = None
        best = [one for one in written if one]
        if len(best) > 1 and isinstance(model, ScoringModel):
            best.sort(key=lambda one: -mutual_information(model, one, text))
        return {"text": best[0] if best else ""}

    made = work() if ledger is None else ledger.result(digest(topic, text), STAGE, configuration, work)
    return str(made["text"])


def _is_answer(text: str) -> bool:
    count = len(text.split())
    lines = [line for line in text.splitlines() if line.strip()]
    tabular = sum("|" in line or "\t" in line for line in lines)
    letters = sum(character.isalpha() for character in text)
    links = len(re.findall(r"https?://|\]\(", text))
    listed = sum(bool(_LIST.match(line)) for line in lines)
    return (
        MIN_WORDS <= count <= MAX_WORDS
        and tabular <= 0.2 * len(lines)
        and letters >= 0.6 * len(text)
        and links <= count / 20
        # A list without a sentence that introduces it does not say what it is about.
        and listed < len(lines)
    )


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for gap in re.finditer(r"\n\s*\n", text):
        yield start, gap.start()
        start = gap.end()
    yield start, len(text)


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    part = text[start:end]
    return start + len(part) - len(part.lstrip()), end - (len(part) - len(part.rstrip()))
