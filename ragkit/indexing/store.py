"""The source of truth of an index: documents, chunks and vectors in its SQLite file.

Each row has a CRC-32 of its content, which is verified when the row is read.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from ragkit.embedding.base import Vectors
from ragkit.errors import DocumentError
from ragkit.indexing.database import LABELS_FORMAT, Database
from ragkit.records import Chunk, Document, DocumentInfo, HeadingSpan, PageSpan, WordBoxes

if TYPE_CHECKING:
    from ragkit.indexing.backends import Backend

MANY = 500
"""Maximum parameters of a statement."""
_CHUNK_COLUMNS = "c.key, c.document, c.ordinal, c.place, c.header, c.text, c.hash, c.checksum"
_DOCUMENT_COLUMNS = "d.id, d.source, d.origin, d.title, d.sha256, d.media_type, d.metadata, d.spans, d.text, d.checksum"
_INFO_COLUMNS = (
    "d.id, d.source, d.origin, d.title, d.sha256, d.media_type, d.metadata, d.characters, d.pages, "
    "(SELECT count(*) FROM chunks n WHERE n.document = d.id AND n.edition = ?)"
)


class Store(Database):
    """Contents of an index; to open it, see ``Database``."""

    backend: Backend | None = None
    """Vector store outside of the folder, if it is open; see ``derived.backend_of``."""

    def close(self) -> None:
        """Close all connections after running calls of other threads; later calls raise an error."""
        super().close()
        if self.backend is not None:
            self.backend.close()

    # Documents

    def document(self, identity: str) -> Document | None:
        """Return a verified document by its id or source.

        Raises:
            IndexDamagedError: if its row fails its checksum.
        """
        found = self.rows(
            f"SELECT {_DOCUMENT_COLUMNS} FROM documents d WHERE d.id = ? OR d.source = ?",  # noqa: S608
            (identity, identity),
        )
        return self._document(found[0]) if found else None

    def each_document(self, condition: str = "1", parameters: Sequence[Any] = ()) -> Iterator[Document]:
        """Yield verified documents that meet an SQL condition over ``documents d``, sorted by source.

        Raises:
            IndexDamagedError: if a row fails its checksum.
        """
        last = ""
        while True:
            # In pages instead of an open cursor, so that the caller can write meanwhile.
            rows = self.rows(
                f"SELECT {_DOCUMENT_COLUMNS} FROM documents d WHERE d.source > ? AND {condition} "  # noqa: S608
                f"ORDER BY d.source LIMIT {MANY}",
                (last, *parameters),
            )
            for row in rows:
                yield self._document(row)
            if len(rows) < MANY:
                return
            last = rows[-1][1]

    def counts(self, field: str) -> dict[str, int]:
        """Return the number of documents for each text value of a metadata field."""
        rows = self.rows(
            "SELECT m.value, count(*) FROM documents d, json_each(d.metadata) m "
            "WHERE m.key = ? AND m.type = 'text' GROUP BY 1",
            (field,),
        )
        return dict(rows)

    def shared_origins(self, among: Sequence[str] | None = None) -> list[str]:
        """Return the origins with more than one document, among some or all."""
        if among is None:
            return [row[0] for row in self.rows("SELECT origin FROM documents GROUP BY origin HAVING count(*) > 1")]
        found: list[str] = []
        for part in _parts(among):
            marks = ", ".join("?" * len(part))
            sql = f"SELECT origin FROM documents WHERE origin IN ({marks}) GROUP BY origin HAVING count(*) > 1"  # noqa: S608
            found += [row[0] for row in self.rows(sql, part)]
        return found

    def fingerprint(self) -> str:
        """Return a hash of the set of documents, 32 hexadecimal digits."""
        total = 0
        with self.errors():
            for identity, sha256 in self.connection.execute("SELECT id, sha256 FROM documents"):
                # A sum, because the order of documents does not count.
                total += int.from_bytes(hashlib.blake2b(f"{identity} {sha256}".encode(), digest_size=16).digest())
        return f"{total % 2**128:032x}"

    def _document(self, row: tuple[Any, ...]) -> Document:
        """Return the verified document of a row of ``_DOCUMENT_COLUMNS``."""
        *values, checksum = row
        if crc(*values) != checksum:
            raise self.damage(f"The document {values[1]} in {self.path} is damaged.")
        spans = json.loads(values[7])
        return Document(
            id=values[0],
            source=values[1],
            origin=values[2],
            title=values[3],
            sha256=values[4],
            media_type=values[5],
            metadata=json.loads(values[6]),
            text=values[8],
            pages=tuple(PageSpan(*page) for page in spans["pages"]),
            headings=tuple(HeadingSpan(*heading) for heading in spans["headings"]),
            boxes=WordBoxes(spans.get("boxes", "")),
        )

    def put_document(self, document: Document) -> None:
        """Insert a document, inside a transaction.

        Raises:
            DocumentError: if another document has the same source.
        """
        for (other,) in self.rows("SELECT id FROM documents WHERE source = ?", (document.source,)):
            raise DocumentError(
                f"Documents {other} and {document.id} have the same source {document.source!r}.",
                "Use a unique source for each document, or the same id to replace one by the other.",
            )
        spans = {
            # Empty labels are omitted, so that versions without labels can read the index.
            "pages": [
                [page.number, page.start, page.end, *([page.label] if page.label else [])] for page in document.pages
            ],
            "headings": [[head.title, head.level, head.start, head.end] for head in document.headings],
            **({"boxes": document.boxes.packed} if document.boxes else {}),
        }
        values = (
            document.id,
            document.source,
            document.origin,
            document.title,
            document.sha256,
            document.media_type,
            json.dumps(dict(document.metadata), ensure_ascii=False),
            json.dumps(spans, ensure_ascii=False),
            document.text,
        )
        if any(page.label for page in document.pages):
            self.set_state(format=max(LABELS_FORMAT, int(self.state("format") or 0)))
        self.connection.execute(
            "INSERT INTO documents (id, source, origin, title, sha256, media_type, metadata, spans, text, checksum, "
            "pages, characters) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*values, crc(*values), len(document.pages), len(document.text)),
        )

    def infos(self, condition: str = "1", parameters: Sequence[Any] = ()) -> list[DocumentInfo]:
        """Return information on documents that meet an SQL condition over ``documents d``, sorted by source."""
        with self.reading():
            rows = self.rows(
                f"SELECT {_INFO_COLUMNS} FROM documents d WHERE {condition} ORDER BY d.source",  # noqa: S608
                (self.edition, *parameters),
            )
        return [_info(row) for row in rows]

    # Chunks

    def chunks(self, keys: Sequence[int]) -> list[tuple[Chunk, DocumentInfo]]:
        """Return chunks with their documents in the order of ``keys``; unknown keys are omitted.

        Raises:
            IndexDamagedError: if a row fails its checksum.
        """
        with self.reading():
            found: dict[int, Chunk] = {}
            for part in _parts([int(key) for key in keys]):
                marks = ", ".join("?" * len(part))
                sql = f"SELECT {_CHUNK_COLUMNS} FROM chunks c WHERE c.key IN ({marks})"  # noqa: S608
                found |= {row[0]: self.chunk(row) for row in self.rows(sql, part)}
            missing = [int(key) for key in keys if int(key) not in found]
            gone = self._gone(missing) if missing else {}
            owners = sorted({chunk.document_id for chunk in found.values()})
            infos: dict[str, DocumentInfo] = {}
            for names in _parts(owners):
                infos |= {info.id: info for info in self.infos(f"d.id IN ({', '.join('?' * len(names))})", names)}
        live = {key: (chunk, infos[chunk.document_id]) for key, chunk in found.items() if chunk.document_id in infos}
        both = gone | live
        return [both[int(key)] for key in keys if int(key) in both]

    def gone_keys(self, keys: Sequence[int]) -> set[int]:
        """Return the keys that are not in the current edition."""
        gone = set(keys)
        for part in _parts([int(key) for key in keys]):
            marks = ", ".join("?" * len(part))
            sql = f"SELECT key FROM chunks WHERE edition = ? AND key IN ({marks})"  # noqa: S608
            gone -= {row[0] for row in self.rows(sql, (self.edition, *part))}
        return gone

    def tombstone(self, document: str) -> None:
        """Keep the chunks of a document that is about to be removed, for running searches."""
        for info in self.infos("d.id = ?", (document,)):
            text = json.dumps(asdict(info), ensure_ascii=False)
            generation = self.generation
            self.connection.executemany(
                "INSERT OR REPLACE INTO gone VALUES (?, ?, ?, ?)",
                [
                    (chunk.key, generation, json.dumps(asdict(chunk), ensure_ascii=False), text)
                    for chunk in self.chunks_of(document)
                ],
            )

    def _gone(self, keys: Sequence[int]) -> dict[int, tuple[Chunk, DocumentInfo]]:
        """Return recently removed chunks."""
        found = {}
        for part in _parts(keys):
            marks = ", ".join("?" * len(part))
            for key, chunk, info in self.rows(f"SELECT key, chunk, info FROM gone WHERE key IN ({marks})", part):  # noqa: S608
                values = json.loads(chunk)
                values["heading_path"] = tuple(values["heading_path"])
                found[key] = (Chunk(**values), DocumentInfo(**json.loads(info)))
        return found

    def chunks_of(self, document: str, first: int = 0, last: int = 2**62) -> list[Chunk]:
        """Return a document's chunks from ordinal ``first`` to ``last``, in order."""
        sql = (
            f"SELECT {_CHUNK_COLUMNS} FROM chunks c WHERE c.document = ? AND c.edition = ? "  # noqa: S608
            "AND c.ordinal BETWEEN ? AND ? ORDER BY c.ordinal"
        )
        with self.reading():
            return [self.chunk(row) for row in self.rows(sql, (document, self.edition, first, last))]

    def some_chunks(self, edition: int, after: int) -> list[tuple[int, Chunk, bytes]]:
        """Return key, chunk and content hash of the first 500 chunks of an edition with a key above ``after``."""
        sql = (
            f"SELECT {_CHUNK_COLUMNS} FROM chunks c WHERE c.edition = ? AND c.key > ? "  # noqa: S608
            f"ORDER BY c.key LIMIT {MANY}"
        )
        return [(row[0], self.chunk(row), row[6]) for row in self.rows(sql, (edition, after))]

    def each_chunk(self, edition: int) -> Iterator[tuple[int, Chunk, bytes]]:
        """Yield key, chunk and content hash of all chunks of an edition, sorted by key."""
        last = 0
        while some := self.some_chunks(edition, last):
            yield from some
            last = some[-1][0]

    def put_chunk(self, chunk: Chunk, edition: int, content: bytes) -> int:
        """Insert a chunk, inside a transaction, and return its key."""
        place = json.dumps(
            [
                chunk.start,
                chunk.end,
                chunk.tokens,
                chunk.page,
                chunk.last_page,
                chunk.section_start,
                chunk.section_end,
                list(chunk.heading_path),
                *([chunk.label] if chunk.label else []),
            ],
            ensure_ascii=False,
        )
        values = (chunk.document_id, chunk.ordinal, place, chunk.header, chunk.text, content)
        cursor = self.connection.execute(
            "INSERT INTO chunks (edition, document, ordinal, place, header, text, hash, checksum) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (edition, *values, crc(*values)),
        )
        return int(cursor.lastrowid or 0)

    def chunk(self, row: tuple[Any, ...]) -> Chunk:
        """Return the verified chunk of a row of ``_CHUNK_COLUMNS``.

        Raises:
            IndexDamagedError: if the row fails its checksum.
        """
        key, document, ordinal, place, header, text, content, checksum = row
        if crc(document, ordinal, place, header, text, content) != checksum:
            raise self.damage(f"Chunk {key} in {self.path} is damaged.")
        start, end, tokens, page, last_page, section_start, section_end, path, *label = json.loads(place)
        return Chunk(
            document, ordinal, start, end, text, tokens, page, last_page, tuple(path), section_start, section_end,
            header, key, *label,
        )  # fmt: skip

    # Vectors

    def known_hashes(self, model: str, hashes: Sequence[bytes]) -> set[bytes]:
        """Return the content hashes with a stored vector."""
        known: set[bytes] = set()
        for part in _parts(hashes):
            marks = ", ".join("?" * len(part))
            sql = f"SELECT hash FROM vectors WHERE model = ? AND hash IN ({marks})"  # noqa: S608
            known |= {row[0] for row in self.rows(sql, (model, *part))}
        return known

    def put_vectors(self, model: str, vectors: Iterable[tuple[bytes, Vectors]]) -> None:
        """Insert vectors by content hash, inside a transaction."""
        rows = ((model, content, blob, zlib.crc32(blob)) for content, blob in ((h, v.tobytes()) for h, v in vectors))
        self.connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?)", rows)

    def vectors(self, model: str, hashes: Sequence[bytes], dimension: int) -> Vectors:
        """Return the vectors of content hashes, in order: float32 ``[n, dimension]``.

        Raises:
            IndexDamagedError: if a vector is missing or fails its checksum.
        """
        found = np.empty((len(hashes), dimension), dtype=np.float32)
        number = 0
        for part in _parts(hashes):
            marks = ", ".join("?" * len(part))
            sql = f"SELECT hash, vector, checksum FROM vectors WHERE model = ? AND hash IN ({marks})"  # noqa: S608
            known = {row[0]: row for row in self.rows(sql, (model, *part))}
            for content in part:
                row = known.get(content)
                if row is None or zlib.crc32(row[1]) != row[2] or len(row[1]) != 4 * dimension:
                    raise self.damage(f"A vector in {self.path} is {'missing' if row is None else 'damaged'}.")
                found[number] = np.frombuffer(row[1], dtype=np.float32)
                number += 1
        return found

    def drop_unused_vectors(self) -> None:
        """Delete, inside a transaction, unused vectors and tombstones.

        A chunk uses the vector of its edition's model: that of the index, or of a running re-embedding.
        """
        pending = json.loads(self.state("reembedding") or "[null]")[0]
        self.connection.execute(
            "DELETE FROM vectors WHERE NOT ("
            "(model = :model AND hash IN (SELECT hash FROM chunks WHERE edition = :edition)) OR "
            "(model = :pending AND hash IN (SELECT hash FROM chunks WHERE edition <> :edition)))",
            {"edition": self.edition, "model": self.state("model_id") or "", "pending": pending or ""},
        )
        self.connection.execute("DELETE FROM gone")


def crc(*values: object) -> int:
    """Return the CRC-32 of a row's values."""
    total = 0
    for value in values:
        data = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
        total = zlib.crc32(data, zlib.crc32(b"\x1f", total))
    return total


def as_json(records: Iterable[Any]) -> str:
    """Return dataclass records as a JSON list."""
    return json.dumps([asdict(record) for record in records], ensure_ascii=False)


def _info(row: tuple[Any, ...]) -> DocumentInfo:
    values = list(row)
    values[6] = json.loads(values[6])
    return DocumentInfo(*values)


def _parts(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for first in range(0, len(items), MANY):
        yield items[first : first + MANY]
