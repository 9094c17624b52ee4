"""A pool of examples in one folder: the store that documents have, with an output beside each input."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ragkit.chunking import ChunkingOptions
from ragkit.indexing import Index, IndexOptions
from ragkit.records import Document, DocumentInfo, Example, document_id

if TYPE_CHECKING:
    from ragkit.embedding import Embedder
    from ragkit.indexing.reports import ProgressCallback

OUTPUT = "output"
"""The metadata field that holds an example's output; an example's own metadata can't have it."""
_MEDIA_TYPE = "text/x-example"


@dataclass(frozen=True, slots=True)
class PoolReport:
    """What came of an addition."""

    added: int
    known: int
    """That the pool had before, or that came twice."""
    refused: tuple[str, ...] = ()
    """Why, a line for each that was not taken."""
    contradictions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Inputs of this addition that the pool now has with different outputs, and these outputs."""

    @property
    def complete(self) -> bool:
        """Whether every example is in the pool and none contradicts another."""
        return not self.refused and not self.contradictions


class ExamplePool:
    """Labelled examples on disk; open one with ``ExamplePool.open``. Safe to share between threads."""

    def __init__(self, index: Index) -> None:
        self.index = index

    @classmethod
    def open(cls, path: str | Path, *, embedder: Embedder | str | None = None, create: bool = True) -> Self:
        """Open a pool, or make one.

        Args:
            path: its folder.
            embedder: an embedding model or its name; by default that of the pool, and for a new one the default one.
            create: make it where there is none.

        Raises:
            StoreError: as ``Index.open``.
        """
        options = IndexOptions(chunking=ChunkingOptions(header=False))
        return cls(Index.open(path, embedder=embedder, create=create, options=options))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of files."""
        self.index.close()

    def __len__(self) -> int:
        return self.index.document_count

    def __iter__(self) -> Iterator[Example]:
        for info in self.index.documents():
            yield self.example(info)

    def add(self, examples: Iterable[Example], progress: ProgressCallback | None = None) -> PoolReport:
        """Add examples; what the pool has already costs nothing.

        Args:
            examples: with an input and an output each; the same input and output is one example, white space and case
                of the input aside.
            progress: called with a ``Progress`` as work goes on.

        Raises:
            StoreError: as ``Index.add``.
        """
        refused: list[str] = []
        documents: dict[str, Document] = {}
        given = 0
        for number, example in enumerate(examples, 1):
            given += 1
            if not example.input.strip():
                refused.append(f"Example {number} has an empty input.")
            elif not example.output.strip():
                refused.append(f"Example {number} has no output: {example.input[:60]!r}.")
            elif OUTPUT in example.metadata:
                refused.append(f"Example {number} has a field {OUTPUT!r} of its own; rename it.")
            else:
                document = _document(example)
                documents.setdefault(document.id, document)
        report = self.index.add(*documents.values(), progress=progress)
        refused += [f"{issue.origin}: {issue.detail}" for issue in report.issues if issue.kind == "refused"]
        return PoolReport(
            report.added,
            given - len(refused) - report.added,
            tuple(refused),
            self._contradictions({normal(document.text) for document in documents.values()}),
        )

    def remove(self, examples: Sequence[Example]) -> int:
        """Remove examples; return how many the pool had."""
        here = {info.source for info in self.index.documents()}
        sources = [source for source in dict.fromkeys(map(_source, examples)) if source in here]
        return self.index.remove(*sources) if sources else 0

    def labels(self) -> Counter[str]:
        """Return how many examples each output has."""
        return Counter(str(info.metadata[OUTPUT]) for info in self.index.documents())

    def contradictions(self) -> dict[str, tuple[str, ...]]:
        """Return the inputs that the pool has with different outputs, and these outputs."""
        return self._contradictions(None)

    def example(self, info: DocumentInfo) -> Example:
        """Return the example that a document of the index holds."""
        text = self.index.document(info.id).text
        return Example(text, str(info.metadata[OUTPUT]), {k: v for k, v in info.metadata.items() if k != OUTPUT})

    def _contradictions(self, among: set[str] | None) -> dict[str, tuple[str, ...]]:
        outputs: dict[str, dict[str, str]] = {}
        for info in self.index.documents():
            outputs.setdefault(info.title, {})[str(info.metadata[OUTPUT])] = info.id
        found = {}
        for several in outputs.values():
            if len(several) > 1:
                text = self.index.document(next(iter(several.values()))).text
                if among is None or normal(text) in among:
                    found[text] = tuple(sorted(several))
        return found


def normal(text: str) -> str:
    """Return a text as it counts for being the same: one case, one form, single spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _source(example: Example) -> str:
    return f"example:{document_id(normal(example.input) + chr(0) + example.output)}"


def _document(example: Example) -> Document:
    source = _source(example)
    content = hashlib.sha256(
        repr((example.input, example.output, sorted(example.metadata.items()))).encode("utf-8", "surrogatepass")
    ).hexdigest()
    return Document(
        id=document_id(source),
        source=source,
        origin=source,
        text=example.input,
        title=document_id(normal(example.input)),  # shared by all examples with this input
        sha256=content,
        media_type=_MEDIA_TYPE,
        metadata={**example.metadata, OUTPUT: example.output},
    )
