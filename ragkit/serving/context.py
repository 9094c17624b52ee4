"""State of a running server, and access to it from routes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast
from urllib.parse import SplitResult

from fastapi import Depends, Request

from ragkit.answering.evidence import REFUSE_BELOW, UNSURE_BELOW
from ragkit.answering.options import MODES, Mode
from ragkit.errors import SettingsError
from ragkit.models import ChatModel, installed_models, open_model
from ragkit.models.opening import best_installed, is_remote
from ragkit.records import Message
from ragkit.serving import conversations, people
from ragkit.serving.collections import Collections
from ragkit.serving.conversations import Conversation, Conversations, StoredMessage, no_conversation, no_message
from ragkit.serving.database import FILE_NAME, STATE, Database
from ragkit.serving.failures import RequestError, report
from ragkit.serving.limits import Limits, Rates
from ragkit.serving.metrics import Metrics
from ragkit.serving.models import Models
from ragkit.serving.ongoing import Ongoing
from ragkit.serving.people import People, Person
from ragkit.serving.proxies import check_proxies, is_forwarded, path_prefix, public_address
from ragkit.serving.security import checked_origin

T = TypeVar("T")
COOKIE = "ragkit_token"
_LOOK_FOR_IDLE = 30.0
"""Seconds between two looks for what is no longer used."""
_WORKERS = 24
"""Threads that answers run in; the lines before the models let fewer run in most cases."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """Options of a server."""

    indexes: Path = Path("indexes")
    """Folder of collections; the server stores its state in the subfolder ``.serving``."""
    others: Mapping[str, Path] = field(default_factory=dict)
    """Indexes in other folders, by their served names."""
    rows: Mapping[str, Path] = field(default_factory=dict)
    """Files of generated rows that are reviewed on the page, by collection; "" for the only collection."""
    host: str = "127.0.0.1"
    port: int = 8000
    hosts: tuple[str, ...] = ()
    """Further host names of the server, such as those behind a proxy."""
    origins: tuple[str, ...] = ()
    """Origins of other sites whose pages may use the API from a browser, such as ``https://app.example``."""
    public_url: str = ""
    """Address under which people reach the server behind a proxy, such as ``https://docs.example.org/ragkit``."""
    root_path: str = ""
    """Path under which a proxy serves the server; by default that of ``public_url``."""
    proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    """Addresses or networks of proxies whose ``X-Forwarded-`` headers are used."""
    token: str | None = None
    """Token of the owner; without it, and as long as no token exists, everyone on this machine is the owner."""
    models: tuple[ChatModel | str, ...] = ("auto",)
    """Available models besides the installed ones; the first is the default."""
    mode: Mode = "auto"
    """Answer mode if a request does not set one."""
    k: int = 8
    """Passages to retrieve for an answer."""
    threshold: float = REFUSE_BELOW
    """Relevance below which a question is refused."""
    unsure_below: float = UNSURE_BELOW
    """Evidence below which an answer is marked as unsure."""
    threads: int = 0
    """Threads of a model on this machine; 0 for all cores."""
    parallel: int = 4
    """Answers that a model on this machine generates at once."""
    embedding_model: str = "default"
    """Embedding model of new collections."""
    templates: Path | None = None
    tools: Path | None = None
    """Collection of tools, made by ``ragkit tools add``, for the answer mode ``agent``."""
    opener: Callable[[str], ChatModel] | None = None
    """Opens a model by name; ``open_model`` by default."""
    limits: Limits = field(default_factory=Limits)
    idle: float = 1800.0
    """Seconds without use after which an index or a model is closed, to free its memory; 0 for never."""

    @property
    def state(self) -> Path:
        """Folder of the server's state."""
        return self.indexes / STATE

    @property
    def public(self) -> SplitResult | None:
        """The parts of the public address, or None if no address is set.

        Raises:
            SettingsError: if it is not an address.
        """
        return public_address(self.public_url) if self.public_url else None

    @property
    def prefix(self) -> str:
        """Path prefix of the server, as ``/PATH``; empty for the root.

        Raises:
            SettingsError: if it is not a path.
        """
        return path_prefix(self.root_path or (self.public.path if self.public else ""))

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches the server."""
        return self.host == "localhost" or self.host == "::1" or self.host.startswith("127.")


class Context:
    """State of a running server. Created once by ``make_app``.

    Args:
        options: options of the server.

    Raises:
        SettingsError: if the mode, an origin, an address or a path is invalid, the state is not writable, or two
            collections have one name.
    """

    def __init__(self, options: ServeOptions) -> None:
        if options.mode not in MODES:
            raise SettingsError(f"Unknown mode {options.mode!r}.", f"Legal values: {', '.join(MODES)}.")
        self.origins = frozenset(checked_origin(origin) for origin in options.origins)
        check_proxies(options.proxies)
        _ = options.prefix  # checked before anything is written
        self.options = options
        self.state = options.state
        self.database = Database(self.state / FILE_NAME, people.SCHEMA + conversations.SCHEMA)
        self.people = People(self.database, options.token, open_to_all=options.loopback)
        self.collections = Collections(
            options.indexes, self.people, self.state, self._open_embedder, options.others, options.idle
        )
        others = [model.name for model in installed_models() if model.chat] if best_installed() else []
        self.models = Models(options.models, others, options.opener or self._open_model, options.idle)
        self.conversations = Conversations(self.database)
        self.metrics = Metrics(self.models)
        self.rates = Rates(options.limits)
        self.ongoing = Ongoing()
        self.workers = ThreadPoolExecutor(_WORKERS, "answer")
        self.ending = threading.Event()
        """Set when the server ends; work in threads then stops."""
        self._parts: dict[Callable[[Context], Any], Any] = {}
        self._making = threading.RLock()
        self._dropping = threading.Thread(target=self._drop_idle, name="ragkit-idle", daemon=True)
        self._dropping.start()

    def part(self, make: Callable[[Context], T]) -> T:
        """Return the object that ``make`` creates for this context, once per server: jobs, the feedback log, caches.

        If it has a method ``close``, the method is called when the server ends.
        """
        with self._making:
            if make not in self._parts:
                self._parts[make] = make(self)
            return cast(T, self._parts[make])

    def conversation(self, person: Person, identity: str) -> Conversation:
        """Return a person's conversation, if they may currently read its collection.

        Raises:
            RequestError: 404 otherwise.
        """
        found = self.conversations.get(person.id, identity)
        if self.people.right(person, found.collection) is None:
            raise no_conversation()
        return found

    def resume_conversation(
        self, person: Person, identity: str | None, collection: str
    ) -> tuple[Conversation | None, tuple[Message, ...]]:
        """Return a conversation to continue and its messages; None and no messages if none is named.

        Raises:
            RequestError: 404 if it is not the person's, or is about another collection: its messages are not valid
                history there.
        """
        if identity is None:
            return None, ()
        found = self.conversation(person, identity)
        if found.collection != collection:
            raise no_conversation()
        return found, tuple(self.conversations.history(found.id))

    def message(self, person: Person, identity: str) -> tuple[StoredMessage, Conversation]:
        """Return a person's message and its conversation, if they may currently read its collection.

        Raises:
            RequestError: 404 otherwise.
        """
        message = self.conversations.message(person.id, identity)
        conversation = self.conversations.get(person.id, message.conversation)
        if self.people.right(person, conversation.collection) is None:
            raise no_message()
        return message, conversation

    def close(self) -> None:
        """Stop running work, and close files."""
        self.ending.set()
        self._dropping.join()
        self.workers.shutdown(cancel_futures=True)
        for part in reversed(self._parts.values()):
            if hasattr(part, "close"):
                part.close()
        self.collections.close()
        self.database.close()

    def _drop_idle(self) -> None:
        while not self.ending.wait(_LOOK_FOR_IDLE):
            try:
                self.collections.drop_idle()
                self.models.drop_idle()
            except Exception as error:  # noqa: BLE001 - it is tried again
                report(error, "letting go of what is idle")

    def _open_embedder(self) -> Any:
        from ragkit.embedding import open_embedder

        return open_embedder(self.options.embedding_model)

    def _open_model(self, name: str) -> ChatModel:
        if is_remote(name):
            return open_model(name)
        return open_model(name, threads=self.options.threads, parallel=self.options.parallel)


def context(request: Request) -> Context:
    """Return the state of the server that received a request."""
    return cast(Context, request.app.state.context)


def given_token(request: Request) -> str | None:
    """Return the token of a request: from its header, else from the cookie of a session."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else request.cookies.get(COOKIE)


def person_of(request: Request, token: str | None) -> Person | None:
    """Return the person of a token; without one, the owner if the server is open and no proxy sent the request on."""
    ctx = context(request)
    return ctx.people.by_token(token, local=not is_forwarded(request.scope, request.headers, ctx.origins))


async def who(request: Request) -> Person:
    """Return the person who sends the request.

    Raises:
        RequestError: 401 without a valid token; 429 above the maximum number of requests per minute.
    """
    ctx = context(request)
    person = await asyncio.to_thread(person_of, request, given_token(request))
    address = request.client.host if request.client else ""
    if person is None:
        ctx.rates.count(f"stranger {address}")
        raise RequestError(
            "The token is missing or invalid.",
            "Send Authorization: Bearer TOKEN. The server's owner creates tokens with ragkit token add NAME; "
            "requests through a proxy always need one.",
            status=401,
            code="invalid_api_key",
            headers={"WWW-Authenticate": "Bearer"},
        )
    ctx.rates.count(person.id)
    return person


Ctx = Annotated[Context, Depends(context)]
Who = Annotated[Person, Depends(who)]
