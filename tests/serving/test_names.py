"""Names of uploaded files: what is shown is harmless, whatever was sent."""

import unicodedata
from pathlib import PurePosixPath, PureWindowsPath

import pytest

from ragkit.records import Document
from ragkit.serving.names import LONGEST, clean_name, document_name, harmless, safe_suffix
from tests.serving.hostile import names


def test_hostile_names_become_one_harmless_component():
    given = names()
    assert len(given) == 300
    for name in given:
        shown = clean_name(name)
        assert shown == PurePosixPath(shown).name == PureWindowsPath(shown).name
        assert shown not in (".", "..")
        assert 0 < len(shown.encode()) <= LONGEST
        assert not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in shown)
        assert not set(shown) & set('\u202e\u2066\ufeff<>:"|?*/\\')
        assert clean_name(shown) == shown
        suffix = safe_suffix(name)
        assert suffix == "" or (suffix[1:].isascii() and suffix[1:].isalnum() and len(suffix) <= 11)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("report 2025.pdf", "report 2025.pdf"),
        ("Übersicht.md", "Übersicht.md"),
        ("e\u0301tude.txt", "étude.txt"),
        ("C:\\Users\\me\\a.docx", "a.docx"),
        ("../../etc/passwd", "passwd"),
        ("a\u202efdp.exe", "afdp.exe"),
        ("con.txt", "_con.txt"),
        (".htaccess", "htaccess"),
        ("...", "document"),
        (None, "document"),
    ],
)
def test_name_is_cleaned(given, shown):
    assert clean_name(given) == shown


def test_long_name_keeps_its_suffix():
    shown = clean_name("漢" * 200 + ".pdf")
    assert shown.endswith("漢.pdf")
    assert len(shown.encode()) <= LONGEST


def test_harmless_keeps_joiners_and_line_breaks():
    assert harmless("a\u200db\n\tc\u202e\x07") == "a\u200db\n\tc"


@pytest.mark.parametrize(
    ("source", "origin", "metadata", "shown"),
    [
        ("/srv/docs/people.csv#row-2", "/srv/docs/people.csv", {"name": "Ida"}, "people.csv"),
        ("upload:people.csv#row-2", "upload:people.csv", {"name": "Ida"}, "people.csv"),
        ("upload:a.pdf", "upload:a.pdf", {"name": "a.pdf"}, "a.pdf"),
        ("/srv/docs/a.pdf", "/srv/docs/a.pdf", {}, "a.pdf"),
    ],
)
def test_document_is_shown_by_its_file(source, origin, metadata, shown):
    document = Document(source, source, origin, "text", "title", "sha", "text/plain", metadata)
    assert document_name(document) == shown
