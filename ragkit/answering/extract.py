"""The mode ``extract``: the answer can only be a span of the retrieved passages.

The prompt has answered examples and the best passage. The complete reply of a local model is constrained to the spans
of the best sentences: an exact search finds the most likely span and evaluates few of them. The free reply of any other
model is located in the passages.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from ragkit.answering.evidence import Ranked
from ragkit.answering.sentences import Sentence, sentences_of
from ragkit.answering.spans import Candidate, candidates, locate
from ragkit.errors import PromptOverflowError
from ragkit.models.base import ChatModel, GenerationOptions, ScoringModel, complete
from ragkit.models.chain.route import Attempt
from ragkit.prompting import Prompt, Receipt, ReceiptSection, Source, Templates
from ragkit.prompting.receipt import State
from ragkit.prompting.sources import trimmed
from ragkit.records import Example, Message, Usage
from ragkit.retrieval.terms import content_terms, words

if TYPE_CHECKING:
    from ragkit.embedding import Embedder

_COMPETING = 12
"""Units, the best ones, whose spans may be the answer."""
_LONGEST = 80
"""Characters of a span; longer ones are taken only if there are no others."""


@dataclass(frozen=True, slots=True)
class ExtractOptions:
    """Options of extraction. The defaults were chosen on the even articles of XQuAD-en (docs/benchmarks.md)."""

    passages: int | None = None
    """Number of sources in the prompt. None is one for a local model, since small models do best with one, and all
    retrieved sources for a model behind an endpoint."""
    shots: int = 4
    """Answered examples before the question."""
    answer_tokens: int = 40
    """Tokens of the window that are reserved for the answer."""
    sentences: int = 6
    """Number of best sentences whose spans may be the answer."""
    sentence_weight: float = 16.0
    """Weight of a sentence's score (0 to 1) relative to the log-probability of a span."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """Result of an extraction."""

    span: tuple[Source, int, int] | None
    """The source and the span's offsets in its document; None if the passages contain no answer."""
    reply: str
    """The model's reply."""
    usage: Usage
    prompt: Prompt
    route: tuple[Attempt, ...] = ()
    """Attempts of a fallback chain, in order, with the reason for each."""
    notes: tuple[str, ...] = ()
    """Notes on requested parameters that were not used."""


def extract(
    question: str,
    ranked: Sequence[Sentence],
    sources: Sequence[Source],
    model: ChatModel,
    templates: Templates,
    options: ExtractOptions,
) -> Extracted:
    """Answer with a span of the sources.

    Args:
        question: question as asked.
        ranked: the sentences of the sources, best first.
        sources: sources, best first.
        model: model to ask.
        templates: templates of the prompt.
        options: options of extraction.

    Raises:
        PromptOverflowError: if the question does not fit the model's window.
        ModelError: if the model fails.
    """
    notes: tuple[str, ...] = ()
    scores = isinstance(model, ScoringModel)
    passages = 1 if options.passages is None and scores else options.passages
    prompt = reader_prompt(question, sources[:passages], model, templates, options)
    if isinstance(model, ScoringModel):
        found, usage, route = _chosen(model, prompt, _answers(question, ranked[: options.sentences]), options)
        reply = found.text if found else ""
    else:
        completion = complete(model, prompt.messages, GenerationOptions(options.answer_tokens, stop=("\n",)))
        reply, usage, route = completion.text.strip(), completion.usage, completion.route
        notes = completion.notes
        found = _looked_up(reply, prompt, ranked)
    if found is None:
        return Extracted(None, reply, usage, prompt, route, notes)
    source = next(one for one in sources if one.number == found.sentence.source.number)
    return Extracted((source, found.start, found.end), reply, usage, prompt, route, notes)


def span_sentences(question: str, ranked: Sequence[Ranked], embedder: Embedder) -> list[Sentence]:
    """Return the best units as sentences with the scores that are added to a span's log-probability.

    The score, 0 to 1, is the mean of cosine and coverage, for which ``sentence_weight`` was chosen; the units are
    selected by their rank as evidence.

    Args:
        question: a standalone question.
        ranked: units, best first.
        embedder: embedder of the index.
    """
    best = [one for one in ranked if one.unit.kind != "heading"][:_COMPETING]
    if not best:
        return []
    asked = embedder.embed([question], "query")[0]
    cosines = embedder.embed([one.unit.flat for one in best], "document") @ asked
    found = [
        Sentence(one.unit.text, one.unit.start, one.unit.end, one.unit.source, 0.5 * float(cosine) + 0.5 * one.coverage)
        for one, cosine in zip(best, cosines, strict=True)
    ]
    return sorted(found, key=lambda sentence: -sentence.score)


def _chosen(
    model: ScoringModel, prompt: Prompt, found: Sequence[Candidate], options: ExtractOptions
) -> tuple[Candidate | None, Usage, tuple[Attempt, ...]]:
    """Return the span that is the most likely reply."""
    if not found:
        return None, Usage(cost=0.0), ()
    biases = [options.sentence_weight * candidate.sentence.score for candidate in found]
    # A model does not repeat where the lines of a page happen to end.
    replies = [" ".join(candidate.text.split()) for candidate in found]
    choice = model.choose(prompt.messages, replies, biases)
    return found[choice.number], choice.usage, choice.route


def _answers(question: str, sentences: Sequence[Sentence]) -> list[Candidate]:
    """Return the spans that may answer: short, and saying what the question does not say itself, if there are any."""
    found = candidates(sentences)
    short = [candidate for candidate in found if len(candidate.text) <= _LONGEST] or found
    if "or" in words(question):  # which of two? One of them is the answer.
        return short
    asked = set(content_terms(question))
    return [candidate for candidate in short if not asked.issuperset(content_terms(candidate.text))] or short


def _looked_up(reply: str, prompt: Prompt, ranked: Sequence[Sentence]) -> Candidate | None:
    """Return the span that a free reply means, in the sources that were shown or else in the others."""
    shown = {source.number for source in prompt.sources}
    near = [sentence for sentence in ranked if sentence.source.number in shown]
    listed = {(sentence.source.number, sentence.start) for sentence in near}
    near += [s for source in prompt.sources for s in sentences_of(source) if (source.number, s.start) not in listed]
    return locate(reply, near) or locate(reply, ranked)


def shipped_shots() -> list[Example]:
    """Return the answered examples that ship with ragkit; no benchmark's text is among them."""
    text = (files("ragkit.prompting") / "templates" / "extract_shots.json").read_text(encoding="utf-8")
    return [Example(f"{shot['passage']}\n{shot['question']}", shot["answer"], shot) for shot in json.loads(text)]


def reader_prompt(
    question: str, sources: Sequence[Source], model: ChatModel, templates: Templates, options: ExtractOptions
) -> Prompt:
    """Build the prompt: instructions, shots, passage and question; constant parts come first."""
    messages = [Message("system", templates.fill("extract_system"))]
    already = model.count_tokens(messages)
    sections = [ReceiptSection("instructions", messages[0].content, "extract_system.txt", already, "kept")]
    for number, shot in enumerate(shipped_shots()[: options.shots], 1):
        asked = templates.fill("extract_user", passage=shot.metadata["passage"], question=shot.metadata["question"])
        messages += [Message("user", asked), Message("assistant", shot.output)]
        total = model.count_tokens(messages)
        text = f"{asked}\n{shot.output}"
        sections.append(ReceiptSection(f"shot {number}", text, "extract_shots.json", total - already, "kept"))
        already = total

    def user(shown: Sequence[Source]) -> Message:
        passage = "\n\n".join(source.prompt_text for source in shown)
        return Message("user", templates.fill("extract_user", passage=passage, question=question))

    limit = model.window - options.answer_tokens
    bare = model.count_tokens([*messages, user(())])
    if bare > limit:
        raise PromptOverflowError(
            f"Instructions, examples and question take {bare} tokens, and the window of {model.name} leaves {limit}.",
            "Ask a shorter question, or use a model with a longer window.",
        )
    shown: list[Source] = []
    used = bare
    for source in sources:
        name, place = f"source {source.number}", f"{source.document.source}:{source.start}-{source.end}"
        cuts = [trimmed(source, s.end) for s in sentences_of(source)[:-1]] if source.shown is None else []
        cuts.append(source)

        def tokens_with(cut: Source, before: tuple[Source, ...] = tuple(shown)) -> int:
            return model.count_tokens([*messages, user([*before, cut])])

        fitting = len(cuts) if tokens_with(source) <= limit else bisect_right(cuts[:-1], limit, key=tokens_with)
        if not fitting:
            sections.append(ReceiptSection(name, source.text, place, 0, "left out", "the window is full"))
            continue
        cut = cuts[fitting - 1]
        total = tokens_with(cut)
        state: State = "compressed" if cut.shown is not None else "kept" if cut is source else "trimmed"
        why = "cut at a sentence's end to fit" if state == "trimmed" else ""
        sections.append(ReceiptSection(name, cut.prompt_text, place, total - used, state, why))
        shown.append(cut)
        used = total
    sections.append(ReceiptSection("question", question, "the caller, in extract_user.txt", bare - already, "kept"))
    receipt = Receipt(tuple(sections), used, model.window, options.answer_tokens)
    return Prompt((*messages, user(shown)), tuple(shown), receipt)
