"""Collections: indexes by name, of which a person sees only those that they may read."""

from __future__ import annotations

import contextlib
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ragkit.answering import AnswerOptions, Assistant
from ragkit.errors import IndexMismatchError, SettingsError, StoreError
from ragkit.examples import ExamplePool
from ragkit.indexing import Index
from ragkit.indexing.summary import IndexSummary, summarize_index
from ragkit.retrieval import RetrievalOptions, Retriever
from ragkit.serving.failures import RequestError, not_found
from ragkit.serving.names import collection_title
from ragkit.serving.open_indexes import OpenIndexes
from ragkit.serving.people import People, Person, Right, allows

if TYPE_CHECKING:
    from ragkit.answering.options import Mode
    from ragkit.embedding import Embedder
    from ragkit.models import ChatModel

_READS = frozenset(
    {
        *("documents", "each_document", "document", "counts", "origins", "shared_origins", "fingerprint", "generation"),
        *("chunks", "each_chunk", "keys", "neighbours", "vectors", "document_count", "chunk_count", "stats"),
        *("file_count", "search", "search_vectors", "search_keywords", "search_similar", "term_frequency", "embedder"),
        *("chunking", "snapshot", "path", "missing_shards"),
    }
)
"""Members of an index that a person with read permission may use; all others need write permission."""
_NAME = re.compile(r"[\w][\w .-]{0,63}")


def unique_titles(titles: Mapping[str, str]) -> dict[str, str]:
    """Return the title of each collection, or its name if another collection has the same title."""
    counts = Counter([*titles.values(), *(name for name, title in titles.items() if name != title)])
    return {name: title if counts[title] == 1 else name for name, title in titles.items()}


class GuardedIndex:
    """An index that checks the person's permission before each use.

    It replaces an ``Index`` wherever one is read, so that the check is inside retrieval: a revoked permission
    takes effect even during an answer.
    """

    def __init__(self, index: Index, check: Callable[[Right], None]) -> None:
        self._index = index
        self._check = check

    def __getattr__(self, name: str) -> Any:
        self._check("read" if name in _READS else "write")
        return getattr(self._index, name)

    def __setattr__(self, name: str, value: object) -> None:
        if name not in ("_index", "_check"):
            raise AttributeError(f"Attribute {name} of a guarded index is read-only")
        object.__setattr__(self, name, value)


class Collection:
    """A collection opened for a person.

    Args:
        name: name of the collection.
        person: person whose permissions apply.
        people: people and their permissions.
        index: the collection's own, shared by all.
        pool: opens the index of its answered examples; None if it has none and none is to be created.
    """

    def __init__(
        self,
        name: str,
        person: Person,
        people: People,
        index: Index,
        pool: Callable[[bool], Index | None],
    ) -> None:
        self.name = name
        self.person = person
        self._people = people
        self._pool = pool
        self.index = cast(Index, GuardedIndex(index, self.check))

    @property
    def right(self) -> Right | None:
        """The person's current permission."""
        return self._people.right(self.person, self.name)

    def check(self, needed: Right = "read") -> None:
        """Check that the person still has a permission.

        Raises:
            RequestError: 404 without read permission, as for a missing collection; otherwise 403.
        """
        has = self.right
        if not allows(has, "read"):
            raise no_collection()
        if not allows(has, needed):
            raise RequestError(
                f"Requires {needed} permission; your token has {has}.",
                "Ask the server's owner for it.",
                status=403,
                code="forbidden",
            )

    def retriever(self, options: RetrievalOptions | None = None) -> Retriever:
        """Return what searches the collection, for as long as the person may."""
        return Retriever(self.index, options)

    def assistant(
        self,
        model: ChatModel | None,
        mode: Mode = "auto",
        options: AnswerOptions | None = None,
        shots: int = 0,
    ) -> Assistant:
        """Return an assistant for the collection; it works as long as the person may read the collection.

        Args:
            model: opened; None for none.
            mode: answer mode of answering.
            options: options of answering.
            shots: number of the collection's answered examples that ``chat`` is shown.

        Raises:
            SettingsError: if the mode needs a model and there is none.
        """
        pool = self.pool() if shots else None
        examples = pool if pool is not None and len(pool) else None
        return Assistant(self.index, model, mode, replace(options or AnswerOptions(), shots=shots), examples)

    def pool(self, *, create: bool = False) -> ExamplePool | None:
        """Return the collection's answered examples; None if there are none and ``create`` is False.

        Every use of the pool checks the person's permission, like every use of the index.
        """
        self.check("write" if create else "read")
        index = self._pool(create)
        return None if index is None else ExamplePool(cast(Index, GuardedIndex(index, self.check)))


class Collections:
    """The collections of a server.

    Args:
        folder: folder of indexes; each index in it is a collection with the name of its folder.
        people: people and their permissions.
        state: the server's own folder, which contains the examples.
        embedder: opens the embedding model of new indexes; all indexes with this model share it.
        others: indexes in other folders, by their served names.
        idle: seconds without use after which ``drop_idle`` closes an index; 0 for never.

    Raises:
        SettingsError: if two collections would have one name.
    """

    def __init__(
        self,
        folder: Path,
        people: People,
        state: Path,
        embedder: Callable[[], Embedder],
        others: Mapping[str, Path] | None = None,
        idle: float = 0.0,
    ) -> None:
        self.folder = folder
        self._people = people
        self._state = state
        self._make_embedder = embedder
        self._others = dict(others or {})
        self._embedder: Embedder | None = None
        self._opening_embedder = threading.Lock()
        self._indexes = OpenIndexes(idle)
        for name, path in self._others.items():
            if Index.exists(folder / name) and (folder / name).resolve() != path.resolve():
                raise SettingsError(
                    f"Duplicate collection name {name!r}: {path} and {folder / name}.",
                    "Rename one of the folders.",
                )

    def names(self, person: Person) -> list[str]:
        """Return the collections that a person may read: those named at the start first, then by name."""
        return [name for name in self.all_names() if allows(self._people.right(person, name), "read")]

    def titles(self, person: Person) -> dict[str, str]:
        """Return the title of each collection that a person may read: its folder's own name if no other has it."""
        found: dict[str, str] = {}
        for name in self.names(person):
            with contextlib.suppress(StoreError):  # a damaged index keeps its name
                summary = self.summary(name)
                found[name] = name if summary is None else collection_title(name, summary[0].origin)
            found.setdefault(name, name)
        return unique_titles(found)

    def all_names(self) -> list[str]:
        """Return all collections, regardless of permissions."""
        return [*self._others, *(name for name in self._in_folder() if name not in self._others)]

    def open(self, name: str, person: Person, needed: Right = "read") -> Collection:
        """Return a collection opened for a person.

        Raises:
            RequestError: 404 if it does not exist or the person may not read it; 403 if they lack the permission.
        """
        path = self._path(name)
        if path is None or not allows(self._people.right(person, name), "read"):
            raise no_collection()
        collection = Collection(
            name, person, self._people, self._index(path), lambda create: self._examples(name, create=create)
        )
        collection.check(needed)
        return collection

    def create(self, name: str, person: Person) -> Collection:
        """Create an empty collection.

        Raises:
            RequestError: 403 if the person is not an owner, 409 if the name is taken, 400 if it is invalid.
        """
        if not person.owner or self._people.right(person, name) != "admin":
            raise RequestError(
                "Only an owner can create collections.", "Ask the server's owner.", status=403, code="forbidden"
            )
        if not _NAME.fullmatch(name) or name != name.strip(" ."):
            raise RequestError(
                "Invalid collection name.",
                "Use 1 to 64 letters, digits, spaces, dots, underscores or hyphens, starting with a letter or digit.",
            )
        path = self.folder / name
        if self._path(name) is not None or path.exists():
            raise RequestError(
                "A collection with this name already exists.", "Choose another name.", status=409, code="taken"
            )
        with Index.create(path):
            pass
        return self.open(name, person, "admin")

    def summary(self, name: str) -> tuple[IndexSummary, int] | None:
        """Return the summary of a collection and its number of examples, without opening it; None if it is missing.

        Permissions are not checked: take the name from ``names``.
        """
        path = self._path(name)
        if path is None:
            return None
        examples = self._examples_path(name)
        return summarize_index(path), summarize_index(examples).documents if Index.exists(examples) else 0

    def drop_idle(self) -> None:
        """Close the indexes that nobody has used for a while."""
        self._indexes.drop_idle()

    def close(self) -> None:
        """Close all indexes."""
        self._indexes.close()

    def embedder(self) -> Embedder:
        """Return the embedding model that new indexes are made with."""
        with self._opening_embedder:
            if self._embedder is None:
                self._embedder = self._make_embedder()
            return self._embedder

    def _in_folder(self) -> list[str]:
        if not self.folder.is_dir():
            return []
        names = (path.name for path in self.folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        return sorted(name for name in names if Index.exists(self.folder / name))

    def _path(self, name: str) -> Path | None:
        """Return the folder of a collection; a name is looked up and never made into a path."""
        if name in self._others:
            return self._others[name]
        return self.folder / name if name in self._in_folder() else None

    def _index(self, path: Path) -> Index:
        def opened() -> Index:
            found = Index.open(path, embedder=self.embedder())
            if _fits(found):
                return found
            found.close()
            return Index.open(path)

        return self._indexes.get(path, opened, _fits)

    def _examples(self, name: str, *, create: bool) -> Index | None:
        path = self._examples_path(name)
        if not create and not Index.exists(path):
            return None
        return self._indexes.get(path, lambda: ExamplePool.open(path, embedder=self.embedder(), create=create).index)

    def _examples_path(self, name: str) -> Path:
        return self._state / "examples" / name


def _fits(index: Index) -> bool:
    """Return whether an index is, or still is, with the embedding model that it was opened with."""
    try:
        index.embedder  # noqa: B018 - it is compared with the index's own
    except IndexMismatchError:
        return False
    return True


def no_collection() -> RequestError:
    """Return the error for a collection that is not there, or not there for this person."""
    return not_found("Unknown collection", "List them with GET /api/collections.")
