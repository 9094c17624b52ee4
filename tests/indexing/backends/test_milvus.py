"""Milvus Lite."""

import pytest

from tests.indexing.backends.contract import BackendContract

pytest.importorskip("milvus_lite")


class TestMilvus(BackendContract):
    @pytest.fixture
    def store(self, tmp_path):
        from ragkit.indexing.backends.milvus import MilvusBackend

        opened = []

        def connect():
            # One process at a time can open the file.
            for backend in opened:
                backend.close()
            opened.append(MilvusBackend(f"milvus:{tmp_path / 'milvus.db'}", "books"))
            return opened[-1]

        connect.code = (
            "from ragkit.indexing.backends.milvus import MilvusBackend\n"
            f"backend = MilvusBackend('milvus:{tmp_path / 'milvus.db'}', 'books')"
        )
        yield connect
        for backend in opened:
            backend.close()

    def opener(self, store):
        return store.code

    @pytest.mark.parametrize("moment", ["during"])
    def test_kill_between_the_commit_and_the_update(self, index, exact, store, moment):
        super().test_kill_between_the_commit_and_the_update(index, exact, store, moment)
