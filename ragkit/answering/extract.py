"""The way ``extract``: the answer can only be a span of the retrieved passages.

The model is shown a passage and answered examples and replies with a short phrase; the phrase is then looked up in the
passages, and the span that stands there is the answer. On XQuAD-en this measured better than decoding under the
constraint that each token continues a span, which keeps a small model from saying what it means. Where the phrase
stands nowhere, a model that can score takes the likeliest span of the best sentences.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from math import exp

from ragkit.answering.sentences import Sentence, sentences_of
from ragkit.answering.spans import Candidate, candidates, locate
from ragkit.errors import PromptOverflowError
from ragkit.models.base import ChatModel, GenerationOptions, ScoringModel, complete
from ragkit.prompting import Prompt, Receipt, ReceiptSection, Source, Templates
from ragkit.prompting.sources import trimmed
from ragkit.records import Example, Message, Usage


@dataclass(frozen=True, slots=True)
class ExtractOptions:
    """How to extract."""

    passages: int = 1
    """Sources that the model is shown; small models do best with one."""
    shots: int = 4
    """Answered examples before the question."""
    answer_tokens: int = 24
    scored_spans: int = 60
    """Spans that are scored where the reply stands nowhere."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """What came of an extraction."""

    span: tuple[Source, int, int] | None
    """The source and the span's offsets in its document; None where nothing in the passages answers."""
    probability: float
    """Geometric mean of the reply's token probabilities, times how well the span agrees with the reply."""
    reply: str
    usage: Usage
    prompt: Prompt


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
        question: as asked.
        ranked: the sentences of the sources, best first.
        sources: best first.
        model: to ask.
        templates: the texts around.
        options: how.

    Raises:
        PromptOverflowError: if the question does not fit the model's window.
        ModelError: if the model fails.
    """
    prompt = _prompt(question, sources[: options.passages], model, templates, options)
    # Models that give no log-probabilities count as sure of what they say.
    generation = GenerationOptions(max_tokens=options.answer_tokens, stop=("\n",), logprobs=True)
    completion = complete(model, prompt.messages, generation)
    reply = completion.text.strip()
    logprobs = completion.logprobs
    sure = exp(sum(logprobs) / len(logprobs)) if logprobs else 1.0
    shown = {source.number for source in prompt.sources}
    near = [sentence for sentence in ranked if sentence.source.number in shown]
    listed = {(sentence.source.number, sentence.start) for sentence in near}
    near += [s for source in prompt.sources for s in sentences_of(source) if (source.number, s.start) not in listed]
    found = locate(reply, near) or locate(reply, ranked)
    if found is None and isinstance(model, ScoringModel):
        found = _likeliest(model, prompt.messages, near, options.scored_spans)
    if found is None:
        return Extracted(None, 0.0, reply, completion.usage, prompt)
    candidate, agreement = found
    source = next(one for one in sources if one.number == candidate.sentence.source.number)
    return Extracted((source, candidate.start, candidate.end), sure * agreement, reply, completion.usage, prompt)


def shipped_shots() -> list[Example]:
    """Return the answered examples that ship with ragkit; no benchmark's text is among them."""
    text = (files("ragkit.prompting") / "templates" / "extract_shots.json").read_text(encoding="utf-8")
    return [Example(f"{shot['passage']}\n{shot['question']}", shot["answer"], shot) for shot in json.loads(text)]


def _prompt(
    question: str, sources: Sequence[Source], model: ChatModel, templates: Templates, options: ExtractOptions
) -> Prompt:
    """Build the prompt: instructions, shots, passage and question; what stays the same comes first."""
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
        passage = "\n\n".join(source.text for source in shown)
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
        for cut in (source, *(trimmed(source, s.end) for s in reversed(sentences_of(source)[:-1]))):
            total = model.count_tokens([*messages, user([*shown, cut])])
            if total <= limit:
                state, why = ("kept", "") if cut is source else ("trimmed", "cut at a sentence's end to fit")
                sections.append(ReceiptSection(name, cut.text, place, total - used, state, why))  # type: ignore[arg-type]
                shown.append(cut)
                used = total
                break
        else:
            sections.append(ReceiptSection(name, source.text, place, 0, "left out", "the window is full"))
    sections.append(ReceiptSection("question", question, "the caller, in extract_user.txt", bare - already, "kept"))
    receipt = Receipt(tuple(sections), used, model.window, options.answer_tokens)
    return Prompt((*messages, user(shown)), tuple(shown), receipt)


def _likeliest(
    model: ScoringModel, messages: Sequence[Message], sentences: Sequence[Sentence], most: int
) -> tuple[Candidate, float] | None:
    """Return the span that the model finds likeliest, by the mean log-probability of its tokens."""
    found = [candidate for candidate in candidates(sentences[:2]) if len(candidate.text) <= 60][:most]
    if not found:
        return None
    scores = model.score(messages, [candidate.text for candidate in found])
    means = [sum(score) / len(score) if score else -100.0 for score in scores]
    best = max(range(len(found)), key=means.__getitem__)
    return found[best], exp(means[best])
