"""Files that are damaged, hostile or not what they say: named and refused, and the rest goes on."""

import hashlib
import io
import os
import time
import zipfile
import zlib

import docx
import pytest
from fpdf import FPDF

from ragkit.documents import Issue, Loader, LoadOptions, SourceFile, discover, load
from ragkit.errors import DocumentError, SettingsError
from ragkit.records import Document

GOOD = b"# Good\n\nThis one can be read.\n"


def refusal(path, options=None):
    items = load(path, options)
    assert not [item for item in items if isinstance(item, Document)]
    issue = items[-1]
    assert isinstance(issue, Issue)
    assert issue.kind == "refused"
    assert issue.origin == str(path)
    return issue


def pdf_bytes(text="Some text."):
    pdf = FPDF()
    pdf.add_page()
    pdf.set_font("Helvetica", size=12)
    pdf.cell(text=text)
    return bytes(pdf.output())


def slow_pdf():
    """A PDF of a few kB whose only page holds 250,000 words, each at a place of its own."""
    body = b"BT /F 9 Tf 9 TL 1 0 0 1 9 9999 Tm " + b"(one two three four five) Tj T* " * 50_000 + b"ET"
    packed = zlib.compress(body, 9)
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 99 9999] /Contents 4 0 R /Resources "
        b"<< /Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(packed), packed),
    ]
    out = io.BytesIO()
    out.write(b"%PDF-1.4\n")
    places = []
    for number, content in enumerate(objects, 1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, content))
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    for place in places:
        out.write(b"%010d 00000 n \n" % place)
    out.write(b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start))
    return out.getvalue()


def docx_bomb(path, size):
    document = docx.Document()
    document.add_paragraph("x")
    document.save(str(path))
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    head, tail = entries["word/document.xml"].split(b"<w:p>", 1)
    filler = b"<w:p><w:r><w:t>" + b"a" * 1000 + b"</w:t></w:r></w:p>"
    entries["word/document.xml"] = head + filler * (size // len(filler)) + b"<w:p>" + tail
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)


def test_empty_file_is_refused(tmp_path):
    (tmp_path / "empty.md").write_bytes(b"")
    assert "0 bytes" in refusal(tmp_path / "empty.md").detail


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
def test_truncated_pdf_and_docx_are_refused_or_reported(tmp_path, keep):
    whole = pdf_bytes()
    (tmp_path / "cut.pdf").write_bytes(whole[: int(len(whole) * keep)])
    assert load(tmp_path / "cut.pdf")[-1].__class__ in (Issue, Document)
    document = docx.Document()
    document.add_paragraph("Some text.")
    document.save(str(tmp_path / "cut.docx"))
    data = (tmp_path / "cut.docx").read_bytes()
    (tmp_path / "cut.docx").write_bytes(data[: int(len(data) * keep)])
    assert "archive" in refusal(tmp_path / "cut.docx").detail


def test_mislabelled_file_is_read_by_its_content_and_says_so(tmp_path):
    (tmp_path / "really.txt").write_bytes(pdf_bytes("Hidden in a text file."))
    issue, document = load(tmp_path / "really.txt")
    assert issue.kind == "mislabelled"
    assert "Hidden in a text file." in document.text
    (tmp_path / "fake.pdf").write_bytes(GOOD)
    assert "does not begin as a PDF" in refusal(tmp_path / "fake.pdf").detail


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("p.png", b"\x89PNG\r\n\x1a\n" + bytes(99), "picture"),
        ("old.doc", b"\xd0\xcf\x11\xe0" + bytes(99), "old Office"),
        ("b.bin", bytes(range(256)) * 4, "binary"),
        ("a.7z", b"7z\xbc\xaf\x27\x1c" + bytes(99), "7-Zip archive"),
    ],
)
def test_what_holds_no_text_is_refused_by_kind(tmp_path, name, data, told):
    (tmp_path / name).write_bytes(data)
    assert told in refusal(tmp_path / name).detail


@pytest.mark.parametrize(
    "data",
    [
        b"The gate was st\0uck at noon.",
        b"The pump stopped.\n" + bytes(3000) + b"The gate was stuck at noon.\n",
        "The gate was stuck at noon.".encode("utf-32"),
        b"\0\0\xfe\xff" + "The gate was stuck at noon.".encode("utf-32-be"),
        "The gate was stuck at noon.".encode("utf-32-le"),
    ],
    ids=["stray", "gap", "utf-32", "utf-32-be", "no-mark"],
)
def test_text_with_nul_bytes_is_text(tmp_path, data):
    (tmp_path / "a.log").write_bytes(data)
    (document,) = load(tmp_path / "a.log")
    assert "The gate was stuck at noon." in document.text


def test_mail_with_a_nul_byte_is_read(tmp_path):
    (tmp_path / "a.eml").write_bytes(b"From: ann@example.org\nSubject: The gate\n\nIt was\0 stuck at noon.\n")
    (document,) = load(tmp_path / "a.eml")
    assert "It was stuck at noon." in document.text


def test_docx_bomb_is_refused_before_it_is_unpacked(tmp_path):
    docx_bomb(tmp_path / "bomb.docx", 300_000_000)
    assert (tmp_path / "bomb.docx").stat().st_size < 2_000_000
    started = time.monotonic()
    assert "unpacks from" in refusal(tmp_path / "bomb.docx").detail
    assert time.monotonic() - started < 60


def test_parser_that_takes_forever_is_stopped_and_the_rest_goes_on(tmp_path):
    (tmp_path / "a-slow.pdf").write_bytes(slow_pdf())
    (tmp_path / "b-good.md").write_bytes(GOOD)
    with Loader(LoadOptions(time_limit=2.0)) as loader:
        slow, good = discover([tmp_path])
        (issue,) = loader.load(slow)
        assert issue.kind == "refused"
        assert "2 s of processor time" in issue.detail
        assert "--time-limit" in issue.hint
        assert issue.retry
        (document,) = loader.load(good)
        assert document.title == "Good"


def test_parser_that_takes_all_memory_is_stopped_and_the_rest_goes_on(tmp_path):
    (tmp_path / "a-big.jsonl").write_bytes(b'{"text": "' + b"x" * 150_000_000 + b'"}\n')
    (tmp_path / "b-good.md").write_bytes(GOOD)
    with Loader(LoadOptions(memory_limit=64 * 2**20, time_limit=60)) as loader:
        big, good = discover([tmp_path])
        (issue,) = loader.load(big)
        assert issue.kind == "refused"
        assert "memory" in issue.detail
        assert "--memory-limit" in issue.hint
        assert issue.retry
        (document,) = loader.load(good)
        assert document.title == "Good"


def test_parser_that_waits_for_good_is_stopped_and_the_rest_goes_on(tmp_path):
    os.mkfifo(tmp_path / "a-pipe")
    (tmp_path / "b-good.md").write_bytes(GOOD)
    with Loader(LoadOptions(time_limit=1.0)) as loader:
        (good,) = discover([tmp_path / "b-good.md"])
        (issue,) = loader.load(SourceFile(tmp_path / "a-pipe", "a-pipe", 0, 0))
        assert "neither worked nor gave anything for 1 s" in issue.detail
        assert issue.retry
        (document,) = loader.load(good)
        assert document.title == "Good"


def test_time_of_the_caller_does_not_count(tmp_path):
    rows = 3000
    (tmp_path / "rows.csv").write_text("name,text\n" + "".join(f"n{n},The text of row {n}.\n" for n in range(rows)))
    read = 0
    with Loader(LoadOptions(time_limit=1.0)) as loader:
        for item in loader.load(*discover([tmp_path])):
            assert isinstance(item, Document), item
            # As much work as embedding is: all of it takes longer than the parser may.
            hashlib.pbkdf2_hmac("sha256", item.text.encode(), b"salt", 2000)
            read += 1
    assert read == rows


def test_larger_file_may_take_longer(tmp_path):
    slow = slow_pdf()
    (tmp_path / "slow.pdf").write_bytes(slow + b"\n" * (1_500_000 - len(slow)))
    assert "limit of 1.5 s" in refusal(tmp_path / "slow.pdf", LoadOptions(time_limit=1.0)).detail


@pytest.mark.parametrize("limit", [{"time_limit": 0.0}, {"time_limit": float("nan")}, {"memory_limit": -1}])
def test_limits_must_be_positive(limit):
    with pytest.raises(SettingsError, match="must be > 0"):
        LoadOptions(**limit)


def test_missing_path_is_an_error_before_anything_is_read(tmp_path):
    with pytest.raises(DocumentError, match="does not exist"):
        discover([tmp_path / "nowhere"])


def test_index_in_a_folder_is_none_of_its_documents(tmp_path):
    (tmp_path / "a.txt").write_text("A.")
    index = tmp_path / "indexes" / "own"
    (index / "segments").mkdir(parents=True)
    for file in (index / "index.sqlite", index / "segments" / "meta.json", tmp_path / "indexes" / "b.txt"):
        file.write_text("x")
    assert [found.path.name for found in discover([tmp_path])] == ["a.txt", "b.txt"]
    assert len(discover([index])) == 2


def test_folder_patterns_include_and_exclude(tmp_path):
    for name in ("a.md", "b.txt", "sub/c.md", "sub/.hidden.md", ".git/d.md", "node_modules/e.md", "old/f.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(GOOD)
    options = LoadOptions(include=("*.md",), exclude=(*LoadOptions().exclude, "old"))
    names = [file.path.relative_to(tmp_path).as_posix() for file in discover([tmp_path], options)]
    assert names == ["a.md", "sub/c.md"]


def test_document_text_never_holds_nul_or_surrogates(tmp_path):
    (tmp_path / "row.jsonl").write_text('{"a": "x\\u0000y\\ud800z"}\n')
    (document,) = load(tmp_path / "row.jsonl")
    document.text.encode("utf-8")
    assert "\0" not in document.text
