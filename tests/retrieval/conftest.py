import hashlib
import shutil

import numpy as np
import pytest

from ragkit import Index
from ragkit.records import Document, document_id
from tests.retrieval.token_hashing import TokenHashingEmbedder

WORDS = [f"word{n}" for n in range(60)]


def make(name, text, title="Note", **metadata):
    return Document(
        id=document_id(name),
        source=name,
        origin=name,
        text=text,
        title=title,
        sha256=hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
        media_type="text/plain",
        metadata=metadata,
    )


@pytest.fixture(scope="session")
def make_document():
    return make


@pytest.fixture(scope="session")
def samples(sample_index, tmp_path_factory):
    """The sample documents, by the real default model."""
    folder = shutil.copytree(sample_index, tmp_path_factory.mktemp("retrieval") / "index")
    with Index.open(folder) as index:
        yield index


@pytest.fixture(scope="session")
def many(tmp_path_factory):
    """700 short notes, one chunk each, that all hold ``note``; few have ``rare``."""
    generator = np.random.default_rng(7)
    documents = []
    for number in range(700):
        words = " ".join(generator.choice(WORDS, 8))
        fields = {"year": 1900 + number % 50, "lang": ("en", "de", "fr")[number % 3]}
        if number % 97 == 5:
            fields["rare"] = True
        documents.append(make(f"note-{number:03}", f"A note of {words}.", **fields))
    with Index.create(tmp_path_factory.mktemp("many") / "index", embedder=TokenHashingEmbedder()) as index:
        assert index.add(*documents).added == 700
        assert index.chunk_count == 700
        yield index


@pytest.fixture
def small(tmp_path):
    """An empty index with the fast embedder."""
    with Index.create(tmp_path / "index", embedder=TokenHashingEmbedder()) as index:
        yield index
