"""``ragkit backends`` and ``ragkit sync --backend``."""

import json

import pytest

from ragkit.indexing import Index

pytest.importorskip("milvus_lite")


def test_sync_with_a_backend_and_back(here, tmp_path):
    (tmp_path / "docs").mkdir()
    for name in ("harbour", "orchard", "library"):
        (tmp_path / "docs" / f"{name}.txt").write_text(f"The {name} opens at seven in the morning.")
    here("sync", "docs", "--index", "mine", "--backend", "milvus:vectors.db", cwd=tmp_path)
    with Index.open(tmp_path / "indexes" / "mine") as index:
        assert index.backend == f"milvus:{tmp_path / 'vectors.db'}#ragkit_mine"
        assert index.stats().backend == index.backend
    assert "orchard" in here("search", "mine", "When does the orchard open?", cwd=tmp_path).stdout
    (tmp_path / "docs" / "mill.txt").write_text("The mill opens at noon.")
    here("sync", "docs", "--index", "mine", cwd=tmp_path)
    assert "No damage" in here("verify", "mine", cwd=tmp_path).stdout
    here("sync", "docs", "--index", "mine", "--backend", "faiss", cwd=tmp_path)
    with Index.open(tmp_path / "indexes" / "mine") as index:
        assert index.backend == "faiss"
    assert "mill" in here("search", "mine", "When does the mill open?", cwd=tmp_path).stdout


def test_backends_are_listed_and_wrong_addresses_refused(here, tmp_path):
    listed = json.loads(here("backends", "--json", cwd=tmp_path).stdout)["backends"]
    assert {"faiss", "postgresql", "qdrant", "milvus", "langchain"} <= {kind["scheme"] for kind in listed}
    assert "postgresql://HOST/DATABASE" in here("backends", cwd=tmp_path).stdout
    (tmp_path / "note.txt").write_text("A note about the harbour.")
    words = ("sync", "note.txt", "--index", "mine", "--backend", "redis://127.0.0.1")
    error = here(*words, cwd=tmp_path, check=1).stderr
    assert "not the address of a backend" in error
    assert "qdrant:FOLDER" in error
