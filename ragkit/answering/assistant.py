"""Answers questions by connecting all stages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal, overload

from ragkit._tracing import carried, in_span, steps_in_span
from ragkit.answering.asynchronous import stream_in_thread
from ragkit.answering.chat import ReplyChecker, abstains, unsupported_doubt
from ragkit.answering.compression import Compressed, compress
from ragkit.answering.degenerate import may_loop, recent_repetition, repetition_start, without_repetition
from ragkit.answering.events import AnswerEvent, Finished, Generating, ModelNeeded, PromptBuilt, Retrieved, TextDelta
from ragkit.answering.evidence import (
    HOPELESS_BELOW,
    evidence_score,
    probability_right,
    rank_units,
    relevance,
    signals,
)
from ragkit.answering.extract import extract, span_sentences
from ragkit.answering.kinds import KINDS, Kind
from ragkit.answering.options import MODES, AnswerOptions, Mode
from ragkit.answering.question import ALONE, Question, questions_in, understand
from ragkit.answering.readers import Evidence, QuotesReader, Reply
from ragkit.answering.rewriting import needs_rewriting, rewrite
from ragkit.answering.routes import Capability, capability_of, capability_of_size, route
from ragkit.answering.search import LINKED_KINDS, Found, search
from ragkit.answering.sentences import absent_terms, cite, term_weights
from ragkit.answering.several import joined
from ragkit.answering.streaming import ReplyPiece, ReplySentences
from ragkit.answering.structured import check_json
from ragkit.answering.support import ComposedVerifier, SupportVerifier
from ragkit.answering.trace import Trace
from ragkit.answering.tracing import closing_generator, noted
from ragkit.answering.unsure import language_differs, other_language, shares_words, what_is_missing
from ragkit.answering.writing import placed, written
from ragkit.errors import ModelError, ModelStoppedError, RagkitError, SettingsError
from ragkit.examples import DynamicSelector, ExamplePool, ExampleSelector
from ragkit.indexing.filters import as_filter
from ragkit.models.base import ChatModel, Delta, GenerationOptions
from ragkit.prompting import Prompt, PromptAssembler, Templates, sources_from_hits
from ragkit.records import Answer, Example, Message, Usage
from ragkit.retrieval import Retriever, retrieve_linked
from ragkit.retrieval.spelling import corrections, respelled

if TYPE_CHECKING:
    from ragkit.indexing import Filter, Index
    from ragkit.models import FallbackPolicy, Member


class Assistant:
    """Answers questions from an index.

    Args:
        index: index to search.
        model: a chat model, or the name of one for ``open_model``; ``auto`` for the first that is installed; None for
            none. It is loaded when first needed.
        mode: ``chat`` for free text, each sentence checked against the sources; ``extract`` for a span of the
            documents; ``quotes`` for the best sentences, without a model; ``auto`` for ``extract`` with a model and
            ``quotes`` without.
        options: options of answering.
        examples: answered questions; the most similar ones are shown in ``chat`` prompts.
        models: instead of ``model``, a fallback chain of models or names of models; the first is asked first, and
            ``trace.attempts`` has an entry for each.
        policy: conditions for continuing with the next of the ``models``.
        verifier: decides which sentences of ``chat`` a source supports; ``ComposedVerifier`` if None.
        retriever: finds the passages, such as one with a reranker or searcher of your own; by default one for
            ``options.retrieval``.

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
        verifier: SupportVerifier | None = None,
        retriever: Retriever | None = None,
    ) -> None:
        self.index = index
        self._verifier = verifier or ComposedVerifier(index.embedder)
        self.examples = DynamicSelector(examples) if isinstance(examples, ExamplePool) else examples
        self.options = options or AnswerOptions()
        self.retriever = retriever or Retriever(index, self.options.retrieval)
        self.templates = Templates.load(self.options.templates)
        self._why_model = "given by the caller"
        self._model: ChatModel | None = None
        self._model_name: str | None = None
        if models:
            if model != "auto":
                raise SettingsError("Both model and models are given.", "Pass all of them as models=[first, second].")
            from ragkit.models import FallbackModel

            self._model = FallbackModel(models, policy)
        elif policy is not None:
            raise SettingsError("A policy is given without models.", "Pass models=[...] as well.")
        elif isinstance(model, str):
            self._model_name, self._why_model = _named(model)
        else:
            self._model = model
        self._mode = mode
        self._resolved(mode)

    @property
    def model(self) -> ChatModel | None:
        """The model, loaded on first use, or None for an assistant without a model."""
        if self._model is None and self._model_name is not None:
            from ragkit.models import open_model

            self._model = open_model(self._model_name)
        return self._model

    @property
    def mode(self) -> str:
        """Answer mode for questions that set none; ``auto`` chooses by the kind of question and the model."""
        return self._resolved(self._mode)[0]

    def ask(
        self,
        question: str,
        *,
        where: Filter | str | None = None,
        mode: Mode | None = None,
        history: Sequence[Message] = (),
        shots: Sequence[Example] = (),
        kind: Kind | None = None,
        query: str | None = None,
    ) -> Answer:
        """Answer a question.

        Args:
            question: question as a person asks it.
            where: only documents that match.
            mode: answer mode that replaces the assistant's own.
            history: the chat so far, oldest first; a question that refers back is searched for together with it.
            shots: answered questions for the prompt, which replace the assistant's own; ``chat`` only.
            kind: kind of the question, which replaces the recognised one; see ``ragkit.answering.kinds.KINDS``.
            query: the question as a standalone question, instead of the one that is made from the history.

        Raises:
            QueryError: if the question is empty or too long, or the filter can't be read.
            SettingsError: if the mode or kind is unknown.
            PromptOverflowError: if the question does not fit the model's window.
            ModelError: if the model fails.
            IndexDamagedError: if the index is damaged.
        """
        steps = self.stream(question, where=where, mode=mode, history=history, shots=shots, kind=kind, query=query)
        for event in steps:
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
        kind: Kind | None = None,
        query: str | None = None,
    ) -> Generator[AnswerEvent, None, None]:
        """Answer a question and yield each step, ``Finished`` last.

        They are ``Retrieved``, ``ModelNeeded`` (unless no model is called), ``PromptBuilt``, ``Generating`` and
        ``TextDelta`` (of ``chat``), and ``Finished``. ``Retrieved`` is repeated if the model rewrites the question, or
        if names in the first hits lead to others. Text is yielded sentence by sentence, each after its check: the
        numbers in it are those of ``Answer.citations``, and the complete text is ``Answer.text``.
        """
        if kind is not None and kind not in KINDS:
            raise SettingsError(f"Unknown kind of question {kind!r}.", f"Legal values: {', '.join(KINDS)}.")
        workflow = {"gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": "ragkit.ask"}
        yield from steps_in_span(
            "ragkit.ask",
            lambda span: noted(self._steps(question, where, mode, history, shots, kind, query), span),
            workflow,
        )

    def _steps(
        self,
        question: str,
        where: Filter | str | None,
        mode: Mode | None,
        history: Sequence[Message],
        shots: Sequence[Example],
        kind: Kind | None,
        query: str | None,
    ) -> Generator[AnswerEvent, None, None]:
        spelled = corrections(question, self.index, where) if query is None else {}
        asked = understand(question, history, query=query, kind=kind)
        if spelled:
            # The kind follows the original wording: "summarise" may be corrected to a word of the documents.
            again = understand(respelled(question, spelled), history, kind=asked.kind)
            asked = replace(again, text=question, why_kind=asked.why_kind)
        trace = Trace(asked.query, shots=tuple(shots), corrections=spelled)
        trace.threshold, trace.unsure_below = self.options.threshold, self.options.unsure_below
        trace.kind, trace.why_kind, trace.why_query = asked.kind, asked.why_kind, asked.why_query
        trace.language = asked.language
        wanted, why = self._resolved(mode or self._mode if self.options.json_schema is None else "chat")
        found, evidence = yield from self._searched(asked, where, trace)
        language = language_differs(asked, evidence)
        able: Capability = self._capability(trace) if wanted != "quotes" else "none"
        waited = False
        if wanted != "quotes" and self._may_rewrite(asked, language, able):
            yield ModelNeeded(trace.evidence)
            waited = True
            rewritten = self._rewritten(asked, history, language, kind, trace)
            if rewritten is not None:
                asked, language = rewritten, None
                found, evidence = yield from self._searched(asked, where, trace)
        trace.mode, trace.why_mode = route(asked.kind, able) if wanted == "auto" else (wanted, why)
        refuse = trace.relevance < self._refuse_below(trace.mode, able)
        if language is not None and refuse:
            # Across languages the score says little; a model that can judge passages decides by itself.
            refuse = not (trace.mode == "chat" and able == "judges") and not shares_words(asked, evidence)
        if not evidence.ranked or refuse:
            yield Finished(self._abstention(asked, trace, language))
            return
        if trace.mode == "chat":
            if self.options.follow_names and trace.evidence < self.options.unsure_below and asked.kind in LINKED_KINDS:
                with trace.timed("retrieve"):
                    linked = retrieve_linked(self.retriever, asked.query, where=where, first=found.hits)
                if linked.links:
                    trace.links = linked.links
                    evidence = yield from self._ranked(asked, replace(found, hits=linked.hits), where, trace)
            if not waited:
                yield ModelNeeded(trace.evidence)
            yield from self._chat(asked, evidence, trace, history)
            return
        unsure = trace.evidence < self.options.unsure_below
        missing = what_is_missing(asked, evidence, absent_terms(self.index, evidence.weights)) if unsure else ""
        if trace.mode == "extract":
            if not waited:
                yield ModelNeeded(trace.evidence)
            yield Finished(self._extract(asked, evidence, trace, unsure, missing))
            return
        parts = questions_in(asked.query) if asked.why_query == ALONE and kind is None else ()
        with trace.timed("read"):
            if len(parts) > 1:
                reply, trace.evidence = self._read_each(parts, evidence)
                unsure, missing = trace.evidence < self.options.unsure_below, ""
            else:
                reply = self._read(evidence)
                if reply.exact:
                    unsure, missing = False, ""
                reply = reply.concluded(unsure)
        yield Finished(written(self.index, asked, reply, trace, unsure, missing))

    @overload
    def ask_batch(
        self,
        questions: Sequence[str],
        *,
        where: Filter | str | None = None,
        mode: Mode | None = None,
        max_workers: int = 1,
        return_errors: Literal[False] = False,
    ) -> list[Answer]: ...

    @overload
    def ask_batch(
        self,
        questions: Sequence[str],
        *,
        where: Filter | str | None = None,
        mode: Mode | None = None,
        max_workers: int = 1,
        return_errors: Literal[True],
    ) -> list[Answer | RagkitError]: ...

    def ask_batch(
        self,
        questions: Sequence[str],
        *,
        where: Filter | str | None = None,
        mode: Mode | None = None,
        max_workers: int = 1,
        return_errors: bool = False,
    ) -> list[Answer] | list[Answer | RagkitError]:
        """Answer several independent questions.

        Args:
            questions: questions to answer; equal ones are asked once.
            where: only documents that match.
            mode: answer mode that replaces the assistant's own.
            max_workers: questions in progress at a time. More than 1 helps with models behind an API; a local model
                answers one question at a time, unless it was opened with ``parallel``.
            return_errors: return the error of a failed question instead of raising it.

        Returns:
            Answers in the order of ``questions``.

        Raises:
            SettingsError: if ``max_workers`` is less than 1.
            RagkitError: the first error, as ``ask`` raises it, unless ``return_errors`` is set.
        """
        if max_workers < 1:
            raise SettingsError(f"max_workers must be >= 1, got {max_workers}.", "Use 1 for one question at a time.")

        def ask(question: str) -> Answer | RagkitError:
            try:
                return self.ask(question, where=where, mode=mode)
            except RagkitError as error:
                if not return_errors:
                    raise
                return error

        distinct = list(dict.fromkeys(questions))
        with ThreadPoolExecutor(max_workers, thread_name_prefix="ragkit-ask") as pool:
            waiting = {question: pool.submit(carried(partial(ask, question))) for question in distinct}
            try:
                return [waiting[question].result() for question in questions]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    async def aask(
        self,
        question: str,
        *,
        where: Filter | str | None = None,
        mode: Mode | None = None,
        history: Sequence[Message] = (),
        shots: Sequence[Example] = (),
        kind: Kind | None = None,
        query: str | None = None,
    ) -> Answer:
        """Answer a question without blocking the event loop; arguments and errors are those of ``ask``.

        The work runs in a thread. If the task is cancelled, the work ends at its next step.
        """
        steps = self.astream(question, where=where, mode=mode, history=history, shots=shots, kind=kind, query=query)
        answer: Answer | None = None
        # Read to the end: the work is over, and its span with it, when the answer is returned.
        async for event in steps:
            if isinstance(event, Finished):
                answer = event.answer
        assert answer is not None, "a stream ends with Finished"
        return answer

    def astream(
        self,
        question: str,
        *,
        where: Filter | str | None = None,
        mode: Mode | None = None,
        history: Sequence[Message] = (),
        shots: Sequence[Example] = (),
        kind: Kind | None = None,
        query: str | None = None,
    ) -> AsyncIterator[AnswerEvent]:
        """Yield the events of ``stream`` without blocking the event loop; see ``aask``."""
        return stream_in_thread(
            lambda: self.stream(question, where=where, mode=mode, history=history, shots=shots, kind=kind, query=query)
        )

    def evidence(self, question: str, *, where: Filter | str | None = None) -> Evidence:
        """Search for a question and rank the results, without answering it.

        ``ragkit.answering.compress`` makes a short context from it for another program.

        Args:
            question: a standalone question.
            where: only documents that match.

        Raises:
            QueryError: if the question is empty or too long, or the filter can't be read.
        """
        asked = understand(question)
        return self._evidence(asked, search(asked, self.retriever, where), as_filter(where))

    def _searched(
        self, asked: Question, where: Filter | str | None, trace: Trace
    ) -> Generator[AnswerEvent, None, tuple[Found, Evidence]]:
        """Search for a question, yield the hits, and return them with their evidence."""
        with trace.timed("retrieve"):
            found = search(asked, self.retriever, where)
        trace.found = found.num_candidates
        evidence = yield from self._ranked(asked, found, where, trace)
        return found, evidence

    def _ranked(
        self, asked: Question, found: Found, where: Filter | str | None, trace: Trace
    ) -> Generator[AnswerEvent, None, Evidence]:
        """Yield hits, and return their evidence, with its scores in the trace."""
        trace.hits = found.hits
        trace.missing_shards = self.index.missing_shards
        yield Retrieved(found.hits)
        with trace.timed("rank"), in_span("ragkit.rank"):
            evidence = self._evidence(asked, found, as_filter(where))
            if evidence.ranked:
                trace.signals = _signals(evidence)
                trace.relevance, trace.evidence = relevance(trace.signals), evidence_score(trace.signals)
        return evidence

    def _may_rewrite(self, asked: Question, language: str | None, able: Capability) -> bool:
        """Return whether the model rewrites the question before it is searched again."""
        if not self.options.rewrite or (language is None and able != "judges"):
            return False
        return needs_rewriting(asked, language, judges=able == "judges", parameters=self._parameters())

    def _rewritten(
        self, asked: Question, history: Sequence[Message], language: str | None, kind: Kind | None, trace: Trace
    ) -> Question | None:
        """Return the question as the model rewrites it; None if that failed its check."""
        model = self._used_model(trace)
        with trace.timed("rewrite"):
            try:
                made = rewrite(asked, history, language, model, self.templates, kind)
            except ModelStoppedError:
                raise
            except ModelError as error:
                trace.why_query += f"; rewriting failed: {error.message}"
                return None
        trace.usage = made.usage
        if made.question is None:
            trace.why_query += "; the model's rewriting failed its check"
            return None
        trace.query, trace.why_query = made.question.query, made.question.why_query
        trace.kind, trace.why_kind = made.question.kind, made.question.why_kind
        return made.question

    def _evidence(self, asked: Question, found: Found, where: Filter | None = None) -> Evidence:
        """Return the units of the hits, ranked for the question and, of a comparison, for each of its sides."""
        index, expansion = self.index, self.options.expansion
        weights = term_weights(index, asked.query)
        sources = sources_from_hits(index, found.hits, expansion)
        evidence = Evidence(asked, index, sources, (), where=where, weights=weights)
        units = [unit for source in evidence.sources for unit in evidence.units(source)]
        evidence.ranked = rank_units(
            asked.query, units, index.embedder, weights, focus=asked.focus, told=asked.told, kind=asked.kind
        )
        sides = []
        for side, hits in zip(asked.sides, found.by_side, strict=False):
            sources = sources_from_hits(index, hits[:3], expansion)
            here = [unit for source in sources for unit in evidence.units(source)]
            sides.append(rank_units(f"{side} {asked.query}", here, index.embedder, term_weights(index, side)))
        evidence.sides = tuple(sides)
        return evidence

    def _read(self, evidence: Evidence) -> Reply:
        """Return what the first reader for the kind makes of the evidence, or quotes if no reader replies."""
        for reader in (*self.options.readers.get(evidence.question.kind, ()), QuotesReader()):
            reply = reader.read(evidence)
            if reply is not None:
                return reply
        raise AssertionError("quotes are made of any evidence")

    def _read_each(self, questions: Sequence[str], evidence: Evidence) -> tuple[Reply, float]:
        """Return the replies to several questions as one, and the lowest of their evidence scores."""
        replies: list[tuple[str, Reply | None]] = []
        scores: list[float] = []
        for question in questions:
            asked = understand(question)
            own = self._evidence(asked, search(asked, self.retriever, evidence.where), evidence.where)
            signs = _signals(own) if own.ranked else None
            if signs is None or relevance(signs) < self.options.threshold:
                replies.append((question, None))
                continue
            scores.append(evidence_score(signs))
            replies.append((question, self._read(own).concluded(scores[-1] < self.options.unsure_below)))
        return joined(replies, self.templates.texts["abstention"]), min(scores, default=0.0)

    def _extract(self, asked: Question, evidence: Evidence, trace: Trace, unsure: bool, missing: str) -> Answer:
        model = self._used_model(trace)
        ranked = span_sentences(asked.query, evidence.ranked, self.index.embedder)
        compressed = self._compressed(evidence, self.options.extract.passages, trace)
        sources, options = evidence.sources, self.options.extract
        if compressed is not None and compressed.report.level != "full":
            # What is shown of all sources is about as long as one of them.
            sources, options = compressed.sources, replace(options, passages=len(compressed.sources))
            ranked = compressed.only_shown(ranked)
        with trace.timed("answer"):
            found = extract(asked.query, ranked, sources, model, self.templates, options)
        trace.reply, trace.prompt, trace.reader = found.reply, found.prompt, "span"
        if compressed is not None:
            trace.prompt = compressed.noted(found.prompt)
        trace.usage += found.usage
        trace.notes = found.notes
        trace.routed(found.route)
        if found.span is None:
            return self._abstention(asked, trace)
        source, start, end = found.span
        citations = placed(self.index, (cite(1, source, start, end),))
        text = " ".join(citations[0].quote.split())
        return Answer(
            asked.text,
            text,
            "extract",
            citations,
            False,
            probability_right(trace.evidence),
            unsure=unsure,
            missing=missing,
            kind=asked.kind,
            trace=trace,
        )

    def _compressed(self, evidence: Evidence, passages: int | None, trace: Trace) -> Compressed | None:
        """Return the first passages compressed, or None if that is not asked for."""
        if self.options.compress is None:
            return None
        with trace.timed("compress"):
            compressed = compress(evidence, self.options.compress, passages)
        trace.compression = compressed.report
        return compressed

    def _chat(
        self, asked: Question, evidence: Evidence, trace: Trace, history: Sequence[Message]
    ) -> Iterator[AnswerEvent]:
        from ragkit.models import FallbackModel

        model = self._used_model(trace)
        if self.examples is not None and not trace.shots:
            with trace.timed("choose examples"):
                shots = self.examples.select(asked.query, self.options.shots)
                # The prompt gives up the last ones first where its budget ends.
                best_first = sorted(shots, key=lambda shot: -shot.score)
                trace.shots = tuple(shot.example for shot in best_first)
        compressed = self._compressed(evidence, self.options.prompt.passages, trace)
        with trace.timed("prompt"):
            assembler = PromptAssembler(model, self.templates, self.options.prompt)
            prompt = assembler.assemble(
                asked.text,
                evidence.sources if compressed is None else compressed.sources,
                trace.shots,
                history,
                self.options.instructions,
                self.options.json_schema,
            )
            if compressed is not None:
                prompt = compressed.noted(prompt)
        trace.prompt, trace.reader = prompt, "written"
        yield PromptBuilt(prompt)
        generation = GenerationOptions(
            max_tokens=self.options.prompt.answer_tokens,
            temperature=self.options.temperature,
            seed=self.options.seed,
            stop=self.options.stop,
            json_schema=self.options.json_schema,
        )
        as_json = self.options.json_schema is not None
        reply, finish, loop, pieces, spent = "", "", None, 0, trace.usage
        abstention = self.templates.texts["abstention"]
        sentences = ReplySentences(abstention)
        with trace.timed("check"):
            checker = ReplyChecker(prompt.sources, self.index.embedder, self._verifier)
        with closing_generator(self._reply(model, prompt, generation)) as deltas:
            while True:
                with trace.timed("answer"):
                    delta = next(deltas, None)
                if delta is None:
                    break
                reply += delta.text
                pieces += bool(delta.text)
                if delta.usage is not None:
                    trace.usage = spent + delta.usage
                trace.routed(delta.route)
                trace.notes = delta.notes or trace.notes
                finish = delta.finish or finish
                if delta.text:
                    yield Generating(pieces)
                if as_json:
                    continue
                if loop is None and may_loop(delta.text):
                    loop = recent_repetition(reply)
                if loop is None:
                    yield from self._checked(sentences.add(delta.text), checker, trace)
                elif isinstance(deltas, Generator) and not isinstance(model, FallbackModel):
                    # Of a chain, the last delta says which model answered.
                    deltas.close()
                    trace.usage = spent + _counted(model, prompt, pieces)
                    break
        trace.reply = reply
        if as_json:
            with trace.timed("check"):
                checked = check_json(reply, checker)
        else:
            reply = without_repetition(reply, finish, repetition_start(reply) if loop is None else loop, trace)
            if abstains(reply, abstention):
                yield Finished(self._abstention(asked, trace))
                return
            yield from self._checked(sentences.end(reply), checker, trace)
            checked = checker.checked()
        citations = placed(self.index, checked.citations)
        # A reply is no surer than its support: what no source supports counts nothing.
        sure = trace.evidence * checked.supported_share
        yield Finished(
            Answer(
                asked.text,
                checked.text,
                "chat",
                citations,
                False,
                sure,
                checked.unsupported,
                checked.contradicted,
                kind=asked.kind,
                trace=trace,
            )
        )

    def _checked(self, pieces: Sequence[ReplyPiece], checker: ReplyChecker, trace: Trace) -> Iterator[TextDelta]:
        """Yield sentences of a reply after their check."""
        for piece in pieces:
            with trace.timed("check"), in_span("ragkit.check") as span:
                sentence = checker.add(piece)
                span.set({"ragkit.supported": sentence.citation is not None})
                span.set({"ragkit.contradicted": sentence.contradicted})
                citation = None if sentence.citation is None else placed(self.index, (sentence.citation,))[0]
            yield TextDelta(sentence.text, citation, sentence.contradicted)

    def _reply(self, model: ChatModel, prompt: Prompt, generation: GenerationOptions) -> Iterator[Delta]:
        """Return the model's reply; a chain may continue if too few of its sentences are supported."""
        from ragkit.models import FallbackModel

        if not isinstance(model, FallbackModel) or model.policy.support is None:
            return model.stream(prompt.messages, generation)
        abstention = self.templates.texts["abstention"]
        doubt = unsupported_doubt(model.policy.support, prompt.sources, self.index.embedder, abstention, self._verifier)
        return model.stream(prompt.messages, generation, doubt)

    def _abstention(self, asked: Question, trace: Trace, language: str | None = None) -> Answer:
        """Return that there is no answer, and the language of the documents if the question is in another one."""
        text = self.templates.texts["abstention"]
        missing = other_language(asked, language) if language is not None else ""
        if missing:
            text = f"{text} {missing[0].upper()}{missing[1:]}"
        return Answer(
            asked.text, text, trace.mode, (), True, trace.relevance, missing=missing, kind=asked.kind, trace=trace
        )

    def _parameters(self) -> int | None:
        """Return the number of parameters of a local model; None if it is not known without loading the model."""
        if self._model is not None or self._model_name is None:
            return getattr(self._model, "parameters", None)
        from ragkit.models.opening import parameters_of

        # The size of a local model is in the header of its file: an answer without it needs no loading.
        return parameters_of(self._model_name)

    def _capability(self, trace: Trace) -> Capability:
        parameters = self._parameters()
        if parameters is not None:
            return capability_of_size(parameters)
        with trace.timed("load model"):
            return capability_of(self.model)

    def _refuse_below(self, mode: str, able: Capability) -> float:
        """Return the relevance below which no answer is made; a model that can judge passages decides itself."""
        if mode == "chat" and able == "judges":
            return min(self.options.threshold, HOPELESS_BELOW)
        return self.options.threshold

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
        if mode == "auto" and not has_model:
            return "quotes", f"auto: {self._why_model}"
        if mode not in ("auto", "quotes") and not has_model:
            raise SettingsError(
                f"The mode {mode} needs a model: {self._why_model}.",
                "Install one: pip install 'ragkit[local]'; name one with model=...; or use mode='quotes'.",
            )
        return mode, "asked for"


def _signals(evidence: Evidence) -> dict[str, float]:
    asked = evidence.question
    return signals(asked.query, evidence.ranked, asked.kind, evidence.weights, asked.focus)


def _counted(model: ChatModel, prompt: Prompt, pieces: int) -> Usage:
    """Return the usage of a reply that was stopped before the model could report it; each piece is about a token."""
    from ragkit.models import LlamaCppModel

    return Usage(model.count_tokens(prompt.messages), pieces, cost=0.0 if isinstance(model, LlamaCppModel) else None)


def _named(name: str) -> tuple[str | None, str]:
    """Return the name of the model to open, and why that one."""
    if name == "none":
        return None, "no model was requested"
    if name != "auto":
        return name, "requested by name"
    from ragkit.models.opening import best_installed

    best = best_installed()
    if best is None:
        return None, "no local model is installed"
    return best, "the first local model that is installed"
