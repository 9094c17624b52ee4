"""``ragkit serve``: the API server with the chat page."""

from __future__ import annotations

import logging
import os
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragkit.cli.asking import answer_options
from ragkit.cli.output import err, out, progress_bar
from ragkit.cli.targets import resolve_target
from ragkit.errors import MissingExtraError

if TYPE_CHECKING:
    from ragkit.models import ChatModel
    from ragkit.serving.running import Server
    from ragkit.settings import Settings

TOKEN = "RAGKIT_TOKEN"  # noqa: S105 - the name of the variable


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(serve)


def serve(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TARGET]...",
            help="Further indexes, or folders or files of documents, whose index is created or updated first.",
            show_default=False,
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all interfaces.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any free port.")] = 8000,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="A name from `ragkit models list`, a .gguf file, PROVIDER:NAME, tuned:NAME, or none. Can be repeated: "
            "the first is the default, users can select the others.",
        ),
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(help="Default answer mode: chat, extract, quotes or auto."),
    ] = None,
    threads: Annotated[int, typer.Option(min=0, help="Threads of a local model; 0 for all cores.")] = 0,
    parallel: Annotated[
        int,
        typer.Option(min=1, max=64, help="Answers that a local model generates at once; 1 for one after another."),
    ] = 4,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Host name accepted in requests, such as that of a proxy. Can be repeated."),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN",
            help="Origin of another site whose pages may use the API, such as https://app.example. Can be repeated.",
        ),
    ] = None,
    max_request: Annotated[
        float, typer.Option(min=0.01, metavar="MIB", help="Maximum size of a request, uploads aside, in MiB.")
    ] = 1.0,
    public_url: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="Public address behind a reverse proxy, such as https://docs.example.org/ragkit.",
            show_default=False,
        ),
    ] = "",
    root_path: Annotated[
        str,
        typer.Option(
            metavar="PATH",
            help="Path prefix behind a reverse proxy; default: that of --public-url.",
            show_default=False,
        ),
    ] = "",
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            help="Address or network of a proxy whose X-Forwarded headers are used. Can be repeated. Default: this "
            "machine.",
            show_default=False,
        ),
    ] = None,
    rows: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[COLLECTION=]FILE",
            help="Rows of `ragkit data questions` to review on the page. Can be repeated.",
            show_default=False,
        ),
    ] = None,
    tools: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Collection of tools, made by `ragkit tools add`, that the model may call in the answer mode agent.",
            show_default=False,
        ),
    ] = None,
    unload_after: Annotated[
        float, typer.Option(min=0, metavar="MINUTES", help="Unload unused indexes and models; 0 to keep them loaded.")
    ] = 30,
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Also log rejected requests.")] = False,
) -> None:
    """Serve the chat page and the API, for browsers and OpenAI-compatible clients.

    Serves all indexes of the indexes folder, and the targets. More files can be uploaded on the page.

        ragkit serve                      all indexes, at http://127.0.0.1:8000/
        ragkit serve ./docs               also this folder; its index is created first
        RAGKIT_TOKEN=… ragkit serve --host 0.0.0.0

    On a loopback address, no token is needed until one is created (`ragkit token add NAME --read COLLECTION`). On other
    addresses and behind a proxy one is required: set the owner's token in RAGKIT_TOKEN, or one is generated and shown
    once. /docs lists the routes.
    """
    from ragkit.settings import load_settings

    settings = load_settings()
    try:
        from ragkit.serving.context import ServeOptions
        from ragkit.serving.limits import Limits
        from ragkit.serving.reviewing import row_reviews
        from ragkit.serving.running import Server
        from ragkit.serving.served_tools import ServedTools
    except ImportError as error:
        raise MissingExtraError(error.name or "fastapi", "serve", "to serve the chat page and the API") from error
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    if verbose:
        logging.getLogger("ragkit").setLevel(logging.INFO)
    updates = ExitStack()
    others = dict(_prepared(name, settings, updates) for name in targets or [])
    answering = answer_options(settings)
    server = Server(
        ServeOptions(
            indexes=settings.indexes,
            others=others,
            rows=dict(map(_rows_file, rows or [])),
            host=host,
            port=port,
            hosts=tuple(allow_host or ()),
            origins=tuple(allow_origin or ()),
            limits=Limits(body=int(max_request * 2**20)),
            public_url=public_url,
            idle=60 * unload_after,
            root_path=root_path,
            proxies=tuple(trusted_proxy or ServeOptions().proxies),
            token=os.environ.get(TOKEN) or None,
            models=tuple(model or [settings.model]),
            mode=mode or settings.mode,  # type: ignore[arg-type]
            k=settings.k,
            threshold=answering.threshold,
            unsure_below=answering.unsure_below,
            threads=threads,
            parallel=parallel,
            embedding_model=settings.embedding_model,
            templates=settings.templates,
            tools=tools,
            opener=lambda name: _model(name, settings, threads, parallel),
        )
    )
    server.context.part(row_reviews)  # reports a missing file before the server starts
    if tools is not None:
        out.print(f"  tools: {', '.join(tool.name for tool in server.context.part(ServedTools).all)}", markup=False)
    # The server stops on Ctrl-C, and then raises the signal again.
    with suppress(KeyboardInterrupt), updates:
        server.run(lambda: _tell(server, open_page=open_page))
    out.print("Stopped. Conversations and collections are kept.")


def _prepared(name: str, settings: Settings, updates: ExitStack) -> tuple[str, Path]:
    """Return the name and the folder of a target's index; update it first if it follows documents.

    If another process is writing to it, it is updated in the background, until ``updates`` is closed.
    """
    from ragkit.cli.following import LATER, follow, updated_later
    from ragkit.cli.indexes import load_options
    from ragkit.indexing import Index

    target = resolve_target(name, settings)
    if target.documents is not None:
        with (
            Index.open(target.index, embedder=settings.embedding_model, create=True) as index,
            progress_bar(quiet=not err.is_terminal) as progress,
        ):
            done = follow(index, target.documents, load_options(settings), later=LATER, progress=progress)
        if not done:
            index = updates.enter_context(Index.open(target.index, embedder=settings.embedding_model))
            updates.enter_context(updated_later(index, target.documents, settings))
    return target.index.resolve().name, target.index


def _rows_file(given: str) -> tuple[str, Path]:
    """Return the collection, empty if none is named, and the file of ``[COLLECTION=]FILE``."""
    name, separator, file = given.partition("=")
    return (name, Path(file)) if separator and not Path(given).exists() else ("", Path(given))


def _model(name: str, settings: Settings, threads: int, parallel: int) -> ChatModel:
    from ragkit.cli.tasks import opened_model
    from ragkit.models import open_model

    opened = opened_model(name, settings)
    if opened is None or isinstance(opened, str):
        return open_model(name, threads=threads, parallel=parallel)
    return opened


def _tell(server: Server, *, open_page: bool) -> None:
    """Print the server's address, collections and model."""
    ctx = server.context
    if not ctx.options.loopback and not ctx.options.token and not ctx.people.all():
        token = ctx.people.add("owner", owner=True)
        out.print(f"The owner's token, shown only once: [bold]{token}[/]")
    out.print(f"ragkit serves [bold]{server.url}[/]", highlight=False)
    if ctx.options.public_url:
        out.print(f"  public address: {ctx.options.public_url}", markup=False)
    names = ctx.collections.all_names()
    if names:
        out.print(f"  collections: {', '.join(names)}", markup=False)
    else:
        out.print("  There are no collections: upload files on the page, or run: ragkit add PATH --index NAME")
    out.print(f"  model: {ctx.models.default}; the API is listed at {server.url}docs", markup=False)
    if ctx.people.open:
        out.print("  No token needed: every user of this machine has the owner's permissions. Press Ctrl-C to stop.")
    else:
        out.print("  A token is required; list tokens: ragkit token list. Press Ctrl-C to stop.")
    if open_page:
        import webbrowser

        webbrowser.open(server.url)
