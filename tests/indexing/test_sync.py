"""What a sync or an addition reads again, replaces and removes, and what it must not."""

import json
import os
import shutil
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit.documents import Issue, LoadOptions, SourceFile, ocr, registry
from ragkit.errors import DocumentError, RemovalRefusedError
from ragkit.indexing import AddReport, Field, Index
from ragkit.indexing.identity import file_record
from ragkit.indexing.reports import REMARKS
from ragkit.records import document_id
from tests.indexing.hashing import HashingEmbedder


@pytest.fixture
def index(tmp_path):
    with Index.open(tmp_path / "index", create=True, embedder=HashingEmbedder()) as opened:
        yield opened


def names(index, where=None):
    return sorted(info.source.rpartition("/")[2] for info in index.documents(where))


def text_of(index, path):
    return index.document(str(path)).text


def changed_formats(monkeypatch, name, **values):
    """Change a format, as another version of ragkit may."""
    found = tuple(replace(each, **values) if each.name == name else each for each in registry.formats())
    monkeypatch.setattr(registry, "formats", lambda: found)
    monkeypatch.setattr(registry, "_by_suffix", lambda: {suffix: each for each in found for suffix in each.suffixes})


def as_an_older_loader_read_it(index, path, make_document):
    """Put another text in the place of a file's, whose bytes and record stay as they are."""
    old = make_document(str(path), "What an older loader made of it.")
    index.add(type(old)(**{**{n: getattr(old, n) for n in old.__slots__}, "sha256": index.document(str(path)).sha256}))


# The identity of a reading


def test_newer_loader_reads_its_files_again(index, notes, make_document, monkeypatch):
    (notes / "owl.md").write_text("# Owls\n\nThree owlets.")
    index.add(notes)
    as_an_older_loader_read_it(index, notes / "owl.txt", make_document)
    assert index.sync(notes).replaced == 0
    changed_formats(monkeypatch, "text", version=registry.version_of("text") + 1)
    assert {name.rpartition("/")[2] for name in index.plan_sync(notes).change} == {
        "bicycle.txt",
        "cheese.txt",
        "ferry.txt",
        "owl.txt",
    }
    report = index.sync(notes)
    assert (report.replaced, report.unchanged, report.embedded) == (1, 4, 0)
    assert "owlets" in text_of(index, notes / "owl.txt")
    assert index.plan_sync(notes).change == ()
    assert index.sync(notes).unchanged == 5


def test_index_of_a_version_that_kept_no_loader_is_read_again(index, notes, make_document):
    index.add(notes)
    as_an_older_loader_read_it(index, notes / "owl.txt", make_document)
    with index._store.transaction() as connection:
        connection.execute(
            "UPDATE files SET reading = ?",
            (json.dumps({"text_columns": [], "metadata_columns": [], "encoding": None}),),
        )
    assert index.sync(notes).replaced == 1
    assert "owlets" in text_of(index, notes / "owl.txt")


def test_other_encoding_reads_a_file_again(index, tmp_path):
    file = tmp_path / "menu.txt"
    file.write_bytes("Käse für zwölf Gäste".encode("cp1252"))
    index.add(file, load=LoadOptions(encoding="cp437"))
    assert "Käse" not in text_of(index, file)
    report = index.add(file, load=LoadOptions(encoding="cp1252"))
    assert (report.added, report.replaced) == (0, 1)
    assert "Käse" in text_of(index, file)


@pytest.mark.parametrize(
    ("options", "again"),
    [({"time_limit": 600.0}, True), ({"memory_limit": 2**31}, True), ({"passwords": ("x",)}, True), ({}, False)],
)
def test_refused_file_is_read_again_with_higher_limits_or_a_password(index, notes, options, again):
    (notes / "broken.pdf").write_bytes(b"%PDF-1.4\nnothing of a PDF\n")
    assert not index.sync(notes).complete
    changed = index.plan_sync(notes, load=LoadOptions(**options)).change
    assert [name.rpartition("/")[2] for name in changed] == (["broken.pdf"] if again else [])
    assert not index.sync(notes, load=LoadOptions(**options)).complete
    assert index.plan_sync(notes, load=LoadOptions(time_limit=1.0)).change == ()


def test_file_that_was_cut_off_is_read_again(index, notes):
    index.add(notes)
    file = notes / "owl.txt"
    size, time = file.stat().st_size, file.stat().st_mtime_ns
    found = SourceFile(file, str(file), size, time)
    assert file_record(index._store, str(file)).same_reading(found, LoadOptions())
    for issue, same in (
        (Issue(str(file), "refused", "x", retry=True), False),
        (Issue(str(file), "refused", "x"), True),
    ):
        with index._store.transaction() as connection:
            connection.execute("UPDATE files SET issues = ? WHERE origin = ?", (_issues(issue), str(file)))
        assert file_record(index._store, str(file)).same_reading(found, LoadOptions()) is same


@pytest.mark.parametrize("installed", [True, False])
def test_file_with_pages_that_lacked_ocr_is_read_again_once_it_is_installed(index, notes, monkeypatch, installed):
    index.add(notes)
    file = notes / "owl.txt"
    found = SourceFile(file, str(file), file.stat().st_size, file.stat().st_mtime_ns)
    issue = Issue(str(file), "page_without_text", "The page has no text layer.", 1, ocr.INSTALL)
    with index._store.transaction() as connection:
        connection.execute("UPDATE files SET issues = ? WHERE origin = ?", (_issues(issue), str(file)))
    monkeypatch.setattr(ocr, "available", lambda: installed)
    assert file_record(index._store, str(file)).same_reading(found, LoadOptions()) is not installed


def _issues(*issues):
    from ragkit.indexing.store import as_json

    return as_json(issues)


def test_refused_file_is_read_again_when_another_loader_takes_it(index, tmp_path, monkeypatch):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "report.pdf").write_text("Plain text, whatever its name says.")
    (tmp_path / "docs" / "a.txt").write_text("A.")
    assert not index.sync(tmp_path / "docs").complete
    assert index.plan_sync(tmp_path / "docs").change == ()
    changed_formats(monkeypatch, "pdf", kinds=())
    assert [name.rpartition("/")[2] for name in index.plan_sync(tmp_path / "docs").change] == ["report.pdf"]


def test_force_reads_and_cuts_unchanged_files_again(index, notes):
    index.add(notes)
    file = notes / "owl.txt"
    before = file.stat()
    file.write_text(file.read_text().replace("owlets", "eaglet"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert index.add(notes).replaced == 0
    report = index.sync(notes, force=True)
    assert (report.replaced, report.unchanged) == (1, 3)
    assert "eaglet" in text_of(index, file)
    with index._store.transaction():
        index._store.set_state(chunking=json.dumps({"size": 8, "overlap": 0, "header": True}))
    assert index.add(notes).replaced == 0
    assert index.add(notes, force=True).replaced == 4
    assert index.verify().damage == ()


@pytest.mark.parametrize(
    "change", [{"metadata": {"year": 2}}, {"metadata": {"year": True}}, {"title": "Other"}, {"media_type": "text/x"}]
)
def test_changed_document_with_the_same_bytes_is_replaced(index, make_document, change):
    first = make_document("a", "The same text.", year=1)
    index.add(first)
    values = {name: getattr(first, name) for name in first.__slots__} | change
    other = type(first)(**values)
    assert index.add(other).replaced == 1
    assert index.document("a") == other
    assert type(index.document("a").metadata["year"]) is type(other.metadata["year"])
    assert index.add(other).unchanged == 1


def test_order_of_metadata_is_no_change(index, make_document):
    index.add(make_document("a", "Text.", year=1, lang="en"))
    report = index.add(make_document("a", "Text.", lang="en", year=1), make_document("a", "Text.", year=1, lang="en"))
    assert (report.unchanged, report.replaced) == (2, 0)


def test_last_of_several_versions_in_one_addition_counts_once(index, make_document):
    index.add(make_document("a", "The first text."))
    report = index.add(*[make_document("a", f"Text number {n}.") for n in range(3)], make_document("b", "Other."))
    assert (report.added, report.replaced, report.chunks) == (1, 1, 2)
    assert report.characters == len("Text number 2.") + len("Other.")
    assert text_of(index, "a") == "Text number 2."


# Files with the same content


def test_files_with_the_same_content_are_documents_of_their_own(index, notes, tmp_path):
    (notes / "zzz.txt").write_text((notes / "cheese.txt").read_text())
    report = index.add(notes)
    assert (report.added, report.duplicates, report.complete) == (5, 2, True)
    assert report.embedded == 5
    assert index.add(notes).unchanged == 5
    assert names(index, Field("name") == "zzz.txt") == ["zzz.txt"]
    # Only the first is given, and the other stays.
    (notes / "cheese.txt").write_text("Now this is about butter.")
    assert index.add(notes / "cheese.txt").replaced == 1
    assert "goat" in text_of(index, notes / "zzz.txt")
    assert "butter" in text_of(index, notes / "cheese.txt")


def test_removed_file_leaves_its_copy(index, notes):
    (notes / "zzz.txt").write_text((notes / "cheese.txt").read_text())
    index.add(notes)
    assert index.remove(notes / "cheese.txt") == 1
    assert "zzz.txt" in names(index)
    (notes / "cheese.txt").unlink()
    assert index.sync(notes).removed == 0
    assert "goat" in text_of(index, notes / "zzz.txt")


def test_copy_of_a_refused_file_is_refused_too(index, tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    for name in ("a.pdf", "b.pdf"):
        (folder / name).write_bytes(b"%PDF-1.4\nnothing of a PDF\n")
    (folder / "c.txt").write_text("Fine.")
    for _ in range(2):
        report = index.add(folder)
        assert [issue.origin.rpartition("/")[2] for issue in report.issues] == ["a.pdf", "b.pdf"]
        assert (report.duplicates, report.complete) == (0, False)


# What a sync must not remove


def test_empty_folder_is_an_error_and_changes_nothing(index, notes):
    index.add(notes)
    for file in list(notes.iterdir()):
        file.unlink()
    (notes / ".mounted-here").write_text("")
    for call in (index.sync, index.plan_sync, lambda path: index.sync(path, allow_removal=True)):
        with pytest.raises(DocumentError, match=r"contains no files to read \(hidden: 1\)") as caught:
            call(notes)
        assert "mount" in caught.value.hint
    shutil.rmtree(notes)
    with pytest.raises(DocumentError, match="does not exist"):
        index.sync(notes)
    assert len(index.documents()) == 4


def test_patterns_that_match_nothing_empty_no_index(index, notes):
    index.add(notes)
    with pytest.raises(DocumentError, match="not included: 4"):
        index.sync(notes, load=LoadOptions(include=("*.tx",)))
    assert len(index.documents()) == 4


def test_removal_of_more_than_half_has_to_be_allowed(index, notes, tmp_path, make_document):
    other = tmp_path / "other"
    other.mkdir()
    for number in range(20):
        (other / f"{number}.txt").write_text(f"Note {number}.")
    index.add(notes, other, make_document("from Python", "A text."))
    (notes / "cheese.txt").unlink()
    (notes / "owl.txt").unlink()
    (notes / "new.txt").write_text("A new one.")
    report = index.sync(notes)
    assert (report.removed, report.added) == (2, 1)
    (notes / "ferry.txt").unlink()
    (notes / "bicycle.txt").unlink()
    (notes / "newer.txt").write_text("A newer one.")
    generation = index.generation
    with pytest.raises(RemovalRefusedError, match="2 of the 3 files") as caught:
        index.sync(notes)
    assert "--yes" in caught.value.hint
    assert index.generation == generation
    assert "newer.txt" not in names(index)
    assert index.sync(notes, allow_removal=True).removed == 2
    assert len(index.documents()) == 23


def test_rows_of_a_table_count_as_one_file(index, notes):
    (notes / "prices.csv").write_text("item,price\n" + "".join(f"item {n},{n}\n" for n in range(30)))
    index.add(notes)
    (notes / "prices.csv").unlink()
    assert index.sync(notes).removed == 30


# The report

KINDS = (
    "refused",
    "page_without_text",
    "text_lost",
    "row_refused",
    "member_refused",
    "encoding_guessed",
    "mislabelled",
)


@given(st.lists(st.sampled_from(KINDS)), st.integers(0, 9), st.integers(0, 9))
def test_incomplete_report_lists_what_is_missing(kinds, lost, over):
    issues = [Issue("file", kind, "x") for kind in kinds]
    report = AddReport(issues=issues, characters_lost=lost, tokens_over_window=over)
    assert report.complete == (not [issue for issue in report.issues if issue.kind not in REMARKS])


@pytest.mark.parametrize(("lost", "told"), [("tail", "5 characters"), ("window", "truncates")])
def test_text_that_a_faulty_tokenizer_loses_is_an_issue(tmp_path, make_document, monkeypatch, lost, told):
    from ragkit.indexing import staging

    def faulty(document, tokenizer, window, options):
        (chunk,) = real_chunks(document, tokenizer, window, options)
        values = {name: getattr(chunk, name) for name in chunk.__slots__}
        short = {"end": chunk.end - 5, "text": chunk.text[:-5]} if lost == "tail" else {"tokens": window + 3}
        return [type(chunk)(**(values | short))]

    real_chunks = staging.chunk_document
    monkeypatch.setattr(staging, "chunk_document", faulty)
    with Index.open(tmp_path / "index", create=True, embedder=HashingEmbedder()) as index:
        report = index.add(make_document("a", "A text that loses its tail."))
        assert not report.complete
        assert [(issue.origin, issue.kind) for issue in report.issues] == [("a", "text_lost")]
        assert told in report.issues[0].detail
        assert document_id("a") in {info.id for info in index.documents()}
