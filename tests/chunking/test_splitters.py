"""Splitters that installed packages add."""

import os
import subprocess
import sys

import pytest

from ragkit import Document, Index
from ragkit.chunking import ChunkingOptions, chunk_document, splitters
from ragkit.errors import SettingsError
from ragkit.indexing import IndexOptions
from tests.chunking.test_chunker import TOKENIZER

TEXT = "Clause 1. The pier is open. Clause 2. Dogs stay on a lead.\n\nThey may not swim. Clause 3. " + "No fires. " * 40


def document(text=TEXT):
    return Document("d", "rules.txt", "rules.txt", text, "Rules", "d", "text/plain")


def by_clause(doc):
    return [at for at in range(len(doc.text)) if doc.text.startswith("Clause", at)]


@pytest.fixture
def installed(monkeypatch):
    found = {"clauses": by_clause}
    monkeypatch.setattr(splitters, "find_splitter", found.__getitem__)
    return found


def test_chunks_begin_where_the_splitter_says_and_longer_parts_are_cut(installed):
    doc = document()
    chunks = chunk_document(doc, TOKENIZER, 60, ChunkingOptions(splitter="clauses"))
    assert [chunk.text.split()[1] for chunk in chunks[:3]] == ["1.", "2.", "3."]
    assert chunks[1].text.endswith("swim.")
    assert len(chunks) > 3
    assert all(chunk.tokens <= 60 for chunk in chunks)
    assert all(doc.text[chunk.start : chunk.end] == chunk.text for chunk in chunks)
    covered = {at for chunk in chunks for at in range(chunk.start, chunk.end)}
    assert all(at in covered or doc.text[at].isspace() for at in range(len(doc.text)))


def test_short_document_is_split_too(installed):
    doc = document("Clause 1. Open. Clause 2. Closed.")
    chunks = chunk_document(doc, TOKENIZER, 256, ChunkingOptions(splitter="clauses"))
    assert [chunk.text for chunk in chunks] == ["Clause 1. Open.", "Clause 2. Closed."]


@pytest.mark.parametrize("offsets", [[-1], [10**6], ["3"]])
def test_offsets_outside_of_the_text_are_an_error(installed, offsets):
    installed["wrong"] = lambda doc: offsets
    with pytest.raises(SettingsError, match="returned the offset"):
        chunk_document(document(), TOKENIZER, 60, ChunkingOptions(splitter="wrong"))


def test_splitter_that_is_not_installed_is_an_error_and_nothing_is_lost(tmp_path):
    options = IndexOptions(chunking=ChunkingOptions(splitter="poems"))
    with Index.create(tmp_path / "index", options=options) as index:
        with pytest.raises(SettingsError, match="no splitter 'poems'"):
            index.add(document())
        assert index.document_count == 0


def test_an_installed_package_adds_a_splitter_by_an_entry_point(tmp_path):
    info = tmp_path / "clause_splitter-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: clause-splitter\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ragkit.splitters]\nclauses = clause_splitter:split\n")
    (tmp_path / "clause_splitter.py").write_text(
        "def split(document):\n    return [0, document.text.index('Clause 2')]\n"
    )
    code = (
        "import sys\n"
        "from ragkit import Document, Index\n"
        "from ragkit.chunking import ChunkingOptions\n"
        "from ragkit.indexing import IndexOptions\n"
        f"text = {TEXT[:90]!r}\n"
        "options = IndexOptions(chunking=ChunkingOptions(splitter='clauses'))\n"
        f"path = {str(tmp_path / 'index')!r}\n"
        "with Index.create(path, options=options) as index:\n"
        "    index.add(Document('d', 'r.txt', 'r.txt', text, 'Rules', 'd', 'text/plain'))\n"
        "with Index.open(path) as index:\n"
        "    print(index.chunking.splitter, [chunk.text[:8] for chunk in index.each_chunk()])\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout == "clauses ['Clause 1', 'Clause 2']\n", done.stderr
