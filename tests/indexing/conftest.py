import pytest

from ragkit.records import Document, document_id
from tests.indexing.hashing import HashingEmbedder


@pytest.fixture(scope="session")
def embedder():
    """The real default model."""
    from ragkit.embedding import open_embedder

    return open_embedder()


@pytest.fixture
def hashing():
    return HashingEmbedder()


@pytest.fixture
def make_document():
    def make(name, text, title=None, **metadata):
        import hashlib

        return Document(
            id=document_id(name),
            source=name,
            origin=name,
            text=text,
            title=title or name,
            sha256=hashlib.sha256(text.encode()).hexdigest(),
            media_type="text/plain",
            metadata=metadata,
        )

    return make


@pytest.fixture
def notes(tmp_path):
    """A folder of small files about different things."""
    folder = tmp_path / "notes"
    folder.mkdir()
    for name, text in {
        "ferry": "The ferry to Sandholm leaves at seven in the morning and returns at noon.",
        "cheese": "Our goat cheese ripens for eight weeks in a cellar of eleven degrees.",
        "bicycle": "A bicycle may be borrowed at the library for two days against a deposit.",
        "owl": "The owl box in the church tower was cleaned in February; three owlets hatched.",
    }.items():
        (folder / f"{name}.txt").write_text(text)
    return folder
