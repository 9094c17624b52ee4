"""Vector stores behind one protocol: FAISS files in the index folder, or a store that is derived from the index.

Each backend is one file, and one entry in ``KINDS``. For the guarantees, see docs/index-format.md.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from ragkit.errors import BackendError, MissingExtraError
from ragkit.indexing.backends.base import Backend, Rows, Selection, Stamp, VectorSearch

EMBEDDED = "faiss"
_ALIASES = {"postgres": "postgresql", "qdrant+https": "qdrant+http", "milvus+https": "milvus+http"}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of vector store."""

    name: str
    scheme: str
    """Start of its addresses, without the colon."""
    address: str
    """Form of its addresses."""
    extra: str
    """The ragkit extra that it needs; empty for none."""
    modules: tuple[str, ...]
    """Packages that it imports."""
    note: str

    @property
    def installed(self) -> bool:
        """Whether its packages are installed."""
        return all(importlib.util.find_spec(module) for module in self.modules)


KINDS = (
    Kind("FAISS", EMBEDDED, EMBEDDED, "", ("faiss",), "files in the index folder; the default"),
    Kind(
        "PostgreSQL",
        "postgresql",
        "postgresql://HOST/DATABASE",
        "postgres",
        ("asyncpg", "pgvector"),
        "needs the extension pgvector 0.8 or newer",
    ),
    Kind("Qdrant", "qdrant+http", "qdrant+http://HOST:6333", "qdrant", ("qdrant_client",), "a server"),
    Kind("Qdrant, local", "qdrant", "qdrant:FOLDER", "qdrant", ("qdrant_client",), "one process; exact"),
    Kind("Milvus", "milvus+http", "milvus+http://HOST:19530", "milvus", ("pymilvus",), "a server"),
    Kind(
        "Milvus Lite",
        "milvus",
        "milvus:FILE.db",
        "milvus",
        ("pymilvus", "milvus_lite"),
        "one process; for development only, because it does not sync to disk",
    ),
    Kind(
        "LangChain",
        "langchain",
        "LangChainBackend(...) in Python",
        "langchain",
        ("langchain_core",),
        "any LangChain vector store; Weaviate and Pinecone are not verified",
    ),
)


def shard_address(address: str, name: str, number: int) -> str:
    """Return the address of the table or collection of one shard; local stores have a folder or file for each.

    Args:
        address: address of the complete index; see ``open_backend``.
        name: see ``open_backend``.
        number: number of the shard, from 0.
    """
    place, _, chosen = address.partition("#")
    if place.partition(":")[0] in ("qdrant", "milvus"):
        file = Path(place)
        place = f"{file.with_suffix('')}-{number}{file.suffix}"
    return f"{place}#{chosen or name}_{number}"


def open_backend(address: str, name: str) -> Backend:
    """Open a vector store by its address; it is connected to on first use.

    Args:
        address: one of the forms in ``KINDS``, with an optional ``#NAME`` of the table or collection.
        name: name of the table or collection if the address has none.

    Raises:
        BackendError: if the address has another form.
        MissingExtraError: if its package is not installed.
    """
    place, _, chosen = address.partition("#")
    scheme, _, rest = place.partition(":")
    kind = next((kind for kind in KINDS if kind.scheme == _ALIASES.get(scheme, scheme)), None)
    if kind is None or kind.scheme == EMBEDDED:
        forms = ", ".join(kind.address for kind in KINDS)
        raise BackendError(f"{place} is not the address of a backend.", f"Use one of: {forms}.")
    missing = next((module for module in kind.modules if not importlib.util.find_spec(module)), None)
    if missing:
        raise MissingExtraError(missing, kind.extra, f"for the backend {kind.name}")
    if kind.scheme in ("qdrant", "milvus"):
        place = f"{scheme}:{Path(rest).expanduser().absolute()}"
    name = chosen or name
    if kind.scheme == "postgresql":
        from ragkit.indexing.backends.postgres import PostgresBackend

        return PostgresBackend(place, name)
    if kind.extra == "qdrant":
        from ragkit.indexing.backends.qdrant import QdrantBackend

        return QdrantBackend(place, name)
    if kind.extra == "milvus":
        from ragkit.indexing.backends.milvus import MilvusBackend

        return MilvusBackend(place, name)
    raise BackendError(
        f"The index uses the LangChain vector store {place.partition(':')[2]}, which has no address.",
        "Pass it: Index.open(path, backend=LangChainBackend(...)).",
    )


__all__ = ["EMBEDDED", "KINDS", "Backend", "Kind", "Rows", "Selection", "Stamp", "VectorSearch", "open_backend"]
