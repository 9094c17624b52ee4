"""200 bit flips and cuts over all files of an index: found before a search, and mended to identical hits."""

import random
import shutil

import numpy as np
import pytest

from ragkit.documents import LoadOptions
from ragkit.errors import IndexDamagedError
from ragkit.indexing import Index
from tests.indexing.hashing import HashingEmbedder

DAMAGES = 200
WORDS = [f"word{number}" for number in range(400)]


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    """An index of files, with several vector and keyword segments, sealed."""
    folder = tmp_path_factory.mktemp("healthy")
    choose = random.Random(3)
    (folder / "docs").mkdir()
    with Index.create(folder / "index", embedder=HashingEmbedder()) as index:
        for part in range(3):
            for number in range(12 >> part):
                text = ". ".join(" ".join(choose.choices(WORDS, k=12)) for _ in range(25))
                (folder / "docs" / f"{part}-{number}.txt").write_text(text)
            index.add(folder / "docs")
        assert len(index._store.rows("SELECT 1 FROM segments")) > 2
        assert index.verify().damage == ()
    return folder


def hits(index):
    """Return all that searches give: chunks and scores for some queries, with a filter too."""
    found = []
    for number in range(5):
        text = " ".join(WORDS[number * 7 : number * 7 + 4])
        vector = index.embedder.embed([text], "query")[0]
        for where in (None, "name != '0-1.txt'"):
            for keys, scores in (index.search_vectors(vector, 10, where), index.search_keywords(text, 10, where)):
                chunks = [(chunk.document_id, chunk.start, chunk.text) for chunk, _ in index.chunks(keys)]
                found.append((chunks, np.round(scores, 4).tolist()))
    return found


def damage(path, choose):
    """Flip one bit or cut the file short; return what was done."""
    data = bytearray(path.read_bytes())
    if choose.random() < 0.8:
        bit = choose.randrange(len(data) * 8)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        return f"bit {bit} of {path.name} flipped"
    length = choose.choice([0, len(data) - 1, choose.randrange(len(data))])
    path.write_bytes(data[:length])
    return f"{path.name} cut to {length} of {len(data)} bytes"


def copied(healthy, target):
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(healthy / "index", target)
    return target


def searched(path):
    with Index.open(path, create=False, embedder=HashingEmbedder()) as index:
        return hits(index)


def test_emptied_database_is_found_and_rebuilt(healthy, tmp_path):
    path = copied(healthy, tmp_path / "index")
    (path / "index.sqlite").write_bytes(b"")
    assert Index.verify_path(path).damage
    assert Index.repair_path(path, embedder=HashingEmbedder()).lost == []
    assert Index.verify_path(path).damage == ()
    with Index.open(path, embedder=HashingEmbedder()) as index:
        assert index.document_count == len(list((healthy / "docs").iterdir()))


@pytest.mark.slow
def test_every_damage_is_found_and_mended(healthy, tmp_path):
    choose = random.Random(11)
    with Index.open(healthy / "index", embedder=HashingEmbedder()) as index:
        wanted = hits(index)
    path = copied(healthy, tmp_path / "index")
    names = sorted(
        str(f.relative_to(path)) for f in path.rglob("*") if f.name != "lock" and f.is_file() and f.stat().st_size
    )
    for number in range(DAMAGES):
        victim = path / names[number % len(names)]
        whole = victim.read_bytes()
        done = damage(victim, choose)
        if victim.read_bytes() == whole:
            continue
        with pytest.raises(IndexDamagedError) as caught:
            searched(path)
        assert "ragkit repair" in caught.value.hint, done
        if number % 5 == 0:
            assert Index.verify_path(path).damage, done
            report = Index.repair_path(path, embedder=HashingEmbedder())
            assert report.actions, done
            assert report.lost == [], done
            assert searched(path) == wanted, done
            assert Index.verify_path(path).damage == (), done
            copied(healthy, path)
        else:
            victim.write_bytes(whole)


@pytest.mark.parametrize("what", ["index.sqlite", "index.seal", "segments"])
def test_missing_part_is_found_and_mended(healthy, tmp_path, what):
    with Index.open(healthy / "index", embedder=HashingEmbedder()) as index:
        wanted = hits(index)
    path = copied(healthy, tmp_path / "index")
    if what == "segments":
        shutil.rmtree(path / what)
    else:
        (path / what).unlink()
    if what != "index.seal":
        with pytest.raises(IndexDamagedError, match=r"missing|can't be read"):
            searched(path)
        assert Index.verify_path(path).damage
        assert Index.repair_path(path, embedder=HashingEmbedder()).lost == []
    assert searched(path) == wanted


@pytest.mark.parametrize("table", ["documents", "chunks", "vectors"])
def test_damaged_row_without_seal_is_made_anew(healthy, tmp_path, table):
    import sqlite3

    with Index.open(healthy / "index", embedder=HashingEmbedder()) as index:
        wanted = hits(index)
    path = copied(healthy, tmp_path / "index")
    (path / "index.seal").unlink()
    column = {"documents": "text", "chunks": "text", "vectors": "vector"}[table]
    with sqlite3.connect(path / "index.sqlite") as connection:
        old = connection.execute(f"SELECT {column} FROM {table} WHERE rowid = 5").fetchone()[0]
        new = old[:9] + ("#" if isinstance(old, str) else b"#") + old[10:]
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = 5", (new,))
    connection.close()
    assert Index.verify_path(path).damage
    report = Index.repair_path(path, embedder=HashingEmbedder())
    assert report.actions
    assert report.lost == []
    assert searched(path) == wanted
    assert (path / "index.sqlite.damaged-1").exists()


def test_file_is_read_again_with_the_options_it_was_read_with(tmp_path, hashing):
    table = tmp_path / "prices.csv"
    table.write_text("item,note\nlamp,green glass\nchair,old oak\n")
    path = tmp_path / "index"
    with Index.create(path, embedder=hashing) as index:
        index.add(table, load=LoadOptions(text_columns=("item",)))
        with index._store.transaction() as connection:
            connection.execute("UPDATE documents SET text = 'item: damp' WHERE text = 'item: lamp'")
    report = Index.repair_path(path, embedder=hashing)
    assert report.lost == []
    with Index.open(path, embedder=hashing) as index:
        assert sorted(document.text for document in index.each_document()) == ["item: chair", "item: lamp"]
        assert index.plan_sync(table, load=LoadOptions(text_columns=("item",))).unchanged == 1


def test_lost_document_is_named(healthy, tmp_path, make_document, hashing):
    path = tmp_path / "index"
    with Index.create(path, embedder=hashing) as index:
        index.add(make_document("kept", "This one stays as it is."), make_document("gone", "This one is damaged."))
        with index._store.transaction() as connection:
            connection.execute("UPDATE documents SET text = 'This one is dAmaged.' WHERE source = 'gone'")
    report = Index.repair_path(path, embedder=hashing)
    assert [line.split(":")[0] for line in report.lost] == ["gone"]
    with Index.open(path, embedder=hashing) as index:
        assert [info.source for info in index.documents()] == ["kept"]
        assert len(index.search_keywords("one", 10)[0]) == 1


def test_damaged_chunk_is_never_returned(make_document, hashing, tmp_path):
    with Index.create(tmp_path / "index", embedder=hashing) as index:
        index.add(make_document("a", "The tide is high at noon."))
        with index._store.transaction() as connection:
            connection.execute("UPDATE chunks SET text = 'The tide is high at moon.'")
        with pytest.raises(IndexDamagedError, match="Chunk"):
            index.chunks(index.search_keywords("tide", 1)[0])
