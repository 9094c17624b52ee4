"""A pool of examples in one folder: an index whose documents are inputs with an output."""

from __future__ import annotations

import hashlib
import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ragkit.chunking import ChunkingOptions
from ragkit.examples.token_vectors import TokenVectors
from ragkit.indexing import Field, Index, IndexOptions
from ragkit.records import Chunk, Document, DocumentInfo, Example, Metadata, MetadataValue, document_id

if TYPE_CHECKING:
    from ragkit._progress import ProgressCallback
    from ragkit.embedding import Embedder

OUTPUT = "output"
"""The metadata field that contains an example's output; an example's own metadata can't have it."""
_MEDIA_TYPE = "text/x-example"
_ORIGIN = "example-input:"
_SIGNS = re.compile(r"[\W_]+")
_AT_ONCE = 400
"""Alternatives of one filter."""
_OPTIONS = IndexOptions(chunking=ChunkingOptions(header=False))


@dataclass(frozen=True, slots=True)
class PoolReport:
    """Result of an addition."""

    added: int
    known: int
    """Number of examples that were already in the pool, or that were added twice."""
    refused: tuple[str, ...] = ()
    """Reasons of refusal, one line per refused example."""
    contradictions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Inputs of this addition that now have different outputs in the pool, with these outputs."""

    @property
    def complete(self) -> bool:
        """Whether every example is in the pool and none contradicts another."""
        return not self.refused and not self.contradictions


class ExamplePool:
    """Labelled examples on disk: ``ExamplePool.create`` makes a pool, ``ExamplePool.open`` opens it.

    Safe to share between threads.
    """

    def __init__(self, index: Index) -> None:
        self.index = index
        self._tokens: TokenVectors | None = None
        self._opening = threading.Lock()

    @classmethod
    def open(cls, path: str | Path, *, embedder: Embedder | str | None = None, create: bool = False) -> Self:
        """Open a pool.

        Args:
            path: its folder.
            embedder: an embedding model or its name; by default that of the pool, and for a new one the default one.
            create: make the pool if there is none.

        Raises:
            StoreError: as ``Index.open``.
        """
        return cls(Index.open(path, embedder=embedder, create=create, options=_OPTIONS))

    @classmethod
    def create(cls, path: str | Path, *, embedder: Embedder | str | None = None) -> Self:
        """Make a new pool; the arguments are those of ``open``.

        Raises:
            StoreError: as ``Index.create``.
        """
        return cls(Index.create(path, embedder=embedder, options=_OPTIONS))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files."""
        if self._tokens is not None:
            self._tokens.close()
        self.index.close()

    def __len__(self) -> int:
        return self.index.document_count

    def __iter__(self) -> Iterator[Example]:
        return map(_example, self.index.each_document())

    def add(self, examples: Iterable[Example], progress: ProgressCallback | None = None) -> PoolReport:
        """Add examples; examples that are already in the pool are skipped.

        Args:
            examples: examples with an input and an output each, read one by one, so that a generator of millions takes
                no memory. Examples with the same input (ignoring white space and case) and output are one example;
                the last one's metadata and spelling are kept.
            progress: called with a ``Progress`` after each step.

        Raises:
            StoreError: as ``Index.add``.
        """
        taken = _Taken()
        report = self.index.add_documents(taken.documents(examples), progress=progress)
        return PoolReport(
            report.added,
            taken.given - len(taken.refused) - report.added,
            tuple(taken.refused),
            self._contradictions(self.index.shared_origins(taken.origins())),
        )

    def remove(self, examples: Iterable[Example]) -> int:
        """Remove examples; return how many the pool had."""
        return self.index.remove(*dict.fromkeys(map(_source, examples)))

    def labels(self) -> Counter[str]:
        """Return how many examples each output has."""
        return Counter(self.index.counts(OUTPUT))

    def contradictions(self) -> dict[str, tuple[str, ...]]:
        """Return the inputs that the pool has with different outputs, and these outputs."""
        return self._contradictions(self.index.shared_origins())

    def example(self, info: DocumentInfo, chunk: Chunk | None = None) -> Example:
        """Return the example in a document of the index.

        Args:
            info: the document.
            chunk: one of its chunks; if it contains the complete input, nothing is read.
        """
        if chunk is not None and len(chunk.text) == info.characters:
            return Example(chunk.text, str(info.metadata[OUTPUT]), _own(info.metadata))
        return _example(self.index.document(info.id))

    def prepare_tokens(self, progress: ProgressCallback | None = None) -> int:
        """Compute the token vectors that ``choice="coverage"`` compares, and return how many texts lacked them.

        They are stored beside the pool in ``tokens.sqlite``, about 400 bytes per token. Without this call, they are
        computed when an example becomes a candidate for the first time, which takes about a millisecond.

        Raises:
            SettingsError: if the pool's embedder returns no token vectors.
            StoreError: if they can't be stored.
        """
        return self.tokens.prepare((chunk.text for chunk in self.index.each_chunk()), self.index.chunk_count, progress)

    @property
    def tokens(self) -> TokenVectors:
        """The token vectors of the pool's texts, by its current embedding model."""
        embedder = self.index.embedder
        with self._opening:
            if self._tokens is None or self._tokens.model_id != embedder.model_id:
                if self._tokens is not None:
                    self._tokens.close()
                self._tokens = TokenVectors(self.index.path, embedder)
            return self._tokens

    def _contradictions(self, origins: Sequence[str]) -> dict[str, tuple[str, ...]]:
        outputs: dict[str, list[Example]] = {}
        for first in range(0, len(origins), _AT_ONCE):
            for document in self.index.each_document(Field("origin").in_(origins[first : first + _AT_ONCE])):
                outputs.setdefault(document.origin, []).append(_example(document))
        return {several[0].input: tuple(sorted(one.output for one in several)) for several in outputs.values()}


class _Taken:
    """Result of an addition: the rows taken, and the reasons for refusing the others."""

    def __init__(self) -> None:
        self.given = 0
        self.refused: list[str] = []
        self._inputs = bytearray()

    def documents(self, examples: Iterable[Example]) -> Iterator[Document]:
        for example in examples:
            self.given += 1
            if not example.input.strip():
                self.refused.append(f"Example {self.given} has an empty input.")
            elif not example.output.strip():
                self.refused.append(f"Example {self.given} has no output: {example.input[:60]!r}.")
            elif OUTPUT in example.metadata:
                self.refused.append(f"Example {self.given} has a field {OUTPUT!r} of its own; rename it.")
            else:
                # 16 bytes each: as a set of strings a million would hold a quarter of a gigabyte.
                self._inputs += bytes.fromhex(input_id(example.input))
                yield document_of(example)

    def origins(self) -> list[str]:
        places = range(0, len(self._inputs), 16)
        return [_ORIGIN + self._inputs[place : place + 16].hex() for place in places]


def normal(text: str) -> str:
    """Return a text as it counts for being the same: one case, one form, single spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def letters(text: str) -> str:
    """Return the letters and digits of a text, in one case and form: all that is left of it without its signs."""
    return _SIGNS.sub("", unicodedata.normalize("NFKC", text).casefold())


def input_id(text: str) -> str:
    """Return 32 hexadecimal digits that all examples with this input share, as ``DocumentInfo.title``."""
    return document_id(normal(text))


def origin_of(text: str) -> str:
    """Return the origin that the documents of all examples with this input share."""
    return _ORIGIN + input_id(text)


def _source(example: Example) -> str:
    return f"example:{document_id(normal(example.input) + chr(0) + example.output)}"


def document_of(example: Example) -> Document:
    """Return an example as a document of the index."""
    source = _source(example)
    content = hashlib.sha256(
        repr((example.input, example.output, sorted(example.metadata.items()))).encode("utf-8", "surrogatepass")
    ).hexdigest()
    return Document(
        id=document_id(source),
        source=source,
        origin=origin_of(example.input),
        text=example.input,
        title=input_id(example.input),
        sha256=content,
        media_type=_MEDIA_TYPE,
        metadata={**example.metadata, OUTPUT: example.output},
    )


def _example(document: Document) -> Example:
    return Example(document.text, str(document.metadata[OUTPUT]), _own(document.metadata))


def _own(metadata: Metadata) -> dict[str, MetadataValue]:
    return {name: value for name, value in metadata.items() if name != OUTPUT}
