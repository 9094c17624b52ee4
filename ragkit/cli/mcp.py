"""``ragkit mcp``: search and question answering over the Model Context Protocol."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.following import sync_when_free
from ragkit.cli.indexes import load_options, print_report
from ragkit.cli.output import err
from ragkit.cli.serve import TOKEN
from ragkit.cli.targets import Target, index_names, resolve_target
from ragkit.errors import IndexNotFoundError, MissingExtraError, RagkitError

if TYPE_CHECKING:
    from ragkit._progress import ProgressCallback
    from ragkit.answering import Assistant
    from ragkit.indexing import Index
    from ragkit.serving.background import BackgroundIndex
    from ragkit.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(mcp)


def mcp(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TARGET]...",
            help="Indexes (names or paths), or folders or files of documents, whose index is created or updated "
            "in the background. Default: all indexes in the indexes folder.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", help="A name from `ragkit models list`, a .gguf file, PROVIDER:NAME, tuned:NAME, or none."
        ),
    ] = None,
    mode: Annotated[str | None, typer.Option(help="Answer mode: chat, extract, quotes or auto.")] = None,
    http: Annotated[
        bool, typer.Option("--http", help="Serve streamable HTTP at /mcp instead of stdin and stdout.")
    ] = False,
    host: Annotated[str, typer.Option(help="With --http: address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="With --http: port; 0 for any free port.")] = 8001,
) -> None:
    """Run a read-only MCP server on stdin and stdout, with which an assistant can search and ask your documents.

    The assistant starts the server; its configuration contains the command and absolute paths:

        {"mcpServers": {"documents": {"command": "ragkit", "args": ["mcp", "/home/me/docs"]}}}

    The server answers at once, indexes in the background, and ends when its input ends. With --http, it runs until
    Ctrl-C; on addresses other than loopback and behind a proxy, clients must send the token in RAGKIT_TOKEN.
    """
    from ragkit.settings import load_settings

    settings = load_settings()
    try:
        from ragkit.serving.mcp import make_server
    except ImportError as error:
        raise MissingExtraError(error.name or "mcp", "mcp", "to serve the Model Context Protocol") from error
    resolved: dict[str, Target] = {}
    for target in targets or index_names(settings):
        found = resolve_target(target, settings)
        own = found.index.resolve().name
        name = found.documents.resolve().name if found.documents else _title(own, found.index)
        resolved[name if name not in resolved else own] = found
    if not resolved:
        raise IndexNotFoundError(
            f"There is no index in {settings.indexes.absolute()}.",
            "Specify a folder of documents, or create an index: ragkit add PATH --index NAME",
        )
    with ExitStack() as stack:
        collections = {name: _opened(found, settings) for name, found in resolved.items()}
        for collection in collections.values():
            stack.callback(collection.close)
        server = make_server(collections, lambda index: _assistant(index, settings, model, mode))
        if http:
            from ragkit.serving.mcp_http import serve_http

            serve_http(
                server,
                host,
                port,
                os.environ.get(TOKEN) or None,
                lambda url: err.print(f"MCP over streamable HTTP: {url}", markup=False),
            )
        else:
            server.run("stdio")


def _title(name: str, index: Path) -> str:
    """Return the name of the folder that an index follows, or the index's own name."""
    from ragkit.indexing.summary import summarize_index
    from ragkit.serving.names import collection_title

    try:
        return collection_title(name, summarize_index(index).origin)
    except RagkitError:
        return name  # the tools of the server report the error


def _opened(found: Target, settings: Settings) -> BackgroundIndex:
    """Begin to open the index of a target, and to update it if it follows documents."""
    from ragkit.indexing import Index
    from ragkit.serving.background import BackgroundIndex

    documents = found.documents

    def open_index() -> Index:
        return Index.open(found.index, embedder=settings.embedding_model, create=documents is not None)

    def update(index: Index, progress: ProgressCallback) -> None:
        assert documents is not None
        try:
            report = sync_when_free(index, documents, load_options(settings), progress)
        except RagkitError as error:
            err.print(f"{documents} could not be updated: {error}", style="red", markup=False)
            raise
        # Messages go to stderr; stdout carries the protocol.
        if not report.complete:
            print_report(report, err)

    return BackgroundIndex(open_index, None if documents is None else update)


def _assistant(index: Index, settings: Settings, model: str | None, mode: str | None) -> Assistant:
    from ragkit.answering import Assistant
    from ragkit.cli.asking import answer_options
    from ragkit.cli.tasks import opened_model

    name = model or settings.model
    opened = None if name == "none" else opened_model(name, settings)
    options = answer_options(settings)
    return Assistant(index, model=opened, mode=mode or settings.mode, options=options)  # type: ignore[arg-type]
