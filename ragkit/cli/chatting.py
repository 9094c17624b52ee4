"""A conversation of ``ragkit chat``: its questions, its commands, and what is stored of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from ragkit.answering import Assistant, Finished, TextDelta
from ragkit.answering.options import MODES
from ragkit.cli.asking import answer_options, print_answer, short_path
from ragkit.cli.output import one_line, out, print_error
from ragkit.cli.tasks import opened_model
from ragkit.display import unit_name
from ragkit.errors import ModelStoppedError, QueryError, RagkitError, SettingsError
from ragkit.indexing.filters import as_filter
from ragkit.models.stopping import stoppable
from ragkit.serving import conversations, people
from ragkit.serving.asks import Ask, Config, GenerationResult
from ragkit.serving.conversations import Conversation, Conversations, StoredMessage
from ragkit.serving.database import FILE_NAME, STATE, Database
from ragkit.serving.exporting import conversation_markdown
from ragkit.serving.failures import StorageFullError, to_error_body
from ragkit.serving.generation import AnswerState
from ragkit.serving.names import harmless
from ragkit.serving.people import OWNER
from ragkit.serving.views import outcome_message, why_view

if TYPE_CHECKING:
    from ragkit.indexing import Index
    from ragkit.records import Answer
    from ragkit.settings import Settings

_CONTEXT = 400
"""Characters of a document that are shown before and after a quote."""
_COMMANDS = {
    "/source": "[N]: Show a source of the last answer, or list all of them.",
    "/model": "[NAME]: Answer with another model, or list the installed ones; none for quotes without a model.",
    "/mode": "[MODE]: Change the answer mode, or list all: chat, extract, quotes, auto.",
    "/save": "[FILE]: Write the conversation to a Markdown file.",
    "/new": "Start another conversation.",
    "/help": "List the commands.",
    "/quit": "Exit; the conversation is kept.",
}


class Chat:
    """One conversation, and how its questions are answered.

    Args:
        index: index to search.
        collection: name of the index, under which the server lists its conversations.
        settings: settings of the command line.
        model: name of the model; by default that of the settings.
        mode: answer mode; by default that of the settings.
        k: passages to retrieve.
        where: only documents that match.

    Raises:
        SettingsError: if the mode is unknown, or the database of conversations can't be opened.
        QueryError: if the filter is invalid.
    """

    def __init__(
        self,
        index: Index,
        collection: str,
        settings: Settings,
        *,
        model: str | None = None,
        mode: str | None = None,
        k: int | None = None,
        where: str | None = None,
    ) -> None:
        self._index = index
        self._collection = collection
        self._settings = settings
        self._options = answer_options(settings, k=k)
        self._where = as_filter(where)
        self._mode: Any = mode or settings.mode
        self._model, self._assistant = self._opened(model or settings.model, self._mode)
        self._database = Database(settings.indexes / STATE / FILE_NAME, people.SCHEMA + conversations.SCHEMA)
        self._stored = Conversations(self._database)
        self._conversation: Conversation | None = None

    def close(self) -> None:
        """Close the database of conversations."""
        self._database.close()

    def greet(self) -> None:
        """Print the collection, the model and the mode."""
        count = self._index.document_count
        documents = f"{count:,} document{'' if count == 1 else 's'}"
        out.print(f"{self._collection}: {documents}. Model: {self._model}, mode: {self._mode}.", markup=False)
        out.print("Ask a question. /help lists the commands; Ctrl-C stops an answer.", style="dim")
        out.print()

    def resume(self) -> None:
        """Continue the latest conversation about the index, and print its last question.

        Raises:
            SettingsError: if there is none.
        """
        found = self._stored.find(OWNER, [self._collection], limit=1)
        if not found:
            raise SettingsError(
                f"There is no conversation about {self._collection}.", "Start one: run the command without --continue."
            )
        self._conversation = found[0]
        asked = [message.text for message in self._messages() if message.role == "user"]
        last = f" Last question: {one_line(asked[-1], 200)}" if asked else ""
        out.print(harmless(f"Continuing “{found[0].title}”.{last}"), style="dim", markup=False)

    def take(self, line: str, stopped: Callable[[], bool]) -> bool:
        """Answer a question or run a command; return whether the conversation continues.

        Args:
            line: input of the user, not empty.
            stopped: whether to stop the answer.

        Raises:
            RagkitError: if it fails; the conversation can continue.
        """
        if not line.startswith("/"):
            self._answer(line, stopped)
            return True
        name, _, rest = line.partition(" ")
        rest = rest.strip()
        match name:
            case "/source" | "/sources":
                self._show_source(rest)
            case "/model":
                self._change_model(rest)
            case "/mode":
                self._change_mode(rest)
            case "/save":
                self._save(rest)
            case "/new":
                self._conversation = None
                out.print("The next question starts another conversation.")
            case "/help":
                for command, text in _COMMANDS.items():
                    out.print(f"{command:8} {text}", markup=False)
            case "/quit" | "/exit":
                return False
            case _:
                raise QueryError(f"Unknown command {name}.", f"Commands: {', '.join(_COMMANDS)}.")
        return True

    # Questions

    def _answer(self, question: str, stopped: Callable[[], bool]) -> None:
        history = tuple(self._stored.history(self._conversation.id)) if self._conversation else ()
        config = Config(self._collection, self._model, self._mode, 0)
        ask = Ask(question, config, "", self._options.retrieval.k, self._where, history)
        asked: StoredMessage | None = None
        try:
            self._conversation, asked = self._stored.ask(OWNER, self._collection, question, self._conversation)
        except StorageFullError as error:
            print_error(error, as_json=False)
        state = AnswerState()
        try:
            answer = self._streamed(ask, state, stopped)
        except RagkitError as error:
            body = to_error_body(error)["error"]
            known = {name: body[name] for name in ("message", "hint", "code")}
            self._keep(asked, GenerationResult(ask, state.text, None, state.partial(ask), known, state.hits))
            raise
        text = state.text if answer is None else answer.text
        partial = state.partial(ask) if answer is None else None
        self._keep(asked, GenerationResult(ask, text, answer, partial, None, state.hits, state.prompt))
        if answer is None:
            out.print("\nStopped." if state.text else "Stopped.", style="yellow")
        else:
            print_answer(answer, streamed=bool(state.text))

    def _streamed(self, ask: Ask, state: AnswerState, stopped: Callable[[], bool]) -> Answer | None:
        """Print an answer as it is generated, and return it; None if it was stopped."""
        steps = self._assistant.stream(ask.question, where=ask.where, mode=self._mode, history=ask.history)
        with ExitStack() as stack:
            stack.enter_context(stoppable(stopped))
            stack.callback(steps.close)
            try:
                for event in steps:
                    if stopped():
                        break
                    if isinstance(event, Finished):
                        return event.answer
                    state.take(event)
                    if isinstance(event, TextDelta):
                        out.print(harmless(event.text), end="", markup=False)
            except (ModelStoppedError, KeyboardInterrupt):
                pass
        return None

    def _keep(self, asked: StoredMessage | None, outcome: GenerationResult) -> None:
        """Store the result of a question; a full disk does not end the conversation."""
        if asked is None:
            return
        message = outcome_message(asked.conversation, outcome, self._index)
        try:
            self._stored.add(message, why_view(outcome), after=asked.id)
        except StorageFullError as error:
            print_error(error, as_json=False)

    def _messages(self) -> list[StoredMessage]:
        return [] if self._conversation is None else self._stored.messages(self._conversation.id)

    # Commands

    def _show_source(self, number: str) -> None:
        answers = [message.answer for message in self._messages() if message.answer is not None]
        cited: list[Mapping[str, Any]] = list(answers[-1]["citations"]) if answers else []
        if not cited:
            raise QueryError("The last answer has no sources.", "Ask a question first.")
        if not number:
            for citation in cited:
                out.print(f"{_place(citation)}: “{one_line(harmless(citation['quote']), 160)}”", markup=False)
            return
        wanted = [citation for citation in cited if str(citation["number"]) == number.strip("[]")]
        if not wanted:
            numbers = ", ".join(str(citation["number"]) for citation in cited)
            raise QueryError(f"The last answer has no source {number}.", f"Its sources: {numbers}.")
        self._print_source(wanted[0])

    def _print_source(self, citation: Mapping[str, Any]) -> None:
        """Print a quote with the text around it, if the document still contains it at its place."""
        start, end, quote = citation["start"], citation["end"], citation["quote"]
        out.print(_place(citation), style="cyan", markup=False)
        before, after = citation.get("before", ""), citation.get("after", "")
        note = "The document is no longer in the index."
        try:
            document = self._index.document(citation["document_id"])
        except QueryError:
            pass
        else:
            note = harmless(short_path(document.source))
            if document.text[start:end] == quote:
                before = document.text[max(0, start - _CONTEXT) : start]
                after = document.text[end : end + _CONTEXT]
            else:
                note += " has changed since this answer."
        out.print(Text.assemble(harmless(before), (harmless(quote), "bold reverse"), harmless(after)))
        out.print(note, style="dim", markup=False)

    def _change_model(self, name: str) -> None:
        from ragkit.models import installed_models
        from ragkit.models.llama_cpp import LlamaCppModel

        if name:
            before = self._assistant.model
            self._model, self._assistant = self._opened(name, self._mode)
            if isinstance(before, LlamaCppModel):
                before.close()
            out.print(f"Model: {self._model}.", markup=False)
            return
        installed = [model.name for model in installed_models() if model.chat]
        for one in dict.fromkeys([self._model, *installed, "none"]):
            out.print(f"{'*' if one == self._model else ' '} {one}", markup=False)

    def _change_mode(self, mode: str) -> None:
        if mode:
            self._assistant = Assistant(self._index, self._assistant.model, mode, self._options)  # type: ignore[arg-type]
            self._mode = mode
            out.print(f"Mode: {mode}.", markup=False)
            return
        for one in MODES:
            out.print(f"{'*' if one == self._mode else ' '} {one}", markup=False)

    def _save(self, name: str) -> None:
        """Write the conversation to a new file, by default named after its title."""
        if self._conversation is None:
            raise QueryError("There is nothing to save.", "Ask a question first.")
        slug = re.sub(r"\W+", "-", self._conversation.title.lower()).strip("-")[:60]
        path = Path(name or f"{slug or 'conversation'}.md").expanduser()
        text = conversation_markdown(self._conversation.title, self._messages())
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            raise QueryError(f"{path} already exists.", "Choose another name: /save FILE") from None
        except OSError as error:
            raise QueryError(
                f"{path} can't be written: {error.strerror}.", "Choose another file: /save FILE"
            ) from error
        out.print(f"Saved: {path}", markup=False)

    def _opened(self, name: str, mode: Any) -> tuple[str, Assistant]:
        """Return the name of a model, with ``auto`` resolved, and what answers with it.

        Raises:
            SettingsError: if the mode is unknown or needs a model.
            ModelError: if the model fails to open.
        """
        from ragkit.models.opening import best_installed, open_model

        if name == "auto":
            name = best_installed() or "none"
        opened = None if name == "none" else opened_model(name, self._settings)
        model = open_model(opened) if isinstance(opened, str) else opened
        return name, Assistant(self._index, model, mode, self._options)


def _place(citation: Mapping[str, Any]) -> str:
    unit = unit_name(citation["page"], citation.get("label", ""))
    headings = " > ".join(citation.get("heading_path", ()))
    parts = [f"[{citation['number']}] {citation['name']}", unit, headings]
    return harmless(", ".join(part for part in parts if part))
