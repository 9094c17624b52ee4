"""EPUB, ODT, ODP, RTF and notebooks: small files of the real formats, with units that citations name."""

import json
import zipfile

import pytest

from ragkit.documents import Issue, load
from ragkit.records import Document

OFFICE = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    'xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0" '
    'xmlns:presentation="urn:oasis:names:tc:opendocument:xmlns:presentation:1.0" '
    'xmlns:svg="urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0"'
)
PACKAGE = """<?xml version="1.0"?>
<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/">
<metadata><dc:title>The Island</dc:title><dc:creator>A. Writer</dc:creator></metadata>
<manifest><item id="b" href="two%20b.xhtml" media-type="application/xhtml+xml"/>
<item id="a" href="one.xhtml" media-type="application/xhtml+xml"/>
<item id="t" href="toc.ncx" media-type="application/x-dtbncx+xml"/></manifest>
<spine toc="t"><itemref idref="a"/><itemref idref="b"/></spine></package>"""
CONTENTS = """<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap>
<navPoint><navLabel><text>I. The Ferry</text></navLabel><content src="one.xhtml#top"/></navPoint>
<navPoint><navLabel><text>II. The Storm</text></navLabel><content src="two%20b.xhtml"/></navPoint></navMap></ncx>"""
CONTAINER = '<container><rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></container>'


def one(path):
    items = load(path)
    assert not [item for item in items if isinstance(item, Issue)], items
    (document,) = items
    assert isinstance(document, Document)
    return document


def refusal(path):
    items = load(path)
    assert not [item for item in items if isinstance(item, Document)]
    assert [item.kind for item in items] == ["refused"]
    return items[0]


def pack(path, members):
    with zipfile.ZipFile(path, "w") as out:
        for name, data in members.items():
            out.writestr(name, data)
    return path


def chapter(title, text):
    return f"<html xmlns='http://www.w3.org/1999/xhtml'><body><h1>{title}</h1><p>{text}</p></body></html>"


def book(path, **more):
    return pack(
        path,
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": CONTAINER,
            "OPS/book.opf": PACKAGE,
            "OPS/toc.ncx": CONTENTS,
            "OPS/two b.xhtml": chapter("The Storm", "Rain fell on the island for nine days and nobody went out."),
            "OPS/one.xhtml": chapter("The Ferry", "The ferry came at seven in the morning, as it always had."),
            **more,
        },
    )


def units(document):
    return [(page.label, document.text[page.start : page.end]) for page in document.pages]


def test_epub_chapters_follow_the_spine_and_have_the_titles_of_its_contents(tmp_path):
    document = one(book(tmp_path / "a.epub"))
    assert (document.title, document.metadata["author"]) == ("The Island", "A. Writer")
    assert [label for label, _ in units(document)] == ["I. The Ferry", "II. The Storm"]
    assert "seven in the morning" in units(document)[0][1]
    assert "nine days" in units(document)[1][1]


def test_epub_with_copy_protection_is_refused(tmp_path):
    lock = '<encryption><EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/></encryption>'
    assert "copy protection" in refusal(book(tmp_path / "a.epub", **{"META-INF/encryption.xml": lock})).detail


def odf(path, kind, body):
    content = f"<office:document-content {OFFICE}><office:body>{body}</office:body></office:document-content>"
    return pack(path, {"mimetype": f"application/vnd.oasis.opendocument.{kind}", "content.xml": content})


def test_odt_keeps_headings_lists_tables_notes_and_frames_and_drops_deletions(tmp_path):
    body = (
        "<office:text><text:tracked-changes><text:deletion><text:p>gone</text:p></text:deletion></text:tracked-changes>"
        '<text:h text:outline-level="1">Harbour</text:h>'
        "<text:p>Boats<text:s/>pay<text:tab/>dues<text:note><text:note-citation>1</text:note-citation>"
        "<text:note-body><text:p>Not in winter.</text:p></text:note-body></text:note>.</text:p>"
        "<text:list><text:list-item><text:p>rope</text:p><text:list><text:list-item><text:p>hemp</text:p>"
        "</text:list-item></text:list></text:list-item></text:list>"
        "<table:table><table:table-row><table:table-cell><text:p>Pier</text:p></table:table-cell>"
        "<table:table-cell><text:p>Depth</text:p></table:table-cell></table:table-row>"
        '<table:table-row><table:table-cell table:number-columns-repeated="2"><text:p>4</text:p></table:table-cell>'
        "</table:table-row></table:table>"
        "<text:p><draw:frame><draw:text-box><text:p>In a box.</text:p></draw:text-box></draw:frame></text:p>"
        "</office:text>"
    )
    document = one(odf(tmp_path / "a.odt", "text", body))
    assert document.text == (
        "Harbour\n\nBoats pay dues[1].\n\n[1] Not in winter.\n\n- rope\n  - hemp\n\n"
        "| Pier | Depth |\n| 4 | 4 |\n\nIn a box."
    )
    assert [heading.title for heading in document.headings] == ["Harbour"]


def test_odp_slides_are_units_with_their_notes(tmp_path):
    def frame(text, kind=""):
        attribute = f'presentation:class="{kind}"' if kind else ""
        return f"<draw:frame {attribute}><draw:text-box><text:p>{text}</text:p></draw:text-box></draw:frame>"

    body = (
        f"<office:presentation><draw:page>{frame('Below.')}{frame('Fleet', 'title')}<presentation:notes>"
        f"{frame('Thank the crew.')}</presentation:notes></draw:page><draw:page>{frame('Second.')}</draw:page>"
        "</office:presentation>"
    )
    document = one(odf(tmp_path / "a.odp", "presentation", body))
    assert units(document) == [("slide 1", "Fleet\n\nBelow.\n\nNotes: Thank the crew."), ("slide 2", "Second.")]


def test_opendocument_with_an_entity_bomb_is_refused_or_read_without_it(tmp_path):
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    content = f"{bomb}]><office:document-content {OFFICE}><office:body><office:text><text:p>&i;</text:p></office:text>"
    path = pack(
        tmp_path / "a.odt",
        {
            "mimetype": "application/vnd.oasis.opendocument.text",
            "content.xml": f"{content}</office:body></office:document-content>",
        },
    )
    assert refusal(path)


def test_rtf_in_its_code_page_with_a_table(tmp_path):
    (tmp_path / "a.rtf").write_bytes(
        rb"{\rtf1\ansi\ansicpg1251{\info{\title Harbour}}\pard \'ef\'f0\'e8\'e2\'e5\'f2, \u8364?5.\par "
        rb"\trowd\cellx100\cellx200 Pier\cell Depth\cell\row }"
    )
    document = one(tmp_path / "a.rtf")
    assert document.title == "Harbour"
    assert "привет, €5." in document.text
    assert "| Pier | Depth |" in document.text


def notebook(path, cells):
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}))
    return path


def test_notebook_cells_are_units_with_outputs_as_text_and_no_base64(tmp_path):
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": ["4.1\n", "4.2\n"]},
        {"output_type": "display_data", "data": {"image/png": "iVBORw0KGgo" * 40, "text/plain": ["<Figure>"]}},
        {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["\x1b[0;31mE\x1b[0m: v"]},
    ]
    document = one(
        notebook(
            tmp_path / "a.ipynb",
            [
                {"cell_type": "markdown", "source": ["# Harvest\n", "\n", "```\n", "# no heading\n", "```"]},
                {"cell_type": "code", "source": "print(yield_)", "outputs": outputs},
            ],
        )
    )
    assert units(document) == [
        ("cell 1", "Harvest\n\n```\n# no heading\n```"),
        ("cell 2", "print(yield_)\n\n4.1\n4.2\n\nE: v"),
    ]
    assert [heading.title for heading in document.headings] == ["Harvest"]
    assert document.metadata["pictures"] == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cells": 3}', '{"worksheets": [{}]}'])
def test_what_is_no_notebook_is_refused(tmp_path, text):
    (tmp_path / "a.ipynb").write_text(text)
    assert refusal(tmp_path / "a.ipynb")


def test_the_footer_of_a_part_is_in_no_section_of_it(tmp_path):
    page = (
        "<html xmlns='http://www.w3.org/1999/xhtml'><body><h1>The Ferry</h1><p>It came at seven.</p>"
        "<h2>The Crew</h2><p>Three men worked on it.</p><footer>Printed in Oban.</footer></body></html>"
    )
    document = one(book(tmp_path / "a.epub", **{"OPS/one.xhtml": page}))

    def path(words):
        return [heading.title for heading in document.headings_at(document.text.index(words))]

    assert path("Three men") == ["The Ferry", "The Crew"]
    assert path("Printed in Oban") == []
    assert path("Rain fell") == ["The Storm"]


def test_rtf_notes_comments_boxes_headers_numbers_and_characters_outside_the_basic_plane(tmp_path):
    (tmp_path / "a.rtf").write_bytes(
        rb"{\rtf1\ansi{\header Annual report\par}{\header Annual report\par}The pier{\footnote Built in 1890.} is old."
        rb"{\*\annotation Check this.}\par {\shp{\*\shpinst{\sp{\sn x}{\sv 1}}{\shptxt In a box.}}}"
        rb"{\pntext 3.\tab}Paint it \u-10179?\u-8704?.\par"
        rb"{\pict\pngblip\bin4 }{}{}{\object{\*\objdata 00ff}{\result 12 boats}}}"
    )
    text = one(tmp_path / "a.rtf").text
    assert "The pier[Built in 1890.] is old.[Comment: Check this.]" in text.replace(" [", "[")
    assert text.count("Annual report") == 1
    for shown in ("In a box.", "3.\tPaint it \U0001f600.", "12 boats"):
        assert shown in text


def test_rtf_text_after_a_surplus_brace_is_reported(tmp_path):
    (tmp_path / "a.rtf").write_bytes(rb"{\rtf1\ansi The pier is old.} The harbour is new and wide.}")
    items = load(tmp_path / "a.rtf")
    assert [item.kind for item in items if isinstance(item, Issue)] == ["text_lost"]
    assert "'harbour'" in items[0].detail


def test_notebook_output_that_is_html_alone_is_read(tmp_path):
    data = {"text/html": "<table><tr><th>Pier</th><th>Depth</th></tr><tr><td>A</td><td>4.1</td></tr></table>"}
    cell = {"cell_type": "code", "source": "table", "outputs": [{"output_type": "display_data", "data": data}]}
    document = one(notebook(tmp_path / "a.ipynb", [cell]))
    assert document.text == "table\n\n| Pier | Depth |\n| A | 4.1 |"


def test_notebook_cells_in_a_place_that_is_not_read_are_reported(tmp_path):
    book = {
        "cells": [{"cell_type": "code", "source": "print(1)", "outputs": []}],
        "worksheets": [{"cells": [{"cell_type": "markdown", "source": "The old harbour wall"}]}],
    }
    (tmp_path / "a.ipynb").write_text(json.dumps(book))
    assert [item.kind for item in load(tmp_path / "a.ipynb") if isinstance(item, Issue)] == ["text_lost"]
