"""Qdrant in its local mode."""

import pytest

from tests.indexing.backends.contract import BackendContract

pytest.importorskip("qdrant_client")


class TestQdrant(BackendContract):
    @pytest.fixture
    def store(self, tmp_path):
        from ragkit.indexing.backends.qdrant import QdrantBackend

        opened = []

        def connect():
            # One client at a time can open the folder.
            for backend in opened:
                backend.close()
            opened.append(QdrantBackend(f"qdrant:{tmp_path / 'qdrant'}", "books"))
            return opened[-1]

        connect.code = (
            "from ragkit.indexing.backends.qdrant import QdrantBackend\n"
            f"backend = QdrantBackend('qdrant:{tmp_path / 'qdrant'}', 'books')"
        )
        yield connect
        for backend in opened:
            backend.close()

    def opener(self, store):
        return store.code
