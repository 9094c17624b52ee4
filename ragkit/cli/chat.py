"""``ragkit chat``: a conversation in the terminal."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Self

import typer

from ragkit.cli.asking import NoUpdate, opened_index
from ragkit.cli.options import TargetName, Where
from ragkit.cli.output import out, print_error
from ragkit.cli.targets import resolve_target
from ragkit.errors import RagkitError

if TYPE_CHECKING:
    from ragkit.cli.chatting import Chat

_PROMPT = "> "


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(chat)


def chat(
    target: TargetName,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", help="A name from `ragkit models list`, a .gguf file, PROVIDER:NAME, tuned:NAME, or none."
        ),
    ] = None,
    mode: Annotated[str | None, typer.Option(help="Answer mode: chat, extract, quotes or auto.")] = None,
    k: Annotated[int | None, typer.Option("-k", min=1, help="Passages to retrieve.")] = None,
    where: Where = None,
    resume: Annotated[
        bool, typer.Option("--continue", "-c", help="Continue the latest conversation about TARGET.")
    ] = False,
    no_update: NoUpdate = False,
) -> None:
    """Ask questions about documents in a conversation; follow-up questions refer to earlier ones.

        ragkit chat ./docs

        > When does the last bus leave?
        > And on Sundays?
        > /source 1

    Commands: /source N shows a source of the last answer, /model and /mode change how questions are answered, /save
    writes the conversation to a file, /new starts another one, /help lists all, /quit exits. Ctrl-C stops an answer.

    Conversations are stored beside the indexes, where the page of `ragkit serve` lists them. Input that is not a
    terminal is read as one question or command per line.
    """
    from ragkit.cli.chatting import Chat
    from ragkit.settings import load_settings

    settings = load_settings()
    name = resolve_target(target, settings).index.resolve().name
    with ExitStack() as stack:
        index = stack.enter_context(opened_index(target, settings, update=not no_update, quiet=False))
        talk = Chat(index, name, settings, model=model, mode=mode, k=k, where=where)
        stack.callback(talk.close)
        if resume:
            talk.resume()
        code = _run(talk)
    if code:
        raise typer.Exit(code)


def _run(talk: Chat) -> int:
    """Answer line after line; return the exit code, that of the last error if the input is not a terminal."""
    if sys.stdin.isatty():
        talk.greet()
        with _Terminal() as terminal:
            for line in terminal.lines():
                try:
                    if not _taken(talk, line, terminal.stopped):
                        break
                except KeyboardInterrupt:
                    out.print("\nStopped.", style="yellow")
                except RagkitError as error:
                    print_error(error, as_json=False)
        return 0
    code = 0
    for line in sys.stdin:
        try:
            if not _taken(talk, line, lambda: False):
                break
        except RagkitError as error:
            print_error(error, as_json=False)
            code = error.exit_code
    return code


def _taken(talk: Chat, line: str, stopped: Callable[[], bool]) -> bool:
    """Answer a line unless it is empty; return whether the conversation continues."""
    # Where the input is not UTF-8, it has bytes that are no text.
    text = line.encode("utf-8", "surrogateescape").decode("utf-8", "replace").strip()
    continues = not text or talk.take(text, stopped)
    if text and continues:
        out.print()
    return continues


class _Terminal:
    """Lines that the user types. Ctrl-C stops an answer, not the program.

    During an answer, the first Ctrl-C is not raised, since it would interrupt a local model between two steps; a second
    one is.
    """

    def __init__(self) -> None:
        self._reading = False
        self._stopped = False

    def stopped(self) -> bool:
        """Return whether Ctrl-C was pressed since the last line was read."""
        return self._stopped

    def lines(self) -> Iterator[str]:
        """Yield the lines that the user types, until the end of the input."""
        with suppress(ImportError):  # Windows has no readline: there is no history of lines.
            import readline  # noqa: F401  (``input`` uses it)
        while True:
            try:
                self._stopped, self._reading = False, True
                line = input(_PROMPT)
                self._reading = False
            except EOFError:
                out.print()
                return
            except KeyboardInterrupt:
                out.print("\nType /quit or press Ctrl-D to leave.")
                continue
            yield line

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._interrupted)
        return self

    def __exit__(self, *error: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        if self._reading or self._stopped:
            raise KeyboardInterrupt
        self._stopped = True
