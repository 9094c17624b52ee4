"""Which loader reads a file: by content, then by suffix; other kinds are refused by name; packages add loaders."""

import base64
import io
import os
import subprocess
import sys
import tarfile
import zipfile

import pytest

from ragkit.documents import Issue, load
from ragkit.documents.registry import choose, formats, identify
from ragkit.errors import UnsupportedFileError
from ragkit.records import Document

CONTENT_TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Override PartName="/{part}" ContentType="{type}"/></Types>'
)


def archive(path, members):
    with zipfile.ZipFile(path, "w") as out:
        for name, data in members.items():
            out.writestr(name, data)


def ole(stream):
    """Return an OLE file with one stream in its root."""

    def entry(name, kind, child=0xFFFFFFFF):
        encoded = name.encode("utf-16-le")
        head = encoded.ljust(64, b"\0") + (len(encoded) + 2).to_bytes(2, "little") + bytes([kind, 1])
        none = (0xFFFFFFFF).to_bytes(4, "little")
        return (head + none + none + child.to_bytes(4, "little")).ljust(128, b"\0")

    header = bytearray(512)
    header[:8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
    header[24:34] = b"\x3e\0\x03\0\xfe\xff\x09\0\x06\0"
    header[48:52] = (1).to_bytes(4, "little")
    header[76:80] = (0).to_bytes(4, "little")
    fat = b"\xfd\xff\xff\xff" + b"\xfe\xff\xff\xff" + b"\xff" * 504
    return bytes(header) + fat + (entry("Root Entry", 5, 1) + entry(stream, 2)).ljust(512, b"\0")


def refusal(path):
    items = load(path)
    assert [type(item) for item in items] == [Issue]
    assert items[0].kind == "refused"
    return items[0]


def test_every_format_has_a_name_a_version_and_suffixes_of_its_own():
    found = formats()
    assert len({each.name for each in found}) == len(found)
    suffixes = [suffix for each in found for suffix in each.suffixes]
    assert len(set(suffixes)) == len(suffixes)
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in suffixes)
    assert all(each.version >= 1 and each.media_type for each in found)


@pytest.mark.parametrize(
    ("part", "type_", "expected"),
    [
        ("doc/main.xml", "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml", "docx"),
        ("word/document.xml", "application/vnd.ms-word.document.macroEnabled.main+xml", "docx"),
    ],
)
def test_an_office_file_is_known_by_its_content_types_whatever_its_parts_are_called(tmp_path, part, type_, expected):
    archive(tmp_path / "file.bin", {"[Content_Types].xml": CONTENT_TYPES.format(part=part, type=type_), part: "<x/>"})
    assert choose(tmp_path / "file.bin")[0].name == expected


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("photo.heic", b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC picture"),
        ("slides.ppt", ole("PowerPoint Document"), "an old PowerPoint file (.ppt)"),
        ("letter.doc", ole("WordDocument"), "an old Word file (.doc)"),
        ("locked.docx", ole("EncryptedPackage"), "a password-protected Office file"),
        ("sound.mp3", b"ID3\x04\0\0\0\0", "an audio file"),
        ("film.mp4", b"\0\0\0\x20ftypisom\0\0", "a video"),
        ("rows.parquet", b"PAR1\x15\0\x15\0", "a Parquet file"),
        ("what.dat", bytes(range(256)), "a binary file of an unknown kind"),
    ],
)
def test_a_kind_that_nothing_reads_is_refused_by_name(tmp_path, name, data, words):
    (tmp_path / name).write_bytes(data)
    assert words in refusal(tmp_path / name).detail


def test_base64_is_never_indexed_as_text(tmp_path):
    data = base64.encodebytes(bytes(range(256)) * 40)
    for name, content in (("a.txt", data), ("b.b64", b"begin-base64 644 x\n" + data), ("c", data.replace(b"\n", b""))):
        (tmp_path / name).write_bytes(content)
        assert "base64" in refusal(tmp_path / name).detail


@pytest.mark.parametrize(
    "text",
    [
        "MZ is the mark of a program.",
        "ID3 tags hold a title.",
        "BM is short.",
        ">seq\n" + "ACGT" * 15 + "\n" + "ACGT" * 15,
    ],
)
def test_text_that_begins_like_another_kind_is_text(tmp_path, text):
    (tmp_path / "note.txt").write_text(text)
    (document,) = load(tmp_path / "note.txt")
    assert document.text == text


def test_a_missing_extra_is_named_with_its_command_and_the_file_is_read_once_it_is_there(tmp_path, monkeypatch):
    from dataclasses import replace

    from ragkit.documents import registry

    needy = replace(formats()[0], extra="office", requires=("a_module_nobody_has",))
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4")
    before = identify(tmp_path / "a.pdf")
    monkeypatch.setattr(registry, "formats", lambda: (needy,))
    with pytest.raises(UnsupportedFileError, match="a_module_nobody_has") as caught:
        choose(tmp_path / "a.pdf")
    assert caught.value.hint == "Install it: pip install 'ragkit[office]'"
    assert identify(tmp_path / "a.pdf").startswith("none/")
    assert before.startswith("pdf/")


PLUGIN = """
from ragkit.documents import Format

FORMAT = Format("recipes", (".recipe",), "text/x-recipe", "step", module="recipe_loader.parsing", magic=(b"RECIPE1",))
"""
PARSING = """
from ragkit.records import PageSpan

def parse(source):
    text = source.path.read_text().removeprefix("RECIPE1").strip()
    steps = text.split("\\n\\n")
    pages, at = [], 0
    for number, step in enumerate(steps, 1):
        pages.append(PageSpan(number, at, at + len(step), f"step {number}"))
        at += len(step) + 2
    yield source.document(text, "text/x-recipe", pages=tuple(pages))
"""


def test_an_installed_package_adds_a_loader_by_an_entry_point(tmp_path):
    site = tmp_path / "site"
    info = site / "recipe_loader-1.0.dist-info"
    (site / "recipe_loader").mkdir(parents=True)
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: recipe-loader\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[ragkit.loaders]\nrecipes = recipe_loader:FORMAT\nbroken = recipe_loader:NOTHING\n"
    )
    (site / "recipe_loader" / "__init__.py").write_text(PLUGIN)
    (site / "recipe_loader" / "parsing.py").write_text(PARSING)
    (tmp_path / "soup.recipe").write_text("RECIPE1\nPeel the leeks.\n\nBoil them.")
    script = (
        "from ragkit.documents import load\n"
        "from ragkit.documents.registry import identify\n"
        f"path = {str(tmp_path / 'soup.recipe')!r}\n"
        "import pathlib\n"
        "(document,) = load(path)\n"
        "print(identify(pathlib.Path(path)), document.text, document.unit_at(20).label, sep='|')\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *sys.path])}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert done.stdout == "recipes/1|Peel the leeks.\n\nBoil them.|step 2\n", done.stderr
    assert "The loader broken can't be used" in done.stderr


def test_archives_of_other_kinds_are_told_apart(tmp_path):
    archive(tmp_path / "a.jar", {"META-INF/MANIFEST.MF": "x"})
    assert "a Java archive" in refusal(tmp_path / "a.jar").detail
    with tarfile.open(tmp_path / "b.tgz", "w:gz") as out:
        out.addfile(tarfile.TarInfo("x"), io.BytesIO())
    from ragkit.documents.kinds import kind_of

    assert kind_of(tmp_path / "b.tgz", (tmp_path / "b.tgz").read_bytes()[:4096]) == "tar"
    assert isinstance(load(tmp_path / "a.jar")[0], Issue)
    assert not any(isinstance(item, Document) for item in load(tmp_path / "a.jar"))
