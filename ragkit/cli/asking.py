"""``ragkit search`` and ``ragkit ask``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from ragkit.cli.options import Json, MemoryLimit, Partial, TargetName, TimeLimit, Where
from ragkit.cli.output import err, one_line, out, print_json, progress_bar, seconds_text, warn_of_missing
from ragkit.cli.pools import Shots, ShownPool, opened_pool
from ragkit.cli.targets import resolve_target
from ragkit.cli.tasks import opened_model
from ragkit.display import unit_name
from ragkit.errors import SettingsError
from ragkit.serving.names import harmless

if TYPE_CHECKING:
    from ragkit.answering import AnswerOptions, Assistant
    from ragkit.examples import ExamplePool
    from ragkit.indexing import Index
    from ragkit.records import Answer, Citation
    from ragkit.settings import Settings

NoUpdate = Annotated[
    bool,
    typer.Option("--no-update", help="Use the existing index of a folder, without checking for changed files."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(ask)
    app.command()(search)


@contextmanager
def opened_index(
    name: str,
    settings: Settings,
    *,
    update: bool,
    quiet: bool,
    time_limit: float | None = None,
    memory_limit: int | None = None,
    partial: bool = False,
) -> Iterator[Index]:
    """Open the index that ``name`` refers to; update it first if it follows documents."""
    from ragkit.cli.following import follow
    from ragkit.cli.indexes import load_options
    from ragkit.indexing import Index

    target = resolve_target(name, settings)
    create = target.documents is not None
    with Index.open(target.index, embedder=settings.embedding_model, create=create, partial=partial) as index:
        warn_of_missing(index)
        if target.documents is not None and update and not index.missing_shards:
            with progress_bar(quiet=quiet or not err.is_terminal) as progress:
                load = load_options(settings, time_limit=time_limit, memory_limit=memory_limit)
                later = "the next call updates it."
                follow(index, target.documents, load, later=later, progress=progress, quiet=quiet)
        yield index


def search(
    target: TargetName,
    query: Annotated[str, typer.Argument(help="The search query.", show_default=False)],
    k: Annotated[int, typer.Option("-k", min=1, help="Number of passages.")] = 5,
    mode: Annotated[str, typer.Option(help="Search mode: hybrid, dense or keyword.")] = "hybrid",
    follow: Annotated[
        bool,
        typer.Option("--follow-names", help="Also find passages about the names in the best hits."),
    ] = False,
    where: Where = None,
    no_update: NoUpdate = False,
    partial: Partial = False,
    json: Json = False,
) -> None:
    """Find the best-matching passages, without calling a model."""
    from ragkit.retrieval import LinkedHits, RetrievalOptions, Retriever, retrieve_linked
    from ragkit.settings import load_settings

    with opened_index(target, load_settings(), update=not no_update, quiet=json, partial=partial) as index:
        retriever = Retriever(index, RetrievalOptions(mode=mode))  # type: ignore[arg-type]
        found = retriever.retrieve(query, k=k, where=where)
        linked = LinkedHits(found.hits, ())
        if follow:
            linked = retrieve_linked(retriever, query, k, where, found.hits)
    if json:
        missing = {"missing_shards": found.missing_shards} if found.missing_shards else {}
        print_json({"query": query, "hits": linked.hits, "seconds": found.timings, "links": linked.links, **missing})
        return
    names = {link.target: link.name for link in linked.links}
    for number, hit in enumerate(linked.hits, 1):
        unit = unit_name(hit.chunk.page, hit.chunk.label)
        place = f", {unit}" if unit else ""
        path = " > ".join(hit.chunk.heading_path)
        out.print(f"[bold]{number}[/] [cyan]{hit.score:.3f}[/] ", end="")
        out.print(harmless(f"{short_path(hit.document.source)}{place}"), style="bold", markup=False)
        if path:
            out.print(f"   {harmless(path)}", style="dim", markup=False)
        if name := names.get(hit.chunk.key):
            out.print(f"   found by the name {harmless(name)}", style="dim", markup=False)
        out.print(f"   {one_line(harmless(hit.chunk.text), 300)}", markup=False)
    if not linked.hits:
        out.print("Nothing found.")


def ask(
    target: TargetName,
    question: Annotated[str, typer.Argument(help="The question.", show_default=False)],
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", help="A name from `ragkit models list`, a .gguf file, PROVIDER:NAME, tuned:NAME, or none."
        ),
    ] = None,
    fallback: Annotated[
        list[str] | None,
        typer.Option("--fallback", metavar="MODEL", help="Model to use if the previous one fails. Can be repeated."),
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(
            help="Answer mode: chat (free text, verified), extract (a span of the documents), quotes (no model), auto."
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help="Kind of question, such as yes_no, list, number, comparison, procedure or summary.",
            show_default="recognised",
        ),
    ] = None,
    k: Annotated[int | None, typer.Option("-k", min=1, help="Passages to retrieve.")] = None,
    where: Where = None,
    compress: Annotated[
        float | None,
        typer.Option(
            "--compress",
            metavar="RATIO",
            help="Share of the passages' tokens that the model is shown, such as 0.25; more if the answer may be lost.",
            show_default=False,
        ),
    ] = None,
    pool: ShownPool = None,
    shots: Shots = 4,
    show_prompt: Annotated[
        bool,
        typer.Option(
            "--show-prompt", help="Show the prompt as sent, with its receipt: its parts, and the reason for each."
        ),
    ] = False,
    stats: Annotated[bool, typer.Option("--stats", help="Show the time of each stage and the token counts.")] = False,
    no_update: NoUpdate = False,
    partial: Partial = False,
    time_limit: TimeLimit = None,
    memory_limit: MemoryLimit = None,
    json: Json = False,
) -> None:
    """Answer a question from documents, with citations of file, page and quote.

    TARGET can be a folder of documents: its index is created or updated first.
    """
    from ragkit.settings import load_settings

    settings = load_settings()
    wanted: Any = kind  # an unknown kind is refused by the assistant, with the legal ones
    limits: dict[str, Any] = {"time_limit": time_limit, "memory_limit": memory_limit}
    with (
        opened_index(target, settings, update=not no_update, quiet=json, partial=partial, **limits) as index,
        nullcontext() if pool is None else opened_pool(pool, settings) as examples,
    ):
        options = replace(answer_options(settings, k=k, compress=compress), shots=shots)
        assistant = _assistant(index, settings, [model or settings.model, *(fallback or [])], mode, options, examples)
        if json:
            answer = assistant.ask(question, where=where, kind=wanted)
            print_json({**answer.to_dict(), "outcome": answer.outcome})
            return
        answer = _stream(assistant, question, where, wanted)
    if show_prompt:
        _print_prompt(answer)
    if stats:
        _print_stats(answer)


def answer_options(
    settings: Settings,
    *,
    k: int | None = None,
    threshold: float | None = None,
    unsure_below: float | None = None,
    compress: float | None = None,
) -> AnswerOptions:
    """Return the answer options from the settings, overridden by the command's options."""
    from ragkit.answering import AnswerOptions
    from ragkit.answering.evidence import REFUSE_BELOW, UNSURE_BELOW
    from ragkit.retrieval import RetrievalOptions

    def first(*values: float | None) -> float:
        return next(value for value in values if value is not None)

    return AnswerOptions(
        templates=settings.templates,
        retrieval=RetrievalOptions(k=k or settings.k),
        threshold=first(threshold, settings.threshold, REFUSE_BELOW),
        unsure_below=first(unsure_below, settings.unsure_below, UNSURE_BELOW),
        compress=compress,
    )


def _assistant(
    index: Index,
    settings: Settings,
    models: list[str],
    mode: str | None,
    options: AnswerOptions,
    examples: ExamplePool | None,
) -> Assistant:
    from ragkit.answering import Assistant
    from ragkit.models.opening import best_installed

    if len(models) > 1 and models[0] == "auto":
        models[0] = best_installed() or "none"
    opened = [None if name == "none" else opened_model(name, settings) for name in models]
    way: Any = mode or settings.mode  # what is none is refused by the assistant, with the legal ones
    if len(opened) == 1:
        return Assistant(index, model=opened[0], mode=way, options=options, examples=examples)
    if None in opened:
        raise SettingsError(
            "--fallback needs a model to fall back from, got none.", "Specify the first model: --model NAME"
        )
    chain = [one for one in opened if one is not None]
    return Assistant(index, models=chain, mode=way, options=options, examples=examples)


def _stream(assistant: Assistant, question: str, where: str | None, kind: Any) -> Answer:
    """Print the answer as it is generated, then its citations."""
    from ragkit.answering import Finished, TextDelta

    streamed = False
    for event in assistant.stream(question, where=where, kind=kind):
        if isinstance(event, TextDelta):
            out.print(harmless(event.text), end="", markup=False)
            streamed = True
        elif isinstance(event, Finished):
            answer = event.answer
    print_answer(answer, streamed=streamed)
    return answer


def print_answer(answer: Answer, *, streamed: bool) -> None:
    """Print an answer, unless its text was printed as it was generated, and then its warnings and citations."""
    text = answer.reply
    if streamed:
        out.print()
    else:
        out.print(harmless(text), style="bold", markup=False)
    if answer.unsure:
        missing = answer.missing or "these are the closest passages, which may not answer the question."
        out.print("unsure:", style="yellow", end=" ")
        out.print(harmless(missing), markup=False)
    for start, end in answer.unsupported:
        label = "contradicted" if (start, end) in answer.contradicted else "unsupported"
        out.print(f"{label}:", style="yellow", end=" ")
        out.print(harmless(one_line(answer.text[start:end], 200)), markup=False)
    for citation in answer.citations:
        print_citation(citation)


def print_citation(citation: Citation) -> None:
    """Print where a quote is from, and the quote in its sentence."""
    unit = unit_name(citation.page, citation.label)
    page = f", {unit}" if unit else ""
    place = harmless(f"  [{citation.number}] {short_path(citation.source)}{page}:")
    out.print(place, style="cyan", markup=False, end=" ")
    out.print(_in_its_sentence(citation))


def _print_prompt(answer: Answer) -> None:
    if answer.trace.prompt is None:
        out.print("No prompt: no model was called for this answer.")
        return
    for message in answer.trace.prompt.messages:
        out.rule(message.role)
        out.print(message.content, markup=False)
    out.rule("receipt")
    out.print(answer.trace.prompt.receipt.render(), markup=False)


def _print_stats(answer: Answer) -> None:
    trace = answer.trace
    stages = " · ".join(f"{stage} {seconds_text(seconds)}" for stage, seconds in trace.seconds.items())
    usage = trace.usage
    tokens = f"{usage.prompt_tokens} prompt tokens ({usage.cached_tokens} cached), {usage.completion_tokens} generated"
    if (made := trace.compression) is not None:
        out.print(
            f"  passages compressed to {made.level}: {made.tokens} of {made.full_tokens} tokens ({made.why})",
            style="dim",
            markup=False,
        )
    out.print(f"  {answer.mode} · {trace.model or 'no model'} · {stages} · {tokens}", style="dim", markup=False)


def short_path(source: str) -> str:
    """Return a path, relative to the working folder if it is inside it."""
    path = Path(source)
    cwd = Path.cwd()
    return str(path.relative_to(cwd)) if path.is_absolute() and path.is_relative_to(cwd) else source


def _in_its_sentence(citation: Citation) -> Text:
    """Return the sentence of the quote, with the quote in bold."""
    before, after = (re.sub(r"\s+", " ", harmless(text)) for text in (citation.before, citation.after))
    before = before if len(before) <= 120 else f"…{before[-119:]}"
    after = after if len(after) <= 120 else f"{after[:119]}…"
    return Text.assemble("“", before, (one_line(harmless(citation.quote), 240), "bold"), after, "”")
