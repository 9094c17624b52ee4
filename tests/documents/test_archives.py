"""Archives: members as documents, within limits on depth, count, size and ratio, and never a path outside."""

import io
import tarfile
import zipfile

from ragkit.documents import Issue, load
from ragkit.indexing import Index
from ragkit.records import Document
from tests.indexing.hashing import HashingEmbedder


def read(path):
    items = load(path)
    return [item for item in items if isinstance(item, Document)], [item for item in items if isinstance(item, Issue)]


def zipped(members, compression=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as out:
        for name, data in members.items():
            out.writestr(name, data)
    return buffer.getvalue()


def test_members_of_a_zip_are_read_by_their_own_loaders(tmp_path):
    path = tmp_path / "a.zip"
    members = {"docs/guide.md": "# Guide\n\nText.", "rows.csv": "a,b\nx,y\n", ".hidden": "no", "__MACOSX/x.md": "no"}
    path.write_bytes(zipped({**members, "inner.zip": zipped({"deep.txt": "Deep."}), "blob.bin": b"\0\1\2"}))
    documents, (issue,) = read(path)
    assert [each.source.removeprefix(str(path)) for each in documents] == [
        *("#docs/guide.md", "#rows.csv#row-1", "#inner.zip#deep.txt")
    ]
    assert {each.origin for each in documents} == {str(path)}
    assert issue.detail.startswith("blob.bin: It is a binary file")


def test_members_of_a_tar_are_read_and_links_are_not_followed(tmp_path):
    path = tmp_path / "a.tar.gz"
    (tmp_path / "secret.txt").write_text("secret")
    with tarfile.open(path, "w:gz") as out:
        for name in ("../outside.txt", "docs/in.txt"):
            entry = tarfile.TarInfo(name)
            data = f"This is {name}.".encode()
            entry.size = len(data)
            out.addfile(entry, io.BytesIO(data))
        link = tarfile.TarInfo("link.txt")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "secret.txt")
        out.addfile(link)
    documents, issues = read(path)
    assert not issues
    assert [each.text for each in documents] == ["This is ../outside.txt.", "This is docs/in.txt."]
    assert not (tmp_path.parent / "outside.txt").exists()


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(zipped({"zeros.txt": bytes(60 * 2**20)}))
    documents, (issue,) = read(path)
    assert not documents
    assert "unpacks from" in issue.detail


def test_nested_archives_are_read_to_a_limited_depth(tmp_path):
    data = zipped({"text.txt": "Innermost."})
    for _ in range(5):
        data = zipped({"inner.zip": data})
    (tmp_path / "a.zip").write_bytes(data)
    documents, issues = read(tmp_path / "a.zip")
    assert not documents
    assert any("nested more than 3" in issue.detail for issue in issues)


def test_too_many_members_end_the_reading_with_an_issue(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped({f"{n}.txt": "x" for n in range(1001)}, zipfile.ZIP_STORED))
    documents, issues = read(tmp_path / "a.zip")
    assert len(documents) == 1000
    assert [issue.kind for issue in issues] == ["refused"]
    assert "too many" in issues[0].detail


def test_a_changed_archive_replaces_the_documents_of_its_members(tmp_path):
    path = tmp_path / "docs" / "a.zip"
    path.parent.mkdir()
    path.write_bytes(zipped({"one.txt": "One.", "two.txt": "Two."}))
    with Index.create(tmp_path / "index", embedder=HashingEmbedder()) as index:
        assert index.sync(path.parent).added == 2
        path.write_bytes(zipped({"two.txt": "Two, changed."}))
        index.sync(path.parent)
        assert [info.source for info in index.documents()] == [f"{path}#two.txt"]
        assert index.document(f"{path}#two.txt").text == "Two, changed."
