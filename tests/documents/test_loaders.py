"""Each format, read from real files."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from fpdf import FPDF

from ragkit.documents import Issue, LoadOptions, load
from ragkit.records import Document

SAMPLES = Path(__file__).parents[2] / "docs" / "samples"


def documents(items):
    return [item for item in items if isinstance(item, Document)]


def issues(items):
    return [item for item in items if isinstance(item, Issue)]


def write_pdf(path, pages, **options):
    pdf = FPDF()
    for text in pages:
        pdf.add_page()
        if text:
            pdf.set_font("Helvetica", size=12)
            pdf.multi_cell(0, 8, text)
    for name, value in options.items():
        getattr(pdf, name)(value)
    pdf.output(str(path))


def test_pdf_pages_tile_the_text_and_outline_gives_headings():
    (document,) = documents(load(SAMPLES / "telescope-manual.pdf"))
    assert document.title == "Meridian 40 Telescope Manual"
    assert [page.number for page in document.pages] == [1, 2, 3, 4, 5]
    for page, following in pairwise(document.pages):
        assert document.text[page.end : following.start] == "\n\n"
    assert document.page_at(document.text.index("Error E27")) == 4
    assert [heading.title for heading in document.headings_at(document.text.index("Error E27"))] == [
        "4 When something goes wrong"
    ]
    assert document.metadata["author"] == "Lumen Ridge Observatory"


def test_pdf_page_without_text_is_named(tmp_path):
    write_pdf(tmp_path / "scan.pdf", ["First page.", "", "Third page."])
    items = load(tmp_path / "scan.pdf")
    assert [(issue.kind, issue.page) for issue in issues(items)] == [("page_without_text", 2)]
    assert documents(items)[0].page_at(documents(items)[0].text.index("Third")) == 3


def test_pdf_without_any_text_is_refused(tmp_path):
    write_pdf(tmp_path / "scan.pdf", ["", ""])
    items = load(tmp_path / "scan.pdf")
    assert not documents(items)
    assert [issue.kind for issue in issues(items)] == ["page_without_text", "page_without_text", "refused"]


def test_pdf_with_a_password_opens_with_it_only(tmp_path):
    pdf = FPDF()
    pdf.set_encryption(owner_password="owner", user_password="secret")
    pdf.add_page()
    pdf.set_font("Helvetica", size=12)
    pdf.cell(text="The vault code is 4711.")
    pdf.output(str(tmp_path / "locked.pdf"))
    (refused,) = load(tmp_path / "locked.pdf")
    assert refused.kind == "refused"
    assert "--password" in refused.hint
    (wrong,) = load(tmp_path / "locked.pdf", LoadOptions(passwords=("guess",)))
    assert "none of the 1 passwords" in wrong.detail
    (document,) = load(tmp_path / "locked.pdf", LoadOptions(passwords=("guess", "secret")))
    assert "4711" in document.text


def test_docx_keeps_headings_paragraphs_and_tables_in_order():
    (document,) = documents(load(SAMPLES / "visitor-policy.docx"))
    text = document.text
    assert text.index("What is paid back") < text.index("| Cancelled | Paid back |") < text.index("Children under 6")
    inside = [heading.title for heading in document.headings_at(text.index("Tripods"))]
    assert inside == ["Visitor Policy", "Photography"]
    assert document.metadata["created"] == "2026-11-01"


def test_html_gives_all_text_without_navigation():
    (document,) = load(SAMPLES / "faq.html")
    assert "23:10" in document.text
    assert "Imprint" in document.text
    assert "Shop" not in document.text
    path = [heading.title for heading in document.headings_at(document.text.index("Bus 47"))]
    assert path == ["Questions and Answers", "Getting here"]
    assert document.metadata["language"] == "en"


def test_html_main_text_is_an_option():
    (document,) = documents(load(SAMPLES / "faq.html", LoadOptions(main_text=True)))
    assert "23:10" in document.text
    assert "Imprint" not in document.text


def test_markdown_text_is_the_files_own_with_front_matter_as_text_and_metadata(tmp_path):
    body = "# Top\n\nText.\n\n```\n# no heading\n```\n\nUnder\n-----\n\nMore *text*.\n\n# Next\n"
    (tmp_path / "note.md").write_text(f"---\ntitle: My note\nyear: 2024\ndraft: true\n---\n{body}")
    (document,) = load(tmp_path / "note.md")
    assert document.text == f"title: My note\nyear: 2024\ndraft: true\n\n{body}"
    assert document.title == "My note"
    assert (document.metadata["year"], document.metadata["draft"]) == (2024, True)
    assert [(h.title, h.level) for h in document.headings] == [("Top", 1), ("Under", 2), ("Next", 1)]
    top, under, following = document.headings
    assert top.end == under.end == following.start


def test_csv_row_is_a_document_with_text_as_written_and_typed_metadata():
    rows = documents(load(SAMPLES / "prices.csv"))
    assert len(rows) == 8
    family = rows[2]
    assert family.source.endswith("prices.csv#row-3")
    assert family.title == "Family ticket"
    assert "price_eur: 46.00" in family.text
    assert family.metadata["price_eur"] == 46.0


def test_csv_columns_can_be_chosen_and_unknown_ones_are_named():
    rows = documents(load(SAMPLES / "prices.csv", LoadOptions(text_columns=("notes",), metadata_columns=("season",))))
    assert rows[0].text == "notes: Includes a hot drink"
    assert "price_eur" not in rows[0].metadata
    (refused,) = load(SAMPLES / "prices.csv", LoadOptions(text_columns=("colour",)))
    assert "'colour'" in refused.detail
    assert "season" in refused.hint


def test_csv_with_semicolons_quotes_and_a_longer_row(tmp_path):
    (tmp_path / "t.csv").write_text('name;note\nA;"one; two\nlines"\nB;x;extra\nC;fine\n')
    items = load(tmp_path / "t.csv")
    assert [document.title for document in documents(items)] == ["A", "B", "C"]
    assert "one; two\nlines" in documents(items)[0].text
    assert documents(items)[1].text == "name: B\nnote: x\ncolumn 3: extra"
    (issue,) = issues(items)
    assert issue.kind == "row_irregular"
    assert "line 4" in issue.detail


def test_json_lines_go_on_after_a_broken_line(tmp_path):
    lines = [json.dumps({"q": "Ä?", "n": 1}), "{broken", "[1]", json.dumps({"q": "last", "tags": ["a", "b"]})]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    items = load(tmp_path / "t.jsonl")
    assert [document.title for document in documents(items)] == ["Ä?", "last"]
    assert documents(items)[0].metadata["n"] == 1
    assert [issue.kind for issue in issues(items)] == ["row_refused", "row_refused"]


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_row_keeps_its_own_columns_that_files_have_too(tmp_path, name):
    own = {"name": "Ida", "row": 41, "suffix": "PhD"}
    text = json.dumps(own) if name == "t.jsonl" else "name,row,suffix\nIda,41,PhD\n"
    (tmp_path / name).write_text(text)
    (row,) = documents(load(tmp_path / name))
    assert own.items() <= row.metadata.items()
    (tmp_path / name).write_text(text.replace("name", "who").replace("row", "age"))
    (row,) = documents(load(tmp_path / name))
    assert (row.metadata["name"], row.metadata["row"]) == (name, 1)
    assert row.metadata["suffix"] == "PhD"


def test_source_code_has_definitions_as_headings(tmp_path):
    (tmp_path / "tool.py").write_text(
        "import os\n\n\ndef first():\n    pass\n\n\nclass Second:\n    def inner(self):\n        pass\n"
    )
    (document,) = load(tmp_path / "tool.py")
    assert [heading.title for heading in document.headings] == ["def first", "class Second", "def inner"]
    assert document.metadata["language"] == "py"


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", "Grüße 你好 مرحبا 🎉"),
        ("utf-8-sig", "Grüße 你好"),
        ("utf-16", "Grüße 你好 🎉"),
        ("utf-16-le", "Grüße aus der Stadt am Fluss, wo wir lange wohnten."),
        ("latin-1", "Die Größe der Straße überrascht den Bäcker in München, weil sie früher schmäler war."),
        ("shift-jis", "これは日本語の文章です。東京は大きな都市で、たくさんの人が住んでいます。"),
    ],
)
def test_text_in_any_encoding(tmp_path, encoding, text):
    (tmp_path / "note.txt").write_bytes(text.encode(encoding))
    options = LoadOptions(encoding="utf-16-le") if encoding == "utf-16-le" else None
    items = load(tmp_path / "note.txt", options)
    assert documents(items)[0].text.strip("\ufeff") == text
    guessed = [issue.kind for issue in issues(items)]
    assert guessed == (["encoding_guessed"] if encoding in ("latin-1", "shift-jis") else [])


def test_every_parser_has_a_version(tmp_path):
    from ragkit.documents.registry import identify, version_of

    for name, data, expected in (("a.txt", b"Text.", "text"), ("b.txt", b"%PDF-1.4", "pdf"), ("c.txt", b"", "none")):
        (tmp_path / name).write_bytes(data)
        assert identify(tmp_path / name) == f"{expected}/{version_of(expected)}"
    assert identify(tmp_path / "gone.txt") == f"none/{version_of('none')}"


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_json_values_that_are_not_in_the_text_are_reported(tmp_path, name):
    # The parser keeps the last value of a name that occurs twice.
    record = '{"id": 1, "note": "the harbour wall", "note": "the pier", "tags": [], "empty": null}'
    (tmp_path / name).write_text(f"[{record}]" if name == "a.json" else f"{record}\nno json\n{record}\n")
    items = load(tmp_path / name)
    lost = [item for item in items if isinstance(item, Issue) and item.kind == "text_lost"]
    assert [issue.detail.split(" of ")[0] for issue in lost] == ["11" if name == "a.json" else "22"]


def test_json_with_escapes_and_empty_values_is_complete(tmp_path):
    values = {
        "name": 'Zoë "Q" \u4e2d',
        "path": "C:\\\\new\\table",
        "n": 1.50,
        "none": None,
        "list": [],
        "deep": {"a": {}},
    }
    (tmp_path / "a.json").write_text(json.dumps([values, {"name": "x"}]))
    (tmp_path / "b.json").write_text(json.dumps(values))
    for name in ("a.json", "b.json"):
        assert not [item for item in load(tmp_path / name) if isinstance(item, Issue)]
