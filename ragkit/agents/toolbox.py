"""A collection of tools: found by name, and searched by request."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ragkit.agents.tool import Tool
from ragkit.errors import ToolError
from ragkit.records import Document, document_id

if TYPE_CHECKING:
    from ragkit.embedding import Embedder
    from ragkit.indexing import Index

_PREFIX = "tool:"


class ToolBox:
    """Tools with different names.

    Args:
        tools: the tools.
        index: folder of the index with which large collections are searched; by default a temporary one.
        embedder: embedding model, or its name; by default the bundled one.

    Raises:
        ToolError: if two tools have the same name.
    """

    def __init__(
        self, tools: Iterable[Tool], *, index: str | Path | None = None, embedder: Embedder | str | None = None
    ) -> None:
        self._tools: dict[str, Tool] = {}
        for tool in tools:
            if tool.name in self._tools:
                raise ToolError(f"Duplicate tool name: {tool.name}.", "Rename one of the tools.")
            self._tools[tool.name] = tool
        self._folder = index
        self._embedder = embedder
        self._index: Index | None = None
        self._temporary: tempfile.TemporaryDirectory[str] | None = None

    def __len__(self) -> int:
        return len(self._tools)

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def __getitem__(self, name: str) -> Tool:
        """Return a tool by name.

        Raises:
            ToolError: if there is none.
        """
        if name not in self._tools:
            raise ToolError(f"Unknown tool: {name!r}.", f"Tools: {', '.join(self._tools) or 'none'}.")
        return self._tools[name]

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def search(self, request: str, k: int = 5, *, without: Collection[str] = ()) -> list[Tool]:
        """Return the ``k`` tools that fit a request best, by semantic and keyword search; all if there are not more.

        Args:
            request: request in a person's words.
            k: maximum number of tools.
            without: names of tools to leave out.
        """
        left = [tool for tool in self if tool.name not in without]
        if len(left) <= k:
            return left
        hits = self._opened().search(request, k + len(without))
        names = [hit.chunk.document_id for hit in hits]
        ids = {document_id(_PREFIX + tool.name): tool for tool in left}
        return [ids[name] for name in dict.fromkeys(names) if name in ids][:k]

    def similarities(self, request: str, tools: Sequence[Tool]) -> list[float]:
        """Return the cosine of a request with the name and description of each tool."""
        if not tools:
            return []
        embedder = self._model()
        texts = [summary(tool) for tool in tools]
        query = np.asarray(embedder.embed([request], "query"))
        return [float(value) for value in (query @ np.asarray(embedder.embed(texts, "document")).T)[0]]

    def close(self) -> None:
        """Close the index; a temporary one is removed."""
        if self._index is not None:
            self._index.close()
            self._index = None
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    def _model(self) -> Embedder:
        from ragkit.embedding import open_embedder

        if self._embedder is None or isinstance(self._embedder, str):
            self._embedder = open_embedder(self._embedder or "default")
        return self._embedder

    def _opened(self) -> Index:
        from ragkit.indexing import Index

        if self._index is None:
            if self._folder is None:
                self._temporary = tempfile.TemporaryDirectory(prefix="ragkit-tools-")
            folder = Path(self._folder or self._temporary.name)  # type: ignore[union-attr]
            self._index = Index.open(folder, embedder=self._model(), create=True)
            documents = [_document(tool) for tool in self]
            known = {document.id for document in documents}
            gone = [item.source for item in self._index.documents() if item.id not in known]
            if gone:
                self._index.remove(*gone)
            self._index.add_documents(documents)
        return self._index


def summary(tool: Tool) -> str:
    """Return the name as words and the description, for embedding."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|[_.-]+", " ", tool.name)
    return f"{words}: {tool.description}"[:1000]


def _document(tool: Tool) -> Document:
    parameters = "\n".join(
        f"{name}: {about.get('description', '')}" for name, about in tool.parameters["properties"].items()
    )
    text = f"{summary(tool)}\n{parameters}"
    source = _PREFIX + tool.name
    return Document(
        document_id(source), source, source, text, tool.name, hashlib.sha256(text.encode()).hexdigest(), "text/x-tool"
    )
