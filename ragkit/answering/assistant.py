"""A question to an answer: the one place that knows all the stages."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from ragkit.answering.abstention import THRESHOLD, confidence, signals
from ragkit.answering.chat import abstains, check_reply, unsupported_doubt
from ragkit.answering.extract import ExtractOptions, extract
from ragkit.answering.quotes import quote
from ragkit.answering.sentences import Sentence, cite, rank_sentences, term_weights
from ragkit.answering.trace import Trace
from ragkit.errors import SettingsError
from ragkit.examples import DynamicSelector, ExamplePool, ExampleSelector
from ragkit.models.base import ChatModel, Delta, GenerationOptions
from ragkit.prompting import Prompt, PromptAssembler, PromptOptions, Source, Templates, sources_from_hits
from ragkit.records import Answer, Citation, Example, Hit, Message
from ragkit.retrieval import Expansion, RetrievalOptions, Retriever

if TYPE_CHECKING:
    from ragkit.indexing import Filter, Index
    from ragkit.models.fallback import FallbackPolicy, Member

Mode = Literal["auto", "chat", "extract", "quotes"]
MODES: tuple[Mode, ...] = get_args(Mode)


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """How to answer."""

    retrieval: RetrievalOptions = field(default_factory=RetrievalOptions)
    prompt: PromptOptions = field(default_factory=PromptOptions)
    extract: ExtractOptions = field(default_factory=ExtractOptions)
    expansion: Expansion = "none"
    """How much of the text around a hit a prompt shows."""
    threshold: float = THRESHOLD
    """Below this confidence ragkit abstains; 0 to answer always. docs/benchmarks.md has what each costs."""
    temperature: float | None = None
    """Of ``chat``; see ``GenerationOptions``."""
    seed: int | None = None
    shots: int = 4
    """Answered questions that ``chat`` is shown, where the assistant has examples."""
    templates: Path | None = None
    """A folder of prompt templates that replace ragkit's own."""


@dataclass(frozen=True, slots=True)
class Retrieved:
    """Passages were found."""

    hits: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class ModelNeeded:
    """The passages bear an answer: a model is asked next. Does not come where none is."""

    confidence: float
    """0 to 1: how well they do."""


@dataclass(frozen=True, slots=True)
class PromptBuilt:
    """The prompt is ready and goes to the model."""

    prompt: Prompt


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the reply, as the model makes it and before it is checked."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The answer, checked."""

    answer: Answer


Event = Retrieved | ModelNeeded | PromptBuilt | TextDelta | Finished


class Assistant:
    """Answers questions from an index.

    Args:
        index: to search.
        model: a chat model, or the name of one for ``open_model``; ``auto`` for the first that is installed; None for
            none. It is loaded when first needed.
        mode: ``chat`` for free text, each sentence checked against the sources; ``extract`` for a span of the
            documents; ``quotes`` for the best sentences, without a model; ``auto`` for ``extract`` with a model and
            ``quotes`` without.
        options: how.
        examples: answered questions; ``chat`` is shown those that are most like the one that is asked.
        models: in place of ``model``: models, or names of them, that back each other up; the first is asked first, and
            ``trace.attempts`` tells of each.
        policy: when to go on from one of the ``models`` to the next.

    Raises:
        SettingsError: if the mode is unknown, or needs a model and there is none; if a model and models are given, or a
            policy without models.
    """

    def __init__(
        self,
        index: Index,
        model: ChatModel | str | None = "auto",
        mode: Mode = "auto",
        options: AnswerOptions | None = None,
        examples: ExamplePool | ExampleSelector | None = None,
        models: Sequence[ChatModel | str | Member] = (),
        policy: FallbackPolicy | None = None,
    ) -> None:
        self.index = index
        self.examples = DynamicSelector(examples) if isinstance(examples, ExamplePool) else examples
        self.options = options or AnswerOptions()
        self.retriever = Retriever(index, self.options.retrieval)
        self.templates = Templates.load(self.options.templates)
        self._why_model = "given by the caller"
        self._model: ChatModel | None = None
        self._model_name: str | None = None
        if models:
            if model != "auto":
                raise SettingsError("There are a model and models.", "Give all of them as models=[first, second].")
            from ragkit.models.fallback import FallbackModel

            self._model = FallbackModel(models, policy)
        elif policy is not None:
            raise SettingsError("There is a policy, but no models that back each other up.", "Give models=[...] too.")
        elif isinstance(model, str):
            self._model_name, self._why_model = _named(model)
        else:
            self._model = model
        self._mode = mode
        self._resolved(mode)

    @property
    def model(self) -> ChatModel | None:
        """The model, loaded on first use; None where there is none."""
        if self._model is None and self._model_name is not None:
            from ragkit.models import open_model

            self._model = open_model(self._model_name)
        return self._model

    @property
    def mode(self) -> str:
        """The way of answering that is taken where a question names none; never ``auto``."""
        return self._resolved(self._mode)[0]

    def ask(
        self,
        question: str,
        *,
        where: Filter | str | None = None,
        mode: Mode | None = None,
        history: Sequence[Message] = (),
        shots: Sequence[Example] = (),
    ) -> Answer:
        """Answer a question.

        Args:
            question: as a person asks it.
            where: only documents that match.
            mode: in place of the assistant's own.
            history: the chat so far, oldest first; ``chat`` only.
            shots: answered questions to show the model in place of the assistant's own; ``chat`` only.

        Raises:
            QueryError: if the question is empty or too long, or the filter can't be read.
            PromptOverflowError: if the question does not fit the model's window.
            ModelError: if the model fails.
            IndexDamagedError: if the index is damaged.
        """
        for event in self.stream(question, where=where, mode=mode, history=history, shots=shots):
            if isinstance(event, Finished):
                return event.answer
        raise AssertionError("a stream ends with Finished")

    def stream(
        self,
        question: str,
        *,
        where: Filter | str | None = None,
        mode: Mode | None = None,
        history: Sequence[Message] = (),
        shots: Sequence[Example] = (),
    ) -> Generator[Event, None, None]:
        """Answer a question and yield each step, ``Finished`` last.

        They are ``Retrieved``, ``ModelNeeded`` (unless no model is asked), ``PromptBuilt`` and ``TextDelta`` (of
        ``chat``), and ``Finished``.
        """
        trace = Trace(question, shots=tuple(shots), threshold=self.options.threshold)
        trace.mode, trace.why_mode = self._resolved(mode or self._mode)
        with trace.timed("retrieve"):
            found = self.retriever.retrieve(question, where=where)
        trace.hits, trace.found = found.hits, found.found
        yield Retrieved(found.hits)
        with trace.timed("rank"):
            sources = sources_from_hits(self.index, found.hits, self.options.expansion)
            weights = term_weights(self.index, question)
            ranked = rank_sentences(question, sources, self.index.embedder, weights)
        if ranked:
            trace.signals = signals(question, sources, found.best_cosine, ranked[0].score, weights)
        sure = confidence(trace.signals) if ranked else 0.0
        if not ranked or sure < self.options.threshold:
            yield Finished(self._abstention(trace, sure))
            return
        if trace.mode == "quotes":
            with trace.timed("quote"):
                text, citations = quote(ranked)
                citations = self._placed(citations)
            yield Finished(Answer(question, text, "quotes", citations, False, sure, trace=trace))
        elif trace.mode == "extract":
            yield ModelNeeded(sure)
            yield Finished(self._extract(ranked, sources, sure, trace))
        else:
            yield ModelNeeded(sure)
            yield from self._chat(sources, sure, trace, history)

    def _extract(self, ranked: Sequence[Sentence], sources: Sequence[Source], sure: float, trace: Trace) -> Answer:
        model = self._used_model(trace)
        with trace.timed("answer"):
            found = extract(trace.query, ranked, sources, model, self.templates, self.options.extract)
        trace.reply, trace.usage, trace.prompt, trace.notes = found.reply, found.usage, found.prompt, found.notes
        trace.routed(found.route)
        if found.span is None:
            return self._abstention(trace, 0.0)
        source, start, end = found.span
        (citation,) = self._placed((cite(1, source, start, end),))
        text = " ".join(citation.quote.split())
        return Answer(trace.query, text, "extract", (citation,), False, sure, trace=trace)

    def _chat(
        self, sources: Sequence[Source], sure: float, trace: Trace, history: Sequence[Message]
    ) -> Iterator[Event]:
        model = self._used_model(trace)
        if self.examples is not None and not trace.shots:
            with trace.timed("choose examples"):
                shots = self.examples.select(trace.query, self.options.shots)
                # The prompt gives up the last ones first where its budget ends.
                best_first = sorted(shots, key=lambda shot: -shot.score)
                trace.shots = tuple(shot.example for shot in best_first)
        with trace.timed("prompt"):
            assembler = PromptAssembler(model, self.templates, self.options.prompt)
            prompt = assembler.assemble(trace.query, sources, trace.shots, history)
        trace.prompt = prompt
        yield PromptBuilt(prompt)
        generation = GenerationOptions(
            max_tokens=self.options.prompt.answer_tokens, temperature=self.options.temperature, seed=self.options.seed
        )
        reply = ""
        with trace.timed("answer"):
            for delta in self._reply(model, prompt, generation):
                reply += delta.text
                trace.usage = delta.usage or trace.usage
                trace.routed(delta.route)
                trace.notes = delta.notes or trace.notes
                if delta.text:
                    yield TextDelta(delta.text)
        trace.reply = reply
        if abstains(reply, self.templates.texts["abstention"]):
            yield Finished(self._abstention(trace, sure))
            return
        with trace.timed("check"):
            checked = check_reply(reply, prompt.sources, self.index.embedder)
            citations = self._placed(checked.citations)
        # What no source bears out is not made surer by how well the sources fit the question.
        sure *= checked.supported_share
        yield Finished(Answer(trace.query, checked.text, "chat", citations, False, sure, checked.unsupported, trace))

    def _reply(self, model: ChatModel, prompt: Prompt, generation: GenerationOptions) -> Iterator[Delta]:
        """Return the model's reply; a chain goes on where too little of one is borne out, if its policy says so."""
        from ragkit.models.fallback import FallbackModel

        if not isinstance(model, FallbackModel) or model.policy.support is None:
            return model.stream(prompt.messages, generation)
        abstention = self.templates.texts["abstention"]
        doubt = unsupported_doubt(model.policy.support, prompt.sources, self.index.embedder, abstention)
        return model.stream(prompt.messages, generation, doubt)

    def _placed(self, citations: Sequence[Citation]) -> tuple[Citation, ...]:
        """Return citations with the page and headings of where the quote itself begins, not where its chunk does."""
        placed = []
        for citation in citations:
            document = self.index.document(citation.document_id)
            path = tuple(heading.title for heading in document.headings_at(citation.start))
            placed.append(replace(citation, page=document.page_at(citation.start), heading_path=path))
        return tuple(placed)

    def _abstention(self, trace: Trace, sure: float) -> Answer:
        none: tuple[Citation, ...] = ()
        return Answer(trace.query, self.templates.texts["abstention"], trace.mode, none, True, sure, trace=trace)

    def _used_model(self, trace: Trace) -> ChatModel:
        with trace.timed("load model"):
            model = self.model
        if model is None:
            raise SettingsError(
                f"The mode {trace.mode} needs a model, and there is none.",
                "Install one: pip install 'ragkit[local]'; or use mode='quotes'.",
            )
        trace.model, trace.why_model = model.name, self._why_model
        return model

    def _resolved(self, mode: str) -> tuple[str, str]:
        if mode not in MODES:
            raise SettingsError(f"Unknown mode {mode!r}.", f"Legal values: {', '.join(MODES)}.")
        has_model = self._model is not None or self._model_name is not None
        if mode == "auto":
            if has_model:
                return "extract", "auto: with a local model this measured best"
            return "quotes", f"auto: {self._why_model}"
        if mode != "quotes" and not has_model:
            raise SettingsError(
                f"The mode {mode} needs a model: {self._why_model}.",
                "Install one: pip install 'ragkit[local]'; name one with model=...; or use mode='quotes'.",
            )
        return mode, "asked for"


def _named(name: str) -> tuple[str | None, str]:
    """Return the name of the model to open, and why that one."""
    if name == "none":
        return None, "no model was wanted"
    if name != "auto":
        return name, "asked for by name"
    from ragkit.models.opening import best_installed

    best = best_installed()
    if best is None:
        return None, "no local model is installed"
    return best, "the first local model that is installed"
