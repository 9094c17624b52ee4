"""``ragkit mcp``: search and question answering over the Model Context Protocol."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.following import LATER, follow, updated_later
from ragkit.cli.indexes import load_options
from ragkit.cli.targets import index_names, resolve_target
from ragkit.errors import IndexNotFoundError, MissingExtraError

if TYPE_CHECKING:
    from ragkit.answering import Assistant
    from ragkit.indexing import Index
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
            "first. Default: all indexes in the indexes folder.",
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
) -> None:
    """Run a read-only MCP server on stdin and stdout, with which an assistant can search and ask your documents.

    The assistant starts the server; its configuration contains the command and absolute paths:

        {"mcpServers": {"documents": {"command": "ragkit", "args": ["mcp", "/home/me/docs"]}}}
    """
    from ragkit.indexing import Index
    from ragkit.settings import load_settings

    settings = load_settings()
    try:
        from ragkit.serving.mcp import make_server
        from ragkit.serving.names import collection_title
    except ImportError as error:
        raise MissingExtraError(error.name or "mcp", "mcp", "to serve the Model Context Protocol") from error
    with ExitStack() as stack:
        indexes: dict[str, Index] = {}
        for target in targets or index_names(settings):
            found = resolve_target(target, settings)
            index = Index.open(found.index, embedder=settings.embedding_model, create=found.documents is not None)
            stack.enter_context(index)
            # Messages go to stderr; stdout carries the protocol.
            if found.documents is not None and not follow(index, found.documents, load_options(settings), later=LATER):
                stack.enter_context(updated_later(index, found.documents, settings))
            own = found.index.resolve().name
            name = found.documents.resolve().name if found.documents else collection_title(own, index)
            indexes[name if name not in indexes else own] = index
        if not indexes:
            raise IndexNotFoundError(
                f"There is no index in {settings.indexes.absolute()}.",
                "Specify a folder of documents, or create an index: ragkit add PATH --index NAME",
            )
        make_server(indexes, lambda index: _assistant(index, settings, model, mode)).run("stdio")


def _assistant(index: Index, settings: Settings, model: str | None, mode: str | None) -> Assistant:
    from ragkit.answering import Assistant
    from ragkit.cli.asking import answer_options
    from ragkit.cli.tasks import opened_model

    name = model or settings.model
    opened = None if name == "none" else opened_model(name, settings)
    options = answer_options(settings)
    return Assistant(index, model=opened, mode=mode or settings.mode, options=options)  # type: ignore[arg-type]
