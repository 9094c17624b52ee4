"""Qdrant in its local mode."""

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.indexing.backends.contract import BackendContract

pytest.importorskip("qdrant_client")


class TestQdrant(BackendContract):
    @pytest.fixture
    def store(self):
        from ragkit.indexing.backends.qdrant import QdrantBackend

        opened = []
        # Qdrant syncs each point to disk; without a disk, the suite takes seconds instead of minutes.
        memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
        place = Path(tempfile.mkdtemp(prefix="ragkit-qdrant-", dir=memory))

        def connect():
            # One client at a time can open the folder.
            for backend in opened:
                backend.close()
            opened.append(QdrantBackend(f"qdrant:{place}", "books"))
            return opened[-1]

        connect.code = (
            "from ragkit.indexing.backends.qdrant import QdrantBackend\n"
            f"backend = QdrantBackend('qdrant:{place}', 'books')"
        )
        yield connect
        for backend in opened:
            backend.close()
        shutil.rmtree(place)

    def opener(self, store):
        return store.code

    @pytest.mark.parametrize("moment", ["during"])
    def test_kill_between_the_commit_and_the_update(self, index, exact, store, moment):
        super().test_kill_between_the_commit_and_the_update(index, exact, store, moment)
