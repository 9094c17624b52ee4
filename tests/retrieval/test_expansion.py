"""Small to large: the span of the document around a hit."""

import pytest

from ragkit import Index
from ragkit.chunking import ChunkingOptions
from ragkit.indexing import IndexOptions
from ragkit.retrieval import expanded_span
from tests.retrieval.token_hashing import TokenHashingEmbedder

PARAGRAPHS = {
    "Arrival": "The tower opens at nine. Guests leave their coats at the desk. The lift is for the ground floor.",
    "Telescope": "The mirror cools for forty minutes. Nobody touches the glass. The dome is turned slowly by hand.",
    "Leaving": "The last bus leaves at ten past eleven. The gate closes behind it. Lost things are kept for a year.",
}


@pytest.fixture
def guide(tmp_path):
    file = tmp_path / "guide.md"
    file.write_text("\n\n".join(f"# {title}\n\n{text}" for title, text in PARAGRAPHS.items()))
    options = IndexOptions(chunking=ChunkingOptions(size=20, overlap=0))
    with Index.create(tmp_path / "index", embedder=TokenHashingEmbedder(), options=options) as index:
        assert index.add(file).complete
        assert index.chunk_count >= 6
        yield index, file


def all_chunks(index):
    return [chunk for chunk, _ in index.chunks(range(1, index.chunk_count + 1))]


def test_expansion_none_is_the_chunk(guide):
    index, _ = guide
    assert all(expanded_span(index, chunk, "none") == (chunk.start, chunk.end) for chunk in all_chunks(index))


def test_expansion_neighbours_reaches_over_the_chunks_on_either_side(guide):
    index, _ = guide
    chunks = sorted(all_chunks(index), key=lambda chunk: chunk.ordinal)
    for at, chunk in enumerate(chunks):
        around = chunks[max(0, at - 1) : at + 2]
        assert expanded_span(index, chunk, "neighbours") == (around[0].start, around[-1].end)


def test_expansion_neighbours_of_a_replaced_document_is_the_chunk(guide):
    index, file = guide
    chunk = all_chunks(index)[2]
    file.write_text("# Quite new\n\nNothing of what stood here is left. It was about a tower. That was long ago.")
    assert index.add(file).replaced == 1
    assert expanded_span(index, chunk, "neighbours") == (chunk.start, chunk.end)


def test_expansion_section_is_the_section_of_the_chunk(guide):
    index, file = guide
    text = index.document(str(file)).text
    seen = set()
    for chunk in all_chunks(index):
        start, end = expanded_span(index, chunk, "section")
        assert start <= chunk.start < chunk.end <= end
        inside = [title for title, paragraph in PARAGRAPHS.items() if paragraph in text[start:end]]
        seen.update(inside)
        assert inside == list(chunk.heading_path)
    assert seen == set(PARAGRAPHS)


@pytest.mark.parametrize("expansion", ["none", "neighbours", "section"])
def test_expansion_always_holds_the_chunk(samples, expansion):
    for chunk in all_chunks(samples):
        start, end = expanded_span(samples, chunk, expansion)
        document = samples.document(chunk.document_id)
        assert 0 <= start <= chunk.start < chunk.end <= end <= len(document.text)
        assert chunk.text in document.text[start:end]
